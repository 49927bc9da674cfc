//! A rule by which a firewall mark leads to a routing table: `ip rule add fwmark MARK lookup TABLE`.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "netlink's enums are open: what is not known is passed over"
)]

use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::Error;
use crate::netlink::Netlink;

/// A rule that looks at nothing but the mark; others are not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkRule {
    /// Whether it is for IPv6.
    pub is_ipv6: bool,
    /// The mark.
    pub mark: u32,
    /// Which of its bits count.
    pub mask: u32,
    /// The table's number.
    pub table: u32,
    /// Where it stands; the smaller is asked first.
    pub priority: u32,
}

impl MarkRule {
    pub(crate) fn dump(netlink: &mut Netlink) -> Result<Vec<Self>, Error> {
        let mut rules: Vec<Self> = messages(netlink)?.iter().filter_map(Self::from_message).collect();
        rules.sort_by_key(|rule| rule.priority);
        Ok(rules)
    }

    pub(crate) fn from_message(message: &RuleMessage) -> Option<Self> {
        let header = &message.header;
        let is_plain = header.action == RuleAction::ToTable
            && !header.flags.contains(RuleFlags::Invert)
            && (header.src_len, header.dst_len, header.tos) == (0, 0, 0);
        let is_ipv6 = match header.family {
            AddressFamily::Inet => false,
            AddressFamily::Inet6 => true,
            _ => return None,
        };
        let mut rule = Self { is_ipv6, mark: 0, mask: u32::MAX, table: header.table.into(), priority: 0 };
        for attribute in &message.attributes {
            match attribute {
                RuleAttribute::FwMark(mark) => rule.mark = *mark,
                RuleAttribute::FwMask(mask) => rule.mask = *mask,
                RuleAttribute::Table(table) => rule.table = *table,
                RuleAttribute::Priority(priority) => rule.priority = *priority,
                RuleAttribute::Iifname(_)
                | RuleAttribute::Oifname(_)
                | RuleAttribute::TunId(_)
                | RuleAttribute::L3MDev(_)
                | RuleAttribute::UidRange(_)
                | RuleAttribute::IpProtocol(_)
                | RuleAttribute::SourcePortRange(_)
                | RuleAttribute::DestinationPortRange(_) => return None,
                _ => {}
            }
        }
        (is_plain && rule.mark & rule.mask != 0).then_some(rule)
    }
}

/// All rules of the host, of both families, as netlink tells them.
pub(crate) fn messages(netlink: &mut Netlink) -> Result<Vec<RuleMessage>, Error> {
    let mut rules = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut query = RuleMessage::default();
        query.header.family = family;
        for message in netlink.dump(&RouteNetlinkMessage::GetRule(query), "rules")? {
            if let RouteNetlinkMessage::NewRule(rule) = message {
                rules.push(rule);
            }
        }
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(attributes: &[RuleAttribute]) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.action = RuleAction::ToTable;
        message.header.table = 100;
        message.attributes = attributes.to_vec();
        message
    }

    #[test]
    fn a_rule_that_looks_at_the_mark_alone_is_understood() {
        let plain = [RuleAttribute::Priority(32765), RuleAttribute::FwMark(7), RuleAttribute::FwMask(0xff)];
        let rule = MarkRule::from_message(&message(&plain)).unwrap();
        let expected = MarkRule { is_ipv6: false, mark: 7, mask: 0xff, table: 100, priority: 32765 };
        assert_eq!(rule, expected);
        let numbered = [RuleAttribute::FwMark(7), RuleAttribute::Table(70_000)];
        assert_eq!(MarkRule::from_message(&message(&numbered)).map(|rule| rule.table), Some(70_000));
    }

    #[test]
    fn a_rule_that_looks_at_more_or_at_no_mark_is_passed_over() {
        let named = [RuleAttribute::FwMark(7), RuleAttribute::Iifname("eth0".into())];
        assert_eq!(MarkRule::from_message(&message(&named)), None);
        assert_eq!(MarkRule::from_message(&message(&[RuleAttribute::Priority(0)])), None);
        let mut inverted = message(&[RuleAttribute::FwMark(7)]);
        inverted.header.flags = RuleFlags::Invert;
        assert_eq!(MarkRule::from_message(&inverted), None);
        let mut from_prefix = message(&[RuleAttribute::FwMark(7)]);
        from_prefix.header.src_len = 24;
        assert_eq!(MarkRule::from_message(&from_prefix), None);
        let mut refusing = message(&[RuleAttribute::FwMark(7)]);
        refusing.header.action = RuleAction::Blackhole;
        assert_eq!(MarkRule::from_message(&refusing), None);
    }
}
