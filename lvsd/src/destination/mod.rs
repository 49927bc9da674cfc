//! A real server of one service as it runs: what is counted on it while packets flow.

mod lease;
mod load;
mod stats;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

pub use lease::{Counted, Lease};
pub(crate) use load::Watch;
pub use stats::{Counters, Stats};

use arc_swap::ArcSwapOption;

/// A destination's place in the tables of a [`Snapshot`](crate::snapshot::Snapshot).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DestinationId(pub u32);

impl DestinationId {
    /// The id as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A running destination. It lives as long as a service, the trash or a connection holds it, so that a server
/// that was removed and comes back finds its connections and its counters again.
#[derive(Debug)]
pub struct Destination {
    id: DestinationId,
    endpoint: SocketAddr,
    active: AtomicU32,
    inactive: AtomicU32,
    persistent: AtomicU32,
    upper: AtomicU32,
    lower: AtomicU32,
    overloaded: AtomicBool,
    stats: Stats,
    watch: ArcSwapOption<Watch>,
    is_watched: AtomicBool,
}

impl Destination {
    /// A destination without connections, with counters for `lanes` workers.
    pub fn new(id: DestinationId, rip: IpAddr, port: u16, lanes: usize) -> Self {
        Self {
            id,
            endpoint: SocketAddr::new(rip, port),
            active: AtomicU32::new(0),
            inactive: AtomicU32::new(0),
            persistent: AtomicU32::new(0),
            upper: AtomicU32::new(0),
            lower: AtomicU32::new(0),
            overloaded: AtomicBool::new(false),
            stats: Stats::new(lanes),
            watch: ArcSwapOption::empty(),
            is_watched: AtomicBool::new(false),
        }
    }

    /// Its place in the snapshot's tables.
    pub const fn id(&self) -> DestinationId {
        self.id
    }

    /// Its address (RIP).
    pub const fn rip(&self) -> IpAddr {
        self.endpoint.ip()
    }

    /// Its port; 0 stands for the packet's own.
    pub const fn port(&self) -> u16 {
        self.endpoint.port()
    }

    /// Its address and port.
    pub const fn endpoint(&self) -> SocketAddr {
        self.endpoint
    }

    /// Its packet counters.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Connections counted as active.
    pub fn active(&self) -> u32 {
        self.active.load(Relaxed)
    }

    /// Connections counted as inactive.
    pub fn inactive(&self) -> u32 {
        self.inactive.load(Relaxed)
    }

    /// Persistence templates.
    pub fn persistent(&self) -> u32 {
        self.persistent.load(Relaxed)
    }

    /// True from the moment the upper threshold is reached until the count has fallen below the lower one.
    pub fn is_overloaded(&self) -> bool {
        self.overloaded.load(Relaxed)
    }

    /// Gives it other thresholds (`__ip_vs_update_dest`): the mark goes when the upper one is lifted or raised;
    /// it comes only with the next connection.
    pub(crate) fn set_thresholds(&self, upper: u32, lower: u32) {
        if upper == 0 || upper > self.upper.load(Relaxed) {
            self.overloaded.store(false, Relaxed);
        }
        self.upper.store(upper, Relaxed);
        self.lower.store(lower, Relaxed);
    }

    fn total(&self) -> u64 {
        u64::from(self.active()) + u64::from(self.inactive())
    }

    /// Sets the mark once a connection came (`ip_vs_bind_dest`).
    fn mark_after_bind(&self) {
        let upper = self.upper.load(Relaxed);
        if upper != 0 && self.total() >= u64::from(upper) {
            self.overloaded.store(true, Relaxed);
        }
    }

    /// Lifts the mark once a connection went (`ip_vs_unbind_dest`).
    fn mark_after_unbind(&self) {
        let (upper, lower) = (u64::from(self.upper.load(Relaxed)), u64::from(self.lower.load(Relaxed)));
        let lifted = match (upper, lower) {
            (0, 0) => true,
            (_, 0) => self.total() * 4 < upper * 3,
            (_, _) => self.total() < lower,
        };
        if lifted && self.is_overloaded() {
            self.overloaded.store(false, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
