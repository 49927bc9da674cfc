//! `rr`, round robin: one server after another, whatever their weights.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::bits::Bits;
use crate::pool::{Pool, Slot, slots};
use crate::scheduler::{Flow, Scheduler};

/// The cursor's place before the first server.
const HEAD: u32 = u32::MAX;

/// Remembers the server chosen last and takes the next one in list order that accepts connections.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    open: Bits,
    endpoints: Box<[SocketAddr]>,
    last: AtomicU32,
}

impl RoundRobin {
    pub(crate) fn new(pool: &dyn Pool) -> Self {
        let open = Bits::new(pool.len());
        for slot in slots(pool).filter(|&slot| !pool.weight(slot).is_quiesced()) {
            open.insert(slot);
        }
        let endpoints = slots(pool).map(|slot| pool.endpoint(slot)).collect();
        Self { open, endpoints, last: AtomicU32::new(HEAD) }
    }

    /// The first server after `last` that accepts connections; `last` itself comes at the end of the lap.
    fn after(&self, pool: &dyn Pool, last: u32) -> Option<Slot> {
        let start = if last == HEAD { 0 } else { Slot(last).index() + 1 };
        self.first(pool, start, usize::MAX).or_else(|| self.first(pool, 0, start))
    }

    fn first(&self, pool: &dyn Pool, from: usize, end: usize) -> Option<Slot> {
        let mut slot = self.open.next(from)?;
        while slot.index() < end {
            if !pool.is_overloaded(slot) {
                return Some(slot);
            }
            slot = self.open.next(slot.index() + 1)?;
        }
        None
    }
}

impl Scheduler for RoundRobin {
    fn pick(&self, pool: &dyn Pool, _flow: &Flow) -> Option<Slot> {
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let slot = self.after(pool, last)?;
            match self.last.compare_exchange_weak(last, slot.0, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(slot),
                Err(moved) => last = moved,
            }
        }
    }

    /// The cursor stays on its server wherever that stands now. When that server is gone, the cursor moves to
    /// the one that stood before it (`ip_vs_rr_del_dest`).
    fn rebuild(&self, pool: &dyn Pool) -> Box<dyn Scheduler> {
        let new = Self::new(pool);
        let last = self.last.load(Ordering::Relaxed);
        if last != HEAD {
            let mut before = self.endpoints[..=Slot(last).index()].iter().rev();
            let place = before.find_map(|old| new.endpoints.iter().position(|other| other == old));
            new.last.store(place.map_or(HEAD, |place| Slot::at(place).0), Ordering::Relaxed);
        }
        Box::new(new)
    }
}
