//! `lblc`, locality-based least connection: each destination address keeps its server, found as `wlc` finds one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::least::Least;
use crate::locality::{Locality, Places, should_share};
use crate::pool::{Pool, Slot};
use crate::scheduler::{Flow, Scheduler};
use crate::wlc::WeightedLeastConnection;

#[derive(Debug)]
pub(crate) struct Lblc {
    least: Least<WeightedLeastConnection>,
    places: Places,
    servers: Arc<Locality<SocketAddr>>,
}

impl Lblc {
    pub(crate) fn new(seed: u64, pool: &dyn Pool) -> Self {
        Self::with(Arc::new(Locality::new(seed)), pool)
    }

    fn with(servers: Arc<Locality<SocketAddr>>, pool: &dyn Pool) -> Self {
        Self { least: Least::new(pool), places: Places::of(pool), servers }
    }

    /// The server that is kept, if it can serve. An address stays with a server whose upper threshold is
    /// exceeded: `ip_vs_lblc_schedule` does not look at that mark here.
    fn usable(&self, pool: &dyn Pool, kept: Option<&SocketAddr>) -> Option<Slot> {
        let slot = self.places.find(kept?)?;
        (!pool.weight(slot).is_quiesced() && !should_share(pool, slot)).then_some(slot)
    }
}

impl Scheduler for Lblc {
    fn pick(&self, pool: &dyn Pool, flow: &Flow) -> Option<Slot> {
        self.servers.visit(flow.vip, flow.now, |kept| {
            self.usable(pool, kept.as_ref()).or_else(|| {
                let slot = self.least.least(pool)?;
                *kept = Some(pool.endpoint(slot));
                Some(slot)
            })
        })
    }

    /// Addresses whose server is gone keep it: they return to it should it come back before they are served.
    fn rebuild(&self, pool: &dyn Pool) -> Box<dyn Scheduler> {
        Box::new(Self::with(Arc::clone(&self.servers), pool))
    }

    fn load_changed(&self, pool: &dyn Pool, slot: Slot) {
        self.least.note(pool, slot);
    }

    fn expire_after(&self, expiration: Duration) {
        self.servers.set_expiration(expiration);
    }

    fn sweep(&self, now: Duration) {
        self.servers.sweep(now);
    }
}
