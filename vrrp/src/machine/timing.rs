//! How long to wait for a master (RFC 9568, section 6.1; RFC 3768, section 6.1).

use std::time::Duration;

use crate::declared::Version;

/// The intervals a backup goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timing {
    version: Version,
    /// The master's: its adverts say it in version 3, all have the same in version 2.
    interval: Duration,
    adverts: u32,
}

impl Timing {
    pub(super) fn new(interval: Duration, adverts: u8, version: Version) -> Self {
        Self { version, interval, adverts: adverts.max(1).into() }
    }

    /// Takes the interval that the master's adverts say.
    pub(super) const fn learn(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// `Skew_Time`: the lower the priority, the longer; in version 2 it does not depend on the interval.
    pub(super) fn skew(self, priority: u8) -> Duration {
        let unit = match self.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.interval,
        };
        unit * (256 - u32::from(priority)) / 256
    }

    /// `Active_Down_Interval`.
    pub(super) fn down_interval(self, priority: u8) -> Duration {
        self.interval * self.adverts + self.skew(priority)
    }
}
