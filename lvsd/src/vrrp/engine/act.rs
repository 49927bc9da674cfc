//! Doing what the state machines want.

use lvs_vrrp::{Action, Member, Role, Tick, Transition};

use super::super::announce::Announcement;
use super::super::notify::Notice;
use super::super::{report, wall_clock};
use super::Engine;

impl Engine {
    /// Does all that is to be done.
    pub(super) fn act(&mut self, now: Tick) {
        while let Some((member, action)) = self.router.next_action() {
            self.act_on(member, action, now);
        }
        self.tell_groups();
    }

    /// As [`act`](Self::act), telling nobody: an instance that is removed is told of once, by its removal.
    pub(super) fn act_quietly(&mut self, now: Tick) {
        while let Some((member, action)) = self.router.next_action() {
            if !matches!(action, Action::Tell(_)) {
                self.act_on(member, action, now);
            }
        }
    }

    fn act_on(&mut self, Member(place): Member, action: Action, now: Tick) {
        match action {
            Action::Advertise { priority } => self.advertise(place, priority, now),
            Action::TakeAddresses => self.take_addresses(place),
            Action::ReleaseAddresses => self.release_addresses(place),
            Action::Announce { repeat } => self.announce(place, repeat, now),
            Action::Tell(transition) => self.tell(place, transition),
            Action::TellLowerPriority => self.tell_pipes(place, "MASTER_RX_LOWER_PRI", true),
            Action::TellPriority => {
                let role = self.router.machine(Member(place)).map(lvs_vrrp::Machine::role);
                let tells = self.seats.get(place).is_some_and(|seat| seat.instance.notify.tells_priority);
                match role {
                    Some(Role::Master) => self.tell_pipes(place, "MASTER_PRIORITY", tells),
                    Some(Role::Backup) => self.tell_pipes(place, "BACKUP_PRIORITY", tells),
                    Some(Role::Fault | Role::Stopped) | None => {}
                }
            }
        }
    }

    fn advertise(&mut self, place: usize, priority: u8, now: Tick) {
        let Some(seat) = self.seats.get_mut(place) else { return };
        let Some(sender) = &seat.sender else { return };
        for destination in seat.gate.destinations() {
            let packet = seat.gate.write(priority, sender.source, destination, now, wall_clock());
            if let Err(error) = sender.send(&packet, destination) {
                tracing::debug!(%error, instance = seat.instance.name, %destination, "advert not sent");
            }
        }
    }

    pub(super) fn take_addresses(&mut self, place: usize) {
        let view = self.watcher.view();
        let Some(seat) = self.seats.get(place) else { return };
        let wanted: Vec<_> = seat.wanted(view).into_iter().map(|(address, _)| address).collect();
        // Nothing is delivered to them from the first moment on.
        let others = self.seats.iter().flat_map(|seat| seat.closed(&[]));
        self.hands.close(others.chain(seat.closed(&wanted)).collect());
        let Some(seat) = self.seats.get_mut(place) else { return };
        let is_owner = seat.instance.priority == u8::MAX;
        for address in wanted {
            if seat.held.contains(&address) {
                continue;
            }
            // What the owner has anyway is not taken back from it.
            let is_there = view.addresses_of(address.ifindex).any(|found| found.address == address.address);
            if is_owner && is_there {
                continue;
            }
            match self.hands.take_address(&address) {
                Ok(_) => seat.held.push(address),
                Err(error) => {
                    tracing::error!(%error, instance = seat.instance.name, "an address is not held");
                }
            }
        }
        self.close_held();
        // They may come from the addresses.
        self.take_ways(place);
    }

    fn release_addresses(&mut self, place: usize) {
        let Some(seat) = self.seats.get_mut(place) else { return };
        seat.ways.release(&mut self.hands);
        for address in std::mem::take(&mut seat.held) {
            if let Err(error) = self.hands.release_address(&address) {
                tracing::error!(%error, instance = seat.instance.name, "an address stays");
            }
        }
        let gone: Vec<_> = seat.addresses().map(|address| address.address).collect();
        self.announcer.forget(|address| gone.contains(&address));
        self.close_held();
    }

    /// Closes the addresses that are held without accept mode, and opens all others.
    pub(super) fn close_held(&mut self) {
        self.hands.close(self.seats.iter().flat_map(|seat| seat.closed(&[])).collect());
    }

    pub(super) fn announce(&mut self, place: usize, repeat: u32, now: Tick) {
        let view = self.watcher.view();
        let Some(seat) = self.seats.get(place) else { return };
        let announcing = seat.instance.announcing;
        let own_mac = |ifindex| match seat.own_link {
            Some((own, mac)) if own == ifindex => Some(mac),
            Some(_) | None => view.interface(ifindex)?.mac,
        };
        let wanted = seat.wanted(view);
        for _ in 0..repeat {
            for (address, _) in &wanted {
                let Some(mac) = own_mac(address.ifindex) else { continue };
                let ip = address.address.addr();
                let pause =
                    if ip.is_ipv6() { announcing.neighbour_interval } else { announcing.arp_interval };
                let announcement = Announcement { address: ip, ifindex: address.ifindex, mac };
                self.announcer.announce(announcement, pause, now);
            }
        }
    }

    fn tell(&mut self, place: usize, transition: Transition) {
        let Some(seat) = self.seats.get(place) else { return };
        let priority = self.priority(place);
        let (instance, state) = (&seat.instance, transition.role.label());
        tracing::info!(instance = instance.name, state, cause = report::words(transition.cause), "VRRP");
        self.notifier.tell(Notice::new("INSTANCE", &instance.name, state, priority, &instance.notify));
        self.publish();
    }

    fn tell_pipes(&self, place: usize, state: &'static str, is_told: bool) {
        let Some(seat) = self.seats.get(place).filter(|_| is_told) else { return };
        let priority = self.priority(place);
        let notify = &seat.instance.notify;
        self.notifier.tell(Notice::new("INSTANCE", &seat.instance.name, state, priority, notify));
    }

    fn priority(&self, place: usize) -> u8 {
        self.router.machine(Member(place)).map_or(0, |machine| machine.priorities().effective)
    }

    /// Tells of the groups whose members have all changed.
    fn tell_groups(&mut self) {
        for (place, group) in self.declared.groups.iter().enumerate() {
            let role = self.router.role_of_group(place);
            let Some(told) = self.told.get_mut(place) else { continue };
            let is_news = role.is_some() && *told != role && (told.is_some() || role != Some(Role::Stopped));
            *told = role;
            if let Some(role) = role.filter(|_| is_news) {
                self.notifier.tell(Notice::new("GROUP", &group.name, role.label(), 0, &group.notify));
            }
        }
    }
}
