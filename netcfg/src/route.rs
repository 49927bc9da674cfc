//! A route of the kernel's tables, and how a host route is added and deleted.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "netlink's enums are open: what is not known is passed over"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop, RouteNextHopFlags,
    RouteProtocol, RouteScope, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::address::changed;
use crate::netlink::Netlink;

/// The kernel's number of the table of local addresses.
pub const TABLE_LOCAL: u32 = 255;
/// The kernel's number of the main table.
pub const TABLE_MAIN: u32 = 254;
/// The kernel's number of the table asked last.
pub const TABLE_DEFAULT: u32 = 253;

/// What a route does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RouteKind {
    /// Sends it to a neighbour.
    Unicast,
    /// Delivers it on this host.
    Local,
    /// Delivers it here as a broadcast, sends it as one.
    Broadcast,
    /// Delivers it here; an address several hosts share.
    Anycast,
    /// Multicast.
    Multicast,
    /// Drops it silently.
    Blackhole,
    /// Refuses it: host unreachable.
    Unreachable,
    /// Refuses it: prohibited.
    Prohibit,
    /// Leaves the decision to the next table.
    Throw,
    /// Something else, by the kernel's number.
    Other(u8),
}

impl From<RouteType> for RouteKind {
    fn from(kind: RouteType) -> Self {
        match u8::from(kind) {
            1 => Self::Unicast,
            2 => Self::Local,
            3 => Self::Broadcast,
            4 => Self::Anycast,
            5 => Self::Multicast,
            6 => Self::Blackhole,
            7 => Self::Unreachable,
            8 => Self::Prohibit,
            9 => Self::Throw,
            other => Self::Other(other),
        }
    }
}

impl From<RouteKind> for RouteType {
    fn from(kind: RouteKind) -> Self {
        match kind {
            RouteKind::Unicast => Self::Unicast,
            RouteKind::Local => Self::Local,
            RouteKind::Broadcast => Self::Broadcast,
            RouteKind::Anycast => Self::Anycast,
            RouteKind::Multicast => Self::Multicast,
            RouteKind::Blackhole => Self::BlackHole,
            RouteKind::Unreachable => Self::Unreachable,
            RouteKind::Prohibit => Self::Prohibit,
            RouteKind::Throw => Self::Throw,
            RouteKind::Other(number) => Self::from(number),
        }
    }
}

/// A route as the kernel tells of it; of a multipath route, the first hop that is alive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    /// The table's number.
    pub table: u32,
    /// The destinations it is for.
    pub prefix: IpNet,
    /// The router to send to; none when the destinations are on the link.
    pub via: Option<IpAddr>,
    /// The interface to send through.
    pub oif: Option<u32>,
    /// The address the host's own packets come from.
    pub prefsrc: Option<IpAddr>,
    /// The smaller wins among routes for the same prefix.
    pub metric: u32,
    /// What it does with a packet.
    pub kind: RouteKind,
    /// The largest packet for these destinations in bytes, where the route sets it.
    pub mtu: Option<u32>,
    /// Who made it (`RTPROT_*`: 2 the kernel, 3 an operator, 9 router advertisements).
    pub protocol: u8,
    /// The kernel's scope number (0 global, 253 link, 254 host).
    pub scope: u8,
    /// The type of service it is for; 0 for all.
    pub tos: u8,
    /// Whether its interface is gone or without a carrier as far as the route table knows.
    pub is_dead: bool,
    /// Whether its router counts as one on the link, whatever the addresses say.
    #[serde(default)]
    pub is_onlink: bool,
    /// How many hops it has; more than one for a multipath route.
    pub hops: usize,
}

/// The protocol number of routes made by hand (`RTPROT_BOOT`), as `route` and `ip route` use it.
const BOOT: u8 = 3;
const SCOPE_LINK: u8 = 253;

