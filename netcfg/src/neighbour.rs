//! A neighbour on a link: the Ethernet address behind an IP address, as ARP and ND found it.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "netlink's enums are open: what is not known is passed over"
)]

use std::net::IpAddr;

use netlink_packet_core::NLM_F_CREATE;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::RouteType;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::netlink::Netlink;

/// How much the kernel trusts a neighbour entry (`NUD_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reachability {
    /// Being asked for; no answer yet.
    Incomplete,
    /// Confirmed a short while ago.
    Reachable,
    /// Known, but not confirmed lately.
    Stale,
    /// Known and in use; a probe follows soon.
    Delay,
    /// Known and being probed.
    Probe,
    /// Did not answer.
    Failed,
    /// Needs no resolution.
    NoArp,
    /// Set by an operator.
    Permanent,
    /// Unknown.
    None,
}

impl Reachability {
    /// Whether frames may be sent to the entry's Ethernet address (`NUD_VALID`).
    pub const fn is_usable(self) -> bool {
        match self {
            Self::Reachable | Self::Stale | Self::Delay | Self::Probe | Self::NoArp | Self::Permanent => true,
            Self::Incomplete | Self::Failed | Self::None => false,
        }
    }
}

impl From<NeighbourState> for Reachability {
    fn from(state: NeighbourState) -> Self {
        match state {
            NeighbourState::Incomplete => Self::Incomplete,
            NeighbourState::Reachable => Self::Reachable,
            NeighbourState::Stale => Self::Stale,
            NeighbourState::Delay => Self::Delay,
            NeighbourState::Probe => Self::Probe,
            NeighbourState::Failed => Self::Failed,
            NeighbourState::Noarp => Self::NoArp,
            NeighbourState::Permanent => Self::Permanent,
            _ => Self::None,
        }
    }
}

/// A neighbour entry of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// The interface the neighbour is behind.
    pub ifindex: u32,
    /// Its IP address.
    pub ip: IpAddr,
    /// Its Ethernet address, when one was learned.
    pub mac: Option<[u8; 6]>,
    /// How far the entry is trusted.
    pub reachability: Reachability,
}

impl Neighbour {
    /// The Ethernet address to send to, if the entry may be used.
    pub fn usable_mac(&self) -> Option<[u8; 6]> {
        self.mac.filter(|_| self.reachability.is_usable())
    }

    pub(crate) fn dump(netlink: &mut Netlink) -> Result<Vec<Self>, Error> {
        let messages =
            netlink.dump(&RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()), "neighbours")?;
        let neighbours = messages.iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewNeighbour(neighbour) => Self::from_message(neighbour),
            _ => None,
        });
        Ok(neighbours.collect())
    }

    pub(crate) fn from_message(message: &NeighbourMessage) -> Option<Self> {
        let header = &message.header;
        // Bridge forwarding entries share the message type; proxy entries are no neighbours.
        if header.family != AddressFamily::Inet && header.family != AddressFamily::Inet6
            || header.flags.contains(NeighbourFlags::Proxy)
        {
            return None;
        }
        let (mut ip, mut mac) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => ip = Some(IpAddr::V4(*v4)),
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => ip = Some(IpAddr::V6(*v6)),
                NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok(),
                _ => {}
            }
        }
        Some(Self { ifindex: header.ifindex, ip: ip?, mac, reachability: header.state.into() })
    }
}

/// Makes the kernel resolve `ip` on the link of `ifindex`, as if it had a packet to send there.
///
/// An unknown or failed entry is asked for (INCOMPLETE), a stale one is confirmed (DELAY, then a
/// probe), a confirmed one is marked as used (`neigh_event_send`).
pub(crate) fn ask(netlink: &mut Netlink, ifindex: u32, ip: IpAddr) -> Result<(), Error> {
    let mut message = NeighbourMessage::default();
    message.header.family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.ifindex = ifindex;
    message.header.flags = NeighbourFlags::Use;
    message.header.kind = RouteType::Unicast;
    message.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::from(ip)));
    let action = || format!("resolve {ip} on interface {ifindex}");
    netlink.request(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE, &action)
}
