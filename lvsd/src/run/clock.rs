//! The one clock everything in the daemon is told the time by.

use std::time::Instant;

use lvs_conntrack::Tick;

/// Milliseconds since the daemon started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    /// A clock that shows zero now.
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// The time.
    pub(super) fn now(self) -> Tick {
        Tick::from_millis(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}