impl Route {
    /// The route to the one address `ip` through an interface: `route add -host IP dev IF`.
    pub fn to_host(ip: IpAddr, ifindex: u32) -> Self {
        Self {
            table: TABLE_MAIN,
            prefix: IpNet::from(ip),
            via: None,
            oif: Some(ifindex),
            prefsrc: Some(ip),
            metric: 0,
            kind: RouteKind::Unicast,
            mtu: None,
            protocol: BOOT,
            scope: SCOPE_LINK,
            tos: 0,
            is_dead: false,
            is_onlink: false,
            hops: 1,
        }
    }

    /// Lists the routes of the host, IPv4 and IPv6, of all tables.
    pub fn list() -> Result<Vec<Self>, Error> {
        Self::dump(&mut Netlink::open()?)
    }

    pub(crate) fn dump(netlink: &mut Netlink) -> Result<Vec<Self>, Error> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut query = RouteMessage::default();
            query.header.address_family = family;
            for message in netlink.dump(&RouteNetlinkMessage::GetRoute(query), "routes")? {
                if let RouteNetlinkMessage::NewRoute(route) = message {
                    routes.extend(Self::from_message(&route));
                }
            }
        }
        Ok(routes)
    }

    /// Adds the route; false when one for the same prefix, table and metric was there already.
    pub(crate) fn add(&self, netlink: &mut Netlink) -> Result<bool, Error> {
        let message = RouteNetlinkMessage::NewRoute(self.to_message());
        let action = || format!("add route {}", self.prefix);
        changed(netlink.request(message, NLM_F_CREATE | NLM_F_EXCL, &action), Errno::EEXIST)
    }

    /// Puts the route before others for the same prefix; false when the very same was there already.
    pub(crate) fn prepend(&self, netlink: &mut Netlink) -> Result<bool, Error> {
        let message = RouteNetlinkMessage::NewRoute(self.to_message());
        let action = || format!("add route {} to table {}", self.prefix, self.table);
        changed(netlink.request(message, NLM_F_CREATE, &action), Errno::EEXIST)
    }

    /// Deletes the route; false when it was not there.
    pub(crate) fn delete(&self, netlink: &mut Netlink) -> Result<bool, Error> {
        let message = RouteNetlinkMessage::DelRoute(self.to_message());
        let action = || format!("delete route {}", self.prefix);
        changed(netlink.request(message, 0, &action), Errno::ESRCH)
    }

    pub(crate) fn from_message(message: &RouteMessage) -> Option<Self> {
        let header = &message.header;
        // The route cache's entries come in answers too; they are no routes.
        if header.flags.contains(RouteFlags::Cloned) {
            return None;
        }
        let any = match header.address_family {
            AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => return None,
        };
        let mut route = Self {
            table: u32::from(header.table),
            prefix: IpNet::new(any, header.destination_prefix_length).ok()?,
            via: None,
            oif: None,
            prefsrc: None,
            metric: 0,
            kind: header.kind.into(),
            mtu: None,
            protocol: header.protocol.into(),
            scope: header.scope.into(),
            tos: header.tos,
            is_dead: header.flags.contains(RouteFlags::Dead),
            is_onlink: header.flags.contains(RouteFlags::Onlink),
            hops: 1,
        };
        for attribute in &message.attributes {
            route.absorb(attribute);
        }
        // Routes by source prefix and nexthop objects without a gateway of their own cannot be followed.
        (header.source_prefix_length == 0).then_some(route)
    }

    fn absorb(&mut self, attribute: &RouteAttribute) {
        match attribute {
            RouteAttribute::Destination(address) => {
                let whole = to_ip(address).and_then(|ip| IpNet::new(ip, self.prefix.prefix_len()).ok());
                self.prefix = whole.unwrap_or(self.prefix);
            }
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) => self.via = gateway(attribute),
            RouteAttribute::PrefSource(address) => self.prefsrc = to_ip(address),
            RouteAttribute::Oif(index) => self.oif = Some(*index),
            RouteAttribute::Priority(metric) => self.metric = *metric,
            RouteAttribute::Table(table) => self.table = *table,
            RouteAttribute::Metrics(metrics) => {
                self.mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) => Some(*mtu),
                    _ => None,
                });
            }
            RouteAttribute::MultiPath(hops) => self.take_hop(hops),
            _ => {}
        }
    }

    fn take_hop(&mut self, hops: &[RouteNextHop]) {
        self.hops = hops.len();
        let is_alive = |hop: &&RouteNextHop| !hop.flags.contains(RouteNextHopFlags::Dead);
        self.is_dead = !hops.iter().any(|hop| is_alive(&hop));
        if let Some(hop) = hops.iter().find(is_alive).or_else(|| hops.first()) {
            self.oif = Some(hop.interface_index);
            self.via = hop.attributes.iter().find_map(gateway);
        }
    }

    fn to_message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        let header = &mut message.header;
        header.address_family = match self.prefix {
            IpNet::V4(_) => AddressFamily::Inet,
            IpNet::V6(_) => AddressFamily::Inet6,
        };
        header.destination_prefix_length = self.prefix.prefix_len();
        // Numbers above a byte go in the attribute only (RT_TABLE_COMPAT).
        header.table = u8::try_from(self.table).unwrap_or(252);
        header.kind = self.kind.into();
        header.protocol = RouteProtocol::from(self.protocol);
        header.scope = RouteScope::from(self.scope);
        header.tos = self.tos;
        if self.is_onlink {
            header.flags = RouteFlags::Onlink;
        }
        let attributes = &mut message.attributes;
        attributes.push(RouteAttribute::Destination(self.prefix.addr().into()));
        attributes.push(RouteAttribute::Table(self.table));
        attributes.extend(self.oif.map(RouteAttribute::Oif));
        attributes.extend(self.via.map(|ip| RouteAttribute::Gateway(ip.into())));
        attributes.extend(self.prefsrc.map(|ip| RouteAttribute::PrefSource(ip.into())));
        if self.metric != 0 {
            attributes.push(RouteAttribute::Priority(self.metric));
        }
        attributes.extend(self.mtu.map(|mtu| RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)])));
        message
    }
}

