//! A diversion of what the host itself sends: packets from given endpoints leave through one device, where whoever
//! holds its other end takes them.
//!
//! Each endpoint is a policy rule (`ip rule`) for the host's own packets that leads to a table with one route, over
//! the device. The route goes with its device, and a rule to an empty table does nothing: a crash leaves the host as
//! it was but for the rules' text, which the next diversion takes away.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "netlink's enums are open: what is not known is passed over"
)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage, RulePortRange};
use netlink_packet_route::{AddressFamily, IpProtocol, RouteNetlinkMessage};
use nix::errno::Errno;

use crate::Error;
use crate::address::changed;
use crate::interface::Interface;
use crate::netlink::Netlink;
use crate::route::Route;
use crate::rule;

/// The first of the tables that diversions use; the device's number is added.
const TABLES: u32 = 0x6c76_0000;
/// How many numbers of devices have tables.
const DEVICES: u32 = 0x1_0000;
/// Behind the table of local addresses (0), before the main one (32766) and what operators put there.
const PRIORITY: u32 = 77;
/// The interface that the host's own packets come from, for a rule.
const OWN: &str = "lo";
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Whose packets are diverted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Diverted {
    /// The address they come from.
    pub address: IpAddr,
    /// Their protocol's number.
    pub protocol: u8,
    /// Their source port; 0 for every one.
    pub port: u16,
}

/// A diversion; dropping it takes it away.
#[derive(Debug)]
pub struct Diversion {
    netlink: Netlink,
    name: String,
    device: u32,
    mtu: u32,
    rules: BTreeSet<Rule>,
    /// Whether the table has its route: IPv4, IPv6.
    routed: [bool; 2],
}

impl Diversion {
    /// A diversion of nothing yet, over the device of this name and number, whose packets are to be of `mtu` octets at most.
    /// What crashed predecessors left behind is taken away.
    ///
    /// # Errors
    /// The kernel's own.
    pub fn open(name: &str, device: u32, mtu: u32) -> Result<Self, Error> {
        let mut netlink = Netlink::open()?;
        let interfaces = Interface::dump(&mut netlink)?;
        for stale in Rule::dump(&mut netlink)? {
            let owner = stale.table() - TABLES;
            let is_there = interfaces.iter().any(|interface| interface.index == owner);
            if owner == device || !is_there {
                stale.delete(&mut netlink)?;
            }
        }
        let name = name.to_owned();
        Ok(Self { netlink, name, device, mtu, rules: BTreeSet::new(), routed: [false; 2] })
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Diverts these and no others. What tells a sender that nobody listens there (ICMP's unreachable) goes with them.
    /// With `is_bound`, what sockets send that are bound to the device goes out of it, wherever it is for.
    ///
    /// # Errors
    /// The kernel's own; what was done stays, and the next call goes on from there.
    pub fn divert(
        &mut self,
        diverted: impl IntoIterator<Item = Diverted>,
        is_bound: bool,
    ) -> Result<(), Error> {
        let table = TABLES + self.device % DEVICES;
        let mut wanted: BTreeSet<Rule> = diverted.into_iter().flat_map(|of| Rule::both(of, table)).collect();
        if is_bound {
            let bound = |is_ipv4| Rule::Bound { is_ipv4, device: self.name.clone(), table };
            wanted.extend([bound(true), bound(false)]);
        }
        let gone: Vec<Rule> = self.rules.difference(&wanted).cloned().collect();
        for rule in gone {
            rule.delete(&mut self.netlink)?;
            self.rules.remove(&rule);
        }
        let new: Vec<Rule> = wanted.difference(&self.rules).cloned().collect();
        for rule in new {
            self.route(rule.is_ipv4(), table)?;
            rule.add(&mut self.netlink)?;
            self.rules.insert(rule);
        }
        Ok(())
    }

    /// Gives the table its route for a family.
    fn route(&mut self, is_ipv4: bool, table: u32) -> Result<(), Error> {
        let (any, place) = if is_ipv4 {
            (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)
        } else {
            (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 1)
        };
        let is_routed = self.routed.get_mut(place);
        if is_routed.as_deref() == Some(&true) {
            return Ok(());
        }
        let mut route = Route::to_host(any, self.device);
        (route.table, route.prefsrc, route.mtu) = (table, None, Some(self.mtu));
        route.prefix = IpNet::new(any, 0).map_err(|error| Error::Answer(error.to_string()))?;
        route.add(&mut self.netlink)?;
        if let Some(is_routed) = is_routed {
            *is_routed = true;
        }
        Ok(())
    }
}

impl Drop for Diversion {
    fn drop(&mut self) {
        if let Err(error) = self.divert([], false) {
            tracing::warn!(%error, "the host's own packets are still diverted");
        }
    }
}

/// A policy rule: these packets of the host's own go by this table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    /// Those from somewhere.
    From {
        of: Diverted,
        /// First and last of the destination ports, in whose place ICMP has its type and code; 0 for all of them.
        destination: (u16, u16),
        table: u32,
    },
    /// Those of sockets that are bound to the device.
    Bound { is_ipv4: bool, device: String, table: u32 },
}

impl Rule {
    /// The rule for what is diverted, and the one for what its address says in ICMP of nobody being there.
    fn both(of: Diverted, table: u32) -> [Self; 2] {
        let (protocol, unreachable) = if of.address.is_ipv4() { (ICMP, 3) } else { (ICMPV6, 1) };
        let codes = (u16::from_be_bytes([unreachable, 0]), u16::from_be_bytes([unreachable, u8::MAX]));
        let unreachable = Diverted { address: of.address, protocol, port: 0 };
        [
            Self::From { of, destination: (0, 0), table },
            Self::From { of: unreachable, destination: codes, table },
        ]
    }

