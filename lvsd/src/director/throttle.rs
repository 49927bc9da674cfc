//! How many of the packets that would begin a connection are dropped while the host is under attack.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The rate, set by the control thread and read by the workers: nobody writes to its line otherwise.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Throttle(AtomicU64);

/// One worker's count of new packets. Each worker drops one in so many of its own.
#[derive(Debug, Default)]
pub(super) struct Countdown {
    round: u32,
    left: i32,
}

impl Throttle {
    /// From now on one in `rate` new packets is dropped; none with 0. A new round makes the counts begin again, as
    /// the kernel does each second in which memory is short (`update_defense_level`).
    pub(crate) fn set(&self, rate: i32, begins_round: bool) {
        let round = (self.0.load(Relaxed) >> 32).wrapping_add(u64::from(begins_round));
        self.0.store(round << 32 | u64::from(rate.cast_unsigned()), Relaxed);
    }

    fn read(&self) -> (u32, i32) {
        let both = self.0.load(Relaxed);
        #[allow(clippy::cast_possible_truncation, reason = "each half is a number of its own")]
        ((both >> 32) as u32, (both as u32).cast_signed())
    }
}

impl Countdown {
    /// True for a new packet that is to be dropped (`ip_vs_todrop`).
    pub(super) fn is_over(&mut self, throttle: &Throttle) -> bool {
        let (round, rate) = throttle.read();
        if rate == 0 {
            return false;
        }
        if self.round != round {
            *self = Self { round, left: rate };
        }
        self.left = self.left.saturating_sub(1);
        if self.left > 0 {
            return false;
        }
        self.left = rate;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_so_many_is_dropped_and_a_new_round_counts_from_the_start() {
        let throttle = Throttle::default();
        let mut countdown = Countdown::default();
        let mut dropped = |throttle: &Throttle, packets| {
            (1..=packets).filter(|_| countdown.is_over(throttle)).collect::<Vec<i32>>()
        };
        assert!(dropped(&throttle, 10).is_empty(), "nothing was set");
        throttle.set(4, false);
        assert_eq!(dropped(&throttle, 10), [1, 5, 9]);
        throttle.set(4, true);
        assert_eq!(dropped(&throttle, 9), [4, 8]);
        throttle.set(1, false);
        assert_eq!(dropped(&throttle, 6), [3, 4, 5, 6], "the old count runs out first");
        throttle.set(-3, false);
        assert_eq!(dropped(&throttle, 2), [1, 2], "the kernel takes it, and drops all");
        throttle.set(0, false);
        assert!(dropped(&throttle, 5).is_empty());
    }
}
