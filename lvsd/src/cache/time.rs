//! The program's time and the director's.

use std::time::Duration;

use lvs_conntrack::Tick;
use nix::time::{ClockId, clock_gettime};

/// Where the program has its time from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// The kernel's monotonic clock, in units of 2^20 nanoseconds.
    Kernel,
    /// It is told: milliseconds of the director's own, and one.
    Told(u32),
}

impl Clock {
    /// The clock, by what the program is told of the time.
    pub(super) const fn of(setting: u32) -> Self {
        if setting == 0 { Self::Kernel } else { Self::Told(setting) }
    }

    /// The moment that the program calls `seen`, which is not long ago; now it is `now`.
    pub(super) fn moment(self, seen: u32, now: Tick) -> Tick {
        match self {
            Self::Told(_) => Tick::from_millis(u64::from(seen.saturating_sub(1))),
            Self::Kernel => now - Duration::from_nanos(u64::from(since(units(), seen)) << 20),
        }
    }
}

/// Units from `seen` to `present`, over a turn of the counter; none where `seen` is the later one.
const fn since(present: u32, seen: u32) -> u32 {
    let passed = present.wrapping_sub(seen);
    if passed > u32::MAX / 2 { 0 } else { passed }
}

/// The kernel's time, as the program has it.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the counter turns over every 52 days; monotonic time is not negative"
)]
fn units() -> u32 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map(|time| Duration::new(time.tv_sec() as u64, time.tv_nsec() as u32));
    (time.unwrap_or_default().as_nanos() >> 20) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_so_long_ago() {
        assert_eq!((since(7, 5), since(5, 7), since(1, u32::MAX)), (2, 0, 2));
        let now = Tick::from_millis(100_000);
        let ago = now.saturating_since(Clock::Kernel.moment(units().wrapping_sub(1000), now));
        assert!((1048..1060).contains(&ago.as_millis()), "{ago:?}");
        assert_eq!(Clock::Told(9).moment(6, now), Tick::from_millis(5));
    }
}
