//! A point in time.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on a clock that never steps, as the time since the clock's own zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(Duration);

impl Tick {
    /// The clock's zero.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The point so long after the clock's zero.
    pub const fn at(since_zero: Duration) -> Self {
        Self(since_zero)
    }

    /// How long after the clock's zero it is.
    pub const fn since_zero(self) -> Duration {
        self.0
    }
}

impl Add<Duration> for Tick {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub for Tick {
    type Output = Duration;

    /// How much later it is than `earlier`; zero where it is not.
    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
