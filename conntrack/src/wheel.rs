//! A hierarchical timing wheel that holds every entry once, and never looks at all of them.
//!
//! Five levels of 64 slots. A slot of the lowest level is 16 ms wide, each level's slots are 64 times as wide as
//! those of the level below, so the wheel spans 198 days. An entry stands in the slot of the moment it was last
//! queued for; when that slot's time comes, the entry is handed out, and the caller either ends it or queues it
//! for the moment that holds by then. So an entry whose time was put off a million times costs nothing until
//! its old slot comes up.
//!
//! ```text
//! level 4  |......................#.........|   3.1 days a slot
//! level 3  |...#............................|   70 minutes
//! level 2  |..............#.................|   65.5 s
//! level 1  |.....##.........................|   1.024 s
//! level 0  |..#...#..######.................|   16 ms
//!            ^ cursor: everything before it was handed out
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::tick::Tick;

const LEVELS: u32 = 5;
/// A slot number within a level has this many bits.
const BITS: u32 = 6;
const SLOTS: u64 = 1 << BITS;
/// Milliseconds to granules of 16 ms.
const GRANULE_SHIFT: u32 = 4;
/// The granules the wheel spans.
const SPAN: u64 = 1 << (BITS * LEVELS);
/// A drained slot gives its memory back when it had room for more entries than this.
const KEEP: usize = 64;

/// An entry's own record of where it stands in its wheel. Written only under the wheel's lock.
#[derive(Debug)]
pub(crate) struct Timer {
    /// Slot number in the upper half, index within the slot in the lower; [`Timer::NOWHERE`] outside.
    place: AtomicU64,
    /// The moment the entry is queued for, in milliseconds.
    due: AtomicU64,
}

impl Timer {
    const NOWHERE: u64 = u64::MAX;

    pub(crate) const fn new() -> Self {
        Self { place: AtomicU64::new(Self::NOWHERE), due: AtomicU64::new(0) }
    }

    /// The moment the entry is queued for. Read without the wheel's lock this may be older than the truth, but
    /// never later than the moment the wheel will hand the entry out.
    pub(crate) fn due(&self) -> Tick {
        Tick::from_millis(self.due.load(Ordering::Relaxed))
    }

    fn place(&self) -> Option<(usize, usize)> {
        let place = self.place.load(Ordering::Relaxed);
        (place != Self::NOWHERE).then(|| (half(place >> 32), half(place & u64::from(u32::MAX))))
    }

    fn put(&self, slot: usize, index: usize) {
        self.place.store((slot as u64) << 32 | index as u64, Ordering::Relaxed);
    }

    fn leave(&self) {
        self.place.store(Self::NOWHERE, Ordering::Relaxed);
    }
}

/// What can stand in a wheel.
pub(crate) trait Timed {
    fn timer(&self) -> &Timer;
}

pub(crate) struct Wheel<E> {
    /// Every granule before this one was handed out.
    cursor: u64,
    /// One bit for each slot that holds an entry.
    occupied: [u64; LEVELS as usize],
    slots: Vec<Vec<Arc<E>>>,
}

impl<E: Timed> Wheel<E> {
    pub(crate) fn new() -> Self {
        Self {
            cursor: 0,
            occupied: [0; LEVELS as usize],
            slots: (0..LEVELS).flat_map(|_| 0..SLOTS).map(|_| Vec::new()).collect(),
        }
    }

    /// Queues `entry` for `due`. An entry that already stands for an earlier moment stays there.
    pub(crate) fn schedule(&mut self, entry: &Arc<E>, due: Tick) {
        let timer = entry.timer();
        if timer.place().is_some() {
            if timer.due() <= due {
                return;
            }
            self.cancel(entry);
        }
        let (level, slot) = self.locate(due);
        self.occupied[level] |= 1 << slot;
        let number = level * half(SLOTS) + slot;
        timer.put(number, self.slots[number].len());
        timer.due.store(due.as_millis(), Ordering::Relaxed);
        self.slots[number].push(Arc::clone(entry));
    }

