//! Following the host and the operator: interfaces, sources, what is watched, and new declarations.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lvs_netcfg::{HostView, Interface};
use lvs_vrrp::declared::{Declared, Ipvlan, Script, Track, VirtualMac, Weight};
use lvs_vrrp::{Effect, Member, Reading, Role, Router, Tick, effect};

use super::super::notify::Notice;
use super::super::seat::{Seat, link_name, virtual_mac};
use super::super::socket::{Listener, Sender};
use super::super::watch::Watched;
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

    /// Weighs what each virtual router watches, and says whether it can work.
    pub(super) fn weigh(&mut self, now: Tick) {
        for place in 0..self.seats.len() {
            let (effect, faults) = self.weight_of(place, now);
            let Some(seat) = self.seats.get_mut(place) else { continue };
            let priority = effect.on(seat.instance.priority);
            if seat.faults != faults && !faults.is_empty() {
                let (instance, why) = (&seat.instance.name, faults.join("; "));
                tracing::warn!(instance, why, "cannot work");
            }
            seat.faults = faults;
            let is_usable = seat.faults.is_empty();
            self.router.set_priority(Member(place), priority);
            self.router.set_usable(Member(place), is_usable, now);
        }
    }

    /// What is watched does to a virtual router, and what keeps it from working.
    fn weight_of(&mut self, place: usize, now: Tick) -> (Effect, Vec<String>) {
        let Some(seat) = self.seats.get(place) else { return (Effect::default(), Vec::new()) };
        let instance = &seat.instance;
        let mut faults = Vec::new();
        if now.since_zero() < self.declared.globals.startup_delay {
            faults.push("the delay after the start is not over".to_owned());
        }
        if !self.is_forwarding {
            faults.push("the forwarder stands still".to_owned());
        }
        let is_up = seat.base.as_ref().is_some_and(Interface::is_usable);
        let is_up = self.links.judge(&instance.interface, is_up, now);
        if seat.base.is_none() {
            faults.push(format!("interface {} is not there", instance.interface));
        } else if !is_up && !instance.ignores_interface {
            faults.push(format!("interface {} is down", instance.interface));
        }
        if seat.base.is_some() && seat.sender.is_none() {
            faults.push(format!("no address on {} to send from", instance.interface));
        }
        let wants_link = instance.virtual_mac.is_some() || instance.ipvlan.is_some();
        if wants_link && seat.own_link.is_none() {
            faults.push("its virtual interface could not be made".to_owned());
        }
        if instance.needs_peers && instance.peers.is_empty() {
            faults.push("it has no peers".to_owned());
        }
        let group = self.declared.groups.iter().find(|group| group.members.contains(&instance.name));
        let own = [
            &instance.track_interfaces,
            &instance.track_scripts,
            &instance.track_files,
            &instance.track_processes,
        ];
        let weighs = group.is_none_or(|group| group.members_weigh);
        let of_group = group.map(|group| {
            [&group.track_interfaces, &group.track_scripts, &group.track_files, &group.track_processes]
        });
        let mut all: Vec<(usize, Track)> = Vec::new();
        for (kind, tracks) in own.into_iter().enumerate() {
            // In a group a member's own weights count as nothing, and its faults do.
            all.extend(
                tracks
                    .iter()
                    .filter(|track| weighs || self.weight(kind, track).value == 0)
                    .map(|track| (kind, track.clone())),
            );
        }
        for (kind, tracks) in of_group.into_iter().flatten().enumerate() {
            all.extend(tracks.iter().map(|track| (kind, track.clone())));
        }
        let mut sum = Effect::default();
        for (kind, track) in all {
            let weight = self.weight(kind, &track);
            let one = effect([(self.reading(kind, &track.name, now), weight)]);
            if one.is_fault {
                faults.push(format!(
                    "{} {}",
                    ["interface", "script", "file", "process"].get(kind).unwrap_or(&""),
                    track.name
                ));
            }
            sum = sum.and(one);
        }
        (sum, faults)
    }

    /// What a watched thing weighs: interfaces, scripts, files and processes are kinds 0 to 3.
    fn weight(&self, kind: usize, track: &Track) -> Weight {
        let declared = &self.declared;
        let own = || match kind {
            1 => declared.scripts.iter().find(|script| script.name == track.name).map(|found| found.weight),
            2 => declared.files.iter().find(|file| file.name == track.name).map(|found| found.weight),
            3 => declared.processes.iter().find(|found| found.name == track.name).map(|found| found.weight),
            _ => None,
        };
        track.weight.or_else(own).unwrap_or_default()
    }

    fn reading(&mut self, kind: usize, name: &str, now: Tick) -> Reading {
        let name = name.to_owned();
        let unread = |reading: Option<&Reading>, before| reading.copied().unwrap_or(before);
        match kind {
            1 => unread(self.readings.get(&Watched::Script(name)), Reading::Down),
            2 => unread(self.readings.get(&Watched::File(name)), Reading::Number(0)),
            3 => unread(self.readings.get(&Watched::Process(name)), Reading::Down),
            _ => {
                let is_up = self.watcher.view().interface_named(&name).is_some_and(Interface::is_usable);
                if self.links.judge(&name, is_up, now) { Reading::Up } else { Reading::Down }
            }
        }
    }

    /// Takes a new declaration: what stayed goes on, what is gone ends, what is new begins.
    pub(super) fn reconfigure(&mut self, declared: &Declared) {
        let now = self.now();
        let before = std::mem::replace(&mut self.declared, declared.clone());
        let is_kept = |seat: &Seat| declared.instances.iter().any(|instance| seat.is_same_router(instance));
        let gone: Vec<usize> = (0..self.seats.len())
            .filter(|&place| self.seats.get(place).is_some_and(|seat| !is_kept(seat)))
            .collect();
        for place in gone {
            self.remove(place, now);
        }
        let mut earlier: Vec<Option<Seat>> = std::mem::take(&mut self.seats).into_iter().map(Some).collect();
        let mut stayed = Vec::new();
        for instance in &declared.instances {
            let place = earlier
                .iter()
                .position(|seat| seat.as_ref().is_some_and(|seat| seat.is_same_router(instance)));
            let seat = place.and_then(|place| earlier.get_mut(place)?.take());
            stayed.push(place);
            match seat {
                Some(mut seat) => {
                    seat.redeclare(instance.clone(), now);
                    self.seats.push(seat);
                }
                None => self.seats.push(Seat::new(instance.clone(), now)),
            }
        }
        let router = std::mem::replace(&mut self.router, Router::new());
        self.rebuild(router, &stayed, now);
        self.links.set_delays(&declared.link_delays);
        if before.globals != declared.globals {
            self.notifier.change(declared.globals.clone());
        }
        self.watches.change(declared, &self.tell);
        self.readings.retain(|watched, _| is_watched(watched, declared));
        self.take_stock(now);
        self.router.start(now);
        self.change_addresses(now);
        self.turn();
        self.publish();
    }

    /// Ends a virtual router that is declared no more.
    fn remove(&mut self, place: usize, now: Tick) {
        self.router.stop(Some(Member(place)), now);
        self.act_quietly(now);
        let Some(seat) = self.seats.get(place) else { return };
        let notify = &seat.instance.notify;
        let state = if notify.tells_deleted { "DELETED" } else { "FAULT" };
        self.notifier.tell(Notice::new(
            "INSTANCE",
            &seat.instance.name,
            state,
            seat.instance.priority,
            notify,
        ));
        if let Some((ifindex, _)) = seat.own_link {
            self.hands.remove_link(ifindex);
        }
    }

    /// Masters that stay take the addresses that are new to them, and let go of those that are theirs no more.
    fn change_addresses(&mut self, now: Tick) {
        let view = self.watcher.view().clone();
        for place in 0..self.seats.len() {
            let is_master =
                self.router.machine(Member(place)).is_some_and(|machine| machine.role() == Role::Master);
            let Some(seat) = self.seats.get_mut(place) else { continue };
            let wanted: Vec<_> = seat.wanted(&view).into_iter().map(|(address, _)| address).collect();
            let gone = seat.held.iter().filter(|held| !wanted.contains(held)).cloned().collect::<Vec<_>>();
            for address in &gone {
                if let Err(error) = self.hands.release_address(address) {
                    tracing::error!(%error, "an address stays");
                }
            }
            seat.held.retain(|held| !gone.contains(held));
            if is_master && wanted.iter().any(|address| !seat.held.contains(address)) {
                self.take_addresses(place);
                self.announce(place, 1, now);
            }
        }
    }
}

fn is_watched(watched: &Watched, declared: &Declared) -> bool {
    match watched {
        Watched::Script(name) => declared.scripts.iter().any(|script: &Script| script.name == *name),
        Watched::File(name) => declared.files.iter().any(|file| file.name == *name),
        Watched::Process(name) => declared.processes.iter().any(|process| process.name == *name),
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
    let (id, is_ipv6) = (instance.virtual_router_id, instance.is_ipv6());
    if let Some(VirtualMac { interface, mac, .. }) = &instance.virtual_mac {
        let name = interface.clone().unwrap_or_else(|| link_name(instance));
        let mac = mac.unwrap_or_else(|| virtual_mac(id, is_ipv6));
        return Ok(Some((hands.make_macvlan(&name, base, mac)?, mac)));
    }
    if let Some(Ipvlan { interface, .. }) = &instance.ipvlan {
        let name = interface.clone().unwrap_or_else(|| format!("ipvlan.{id}"));
        let mac = base.mac.unwrap_or_default();
        return Ok(Some((hands.make_ipvlan(&name, base)?, mac)));
    }
    Ok(None)
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
