//! `sh`, source hashing: a client's address always leads to the same server.

use crate::flags::Flags;
use crate::hash::{bucket, fold};
use crate::pool::{Pool, Slot, slots};
use crate::scheduler::{Flow, Scheduler};

const BUCKETS: usize = 256;

/// A table in which each server has as many buckets in a row as its weight says, over and over until it is full.
#[derive(Debug)]
pub(crate) struct SourceHash {
    flags: Flags,
    /// Empty when there are no servers.
    buckets: Vec<Slot>,
}

impl SourceHash {
    /// A server of weight 0 gets a bucket too, from which nobody is served (`ip_vs_sh_reassign`).
    pub(crate) fn new(flags: Flags, pool: &dyn Pool) -> Self {
        let lap = || slots(pool).flat_map(|slot| std::iter::repeat_n(slot, turns(pool, slot)));
        let buckets = if pool.is_empty() {
            Vec::new()
        } else {
            std::iter::repeat_with(lap).flatten().take(BUCKETS).collect()
        };
        Self { flags, buckets }
    }
}

fn turns(pool: &dyn Pool, slot: Slot) -> usize {
    usize::try_from(pool.weight(slot).get()).map_or(BUCKETS, |weight| weight.clamp(1, BUCKETS))
}

/// What the client contributes to the hash.
pub(crate) fn key(flags: Flags, flow: &Flow) -> u32 {
    let port = if flags.port { flow.client_port } else { 0 };
    fold(flow.client).wrapping_add(u32::from(port))
}

impl Scheduler for SourceHash {
    /// With `sh-fallback` the buckets after the first one are tried from twice its number on
    /// (`ip_vs_sh_get_fallback`).
    fn pick(&self, pool: &dyn Pool, flow: &Flow) -> Option<Slot> {
        let hash = bucket(key(self.flags, flow));
        let slot = *self.buckets.get(hash)?;
        if pool.accepts_new(slot) {
            return Some(slot);
        }
        if !self.flags.fallback {
            return None;
        }
        let others = (0..BUCKETS).map(|offset| self.buckets[(hash + (hash + offset) % BUCKETS) % BUCKETS]);
        others.into_iter().find(|&slot| pool.accepts_new(slot))
    }

    fn rebuild(&self, pool: &dyn Pool) -> Box<dyn Scheduler> {
        Box::new(Self::new(self.flags, pool))
    }
}
