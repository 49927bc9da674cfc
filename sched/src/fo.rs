//! `fo`, weighted failover: the highest weight serves all clients, the others wait.

use crate::pool::{Pool, Slot};
use crate::scheduler::{Flow, Scheduler};
use crate::weights::by_weight;

#[derive(Debug)]
pub(crate) struct Failover {
    order: Box<[Slot]>,
}

impl Failover {
    pub(crate) fn new(pool: &dyn Pool) -> Self {
        Self { order: by_weight(pool) }
    }
}

impl Scheduler for Failover {
    fn pick(&self, pool: &dyn Pool, _flow: &Flow) -> Option<Slot> {
        self.order.iter().copied().find(|&slot| !pool.is_overloaded(slot))
    }

    fn rebuild(&self, pool: &dyn Pool) -> Box<dyn Scheduler> {
        Box::new(Self::new(pool))
    }
}
