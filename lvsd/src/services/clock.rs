//! What time does to the registry: estimators, the trash, schedulers that age, connections that expire.

use std::time::Duration;

use lvs_conntrack::Tick;

use super::Registry;

/// The estimator's step.
const STEP: Duration = Duration::from_secs(2);

/// When the next things are due.
#[derive(Debug, Default)]
pub(super) struct Clock {
    next_step: Tick,
}

impl Registry {
    /// Lets time pass until `now`; to be called a few times a second. Connections expire by
    /// [`Plane::sweep`](crate::director::Plane::sweep), which may be called from elsewhere.
    pub fn tick(&mut self, now: Tick) {
        self.trash.tick(now, &mut self.ids);
        if self.clock.next_step > now {
            return;
        }
        // After a long pause one step for each period that passed: the rates have decayed.
        while self.clock.next_step <= now {
            self.clock.next_step = self.clock.next_step + STEP;
            self.estimate();
        }
        for entry in &self.entries {
            if let Some(scheduler) = entry.running().scheduler() {
                scheduler.sweep(now.since_zero());
            }
        }
    }

    fn estimate(&mut self) {
        for entry in &mut self.entries {
            let counted = entry.stats().sum();
            entry.meter.step(counted);
            for server in entry.servers_mut() {
                let counted = server.destination.stats().sum();
                server.meter.step(counted);
            }
        }
    }

    /// With `expire_nodest_conn`, the connections of servers that are gone end now
    /// (`ip_vs_expire_nodest_conn_flush`).
    pub(super) fn expire_unavailable(&self, now: Tick) {
        if self.sysctls.expire_nodest_conn != 0 {
            self.plane.expire_unavailable(now);
        }
    }
}