/// The router an attribute of a route or hop names; `via` allows one of the other family.
fn gateway(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(address) => to_ip(address),
        RouteAttribute::Via(RouteVia::Inet(ip)) => Some(IpAddr::V4(*ip)),
        RouteAttribute::Via(RouteVia::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}

fn to_ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some(IpAddr::V4(*ip)),
        RouteAddress::Inet6(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_survives_the_way_through_a_message() {
        let mut route = Route::to_host("192.168.91.148".parse().unwrap(), 2);
        assert_eq!(Route::from_message(&route.to_message()), Some(route.clone()));
        route.table = 1000;
        route.metric = 20;
        route.mtu = Some(1400);
        route.is_onlink = true;
        route.via = Some("192.168.91.1".parse().unwrap());
        assert_eq!(Route::from_message(&route.to_message()), Some(route));
    }

    #[test]
    fn of_several_hops_the_first_that_is_alive_is_taken() {
        let hop = |ifindex, flags, via: [u8; 4]| {
            let mut hop = RouteNextHop::default();
            hop.interface_index = ifindex;
            hop.flags = flags;
            hop.attributes.push(RouteAttribute::Gateway(Ipv4Addr::from(via).into()));
            hop
        };
        let mut message = Route::to_host("10.0.0.0".parse().unwrap(), 1).to_message();
        message.attributes.push(RouteAttribute::MultiPath(vec![
            hop(2, RouteNextHopFlags::Dead, [10, 1, 0, 1]),
            hop(3, RouteNextHopFlags::empty(), [10, 2, 0, 1]),
        ]));
        let route = Route::from_message(&message).unwrap();
        assert_eq!((route.oif, route.via), (Some(3), Some("10.2.0.1".parse().unwrap())));
        assert_eq!((route.hops, route.is_dead), (2, false));
    }
}
