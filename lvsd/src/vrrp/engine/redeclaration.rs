//! A new declaration while the virtual routers run: what stayed goes on, what is gone ends, what is new begins.

use lvs_vrrp::declared::{Declared, Script};
use lvs_vrrp::{Member, Role, Router, Tick};

use super::super::notify::Notice;
use super::super::seat::Seat;
use super::super::watch::Watched;
use super::Engine;

impl Engine {
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
        // Accept mode may have changed, and the owner's priority.
        self.close_held();
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
        self.close_held();
        self.keep_ways();
    }
}

fn is_watched(watched: &Watched, declared: &Declared) -> bool {
    match watched {
        Watched::Script(name) => declared.scripts.iter().any(|script: &Script| script.name == *name),
        Watched::File(name) => declared.files.iter().any(|file| file.name == *name),
        Watched::Process(name) => declared.processes.iter().any(|process| process.name == *name),
    }
}
