//! `dh`, destination hashing: the address a client spoke to always leads to the same server.

use crate::hash::{bucket, fold};
use crate::pool::{Pool, Slot, slots};
use crate::scheduler::{Flow, Scheduler};

const BUCKETS: usize = 256;

/// A table in which the servers stand one after another, over and over until it is full. Weights play no part,
/// except that a server of weight 0 serves nobody and no other takes its place (`ip_vs_dh_schedule`).
#[derive(Debug)]
pub(crate) struct DestinationHash {
    /// Empty when there are no servers.
    buckets: Vec<Slot>,
}

impl DestinationHash {
    pub(crate) fn new(pool: &dyn Pool) -> Self {
        let laps = std::iter::repeat_with(|| slots(pool)).flatten();
        Self { buckets: if pool.is_empty() { Vec::new() } else { laps.take(BUCKETS).collect() } }
    }
}

impl Scheduler for DestinationHash {
    fn pick(&self, pool: &dyn Pool, flow: &Flow) -> Option<Slot> {
        let slot = *self.buckets.get(bucket(fold(flow.vip)))?;
        pool.accepts_new(slot).then_some(slot)
    }

    fn rebuild(&self, pool: &dyn Pool) -> Box<dyn Scheduler> {
        Box::new(Self::new(pool))
    }
}
