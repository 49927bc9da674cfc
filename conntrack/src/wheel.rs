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
//!
//! A slot is a ring of nodes, linked by their numbers, that begins and ends at a node of the slot's own. So an
//! entry can be taken out of the middle, and whoever owns the entry keeps no more of it than a number.

use crate::tick::Tick;

const LEVELS: u32 = 5;
/// A slot number within a level has this many bits.
const BITS: u32 = 6;
const SLOTS: u32 = 1 << BITS;
/// Milliseconds to granules of 16 ms.
const GRANULE_SHIFT: u32 = 4;
/// The granules the wheel spans.
const SPAN: u64 = 1 << (BITS * LEVELS);

/// In place of a neighbour's number: handed out, and in no slot.
const NOWHERE: u32 = u32::MAX;
/// In place of a neighbour's number: nobody's, to be used again.
const FREE: u32 = u32::MAX - 1;

/// An entry's number in its wheel, from [`Wheel::add`] to [`Wheel::remove`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer(u32);

/// A wheel of what `E` says where to find.
pub(crate) struct Wheel<E> {
    /// Every granule before this one was handed out.
    cursor: u64,
    /// One bit for each slot that holds an entry.
    occupied: [u64; LEVELS as usize],
    /// First one node for each slot, then the entries'.
    nodes: Vec<Node<E>>,
    /// The first of the nodes to be used again.
    free: u32,
}

struct Node<E> {
    entry: E,
    /// The moment the entry is queued for.
    due: Tick,
    previous: u32,
    next: u32,
}

impl<E: Clone + Default> Wheel<E> {
    pub(crate) fn new() -> Self {
        let slot = |number| Node { entry: E::default(), due: Tick::ZERO, previous: number, next: number };
        Self {
            cursor: 0,
            occupied: [0; LEVELS as usize],
            nodes: (0..LEVELS * SLOTS).map(slot).collect(),
            free: NOWHERE,
        }
    }

    /// Takes an entry in and queues it for `due`.
    pub(crate) fn add(&mut self, entry: E, due: Tick) -> Timer {
        let node = Node { entry, due, previous: NOWHERE, next: NOWHERE };
        let number = if self.free == NOWHERE {
            if self.nodes.len() == self.nodes.capacity() {
                // By an eighth: doubled, half of it might be idle.
                self.nodes.reserve_exact(self.nodes.len() / 8);
            }
            self.nodes.push(node);
            narrow(self.nodes.len() as u64 - 1)
        } else {
            let number = self.free;
            self.free = self.node(number).next;
            *self.node(number) = node;
            number
        };
        self.link(number, due);
        Timer(number)
    }

    /// Queues an entry for `due`. One that already stands for an earlier moment stays there.
    pub(crate) fn schedule(&mut self, timer: Timer, due: Tick) {
        let node = self.node(timer.0);
        match node.previous {
            FREE => return,
            NOWHERE => {}
            _ if node.due <= due => return,
            _ => self.unlink(timer.0),
        }
        self.link(timer.0, due);
    }

    /// Takes an entry out, wherever it stands. Its number may be given to another.
    pub(crate) fn remove(&mut self, timer: Timer) {
        match self.node(timer.0).previous {
            FREE => return,
            NOWHERE => {}
            _ => self.unlink(timer.0),
        }
        let free = self.free;
        let node = self.node(timer.0);
        node.entry = E::default();
        (node.previous, node.next) = (FREE, free);
        self.free = timer.0;
    }

    /// Appends up to `max` entries to `batch` whose slot has come by `now`. Each stands nowhere then: the caller
    /// removes it or queues it again. Fewer than `max` means that there are no more for now.
    pub(crate) fn take_due(&mut self, now: Tick, max: usize, batch: &mut Vec<(Timer, E)>) {
        let limit = now.as_millis() >> GRANULE_SHIFT;
        let full = batch.len() + max;
        while batch.len() < full {
            let Some((slot, start)) = self.next_occupied().filter(|&(_, start)| start <= limit) else {
                self.cursor = self.cursor.max(limit);
                return;
            };
            self.cursor = self.cursor.max(start);
            // Of the slot at the present granule only what is due by the millisecond is taken.
            let partly = slot < SLOTS && start == limit;
            let mut number = self.node(slot).next;
            while number != slot && batch.len() < full {
                let node = self.node(number);
                let next = node.next;
                if !partly || node.due <= now {
                    batch.push((Timer(number), node.entry.clone()));
                    self.unlink(number);
                }
                number = next;
            }
            if partly {
                return;
            }
        }
    }

