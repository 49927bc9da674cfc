//! A virtual service as packets meet it: one generation of its pool, with the scheduler that chooses from it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lvs_sched::{Flow, Pool, Scheduler, Slot, Weight};

use super::engine::Engine;
use crate::destination::{Destination, Stats};
use crate::message::ServiceId;

/// One destination of a pool, with the weight it has in this generation.
#[derive(Debug, Clone)]
pub struct Member {
    /// The destination.
    pub destination: Arc<Destination>,
    /// Its weight.
    pub weight: Weight,
    /// Its last weight other than 0.
    pub last_weight: Weight,
}

/// The destinations of a service, the newest first.
#[derive(Debug, Default)]
pub struct Members(Box<[Member]>);

impl Members {
    /// A pool of these destinations, in this order.
    pub fn new(members: impl IntoIterator<Item = Member>) -> Self {
        Self(members.into_iter().collect())
    }

    /// The member in `slot`.
    pub fn get(&self, slot: Slot) -> Option<&Member> {
        self.0.get(slot.index())
    }

    /// Every member with its slot.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Member)> {
        (0u32..).map(Slot).zip(self.0.iter())
    }
}

impl Pool for Members {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn endpoint(&self, slot: Slot) -> SocketAddr {
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        self.get(slot).map_or(nobody, |member| member.destination.endpoint())
    }

    fn weight(&self, slot: Slot) -> Weight {
        self.get(slot).map_or(Weight(0), |member| member.weight)
    }

    fn last_weight(&self, slot: Slot) -> Weight {
        self.get(slot).map_or(Weight(0), |member| member.last_weight)
    }

    fn active(&self, slot: Slot) -> u32 {
        self.get(slot).map_or(0, |member| member.destination.active())
    }

    fn inactive(&self, slot: Slot) -> u32 {
        self.get(slot).map_or(0, |member| member.destination.inactive())
    }

    fn is_overloaded(&self, slot: Slot) -> bool {
        self.get(slot).is_none_or(|member| member.destination.is_overloaded())
    }
}

/// How long, and for whom, a client keeps its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// How long after its last new connection.
    pub timeout: Duration,
    /// How many bits of the client's address are looked at.
    pub netmask: u8,
}

/// One generation of a running service; a change of it is a new value in a new snapshot.
#[derive(Debug)]
pub struct Service {
    /// What names it.
    pub id: ServiceId,
    /// Its persistence, if it has one.
    pub persistence: Option<Persistence>,
    /// What its persistence goes by beside the client's address, if by anything.
    pub engine: Option<Engine>,
    /// Every datagram is scheduled anew.
    pub one_packet: bool,
    /// Its counters, the same in every generation.
    pub stats: Arc<Stats>,
    pool: Arc<Members>,
    scheduler: Option<Arc<dyn Scheduler>>,
}

impl Service {
    /// A generation with this pool; without a scheduler (`-s none`) it chooses nobody.
    pub fn new(
        id: ServiceId,
        persistence: Option<Persistence>,
        engine: Option<Engine>,
        one_packet: bool,
        stats: Arc<Stats>,
        pool: Arc<Members>,
        scheduler: Option<Arc<dyn Scheduler>>,
    ) -> Self {
        Self { id, persistence, engine, one_packet, stats, pool, scheduler }
    }

    /// Chooses the destination of a new connection.
    pub fn schedule(&self, flow: &Flow) -> Option<&Member> {
        let slot = self.scheduler.as_ref()?.pick(self.pool.as_ref(), flow)?;
        self.pool.get(slot)
    }

    /// Its pool.
    pub const fn pool(&self) -> &Arc<Members> {
        &self.pool
    }

    /// Its scheduler.
    pub const fn scheduler(&self) -> Option<&Arc<dyn Scheduler>> {
        self.scheduler.as_ref()
    }

    /// The port it is declared with; 0 for a mark or every port.
    pub const fn port(&self) -> u16 {
        match self.id {
            ServiceId::Mark { .. } => 0,
            ServiceId::Address { port, .. } => port,
        }
    }

    /// True for a service on a firewall mark.
    pub const fn is_marked(&self) -> bool {
        matches!(self.id, ServiceId::Mark { .. })
    }

    /// Hands a changed load on to the scheduler.
    pub(crate) fn load_changed(&self, slot: Slot) {
        if let Some(scheduler) = &self.scheduler {
            scheduler.load_changed(self.pool.as_ref(), slot);
        }
    }
}
