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
        self.totals.let_go();
        self.defend(now);
        if self.plane.path_mtus().settle(now) {
            self.publish();
        }
        if self.clock.next_step > now {
            return;
        }
        self.plane.pull_counters();
        // After a long pause one step for each period that passed: the rates have decayed.
        while self.clock.next_step <= now {
            self.clock.next_step = self.clock.next_step + STEP;
            // The rates stay as they are meanwhile (`estimation_timer`).
            if self.sysctls.run_estimation != 0 {
                self.estimate();
            }
        }
        for entry in self.entries.iter() {
            if let Some(scheduler) = entry.running().scheduler() {
                scheduler.sweep(now.since_zero());
            }
        }
    }

    fn estimate(&mut self) {
        self.totals.step(&self.entries);
        for entry in self.entries.iter_mut() {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::director::Plane;
    use crate::message::{Request, Response, ServiceId, Transport, VirtualService};

    /// Connections a second of a service that was given 100 and then two seconds.
    fn rate(run_estimation: &str) -> u64 {
        let mut registry = Registry::new(Arc::new(Plane::new(1, 10, 1)), 1);
        registry.tick(Tick::ZERO);
        let vip = "203.0.113.1".parse().unwrap();
        let service = VirtualService {
            id: ServiceId::Address { transport: Transport::Tcp, vip, port: 80 },
            scheduler: "rr".into(),
            flags: 0,
            persistent: None,
            netmask: 32,
            persistence_engine: None,
            one_packet: false,
        };
        assert_eq!(registry.apply(Request::AddService(service), Tick::ZERO), Response::Done);
        registry.set_sysctl("run_estimation", run_estimation).unwrap();
        (0..100).for_each(|_| registry.entries[0].stats().conn(0));
        registry.tick(Tick::from_millis(2000));
        let entry = &registry.entries[0];
        entry.meter.read(entry.stats().sum()).cps
    }

    #[test]
    fn rates_are_estimated_unless_run_estimation_is_0() {
        assert_eq!(rate("1"), 12);
        assert_eq!(rate("0"), 0);
    }
}
