//! `wrr`, weighted round robin: laps over the list, from the highest weight downwards.
//!
//! The kernel's walk (`ip_vs_wrr_schedule`) keeps a server and a weight. It goes on through the list to the next
//! server that has at least this weight; at the end of the list the weight drops by the weights' greatest common
//! divisor and, below 1, starts again at the top. Divided by that divisor the weights become *heights*, and the
//! walk's weight a *level* from the top height down to 1:
//!
//! ```text
//!  weights 30 20 10, divisor 10     level 3:  A
//!   A A A                           level 2:  A B
//!   B B .                           level 1:  A B C       one cycle: A, A B, A B C
//!   C . .
//! ```
//!
//! Here the servers of the present level are kept as a set of bits, to which each lower level adds its own, so
//! that no choice looks at servers which are too low.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::bits::Bits;
use crate::pool::{Pool, Slot, slots};
use crate::scheduler::{Flow, Scheduler};
use crate::turn::{Held, Turn};
use crate::weights::divisor;

/// The walk's place before the first server.
const HEAD: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct WeightedRoundRobin {
    /// The greatest common divisor of the weights, 1 if there are none.
    divisor: u32,
    /// The servers with a weight, by height from the highest down, equal ones in list order.
    heights: Box<[Height]>,
    turn: Turn,
    walk: Walk,
}

#[derive(Debug, Clone, Copy)]
struct Height {
    levels: u32,
    slot: Slot,
}

/// What changes from choice to choice; touched only in one's turn.
#[derive(Debug)]
struct Walk {
    /// The server chosen last, or `HEAD`.
    at: AtomicU32,
    /// The level of the present lap; 0 only while there is no server with a weight.
    level: AtomicU32,
    /// The servers that reach the level: the first `admitted` of the heights.
    standing: Bits,
    admitted: AtomicUsize,
}

impl WeightedRoundRobin {
    pub(crate) fn new(pool: &dyn Pool) -> Self {
        Self::starting(pool, |_, top| top)
    }

    /// `level` gets the divisor and the top level and says at which level to begin.
    fn starting(pool: &dyn Pool, level: impl FnOnce(u32, u32) -> u32) -> Self {
        let weights = || slots(pool).map(|slot| pool.weight(slot).get());
        let divisor = divisor(weights()).max(1);
        let levels = slots(pool).zip(weights()).filter(|&(_, weight)| weight > 0);
        let mut heights: Vec<_> =
            levels.map(|(slot, weight)| Height { levels: weight / divisor, slot }).collect();
        heights.sort_by_key(|height| (std::cmp::Reverse(height.levels), height.slot));
        let level = level(divisor, heights.first().map_or(0, |height| height.levels));
        let new = Self {
            divisor,
            heights: heights.into_boxed_slice(),
            turn: Turn::default(),
            walk: Walk {
                at: AtomicU32::new(HEAD),
                level: AtomicU32::new(0),
                standing: Bits::new(pool.len()),
                admitted: AtomicUsize::new(0),
            },
        };
        new.lower_to(level);
        new
    }

    fn top(&self) -> u32 {
        self.heights.first().map_or(0, |height| height.levels)
    }

    /// The weight a server needs at the present level; the kernel's `cw`.
    fn needed(&self) -> u32 {
        let _held = self.turn.take();
        match self.walk.level.load(Ordering::Relaxed) {
            0 => 0,
            level => (level - 1) * self.divisor + 1,
        }
    }

    /// Goes down to `level` and admits the servers that reach it. Returns how many were there before.
    fn lower_to(&self, level: u32) -> usize {
        self.walk.level.store(level, Ordering::Relaxed);
        let before = self.walk.admitted.load(Ordering::Relaxed);
        let mut admitted = before;
        while let Some(height) = self.heights.get(admitted).filter(|height| height.levels >= level) {
            self.walk.standing.insert(height.slot);
            admitted += 1;
        }
        self.walk.admitted.store(admitted, Ordering::Relaxed);
        before
    }