    /// Takes `entry` out, wherever it stands.
    pub(crate) fn cancel(&mut self, entry: &Arc<E>) {
        if let Some((number, index)) = entry.timer().place() {
            self.take(number, index);
        }
    }

    /// Moves up to `max` entries into `batch` whose slot has come by `now`. Each stands nowhere then: the caller
    /// ends it or queues it again. Fewer than `max` means that there are no more for now.
    pub(crate) fn take_due(&mut self, now: Tick, max: usize, batch: &mut Vec<Arc<E>>) {
        let limit = now.as_millis() >> GRANULE_SHIFT;
        let full = batch.len() + max;
        while batch.len() < full {
            let Some((level, slot, start)) = self.next_occupied().filter(|&(_, _, start)| start <= limit)
            else {
                self.cursor = self.cursor.max(limit);
                return;
            };
            self.cursor = self.cursor.max(start);
            let number = level * half(SLOTS) + slot;
            if level == 0 && start == limit {
                self.take_part(number, now, full, batch);
                return;
            }
            while batch.len() < full {
                let Some(index) = self.slots[number].len().checked_sub(1) else { break };
                batch.extend(self.take(number, index));
            }
        }
    }

    /// The slot at the present granule: only what is due by the millisecond is taken.
    fn take_part(&mut self, number: usize, now: Tick, full: usize, batch: &mut Vec<Arc<E>>) {
        for index in (0..self.slots[number].len()).rev() {
            if batch.len() == full {
                return;
            }
            if self.slots[number][index].timer().due() <= now {
                batch.extend(self.take(number, index));
            }
        }
    }

    /// The level, slot and first granule of the slot that comes up next.
    ///
    /// The slots of a level below the cursor's own are empty. Above level 0 the cursor's own is, too, unless it
    /// was handed out in part: then it goes first, for what is left in it may belong before all others.
    fn next_occupied(&self) -> Option<(usize, usize, u64)> {
        let next = |(level, occupied): (u32, u64)| {
            let shift = BITS * level;
            let here = self.cursor >> shift & (SLOTS - 1);
            let ahead = occupied >> here << here;
            (ahead != 0).then(|| {
                let slot = u64::from(ahead.trailing_zeros());
                let base = self.cursor >> shift >> BITS << BITS;
                (level as usize, half(slot), (base | slot) << shift)
            })
        };
        (0..LEVELS).zip(self.occupied).rev().filter_map(next).min_by_key(|&(_, _, start)| start)
    }

    /// The level and slot for `due`: the highest level at which its granule differs from the cursor.
    fn locate(&self, due: Tick) -> (usize, usize) {
        let last = self.cursor | (SPAN - 1);
        let granule = (due.as_millis() >> GRANULE_SHIFT).clamp(self.cursor, last);
        let level = ((granule ^ self.cursor) | 1).ilog2() / BITS;
        (level as usize, half(granule >> (BITS * level) & (SLOTS - 1)))
    }

    fn take(&mut self, number: usize, index: usize) -> Option<Arc<E>> {
        let slot = self.slots.get_mut(number)?;
        if index >= slot.len() {
            return None;
        }
        let entry = slot.swap_remove(index);
        entry.timer().leave();
        if let Some(moved) = slot.get(index) {
            moved.timer().put(number, index);
        }
        if slot.is_empty() {
            if slot.capacity() > KEEP {
                *slot = Vec::new();
            }
            let per_level = half(SLOTS);
            self.occupied[number / per_level] &= !(1 << (number % per_level));
        }
        Some(entry)
    }
}

/// A number that was made from two `u32` or is below 64, as an index.
#[allow(clippy::cast_possible_truncation, reason = "at most 32 bits by construction")]
const fn half(value: u64) -> usize {
    value as usize
}

#[cfg(test)]
mod tests;
