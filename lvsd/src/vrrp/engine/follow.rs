//! Following the host: interfaces, sources and sockets.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lvs_netcfg::{HostView, Interface};
use lvs_vrrp::declared::VirtualMac;
use lvs_vrrp::{Member, Tick};

use super::super::seat::{Seat, own_name, virtual_mac};
use super::super::socket::{Listener, Sender};
use super::Engine;

impl Engine {
    /// Takes the host as it is: each seat's interface, source and sockets.
    pub(super) fn take_stock(&mut self, now: Tick) {
        let view = self.watcher.view().clone();
        let virtual_ones: BTreeSet<IpAddr> =
            self.seats.iter().flat_map(Seat::addresses).map(|address| address.address).collect();
        for place in 0..self.seats.len() {
            self.take_stock_of(place, &view, &virtual_ones);
        }
        let used: BTreeSet<(u32, bool)> =
            self.seats.iter().filter_map(|seat| Some((seat.through()?.1, seat.instance.is_ipv6()))).collect();
        self.listeners.retain(|key, _| used.contains(key));
        let promoting = self.seats.iter().filter(|seat| seat.instance.promotes_secondaries);
        self.hands.promote_secondaries(&promoting.filter_map(Seat::carrier).collect());
        self.weigh(now);
    }

    fn take_stock_of(&mut self, place: usize, view: &HostView, virtual_ones: &BTreeSet<IpAddr>) {
        let Some(seat) = self.seats.get_mut(place) else { return };
        let base = view.interface_named(&seat.instance.interface).cloned();
        let is_same = |before: &Option<Interface>| {
            before.as_ref().map(|interface| interface.index) == base.as_ref().map(|interface| interface.index)
        };
        if !is_same(&seat.base) {
            seat.sender = None;
            // It went with the interface below.
            seat.own_link = None;
        }
        seat.base.clone_from(&base);
        let Some(base) = base else { return };
        let is_missing = seat.own_link.is_none_or(|(ifindex, _)| view.interface(ifindex).is_none());
        if is_missing {
            match make_link(&mut self.hands, &seat.instance, &base) {
                Ok(made) => seat.own_link = made,
                Err(error) => {
                    tracing::error!(%error, instance = seat.instance.name, "no virtual interface");
                }
            }
        }
        if let Err(error) = listen(&mut self.listeners, seat) {
            tracing::error!(%error, interface = base.name, "cannot listen for adverts");
        }
        let source = seat.find_source(view, virtual_ones);
        if seat.sender.as_ref().map(|sender| sender.source) != source {
            seat.sender = source.and_then(|source| open_sender(seat, source));
        }
        if let Some(sender) = &seat.sender {
            self.router.set_address(Member(place), sender.source);
        }
    }

    /// Addresses that a predecessor left behind belong to no one: this router is no master yet.
    pub(super) fn clear_leftovers(&mut self) {
        let view = self.watcher.view().clone();
        for seat in &self.seats {
            if seat.instance.priority == u8::MAX {
                continue;
            }
            for (address, _) in seat.wanted(&view) {
                let is_there = |found: &&lvs_netcfg::Address| found.address == address.address;
                if view.addresses_of(address.ifindex).any(|found| is_there(&found))
                    && self.hands.release_address(&address).is_ok()
                {
                    tracing::warn!(address = %address.address, "left behind by another, and removed");
                }
            }
        }
    }

    /// Puts back what somebody has taken off a master's interface.
    pub(super) fn put_back(&mut self) {
        let view = self.watcher.view();
        for seat in &self.seats {
            let missing = seat.held.iter().filter(|held| {
                let is_it = |found: &lvs_netcfg::Address| found.address == held.address;
                !view.addresses_of(held.ifindex).any(is_it) && view.interface(held.ifindex).is_some()
            });
            for address in missing {
                let is_untracked = |declared: &lvs_vrrp::declared::VirtualAddress| {
                    declared.is_untracked && declared.address == address.address.addr()
                };
                if seat.addresses().any(is_untracked) {
                    continue;
                }
                match self.hands.take_address(address) {
                    Ok(true) => tracing::warn!(address = %address.address, "was taken off, and is put back"),
                    Ok(false) => {}
                    Err(error) => tracing::debug!(%error, "not put back"),
                }
            }
        }
    }
}

/// Listens on the interface, and to the instance's group.
fn listen(
    listeners: &mut std::collections::HashMap<(u32, bool), Listener>,
    seat: &Seat,
) -> std::io::Result<()> {
    let Some((name, ifindex)) = seat.through() else { return Ok(()) };
    let key = (ifindex, seat.instance.is_ipv6());
    if let std::collections::hash_map::Entry::Vacant(place) = listeners.entry(key) {
        place.insert(Listener::open(&name, ifindex, key.1)?);
    }
    let Some(listener) = listeners.get_mut(&key) else { return Ok(()) };
    if !seat.instance.is_unicast() {
        seat.gate.destinations().into_iter().try_for_each(|group| listener.join(group))?;
    }
    seat.instance.receive_buffer.map_or(Ok(()), |bytes| listener.set_room(bytes))
}

/// Makes the virtual interface that the instance asks for.
fn make_link(
    hands: &mut super::super::hands::Hands,
    instance: &lvs_vrrp::declared::Instance,
    base: &Interface,
) -> Result<Option<(u32, [u8; 6])>, lvs_netcfg::Error> {
    let Some(name) = own_name(instance) else { return Ok(None) };
    if let Some(VirtualMac { mac, .. }) = &instance.virtual_mac {
        let mac = mac.unwrap_or_else(|| virtual_mac(instance.virtual_router_id, instance.is_ipv6()));
        return Ok(Some((hands.make_macvlan(&name, base, mac)?, mac)));
    }
    let mac = base.mac.unwrap_or_default();
    Ok(Some((hands.make_ipvlan(&name, base)?, mac)))
}

/// The socket adverts are sent by.
fn open_sender(seat: &Seat, source: IpAddr) -> Option<Sender> {
    let instance = &seat.instance;
    let (name, ifindex) = seat.through()?;
    match Sender::open(&name, ifindex, source, instance.unicast_ttl) {
        Ok(sender) => Some(sender),
        Err(error) => {
            tracing::warn!(%error, instance = instance.name, %source, "cannot send adverts yet");
            None
        }
    }
}
