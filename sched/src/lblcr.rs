//! `lblcr`, locality-based least connection with replication: each destination address keeps a set of servers,
//! which grows while they are overloaded and shrinks again after a quiet time, a day as a rule.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::least::{Least, overhead};
use crate::locality::{Locality, Places, should_share};
use crate::pool::{Pool, Slot};
use crate::scheduler::{Flow, Scheduler};
use crate::wlc::WeightedLeastConnection;

#[derive(Debug)]
pub(crate) struct Lblcr {
    least: Least<WeightedLeastConnection>,
    places: Places,
    sets: Arc<Locality<ServerSet>>,
}

/// The servers of one destination address, the newest last.
#[derive(Debug)]
struct ServerSet {
    servers: Vec<SocketAddr>,
    changed: Duration,
}

impl ServerSet {
    fn insert(&mut self, server: SocketAddr, now: Duration) {
        if !self.servers.contains(&server) {
            self.servers.push(server);
            self.changed = now;
        }
    }

    /// The servers that still are in the pool, the newest first.
    fn slots(&self, places: &Places) -> impl Iterator<Item = Slot> {
        self.servers.iter().rev().filter_map(|server| places.find(server))
    }

    /// The least loaded for its weight of those that accept connections (`ip_vs_dest_set_min`).
    fn least(&self, pool: &dyn Pool, places: &Places) -> Option<Slot> {
        let open = self.slots(places).filter(|&slot| pool.accepts_new(slot));
        open.reduce(|least, slot| if is_heavier(pool, least, slot) { slot } else { least })
    }

    /// Removes the most loaded for its weight (`ip_vs_dest_set_max`).
    fn shrink(&mut self, pool: &dyn Pool, places: &Places, now: Duration) {
        let weighty = self.slots(places).filter(|&slot| !pool.weight(slot).is_quiesced());
        let most = weighty.reduce(|most, slot| if is_heavier(pool, slot, most) { slot } else { most });
        if let Some(most) = most {
            let most = pool.endpoint(most);
            self.servers.retain(|&server| server != most);
            self.changed = now;
        }
    }

    /// A set that has not changed for a day, or for as long as was asked for, sheds a server.
    fn is_due(&self, now: Duration, expiration: Duration) -> bool {
        self.servers.len() > 1 && now > self.changed + expiration
    }
}

/// True when `one` has more load for its weight than `other`.
fn is_heavier(pool: &dyn Pool, one: Slot, other: Slot) -> bool {
    let load = |slot| u128::from(overhead(pool.active(slot), pool.inactive(slot)));
    let weight = |slot| u128::from(pool.weight(slot).get());
    load(one) * weight(other) > load(other) * weight(one)
}

impl Lblcr {
    pub(crate) fn new(seed: u64, pool: &dyn Pool) -> Self {
        Self::with(Arc::new(Locality::new(seed)), pool)
    }

    fn with(sets: Arc<Locality<ServerSet>>, pool: &dyn Pool) -> Self {
        Self { least: Least::new(pool), places: Places::of(pool), sets }
    }

    fn pick_known(&self, pool: &dyn Pool, set: &mut ServerSet, now: Duration) -> Option<Slot> {
        let kept = set.least(pool, &self.places);
        if set.is_due(now, self.sets.expiration()) {
            set.shrink(pool, &self.places, now);
        }
        kept.filter(|&slot| !should_share(pool, slot)).or_else(|| {
            let slot = self.least.least(pool)?;
            set.insert(pool.endpoint(slot), now);
            Some(slot)
        })
    }
}

impl Scheduler for Lblcr {
    fn pick(&self, pool: &dyn Pool, flow: &Flow) -> Option<Slot> {
        self.sets.visit(flow.vip, flow.now, |kept| {
            if let Some(set) = kept {
                return self.pick_known(pool, set, flow.now);
            }
            let slot = self.least.least(pool)?;
            *kept = Some(ServerSet { servers: vec![pool.endpoint(slot)], changed: flow.now });
            Some(slot)
        })
    }

    /// Servers that are gone stay in their sets: they serve again should they come back.
    fn rebuild(&self, pool: &dyn Pool) -> Box<dyn Scheduler> {
        Box::new(Self::with(Arc::clone(&self.sets), pool))
    }

    fn load_changed(&self, pool: &dyn Pool, slot: Slot) {
        self.least.note(pool, slot);
    }

    fn expire_after(&self, expiration: Duration) {
        self.sets.set_expiration(expiration);
    }

    fn sweep(&self, now: Duration) {
        self.sets.sweep(now);
    }
}
