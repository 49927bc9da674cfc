//! A network interface of the host: its name, hardware address, MTU and state.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "netlink's enums are open: what is not known is passed over"
)]

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::netlink::Netlink;

/// An interface as the kernel tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The kernel's number for it (`ifindex`).
    pub index: u32,
    /// Its name, such as `eth0`.
    pub name: String,
    /// Its Ethernet address; none for a loopback or a tunnel device without one.
    pub mac: Option<[u8; 6]>,
    /// The largest IP packet it carries, in bytes.
    pub mtu: u32,
    /// Whether it is administratively up (`IFF_UP`).
    pub is_up: bool,
    /// Whether it has a carrier as well (`IFF_LOWER_UP`).
    pub has_carrier: bool,
    /// Whether it is a loopback device.
    pub is_loopback: bool,
    /// The interface that this one is stacked on, if it takes frames from there by address or tag: a macvlan, a VLAN.
    #[serde(default)]
    pub lower: Option<u32>,
    /// The interface that this one is a port of: a bridge, a bond.
    #[serde(default)]
    pub master: Option<u32>,
}

impl Interface {
    /// Lists the interfaces of the host.
    pub fn list() -> Result<Vec<Self>, Error> {
        Self::dump(&mut Netlink::open()?)
    }

    /// Finds the interface named `name`.
    pub fn find(name: &str) -> Result<Self, Error> {
        let mut all = Self::list()?.into_iter();
        all.find(|interface| interface.name == name).ok_or_else(|| Error::NoInterface(name.to_owned()))
    }

    /// Whether packets can be sent and received here.
    pub const fn is_usable(&self) -> bool {
        self.is_up && self.has_carrier
    }

    pub(crate) fn dump(netlink: &mut Netlink) -> Result<Vec<Self>, Error> {
        let messages = netlink.dump(&RouteNetlinkMessage::GetLink(LinkMessage::default()), "interfaces")?;
        let links = messages.iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewLink(link) => Self::from_message(link),
            _ => None,
        });
        Ok(links.collect())
    }

    pub(crate) fn from_message(message: &LinkMessage) -> Option<Self> {
        let flags = message.header.flags;
        let mut interface = Self {
            index: message.header.index,
            name: String::new(),
            mac: None,
            mtu: 0,
            is_up: flags.contains(LinkFlags::Up),
            has_carrier: flags.contains(LinkFlags::LowerUp),
            is_loopback: flags.contains(LinkFlags::Loopback),
            lower: None,
            master: None,
        };
        let (mut lower, mut is_here, mut is_stacked) = (None, true, false);
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name.clone_from(name),
                LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
                LinkAttribute::Address(bytes) if !interface.is_loopback => {
                    interface.mac = bytes.as_slice().try_into().ok();
                }
                LinkAttribute::Link(index) => lower = Some(*index),
                // A number in another network namespace.
                LinkAttribute::LinkNetNsId(_) => is_here = false,
                LinkAttribute::Controller(index) => {
                    interface.master = Some(*index).filter(|&index| index != 0);
                }
                LinkAttribute::LinkInfo(infos) => is_stacked = infos.iter().any(takes_from_below),
                _ => {}
            }
        }
        // A veth names its peer in the same attribute.
        interface.lower = lower.filter(|_| is_here && is_stacked);
        (!interface.name.is_empty()).then_some(interface)
    }
}

/// Whether an interface of this kind gets frames that came in at the one it is stacked on.
const fn takes_from_below(info: &LinkInfo) -> bool {
    matches!(info, LinkInfo::Kind(InfoKind::MacVlan | InfoKind::MacVtap | InfoKind::Vlan))
}
