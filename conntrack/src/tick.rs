//! Time as an argument: milliseconds since a moment the caller chose.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment, in milliseconds since the caller's own zero. Nothing here reads a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(u64);

impl Tick {
    /// The caller's zero.
    pub const ZERO: Self = Self(0);

    /// The moment `millis` milliseconds after zero.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since zero.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment `seconds` later: the sum that each packet's timer takes, without a [`Duration`]'s divisions.
    #[inline]
    pub(crate) const fn after_seconds(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds as u64 * 1000))
    }

    /// The time since zero.
    pub const fn since_zero(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// The time from `earlier` to here; nothing when `earlier` is the later one.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Tick {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Tick {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}
