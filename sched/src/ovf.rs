//! `ovf`, weighted overflow: the highest weight until its active connections pass that weight, then the next.

use crate::pool::{Pool, Slot};
use crate::scheduler::{Flow, Scheduler};
use crate::weights::by_weight;

#[derive(Debug)]
pub(crate) struct Overflow {
    order: Box<[Slot]>,
}

impl Overflow {
    pub(crate) fn new(pool: &dyn Pool) -> Self {
        Self { order: by_weight(pool) }
    }
}

impl Scheduler for Overflow {
    fn pick(&self, pool: &dyn Pool, _flow: &Flow) -> Option<Slot> {
        let has_room = |slot| pool.active(slot) <= pool.weight(slot).get() && !pool.is_overloaded(slot);
        self.order.iter().copied().find(|&slot| has_room(slot))
    }

    fn rebuild(&self, pool: &dyn Pool) -> Box<dyn Scheduler> {
        Box::new(Self::new(pool))
    }
}
