//! A rule of policy routing, and how it is added and deleted.

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::address::changed;
use crate::netlink::Netlink;

/// A rule as an operator would add it: `ip rule add from A to B iif I oif O fwmark M/N tos T lookup TABLE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRule {
    /// Whether it is for IPv6.
    pub is_ipv6: bool,
    /// Where packets come from; anywhere when absent.
    pub from: Option<IpNet>,
    /// Where they are going; anywhere when absent.
    pub to: Option<IpNet>,
    /// The interface they came by.
    pub iif: Option<String>,
    /// The interface the sending socket is bound to.
    pub oif: Option<String>,
    /// Their firewall mark, and which of its bits count.
    pub mark: Option<(u32, u32)>,
    /// Their type of service; any when 0.
    pub tos: u8,
    /// What becomes of them.
    pub verdict: RuleVerdict,
    /// Where it stands; the smaller is asked first.
    pub priority: u32,
    /// Who made it (`RTPROT_*`).
    pub protocol: u8,
}

/// What becomes of the packets that a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleVerdict {
    /// The table of this number is asked.
    Table(u32),
    /// They are dropped silently.
    Blackhole,
    /// They are refused: network unreachable.
    Unreachable,
    /// They are refused: prohibited.
    Prohibit,
}

impl PolicyRule {
    /// Adds the rule; false when the very same was there already.
    pub(crate) fn add(&self, netlink: &mut Netlink) -> Result<bool, Error> {
        let message = RouteNetlinkMessage::NewRule(self.to_message());
        let action = || format!("add rule {}", self.priority);
        changed(netlink.request(message, NLM_F_CREATE | NLM_F_EXCL, &action), Errno::EEXIST)
    }

    /// Deletes the rule; false when it was not there.
    pub(crate) fn delete(&self, netlink: &mut Netlink) -> Result<bool, Error> {
        let message = RouteNetlinkMessage::DelRule(self.to_message());
        let action = || format!("delete rule {}", self.priority);
        changed(netlink.request(message, 0, &action), Errno::ENOENT)
    }

    fn to_message(&self) -> RuleMessage {
        let mut message = RuleMessage::default();
        let header = &mut message.header;
        header.family = if self.is_ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
        header.src_len = self.from.map_or(0, |from| from.prefix_len());
        header.dst_len = self.to.map_or(0, |to| to.prefix_len());
        header.tos = self.tos;
        let (action, table) = match self.verdict {
            RuleVerdict::Table(table) => (RuleAction::ToTable, table),
            RuleVerdict::Blackhole => (RuleAction::Blackhole, 0),
            RuleVerdict::Unreachable => (RuleAction::Unreachable, 0),
            RuleVerdict::Prohibit => (RuleAction::Prohibit, 0),
        };
        header.action = action;
        // Numbers above a byte go in the attribute only.
        header.table = u8::try_from(table).unwrap_or(0);
        let attributes = &mut message.attributes;
        attributes.push(RuleAttribute::Priority(self.priority));
        attributes.push(RuleAttribute::Protocol(RouteProtocol::from(self.protocol)));
        attributes.extend(self.from.map(|from| RuleAttribute::Source(from.addr())));
        attributes.extend(self.to.map(|to| RuleAttribute::Destination(to.addr())));
        attributes.extend(self.iif.clone().map(RuleAttribute::Iifname));
        attributes.extend(self.oif.clone().map(RuleAttribute::Oifname));
        if let Some((mark, mask)) = self.mark {
            attributes.push(RuleAttribute::FwMark(mark));
            attributes.push(RuleAttribute::FwMask(mask));
        }
        if table != 0 {
            attributes.push(RuleAttribute::Table(table));
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MarkRule;

    #[test]
    fn a_rule_for_a_mark_is_what_is_read_as_one() {
        let mut rule = PolicyRule {
            is_ipv6: true,
            from: None,
            to: None,
            iif: None,
            oif: None,
            mark: Some((7, 0xff)),
            tos: 0,
            verdict: RuleVerdict::Table(70_000),
            priority: 9,
            protocol: 18,
        };
        let expected = MarkRule { is_ipv6: true, mark: 7, mask: 0xff, table: 70_000, priority: 9 };
        assert_eq!(MarkRule::from_message(&rule.to_message()), Some(expected));
        rule.from = Some("fd00::/64".parse().unwrap());
        let message = rule.to_message();
        assert_eq!(message.header.src_len, 64);
        assert!(message.attributes.contains(&RuleAttribute::Source("fd00::".parse().unwrap())));
    }
}
