//! A count as a lifetime: what a connection or a template adds to its destination goes with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::Destination;

/// Under which of a destination's counts something is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// An active connection.
    Active,
    /// An inactive connection: not yet established, closing, or of a protocol without states.
    Inactive,
    /// A persistence template.
    Persistent,
}

/// One connection's (or template's) part of a destination's counts, given back on drop; with a note, for which there
/// is room beside it.
#[derive(Debug)]
pub struct Lease<N = ()> {
    destination: Arc<Destination>,
    counted: Counted,
    note: N,
}

impl Lease {
    /// Counts one more under `counted`.
    pub fn take(destination: &Arc<Destination>, counted: Counted) -> Self {
        Self::noted(Arc::clone(destination), counted, ())
    }
}

impl<N> Lease<N> {
    /// Counts one more under `counted` and keeps the note.
    pub fn noted(destination: Arc<Destination>, counted: Counted, note: N) -> Self {
        counter(&destination, counted).fetch_add(1, Relaxed);
        destination.mark_after_bind();
        destination.tell_load();
        Self { destination, counted, note }
    }

    /// The note.
    pub const fn note(&self) -> &N {
        &self.note
    }

    /// The note, to be changed.
    pub const fn note_mut(&mut self) -> &mut N {
        &mut self.note
    }

    /// The destination.
    pub const fn destination(&self) -> &Arc<Destination> {
        &self.destination
    }

    /// Under which count this is held.
    pub const fn counted(&self) -> Counted {
        self.counted
    }

    /// Moves a connection between the active and the inactive count. A template stays what it is.
    pub fn set_active(&mut self, active: bool) {
        let counted = if active { Counted::Active } else { Counted::Inactive };
        if self.counted == Counted::Persistent || self.counted == counted {
            return;
        }
        counter(&self.destination, counted).fetch_add(1, Relaxed);
        counter(&self.destination, self.counted).fetch_sub(1, Relaxed);
        self.counted = counted;
        self.destination.tell_load();
    }
}

impl<N> Drop for Lease<N> {
    fn drop(&mut self) {
        counter(&self.destination, self.counted).fetch_sub(1, Relaxed);
        self.destination.mark_after_unbind();
        self.destination.tell_load();
    }
}

const fn counter(destination: &Destination, counted: Counted) -> &AtomicU32 {
    match counted {
        Counted::Active => &destination.active,
        Counted::Inactive => &destination.inactive,
        Counted::Persistent => &destination.persistent,
    }
}