    const fn table(&self) -> u32 {
        match self {
            Self::From { table, .. } | Self::Bound { table, .. } => *table,
        }
    }

    const fn is_ipv4(&self) -> bool {
        match self {
            Self::From { of, .. } => of.address.is_ipv4(),
            Self::Bound { is_ipv4, .. } => *is_ipv4,
        }
    }

    /// Whose packets it is for, in words.
    fn whose(&self) -> String {
        match self {
            Self::From { of, .. } => format!("packets from {}", of.address),
            Self::Bound { device, .. } => format!("sockets bound to {device}"),
        }
    }

    fn dump(netlink: &mut Netlink) -> Result<Vec<Self>, Error> {
        Ok(rule::messages(netlink)?.iter().filter_map(Self::from_message).collect())
    }

    fn add(&self, netlink: &mut Netlink) -> Result<bool, Error> {
        let message = RouteNetlinkMessage::NewRule(self.to_message());
        let action = || format!("add a rule for {}", self.whose());
        changed(netlink.request(message, NLM_F_CREATE | NLM_F_EXCL, &action), Errno::EEXIST)
    }

    fn delete(&self, netlink: &mut Netlink) -> Result<bool, Error> {
        let message = RouteNetlinkMessage::DelRule(self.to_message());
        let action = || format!("delete a rule for {}", self.whose());
        changed(netlink.request(message, 0, &action), Errno::ENOENT)
    }

    fn to_message(&self) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = if self.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.action = RuleAction::ToTable;
        let attributes = &mut message.attributes;
        attributes.push(RuleAttribute::Priority(PRIORITY));
        attributes.push(RuleAttribute::Table(self.table()));
        attributes.push(RuleAttribute::Protocol(RouteProtocol::Static));
        match self {
            Self::From { of, destination, .. } => {
                message.header.src_len = IpNet::from(of.address).prefix_len();
                attributes.push(RuleAttribute::Source(of.address));
                attributes.push(RuleAttribute::Iifname(OWN.to_owned()));
                attributes.push(RuleAttribute::IpProtocol(IpProtocol::from(i32::from(of.protocol))));
                if of.port != 0 {
                    let range = RulePortRange { start: of.port, end: of.port };
                    attributes.push(RuleAttribute::SourcePortRange(range));
                }
                let (start, end) = *destination;
                if end != 0 {
                    attributes.push(RuleAttribute::DestinationPortRange(RulePortRange { start, end }));
                }
            }
            Self::Bound { device, .. } => attributes.push(RuleAttribute::Oifname(device.clone())),
        }
        message
    }

    /// A rule of a diversion; `None` for anybody else's.
    fn from_message(message: &RuleMessage) -> Option<Self> {
        let (mut address, mut table, mut protocol, mut port, mut destination) = (None, 0, 0, 0, (0, 0));
        let mut bound = None;
        for attribute in &message.attributes {
            match attribute {
                RuleAttribute::Source(ip) => address = Some(*ip),
                RuleAttribute::Oifname(device) => bound = Some(device.clone()),
                RuleAttribute::Table(number) => table = *number,
                RuleAttribute::IpProtocol(number) => protocol = u8::try_from(i32::from(*number)).ok()?,
                RuleAttribute::SourcePortRange(range) => port = range.start,
                RuleAttribute::DestinationPortRange(range) => destination = (range.start, range.end),
                _ => {}
            }
        }
        if !(TABLES..TABLES + DEVICES).contains(&table) {
            return None;
        }
        if let Some(device) = bound {
            let is_ipv4 = message.header.family == AddressFamily::Inet;
            return Some(Self::Bound { is_ipv4, device, table });
        }
        Some(Self::From { of: Diverted { address: address?, protocol, port }, destination, table })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_survives_the_way_through_a_message() {
        for (address, protocol, port) in [("10.2.0.1", 6, 8080), ("2001:db8:2::1", 17, 0)] {
            let of = Diverted { address: address.parse().unwrap(), protocol, port };
            for rule in Rule::both(of, TABLES + 5) {
                assert_eq!(Rule::from_message(&rule.to_message()), Some(rule));
            }
        }
        for is_ipv4 in [true, false] {
            let rule = Rule::Bound { is_ipv4, device: "lvsd0".to_owned(), table: TABLES + 5 };
            assert_eq!(Rule::from_message(&rule.to_message()), Some(rule));
        }
    }

    #[test]
    fn rules_to_other_tables_are_somebody_elses() {
        let of = Diverted { address: "10.2.0.1".parse().unwrap(), protocol: 6, port: 80 };
        for table in [0, 100, 254, TABLES - 1, TABLES + DEVICES] {
            assert_eq!(Rule::from_message(&Rule::both(of, table)[0].to_message()), None, "{table}");
        }
    }

    #[test]
    fn an_unreachable_is_told_by_its_type_where_others_have_ports() {
        let of = |address: &str| Diverted { address: address.parse().unwrap(), protocol: 17, port: 53 };
        let unreachable = |address| match Rule::both(of(address), TABLES) {
            [_, Rule::From { of, destination, .. }] => (of.protocol, destination),
            [_, Rule::Bound { .. }] => panic!("it is bound to nothing"),
        };
        assert_eq!(unreachable("10.0.0.1"), (1, (0x300, 0x3ff)));
        assert_eq!(unreachable("fd00::1"), (58, (0x100, 0x1ff)));
    }
}
