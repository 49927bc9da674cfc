//! The packet path of one worker: what becomes of each received packet.
//!
//! ```text
//!             +- known: to its server or back to its client (shortcut, known); FTP's talk is read (ftp)
//! frame ------+- new and local: a service's? choose a server (schedule, persist)
//!  headers    +- ICMP error: about one of the above? (icmp)
//!  read once  +- sent by the host itself: as one of its servers? (own) for a check? (probe)
//!             +- else the host's
//! ```
//!
//! The order of the questions is the kernel's (`ip_vs_in_hook`, `ip_vs_out_hook`).

mod answer;
mod binding;
mod bypass;
mod call_id;
mod datagram;
mod fragments;
mod ftp;
mod icmp;
mod known;
mod lane;
mod limit;
mod noted;
mod originate;
mod own;
mod passage;
mod path_mtu;
mod persist;
mod pieces;
mod plane;
mod probe;
mod reassembly;
mod reply;
mod schedule;
mod shortcut;
mod state;
mod throttle;
mod waiting;

use std::cell::Cell;
use std::sync::Arc;

use lvs_conntrack::Tick;
use lvs_forward::io::Forwarder;
use lvs_forward::{DropReason, Headers, Packet, PortId, Verdict};

pub use binding::{Binding, Method, Role};
pub(crate) use passage::encapsulation;
pub(crate) use persist::{seconds, template_key};
pub use plane::{Account, Plane};
pub use probe::Probes;
pub(crate) use state::Connection;

use crate::snapshot::Snapshot;
use lane::{Arrival, Lane};

/// Where a frame goes that was kept for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Out of this port.
    Port(PortId),
    /// To the host's own stack.
    Host,
}

/// The director of one worker. It owns only caches and the packets that wait; all else is the plane's.
///
/// A worker calls [`refresh`](Self::refresh) before each burst, [`handle`](Forwarder::handle) for each packet and
/// [`release`](Self::release) after the burst.
#[derive(Debug)]
pub struct Director {
    plane: Arc<Plane>,
    snapshot: Arc<Snapshot>,
    lane: Lane,
}

impl Director {
    /// The director of worker number `lane`.
    pub fn new(plane: Arc<Plane>, lane: usize) -> Self {
        let snapshot = plane.snapshot();
        Self { plane, snapshot, lane: Lane::new(lane) }
    }

    /// What all workers share.
    pub const fn plane(&self) -> &Arc<Plane> {
        &self.plane
    }

    /// Takes the current snapshot, which then counts for every packet until the next call.
    pub fn refresh(&mut self) {
        let current = self.plane.current().load();
        if !Arc::ptr_eq(&current, &self.snapshot) {
            self.snapshot = Arc::clone(&current);
        }
        self.lane.refresh(&self.plane);
    }

    /// Gives `send` what need not wait any longer: packets whose neighbour answered, and fragments made in the
    /// last burst. What waited too long is dropped by name.
    pub fn release(&mut self, now: Tick, mut send: impl FnMut(Exit, &[u8])) {
        self.lane.release(&self.plane, &self.snapshot, now, &mut send);
    }

    /// Speaks as the host would that a packet was left to; for a replay, which has no other host.
    pub(crate) fn speak_for_host(
        &mut self,
        error: lvs_forward::icmp::Error,
        packet: &mut Packet<'_>,
        now: Tick,
    ) -> Option<PortId> {
        let headers = Headers::parse(packet.bytes()).ok()?;
        // Where it came in does not matter to an answer.
        let mut arrival = Arrival {
            packet,
            headers,
            ingress: PortId(0),
            datagram: None,
            is_one_piece: Cell::new(false),
            now,
        };
        match self.lane.answer(&self.snapshot, &mut arrival, error, DropReason::NoServer) {
            Verdict::Answer(port, _) => Some(port),
            Verdict::Send(_) | Verdict::ToHost | Verdict::Drop(_) | Verdict::Hold => None,
        }
    }

    /// Hands in what this worker noted for the flow cache; to be called after each burst.
    pub fn hand_in(&mut self, now: Tick) {
        self.lane.hand_in(&self.plane, now);
    }

    /// True while packets wait: [`release`](Self::release) has something to do.
    pub fn has_waiting(&self) -> bool {
        self.lane.has_waiting()
    }

    fn count(&self, verdict: Verdict) -> Verdict {
        if let Some(tally) = self.plane.tally(self.lane.number()) {
            tally.count(verdict, self.plane.drops());
        }
        verdict
    }

    /// Corrects the accounts: the device could not carry a verdict out, for this reason.
    pub fn undone(&self, verdict: Verdict, reason: DropReason) {
        if let Some(tally) = self.plane.tally(self.lane.number()) {
            tally.undone(verdict, reason, self.plane.drops());
        }
    }
}

impl Forwarder for Director {
    fn handle(&mut self, ingress: PortId, packet: &mut Packet<'_>, now: Tick) -> Verdict {
        let verdict = self.lane.judge(&self.plane, &self.snapshot, packet, ingress, now);
        self.count(verdict)
    }
}

#[cfg(test)]
mod tests;
