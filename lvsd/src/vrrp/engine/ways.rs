//! Routes and rules that come and go with a master, and what is on the host whoever is one.

use lvs_vrrp::{Member, Role};

use super::super::guard::Held;
use super::super::seat::for_kernel;
use super::super::way::Wishes;
use super::Engine;

impl Engine {
    /// Sets a master's routes and rules, and takes away those that it is to have no longer.
    pub(super) fn take_ways(&mut self, place: usize) {
        let Some(seat) = self.seats.get_mut(place) else { return };
        let wishes = Wishes::new(&seat.instance.routes, &seat.instance.rules, self.watcher.view());
        seat.ways.change(wishes, &mut self.hands);
    }

    /// The same for what is there whoever is master.
    pub(super) fn take_lasting(&mut self) {
        let (lasting, view) = (&self.declared.lasting, self.watcher.view());
        let mut wishes = Wishes::default();
        for address in &lasting.addresses {
            let interface = address.interface.as_ref().and_then(|name| view.interface_named(name));
            let made = interface.and_then(|interface| for_kernel(address, interface.index));
            let name = || format!("address {}", address.address);
            wishes.add(made.map(Held::Address), address.is_untracked, name);
        }
        // Routes may come from the addresses.
        let ways = Wishes::new(&lasting.routes, &lasting.rules, view);
        wishes.wanted.extend(ways.wanted);
        wishes.complaints.extend(ways.complaints);
        self.lasting.change(wishes, &mut self.hands);
    }

    /// Sets again what went with an interface or an address, or could not be set without it.
    pub(super) fn keep_ways(&mut self) {
        for place in 0..self.seats.len() {
            if self.router.machine(Member(place)).is_some_and(|machine| machine.role() == Role::Master) {
                self.take_ways(place);
            }
        }
        self.take_lasting();
    }

    /// Routes and rules that a predecessor left behind. By who set them they are told from an operator's.
    pub(super) fn clear_ways(&mut self) {
        let (lasting, view) = (&self.declared.lasting, self.watcher.view());
        let mut all = Wishes::new(&lasting.routes, &lasting.rules, view).wanted;
        for seat in &self.seats {
            all.extend(Wishes::new(&seat.instance.routes, &seat.instance.rules, view).wanted);
        }
        for wanted in all.iter().rev().filter(|wanted| wanted.held.is_marked()) {
            self.hands.release(&wanted.held);
        }
    }
}