    /// Appends to `batch` the entries among the `count` numbers after `from`, and says from where to go on; `None`
    /// when there are no more. The wheel may change between two calls: what stays in it comes exactly once.
    pub(crate) fn list(&self, from: usize, count: usize, batch: &mut Vec<(Timer, E)>) -> Option<usize> {
        let from = from.max((LEVELS * SLOTS) as usize);
        let end = self.nodes.len().min(from + count);
        let numbered = self.nodes.iter().enumerate().take(end).skip(from);
        let taken = numbered.filter(|(_, node)| node.previous != FREE);
        batch.extend(taken.map(|(number, node)| (Timer(narrow(number as u64)), node.entry.clone())));
        (end < self.nodes.len()).then_some(end)
    }

    /// How many numbers were given out, those included that are to be used again.
    pub(crate) const fn numbers(&self) -> usize {
        self.nodes.len() - (LEVELS * SLOTS) as usize
    }

    /// The entry at a place among [`numbers`](Self::numbers), if the number there is in use.
    pub(crate) fn numbered(&self, place: usize) -> Option<(Timer, E)> {
        let number = place + (LEVELS * SLOTS) as usize;
        let node = self.nodes.get(number).filter(|node| node.previous != FREE)?;
        Some((Timer(narrow(number as u64)), node.entry.clone()))
    }

    /// The slot that comes up next, and its first granule.
    ///
    /// The slots of a level below the cursor's own are empty. Above level 0 the cursor's own is, too, unless it
    /// was handed out in part: then it goes first, for what is left in it may belong before all others.
    fn next_occupied(&self) -> Option<(u32, u64)> {
        let next = |(level, occupied): (u32, u64)| {
            let shift = BITS * level;
            let here = self.cursor >> shift & u64::from(SLOTS - 1);
            let ahead = occupied >> here << here;
            (ahead != 0).then(|| {
                let slot = ahead.trailing_zeros();
                let base = self.cursor >> shift >> BITS << BITS;
                (level * SLOTS + slot, (base | u64::from(slot)) << shift)
            })
        };
        (0..LEVELS).zip(self.occupied).rev().filter_map(next).min_by_key(|&(_, start)| start)
    }

    /// The slot for `due`, on the highest level at which its granule differs from the cursor.
    fn locate(&self, due: Tick) -> u32 {
        let last = self.cursor | (SPAN - 1);
        let granule = (due.as_millis() >> GRANULE_SHIFT).clamp(self.cursor, last);
        let level = ((granule ^ self.cursor) | 1).ilog2() / BITS;
        level * SLOTS + narrow(granule >> (BITS * level) & u64::from(SLOTS - 1))
    }

    /// Puts a node that stands nowhere at the end of the slot for `due`.
    fn link(&mut self, number: u32, due: Tick) {
        let slot = self.locate(due);
        self.occupied[(slot / SLOTS) as usize] |= 1 << (slot % SLOTS);
        let last = self.node(slot).previous;
        self.node(slot).previous = number;
        self.node(last).next = number;
        let node = self.node(number);
        (node.due, node.previous, node.next) = (due, last, slot);
    }

    fn unlink(&mut self, number: u32) {
        let node = self.node(number);
        let (previous, next) = (node.previous, node.next);
        (node.previous, node.next) = (NOWHERE, NOWHERE);
        self.node(previous).next = next;
        self.node(next).previous = previous;
        if previous == next && next < LEVELS * SLOTS {
            self.occupied[(next / SLOTS) as usize] &= !(1 << (next % SLOTS));
        }
    }

    /// How many nodes there are, those of slots and those to be used again included.
    #[cfg(test)]
    pub(crate) const fn size(&self) -> usize {
        self.nodes.len()
    }

    fn node(&mut self, number: u32) -> &mut Node<E> {
        &mut self.nodes[number as usize]
    }
}

/// A slot's number, or a node's: four billion nodes would be a hundred gigabytes.
#[allow(clippy::cast_possible_truncation, reason = "never that large")]
const fn narrow(value: u64) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests;
