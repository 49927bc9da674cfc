//! A moment on the clock that its caller tells the judge the time by.

use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Time since some beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Moment(Duration);

impl Moment {
    /// This long after the beginning.
    pub const fn after(beginning: Duration) -> Self {
        Self(beginning)
    }

    /// How long it was since `earlier`; nothing if that was later.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// How long after the beginning it is.
    pub const fn since_beginning(self) -> Duration {
        self.0
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}
