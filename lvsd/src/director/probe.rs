//! Probes: what the host itself says to a service for one of its servers, whichever would be chosen, and what that server
//! answers. A health check goes the way of the traffic by them.
//!
//! ```text
//! check's socket -> TUN -> request: as the server's packets are forwarded -> server
//! check's socket <- TUN <- answer: from the service's address, or back from NAT <- server
//! ```
//!
//! They belong to no connection, and no counter of a service knows them. The host hears an answer by the TUN device,
//! which takes packets whose source is an address of its own: elsewhere the kernel refuses those.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lvs_conntrack::FlowKey;
use lvs_forward::{DropReason, Verdict};
use parking_lot::RwLock;

use super::binding::Method;
use super::lane::{Arrival, Lane};
use super::passage::Passage;
use super::plane::Plane;
use crate::message::ForwardMethod;
use crate::resolve::NextHop;
use crate::snapshot::Snapshot;

/// How long a flow is led on when nobody asks for it any more: what its socket said last is still under way.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// The flows that are probes.
#[derive(Debug, Default)]
pub struct Probes {
    /// There may be some. Once there were, there are ever again.
    any: AtomicBool,
    flows: RwLock<Flows>,
}

#[derive(Debug, Default)]
struct Flows {
    requests: HashMap<FlowKey, Probe, foldhash::fast::RandomState>,
    /// By the flow of the answers: the service's address that they come from.
    answers: HashMap<FlowKey, SocketAddr, foldhash::fast::RandomState>,
    over: VecDeque<(Instant, FlowKey, u64)>,
    last: u64,
}

/// Whom a flow is for, and how its packets get there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe {
    /// The server; behind NAT it is spoken to at this port.
    server: SocketAddr,
    /// The way to it.
    method: ForwardMethod,
    serial: u64,
}

impl Probes {
    /// Leads a flow of the host's own to a server, until [`end`](Self::end) is called with what this returns.
    pub fn lead(&self, flow: FlowKey, server: SocketAddr, method: ForwardMethod) -> u64 {
        let mut flows = self.flows.write();
        flows.forget(Instant::now());
        flows.last += 1;
        let probe = Probe { server, method, serial: flows.last };
        flows.requests.insert(flow, probe);
        flows.answers.insert(probe.answers(&flow), SocketAddr::new(flow.dst, flow.dst_port));
        self.any.store(true, Ordering::Release);
        probe.serial
    }

    /// Leads a flow no longer, in a while.
    pub fn end(&self, flow: FlowKey, serial: u64) {
        self.flows.write().over.push_back((Instant::now() + LINGER, flow, serial));
    }

    /// Whom a packet of the host's is for, if it is a probe's.
    pub(super) fn request(&self, key: &FlowKey) -> Option<Probe> {
        if self.any.load(Ordering::Acquire) { self.flows.read().requests.get(key).copied() } else { None }
    }

    /// The service that a server's packet is an answer of, if it answers a probe.
    pub(super) fn answer(&self, key: &FlowKey) -> Option<SocketAddr> {
        if self.any.load(Ordering::Acquire) { self.flows.read().answers.get(key).copied() } else { None }
    }
}

impl Flows {
    fn forget(&mut self, now: Instant) {
        while let Some((until, flow, serial)) = self.over.front().copied()
            && until <= now
        {
            self.over.pop_front();
            // The same numbers may have been taken for another probe meanwhile.
            if let Some(probe) = self.requests.get(&flow).copied().filter(|probe| probe.serial == serial) {
                self.requests.remove(&flow);
                self.answers.remove(&probe.answers(&flow));
            }
        }
    }
}

impl Probe {
    /// The flow its answers are of.
    fn answers(&self, flow: &FlowKey) -> FlowKey {
        let mut answers = flow.reversed();
        if self.method == ForwardMethod::Masquerade {
            (answers.src, answers.src_port) = (self.server.ip(), self.server.port());
        }
        answers
    }
}

impl Lane {
    /// Carries a packet of the host's own as one of the server it is for, if it is a probe's.
    pub(super) fn request(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        key: &FlowKey,
    ) -> Option<Verdict> {
        let probe = plane.probes().request(key)?;
        let next = match snapshot.fib.lookup(probe.server.ip()) {
            Ok(next) => next,
            Err(reason) => return Some(Verdict::Drop(reason)),
        };
        // What comes out of the TUN device has no second way into it.
        if next == NextHop::Local {
            return Some(Verdict::Drop(DropReason::NoRoute));
        }
        let source = snapshot.fib.source_for(probe.server.ip());
        let method = Method::from(probe.method);
        Some(match Passage::over(snapshot, next, source, probe.method, method, probe.server) {
            Ok(passage) => self.carry(plane, snapshot, arrival, &passage),
            Err(reason) => Verdict::Drop(reason),
        })
    }

    /// Hands the host what a server answers to a probe: from the service's address, as a client would have it.
    pub(super) fn answer_to_probe(
        plane: &Plane,
        arrival: &mut Arrival<'_, '_>,
        key: &FlowKey,
    ) -> Option<Verdict> {
        let from = plane.probes().answer(key)?;
        if (key.src, key.src_port) == (from.ip(), from.port()) {
            return Some(Verdict::ToHost);
        }
        let passage = Passage::to_client(NextHop::Local, from.ip(), from.port());
        Some(match passage.rewrite.apply_at_host(arrival.packet, &arrival.headers, None) {
            Ok(()) => Verdict::ToHost,
            Err(reason) => Verdict::Drop(reason),
        })
    }
}
