//! Puts single addresses, routes, rules and virtual interfaces on the host and takes them away: what comes and goes with a role
//! that is held for a while, beside the lasting set-up of a [`Host`](crate::Host).

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoIpVlan, InfoKind, InfoMacVlan, IpVlanMode, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
    MacVlanMode,
};
use nix::errno::Errno;

use crate::Error;
use crate::address::{Address, changed};
use crate::netlink::Netlink;
use crate::policy::PolicyRule;
use crate::route::Route;

/// Changes the host of the thread that opened it, one request at a time.
#[derive(Debug)]
pub struct Editor(Netlink);

impl Editor {
    /// Opens the way to the kernel.
    pub fn open() -> Result<Self, Error> {
        Ok(Self(Netlink::open()?))
    }

    /// Puts an address on its interface; false when it was there already.
    pub fn add_address(&mut self, address: &Address) -> Result<bool, Error> {
        address.add(&mut self.0)
    }

    /// Takes an address off its interface; false when it was not there.
    pub fn delete_address(&mut self, address: &Address) -> Result<bool, Error> {
        address.delete(&mut self.0)
    }

    /// Sets a route, before others for the same prefix; false when the very same was there already.
    pub fn add_route(&mut self, route: &Route) -> Result<bool, Error> {
        route.prepend(&mut self.0)
    }

    /// Deletes a route; false when it was not there.
    pub fn delete_route(&mut self, route: &Route) -> Result<bool, Error> {
        route.delete(&mut self.0)
    }

    /// Sets a rule of policy routing; false when the very same was there already.
    pub fn add_rule(&mut self, rule: &PolicyRule) -> Result<bool, Error> {
        rule.add(&mut self.0)
    }

    /// Deletes a rule of policy routing; false when it was not there.
    pub fn delete_rule(&mut self, rule: &PolicyRule) -> Result<bool, Error> {
        rule.delete(&mut self.0)
    }

    /// Makes an interface on `parent` with a MAC address of its own (a macvlan that reaches no other one on the same
    /// interface); false when one of this name was there already. It is down.
    pub fn add_macvlan(&mut self, name: &str, parent: u32, mac: [u8; 6]) -> Result<bool, Error> {
        let info = vec![
            LinkInfo::Kind(InfoKind::MacVlan),
            LinkInfo::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(MacVlanMode::Private)])),
        ];
        self.add_link(name, parent, Some(mac), info)
    }

    /// Makes an interface on `parent` that shares its MAC address (an ipvlan of layer 2); false when one of this
    /// name was there already. It is down.
    pub fn add_ipvlan(&mut self, name: &str, parent: u32) -> Result<bool, Error> {
        let info = vec![
            LinkInfo::Kind(InfoKind::IpVlan),
            LinkInfo::Data(InfoData::IpVlan(vec![InfoIpVlan::Mode(IpVlanMode::L2)])),
        ];
        self.add_link(name, parent, None, info)
    }

    fn add_link(
        &mut self,
        name: &str,
        parent: u32,
        mac: Option<[u8; 6]>,
        info: Vec<LinkInfo>,
    ) -> Result<bool, Error> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        message.attributes.push(LinkAttribute::Link(parent));
        message.attributes.extend(mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
        message.attributes.push(LinkAttribute::LinkInfo(info));
        let action = || format!("add interface {name} to interface {parent}");
        let outcome =
            self.0.request(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL, &action);
        changed(outcome, Errno::EEXIST)
    }

    /// Sets an interface up.
    pub fn set_up(&mut self, ifindex: u32) -> Result<(), Error> {
        let mut message = LinkMessage::default();
        message.header.index = ifindex;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.0.request(RouteNetlinkMessage::SetLink(message), 0, &|| format!("set interface {ifindex} up"))
    }

    /// Removes an interface; false when it was not there.
    pub fn delete_link(&mut self, ifindex: u32) -> Result<bool, Error> {
        let mut message = LinkMessage::default();
        message.header.index = ifindex;
        let action = || format!("remove interface {ifindex}");
        changed(self.0.request(RouteNetlinkMessage::DelLink(message), 0, &action), Errno::ENODEV)
    }
}
