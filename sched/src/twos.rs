//! `twos`, the power of two choices: two servers drawn by weight, and the less loaded of them.
//!
//! The kernel adds up the weights of the servers that accept connections, draws two numbers from 0 to that sum
//! and counts each down over the list; where it reaches 0 or less, that server is drawn. Number 0 falls to the
//! first server beside its own. Here the sums stand ready and overloaded servers are drawn again, which gives
//! every server the same chances.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::least::overhead;
use crate::pool::{Pool, Slot, slots};
use crate::scheduler::{Flow, Scheduler};

/// After as many overloaded draws the servers that are left are counted.
const DRAWS: usize = 32;

#[derive(Debug)]
pub(crate) struct TwoChoices {
    /// Each server with a weight, and the sum of the weights up to its own.
    sums: Box<[(u64, Slot)]>,
    random: AtomicU64,
}

impl TwoChoices {
    pub(crate) fn new(seed: u64, pool: &dyn Pool) -> Self {
        let mut total = 0;
        let mut sums = Vec::with_capacity(pool.len());
        for slot in slots(pool).filter(|&slot| !pool.weight(slot).is_quiesced()) {
            total += u64::from(pool.weight(slot).get());
            sums.push((total, slot));
        }
        Self { sums: sums.into_boxed_slice(), random: AtomicU64::new(seed) }
    }

    /// A number from 0 to `highest` (`SplitMix64`, scaled down).
    fn random(&self, highest: u64) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.random.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let wide = u128::from(mixed ^ mixed >> 31) * (u128::from(highest) + 1);
        u64::try_from(wide >> 64).unwrap_or(highest)
    }

    fn draw(&self, pool: &dyn Pool) -> Option<Slot> {
        let total = self.sums.last()?.0;
        for _ in 0..DRAWS {
            let ticket = self.random(total);
            if ticket == 0 {
                return self.open(pool).next().map(|(_, slot)| slot);
            }
            let (_, slot) = self.sums[self.sums.partition_point(|&(sum, _)| sum < ticket)];
            if !pool.is_overloaded(slot) {
                return Some(slot);
            }
        }
        self.draw_counted(pool)
    }

    /// The kernel's way: one lap to add up the weights, one to count the ticket down.
    fn draw_counted(&self, pool: &dyn Pool) -> Option<Slot> {
        let total = self.open(pool).map(|(weight, _)| weight).sum();
        let mut ticket = self.random(total);
        self.open(pool).find_map(|(weight, slot)| {
            let reached = ticket <= weight;
            ticket = ticket.saturating_sub(weight);
            reached.then_some(slot)
        })
    }

    fn open(&self, pool: &dyn Pool) -> impl Iterator<Item = (u64, Slot)> {
        let all = self.sums.iter().map(|&(_, slot)| (u64::from(pool.weight(slot).get()), slot));
        all.filter(|&(_, slot)| !pool.is_overloaded(slot))
    }
}

/// Overhead times weight in 32 bits, as the kernel multiplies here.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "the kernel's arithmetic is an int's"
)]
fn product(pool: &dyn Pool, loaded: Slot, weighing: Slot) -> i32 {
    let overhead = overhead(pool.active(loaded), pool.inactive(loaded)) as i32;
    overhead.wrapping_mul(pool.weight(weighing).get() as i32)
}

impl Scheduler for TwoChoices {
    fn pick(&self, pool: &dyn Pool, _flow: &Flow) -> Option<Slot> {
        let first = self.draw(pool)?;
        let second = self.draw(pool)?;
        Some(if product(pool, first, second) > product(pool, second, first) { second } else { first })
    }

    fn rebuild(&self, pool: &dyn Pool) -> Box<dyn Scheduler> {
        Box::new(Self::new(self.random.load(Ordering::Relaxed), pool))
    }
}
