//! One instance as it runs: its interface, its sockets, and what it holds.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use lvs_netcfg::{Address, Closed, HostView, Interface};
use lvs_vrrp::declared::{Flag, Instance, VirtualAddress};
use lvs_vrrp::wire::ChecksumKind;
use lvs_vrrp::{Gate, Reject, Rejects, Tick};

use super::socket::Sender;
use super::wall_clock;
use super::way::Ways;

/// The kernel's `IFA_F_*`.
const NO_DETECTION: u32 = 0x02;
const HOME: u32 = 0x10;
const DEPRECATED: u32 = 0x20;
const MANAGE_TEMPORARY: u32 = 0x100;
const NO_PREFIX_ROUTE: u32 = 0x200;
const AUTO_JOIN: u32 = 0x400;
/// A reason to reject is logged no more often than this.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// An instance as it runs.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) instance: Instance,
    pub(super) gate: Gate,
    /// The interface adverts go through, where it is there.
    pub(super) base: Option<Interface>,
    /// The virtual interface that carries the addresses, where one is asked for and was made.
    pub(super) own_link: Option<(u32, [u8; 6])>,
    pub(super) sender: Option<Sender>,
    /// The addresses that it put on the host.
    pub(super) held: Vec<Address>,
    /// The routes and rules that it put on the host.
    pub(super) ways: Ways,
    pub(super) rejects: Rejects,
    pub(super) checksums: [u64; 2],
    /// What keeps it from working.
    pub(super) faults: Vec<String>,
    quiet_until: Tick,
    unlogged: u64,
}

impl Seat {
    pub(super) fn new(instance: Instance, now: Tick) -> Self {
        Self {
            gate: Gate::new(&instance, now, wall_clock()),
            instance,
            base: None,
            own_link: None,
            sender: None,
            held: Vec::new(),
            ways: Ways::default(),
            rejects: Rejects::default(),
            checksums: [0; 2],
            faults: Vec::new(),
            quiet_until: Tick::ZERO,
            unlogged: 0,
        }
    }

    /// True when `other` is the same virtual router on the same interfaces: its state and addresses can stay.
    pub(super) fn is_same_router(&self, other: &Instance) -> bool {
        let ours = &self.instance;
        ours.name == other.name
            && ours.interface == other.interface
            && ours.virtual_router_id == other.virtual_router_id
            && ours.is_ipv6() == other.is_ipv6()
            && ours.version() == other.version()
            && ours.virtual_mac == other.virtual_mac
            && ours.ipvlan == other.ipvlan
    }

    /// Takes the instance as it is declared now.
    pub(super) fn redeclare(&mut self, instance: Instance, now: Tick) {
        let gate = Gate::new(&instance, now, wall_clock());
        let earlier = std::mem::replace(&mut self.gate, gate);
        self.gate.succeed(earlier);
        if (instance.unicast_ttl, instance.source) != (self.instance.unicast_ttl, self.instance.source) {
            self.sender = None;
        }
        self.instance = instance;
    }

    /// The interface adverts go through in both directions: that of the virtual MAC, for the kernel hands what comes
    /// from that MAC address to nobody else; else the one declared. Peers speak to the address of the one declared.
    pub(super) fn through(&self) -> Option<(String, u32)> {
        let base = self.base.as_ref()?;
        let declared = &self.instance;
        let virtual_link = declared.virtual_mac.as_ref().filter(|mac| !mac.sends_from_base);
        let own = virtual_link.filter(|_| !declared.is_unicast()).and_then(|mac| {
            let (ifindex, _) = self.own_link?;
            Some((mac.interface.clone().unwrap_or_else(|| link_name(declared)), ifindex))
        });
        Some(own.unwrap_or_else(|| (base.name.clone(), base.index)))
    }

    /// The name of the interface that carries the addresses, where it is there.
    pub(super) fn carrier(&self) -> Option<String> {
        let base = self.base.as_ref()?;
        self.own_link.and_then(|_| own_name(&self.instance)).or_else(|| Some(base.name.clone()))
    }

