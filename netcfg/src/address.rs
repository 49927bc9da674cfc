//! An IP address on an interface, and how it is put there and taken away.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "netlink's enums are open: what is not known is passed over"
)]

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::netlink::Netlink;

/// An address as the kernel tells of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address {
    /// The interface it is on.
    pub ifindex: u32,
    /// The address itself with the length of its network's prefix.
    pub address: IpNet,
    /// The other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// The IPv4 broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// The IPv4 label, such as `eth0:0`.
    pub label: Option<String>,
    /// The kernel's scope number (0 global, 253 link, 254 host).
    pub scope: u8,
    /// The kernel's flags (`IFA_F_*`).
    pub flags: u32,
}

impl Address {
    /// An address as an operator would add it: global, without label or broadcast.
    pub const fn new(ifindex: u32, address: IpNet) -> Self {
        Self { ifindex, address, peer: None, broadcast: None, label: None, scope: 0, flags: 0 }
    }

    /// Whether it is a further address of a network another one stands for.
    pub const fn is_secondary(&self) -> bool {
        self.flags & AddressFlags::Secondary.bits() != 0
    }

    /// Whether packets may come from it: neither tentative, failed nor deprecated.
    pub const fn is_preferred(&self) -> bool {
        let unusable =
            AddressFlags::Tentative.bits() | AddressFlags::Dadfailed.bits() | AddressFlags::Deprecated.bits();
        self.flags & unusable == 0
    }

    /// Lists the addresses of the host.
    pub fn list() -> Result<Vec<Self>, Error> {
        Self::dump(&mut Netlink::open()?)
    }

    pub(crate) fn dump(netlink: &mut Netlink) -> Result<Vec<Self>, Error> {
        let messages =
            netlink.dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()), "addresses")?;
        let addresses = messages.iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewAddress(address) => Self::from_message(address),
            _ => None,
        });
        Ok(addresses.collect())
    }

    /// Puts the address on its interface; false when it was there already.
    pub(crate) fn add(&self, netlink: &mut Netlink) -> Result<bool, Error> {
        let message = RouteNetlinkMessage::NewAddress(self.to_message());
        let action = || format!("add address {} to interface {}", self.address, self.ifindex);
        changed(netlink.request(message, NLM_F_CREATE | NLM_F_EXCL, &action), Errno::EEXIST)
    }

    /// Takes the address off its interface; false when it was not there.
    pub(crate) fn delete(&self, netlink: &mut Netlink) -> Result<bool, Error> {
        let message = RouteNetlinkMessage::DelAddress(self.to_message());
        let action = || format!("delete address {} from interface {}", self.address, self.ifindex);
        changed(netlink.request(message, 0, &action), Errno::EADDRNOTAVAIL)
    }

    pub(crate) fn from_message(message: &AddressMessage) -> Option<Self> {
        let header = &message.header;
        let (mut address, mut local) = (None, None);
        let mut found = Self::new(header.index, IpNet::default());
        found.scope = header.scope.into();
        found.flags = u32::from(header.flags.bits());
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Address(ip) => address = Some(*ip),
                AddressAttribute::Local(ip) => local = Some(*ip),
                AddressAttribute::Broadcast(ip) => found.broadcast = Some(*ip),
                AddressAttribute::Label(label) => found.label = Some(label.clone()),
                AddressAttribute::Flags(flags) => found.flags = flags.bits(),
                _ => {}
            }
        }
        // IFA_LOCAL is the address and IFA_ADDRESS the peer where both are given (point to point).
        let own = local.or(address)?;
        found.peer = address.filter(|peer| *peer != own);
        found.address = IpNet::new(own, header.prefix_len).ok()?;
        Some(found)
    }

    fn to_message(&self) -> AddressMessage {
        let own = self.address.addr();
        let mut message = AddressMessage::default();
        message.header.family = if own.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.prefix_len = self.address.prefix_len();
        message.header.index = self.ifindex;
        message.header.scope = AddressScope::from(self.scope);
        let low = u8::try_from(self.flags & 0xff).unwrap_or_default();
        message.header.flags = AddressHeaderFlags::from_bits_retain(low);
        let attributes = &mut message.attributes;
        attributes.push(AddressAttribute::Local(own));
        attributes.push(AddressAttribute::Address(self.peer.unwrap_or(own)));
        attributes.extend(self.broadcast.map(AddressAttribute::Broadcast));
        attributes.extend(self.label.clone().map(AddressAttribute::Label));
        if self.flags > 0xff {
            attributes.push(AddressAttribute::Flags(AddressFlags::from_bits_retain(self.flags)));
        }
        message
    }
}

/// Success as "this changed something"; `already` means there was nothing to do.
pub(crate) fn changed(outcome: Result<(), Error>, already: Errno) -> Result<bool, Error> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.is_refusal(already) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_way_through_a_message() {
        let mut address = Address::new(3, "192.168.91.148/32".parse().unwrap());
        address.broadcast = Some("192.168.91.148".parse().unwrap());
        address.label = Some("eth0:0".to_owned());
        assert_eq!(Address::from_message(&address.to_message()), Some(address));
        let mut nodad = Address::new(1, "fd00::9/128".parse().unwrap());
        nodad.flags = AddressFlags::Nodad.bits() | AddressFlags::Noprefixroute.bits();
        assert_eq!(Address::from_message(&nodad.to_message()), Some(nodad));
    }
}
