//! Tells a service's scheduler that the load of one of its destinations changed.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use lvs_sched::Slot;

use super::Destination;
use crate::services::Service;

/// Who is told of a destination's load, and by which slot it knows the destination.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The service; weak, since the service holds the destination.
    pub(crate) service: Weak<Service>,
    /// The destination's place in the service's pool.
    pub(crate) slot: Slot,
}

impl Destination {
    /// From now on `watch` is told; nobody with `None`.
    pub(crate) fn set_watch(&self, watch: Option<Watch>) {
        let is_watched = watch.is_some();
        self.watch.store(watch.map(Arc::new));
        self.is_watched.store(is_watched, Relaxed);
    }

    /// Only schedulers that keep the load in order of their own are told (the registry sets no other watch).
    pub(super) fn tell_load(&self) {
        // Most schedulers keep no order, and a look at a flag is all they cost.
        if self.is_watched.load(Relaxed)
            && let Some(watch) = self.watch.load().as_deref()
            && let Some(service) = watch.service.upgrade()
        {
            service.load_changed(watch.slot);
        }
    }
}