    /// Every address it carries, those that adverts do not name among them.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &VirtualAddress> {
        self.instance.addresses.iter().chain(&self.instance.excluded)
    }

    /// The addresses as the kernel is to have them; those whose interface is not there are left out.
    pub(super) fn wanted(&self, view: &HostView) -> Vec<(Address, bool)> {
        let own = self.own_link.map(|(ifindex, _)| ifindex);
        let carrier = own.or_else(|| self.base.as_ref().map(|base| base.index));
        self.addresses()
            .filter_map(|declared| {
                let ifindex = match &declared.interface {
                    Some(name) if *name != self.instance.interface => Some(view.interface_named(name)?.index),
                    Some(_) | None => carrier,
                };
                Some((for_kernel(declared, ifindex?)?, declared.is_untracked))
            })
            .collect()
    }

    /// The addresses to which nothing may be delivered: of those that it put on the host, and of `further` ones.
    pub(super) fn closed(&self, further: &[Address]) -> Vec<Closed> {
        if !self.instance.is_closed() {
            return Vec::new();
        }
        let all = self.held.iter().chain(further);
        all.map(|address| Closed::new(address.address.addr(), address.ifindex)).collect()
    }

    /// The address adverts come from: the one declared, else the interface's first that is not a virtual one. A
    /// host's own IPv6 adverts come from its link-local address.
    pub(super) fn find_source(&self, view: &HostView, virtual_ones: &BTreeSet<IpAddr>) -> Option<IpAddr> {
        if let Some(source) = self.instance.source {
            let is_there = view.is_own(source);
            return (is_there || !self.instance.tracks_source).then_some(source);
        }
        let base = self.base.as_ref()?;
        let owns = self.instance.priority == u8::MAX;
        view.addresses_of(base.index)
            .filter(|address| !address.is_secondary() || !address.address.addr().is_ipv4())
            .filter(|address| address.flags & 0x40 == 0)
            .map(|address| address.address.addr())
            .find(|address| match address {
                IpAddr::V4(_) => !self.instance.is_ipv6() && (owns || !virtual_ones.contains(address)),
                IpAddr::V6(v6) => {
                    self.instance.is_ipv6() && v6.is_unicast_link_local() && !virtual_ones.contains(address)
                }
            })
    }

    /// Counts a rejected advert; true when it should be logged, with how many were not since the last.
    pub(super) fn reject(&mut self, reason: Reject, now: Tick) -> Option<u64> {
        self.rejects.count(reason);
        if now < self.quiet_until {
            self.unlogged += 1;
            return None;
        }
        self.quiet_until = now + LOG_PAUSE;
        Some(std::mem::take(&mut self.unlogged))
    }

    pub(super) const fn count_checksum(&mut self, kind: ChecksumKind) {
        let [with, without] = &mut self.checksums;
        match kind {
            ChecksumKind::WithPseudoHeader => *with += 1,
            ChecksumKind::Message => *without += 1,
        }
    }
}

/// What the interface is called that the instance has for itself, where it asks for one.
pub(super) fn own_name(instance: &Instance) -> Option<String> {
    let of_mac = instance.virtual_mac.as_ref();
    let of_mac = of_mac.map(|made| made.interface.clone().unwrap_or_else(|| link_name(instance)));
    of_mac.or_else(|| {
        let named = instance.ipvlan.as_ref()?.interface.clone();
        Some(named.unwrap_or_else(|| format!("ipvlan.{}", instance.virtual_router_id)))
    })
}

/// What the interface of a virtual MAC is called where that is not declared.
fn link_name(instance: &Instance) -> String {
    let family = if instance.is_ipv6() { "6" } else { "" };
    format!("vrrp{family}.{}", instance.virtual_router_id)
}

/// The virtual router's own MAC address (RFC 9568, section 7.3).
pub(super) const fn virtual_mac(router_id: u8, is_ipv6: bool) -> [u8; 6] {
    [0, 0, 0x5e, 0, if is_ipv6 { 2 } else { 1 }, router_id]
}

pub(super) fn for_kernel(declared: &VirtualAddress, ifindex: u32) -> Option<Address> {
    let mut address = Address::new(ifindex, IpNet::new(declared.address, declared.prefix).ok()?);
    address.label.clone_from(&declared.label);
    address.scope = declared.scope.number();
    address.broadcast = declared.broadcast;
    address.peer = declared.peer;
    let is_ipv6 = declared.address.is_ipv6();
    let bits = [
        (is_ipv6 && !declared.flags.contains(&Flag::DetectDuplicates), NO_DETECTION),
        (is_ipv6 && declared.preferred_lifetime == Some(0), DEPRECATED),
        (declared.flags.contains(&Flag::Home), HOME),
        (declared.flags.contains(&Flag::ManageTemporary), MANAGE_TEMPORARY),
        (declared.flags.contains(&Flag::NoPrefixRoute), NO_PREFIX_ROUTE),
        (declared.flags.contains(&Flag::AutoJoin), AUTO_JOIN),
    ];
    address.flags = bits.iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, bit)| flags | bit);
    Some(address)
}
