//! Adverts as they come in: whose they are, and whether they may be listened to.

use lvs_vrrp::wire::{Envelope, Packet};
use lvs_vrrp::{Member, Reject};

use super::super::seat::Seat;
use super::super::socket::LARGEST;
use super::super::wall_clock;
use super::Engine;

/// Adverts taken from one socket before the others have their turn.
const BURST: usize = 64;

impl Engine {
    /// Takes what waits in the sockets.
    pub(super) fn receive(&mut self) {
        let keys: Vec<(u32, bool)> = self.listeners.keys().copied().collect();
        let mut buffer = std::mem::replace(&mut self.buffer, Box::new([0; LARGEST]));
        for key in keys {
            for _ in 0..BURST {
                let Some(listener) = self.listeners.get_mut(&key) else { break };
                match listener.receive(&mut buffer) {
                    Ok(Some(Ok((envelope, payload)))) => self.hear(key, &envelope, payload),
                    Ok(Some(Err(reason))) => drop(self.strangers.count(reason)),
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(%error, "cannot read adverts");
                        break;
                    }
                }
            }
        }
        self.buffer = buffer;
    }

    /// Takes an advert: whose it is, whether it may be listened to, and what follows.
    fn hear(&mut self, (ifindex, _): (u32, bool), envelope: &Envelope, payload: &[u8]) {
        let now = self.now();
        let wall = wall_clock();
        let router_id = payload.get(1).copied().unwrap_or_default();
        let is_ipv6 = envelope.source.is_ipv6();
        let is_its = |seat: &Seat| {
            seat.gate.router_id() == router_id
                && seat.instance.is_ipv6() == is_ipv6
                && seat.through().is_some_and(|(_, index)| index == ifindex)
        };
        let Some(place) = self.seats.iter().position(is_its) else {
            self.strangers.count(Reject::UnknownRouter);
            return;
        };
        let master = self.router.machine(Member(place)).and_then(|machine| Some(machine.master()?.0));
        let is_own = self.watcher.view().is_own(envelope.source);
        let Some(seat) = self.seats.get_mut(place) else { return };
        let admitted = Packet::parse(payload, envelope)
            .and_then(|packet| seat.gate.admit(packet, envelope, master, is_own, now, wall));
        match admitted {
            Ok(admitted) => {
                seat.count_checksum(admitted.checksum);
                self.router.on_advert(Member(place), &admitted.advert, envelope.source, now);
                // What follows must not wait for the adverts behind this one.
                self.act(now);
            }
            Err(reason) => {
                if let Some(unlogged) = seat.reject(reason, now) {
                    let (instance, source) = (&seat.instance.name, envelope.source);
                    tracing::warn!(instance, %source, unlogged, "advert rejected: {}", reason.meaning());
                }
            }
        }
    }
}