    /// Goes back up to the top level.
    fn restart(&self) {
        let top = self.top();
        let admitted = self.walk.admitted.load(Ordering::Relaxed);
        if admitted > 0 && self.heights[admitted - 1].levels < top {
            self.walk.standing.clear();
            self.walk.admitted.store(0, Ordering::Relaxed);
        }
        self.lower_to(top);
    }

    /// The first server of the level from slot `from` on that is not overloaded.
    fn standing(&self, pool: &dyn Pool, from: usize) -> Option<Slot> {
        let mut slot = self.walk.standing.next(from)?;
        while pool.is_overloaded(slot) {
            slot = self.walk.standing.next(slot.index() + 1)?;
        }
        Some(slot)
    }

    fn found(&self, slot: Slot) -> Slot {
        self.walk.at.store(slot.0, Ordering::Relaxed);
        slot
    }

    /// The lap is at its end: whole laps follow until one has a server, or all have been seen.
    ///
    /// `ip_vs_wrr_schedule` gives up at the end of the lap at level 1 if the walk began before the first server
    /// or went down to it from a higher level; else in the next such lap, at the server the walk began at. (The
    /// servers behind that one were looked at before anything else.)
    fn next_laps(&self, pool: &dyn Pool, _held: &Held<'_>, began: u32) -> Option<Slot> {
        let mut level = self.walk.level.load(Ordering::Relaxed);
        let mut restarted = false;
        if level > 1 {
            self.lower_to(level - 1);
        } else {
            self.restart();
            if began == HEAD {
                return self.give_up(HEAD);
            }
            restarted = true;
        }
        if let Some(slot) = self.standing(pool, 0) {
            return Some(self.found(slot));
        }
        // From here on every server that stands is overloaded: only those of new levels need a look.
        loop {
            level = self.walk.level.load(Ordering::Relaxed);
            if level == 1 {
                return self.seen_all(restarted, began);
            }
            let next = self.heights.get(self.walk.admitted.load(Ordering::Relaxed));
            let before = self.lower_to(next.map_or(1, |height| height.levels));
            let added = &self.heights[before..self.walk.admitted.load(Ordering::Relaxed)];
            if let Some(height) = added.iter().find(|height| !pool.is_overloaded(height.slot)) {
                return Some(self.found(height.slot));
            }
        }
    }

    /// Level 1 is done and nobody was found.
    fn seen_all(&self, restarted: bool, began: u32) -> Option<Slot> {
        if restarted {
            return self.give_up(began);
        }
        self.restart();
        self.give_up(HEAD)
    }

    fn give_up(&self, at: u32) -> Option<Slot> {
        self.walk.at.store(at, Ordering::Relaxed);
        None
    }
}

impl Scheduler for WeightedRoundRobin {
    fn pick(&self, pool: &dyn Pool, _flow: &Flow) -> Option<Slot> {
        if self.heights.is_empty() {
            return None;
        }
        let held = self.turn.take();
        let began = self.walk.at.load(Ordering::Relaxed);
        let start = if began == HEAD { 0 } else { Slot(began).index() + 1 };
        match self.standing(pool, start) {
            Some(slot) => Some(self.found(slot)),
            None => self.next_laps(pool, &held, began),
        }
    }

    /// The lap begins again at the first server. The weight it asks for stays near where it was: cut to the top,
    /// or down to a level of the new divisor (`ip_vs_wrr_dest_changed`).
    fn rebuild(&self, pool: &dyn Pool) -> Box<dyn Scheduler> {
        let needed = self.needed();
        Box::new(Self::starting(pool, |divisor, top| {
            let highest = if top == 0 { 0 } else { (top - 1) * divisor + 1 };
            if needed > highest || needed == 0 {
                top
            } else if divisor > 1 {
                needed / divisor + 1
            } else {
                needed
            }
        }))
    }
}
