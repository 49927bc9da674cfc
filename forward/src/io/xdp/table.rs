//! A hash table that one writes while the XDP program reads it: the flows.
//!
//! ```text
//! slot: | key .. | last word of the key: ports, protocol and three octets more | value ..        |
//!                  0: free; the protocol is DEAD: was removed                     reach, in the home slot: how far
//!                                                                                 to look
//! ```
//!
//! A flow lies in its home, one slot or two that its key's hash names, or shortly behind its first. The last word of the key is written
//! last and made [`DEAD`] first: who reads it sees a whole flow or none. A dead slot may still be looked at by a
//! program that found it living, so it becomes free only after every program that ran at its end has ended (a grace
//! period of the kernel's RCU). All that is in the table survives the writer's sudden end at any point.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// `WINDOW` of `flow.h`.
const WINDOW: usize = 64;
/// The octet of the last word of a key that says the protocol, and what it says of a flow that was removed. The others
/// stay as they are: a program may be at it.
const PROTO_OCTET: usize = 4;
const DEAD: u8 = u8::MAX;
/// The octets of the last word that are the key's: `KEY_PART` of `flow.h`.
const KEY_PART: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]);
/// The word of the value that holds the reach, `flow.reach` of `flow.h`, and which of its octets that is.
const REACH: usize = 1;
const REACH_OCTET: usize = 7;
/// Words of the longest slot.
const LONGEST: usize = 8;

/// A slot's words: key, then value.
pub(super) type Slot = [u64; LONGEST];

/// What a slot is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Words of the key.
    pub(super) key: usize,
    /// Words of all.
    pub(super) slot: usize,
    /// Slots of a home.
    pub(super) home: u32,
}

/// What became of a flow that was to go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is one more.
    New,
    /// It took the place of what was known of it.
    Replaced,
    /// There is no room.
    NoRoom,
    /// There is room after a grace period, which was not to be waited for.
    Later,
}

/// The table, in memory that holds a multiple of its slots' words.
#[derive(Debug)]
pub(super) struct Table<M> {
    memory: M,
    shape: Shape,
    /// How many homes there are; behind them lies one window more.
    homes: u32,
    seed: u64,
    /// How many flows there may be.
    limit: usize,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    live: usize,
    dead: Vec<usize>,
}

const fn is_dead(state: u64) -> bool {
    state.to_ne_bytes()[PROTO_OCTET] == DEAD
}

/// The state of a flow that is removed.
const fn dead(state: u64) -> u64 {
    let mut octets = state.to_ne_bytes();
    octets[PROTO_OCTET] = DEAD;
    u64::from_ne_bytes(octets)
}

impl Shape {
    /// How many homes so many flows take: two thirds more slots than flows, so that next to none is far from its home.
    pub(super) const fn homes_for(self, flows: u32) -> u32 {
        flows.saturating_add(flows / 3 * 2 + 2).div_ceil(self.home)
    }

    /// How many slots there are with so many homes.
    pub(super) const fn slots(self, homes: u32) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "a small constant")]
        homes.saturating_mul(self.home).saturating_add(WINDOW as u32)
    }
}

impl<M: Deref<Target = [AtomicU64]>> Table<M> {
    /// The table in `memory`, with whatever is in it.
    pub(super) fn new(memory: M, shape: Shape, homes: u32, seed: u64, limit: u32) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let table = Self { memory, shape, homes, seed, limit, books: Mutex::default() };
        let mut books = Books::default();
        table.for_each_used(|at, state| {
            if is_dead(state) {
                books.dead.push(at);
            } else {
                books.live += 1;
            }
        });
        *table.books.lock() = books;
        table
    }

    /// How many flows there are.
    pub(super) fn len(&self) -> usize {
        self.books.lock().live
    }

    /// Takes a flow in, in place of what was known of it, which is returned. `grace` returns when every program that
    /// runs now has ended; nothing is waited for without it.
    pub(super) fn insert(&self, slot: &Slot, grace: Option<&dyn Fn()>) -> (Inserted, Option<Slot>) {
        let books = &mut *self.books.lock();
        let found = self.find(slot);
        if found.is_none() && books.live >= self.limit {
            return (Inserted::NoRoom, None);
        }
        let home = self.home(slot);
        let mut place = self.free_behind(home);
        if place.is_none() && books.dead.iter().any(|at| (home..home + WINDOW).contains(at)) {
            let Some(grace) = grace else { return (Inserted::Later, None) };
            self.clear(books, grace);
            place = self.free_behind(home);
        }
        if let Some(at) = place {
            self.write(home, at, slot);
            books.live += 1;
        }
        // Last: whenever this process ends, the flow is there.
        let old = found.map(|at| self.take_out(books, at));
        let inserted = match (place, &old) {
            (None, _) => Inserted::NoRoom,
            (Some(_), None) => Inserted::New,
            (Some(_), Some(_)) => Inserted::Replaced,
        };
        (inserted, old)
    }

    /// Makes the dead slots free, if they are many. Others may use the table while `grace` is waited for.
    pub(super) fn tidy(&self, grace: &dyn Fn()) {
        let dead = {
            let books = &mut *self.books.lock();
            if books.dead.len() <= self.count() / 16 {
                return;
            }
            std::mem::take(&mut books.dead)
        };
        grace();
        let _books = self.books.lock();
        self.free(dead);
    }

    /// What is known of the flow with this slot's key.
    pub(super) fn get(&self, key: &Slot) -> Option<Slot> {
        let _books = self.books.lock();
        self.find(key).map(|at| self.read(at))
    }

    /// Takes a flow out and says what was known of it.
    pub(super) fn remove(&self, key: &Slot) -> Option<Slot> {
        let books = &mut *self.books.lock();
        let at = self.find(key)?;
        Some(self.take_out(books, at))
    }

    fn take_out(&self, books: &mut Books, at: usize) -> Slot {
        let state = self.state(at);
        self.bury(books, at);
        // Counters stand still from here on but for a program that is at it this moment.
        let mut slot = self.read(at);
        slot[self.shape.key - 1] = state;
        slot
    }

    /// Changes what stands in every flow's last word of the key beside the key.
    pub(super) fn amend(&self, change: impl Fn(u64) -> u64) {
        let _books = self.books.lock();
        self.for_each_used(|at, state| {
            let changed = state & KEY_PART | change(state) & !KEY_PART;
            self.word(at, self.shape.key - 1).store(changed, Ordering::Release);
        });
    }

    /// Runs `f` on every flow; what comes or goes meanwhile may be missed.
    pub(super) fn for_each(&self, mut f: impl FnMut(Slot)) {
        self.for_each_used(|at, state| {
            let slot = self.read(at);
            // The flow may have been replaced between two of its words.
            if !is_dead(state) && slot[self.shape.key - 1] == state && self.state(at) == state {
                f(slot);
            }
        });
    }

    /// Runs `f` on every slot that is not free, with its state. Most are free, and are passed over with one look: a
    /// start waits for this.
    fn for_each_used(&self, mut f: impl FnMut(usize, u64)) {
        let words: &[AtomicU64] = &self.memory;
        let mut word = self.shape.key - 1;
        for at in 0..self.count() {
            let state = words[word].load(Ordering::Acquire);
            if state != 0 {
                f(at, state);
            }
            word += self.shape.slot;
        }
    }

    fn count(&self) -> usize {
        usize::try_from(self.shape.slots(self.homes))
            .unwrap_or(usize::MAX)
            .min(self.memory.len() / self.shape.slot)
    }

    fn word(&self, at: usize, word: usize) -> &AtomicU64 {
        &self.memory[at * self.shape.slot + word]
    }

    fn state(&self, at: usize) -> u64 {
        self.word(at, self.shape.key - 1).load(Ordering::Acquire)
    }

    fn read(&self, at: usize) -> Slot {
        let state = self.state(at);
        let mut slot = [0; LONGEST];
        for (word, value) in slot.iter_mut().enumerate().take(self.shape.slot) {
            *value = self.word(at, word).load(Ordering::Relaxed);
        }
        slot[self.shape.key - 1] = state;
        slot
    }

    /// `find4()` and its hash, of `find.h`.
    fn home(&self, slot: &Slot) -> usize {
        let mix = |hash: u64, &word: &u64| {
            let hash = (hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
            hash ^ hash >> 32
        };
        let last = self.shape.key - 1;
        let hash = slot[..last].iter().chain([&(slot[last] & KEY_PART)]).fold(self.seed, mix);
        let home = ((hash & u64::from(u32::MAX)) * u64::from(self.homes)) >> 32;
        usize::try_from(home * u64::from(self.shape.home)).unwrap_or(0)
    }

    fn find(&self, key: &Slot) -> Option<usize> {
        let home = self.home(key);
        let last = self.shape.key - 1;
        let is_it = |&at: &usize| {
            (self.state(at) ^ key[last]) & KEY_PART == 0
                && (0..last).all(|word| self.word(at, word).load(Ordering::Acquire) == key[word])
        };
        (home..=home + self.reach(home)).find(is_it)
    }

    fn free_behind(&self, home: usize) -> Option<usize> {
        (home..home + WINDOW).find(|&at| self.state(at) == 0)
    }

    fn reach(&self, home: usize) -> usize {
        let word = self.word(home, self.shape.key + REACH).load(Ordering::Relaxed);
        usize::from(word.to_ne_bytes()[REACH_OCTET]).min(WINDOW - 1)
    }

    fn set_reach(&self, home: usize, reach: usize) {
        // The program may mark the flow in the slot as closed meanwhile.
        let changed = |word: u64| {
            let mut octets = word.to_ne_bytes();
            octets[REACH_OCTET] = u8::try_from(reach).unwrap_or(u8::MAX);
            Some(u64::from_ne_bytes(octets))
        };
        let word = self.word(home, self.shape.key + REACH);
        let _ = word.fetch_update(Ordering::Release, Ordering::Relaxed, changed);
    }

    /// Writes a flow into a free slot, its key's last word last.
    fn write(&self, home: usize, at: usize, slot: &Slot) {
        let reach = self.reach(at);
        let last = self.shape.key - 1;
        for word in (0..self.shape.slot).filter(|&word| word != last) {
            self.word(at, word).store(slot[word], Ordering::Relaxed);
        }
        self.set_reach(at, reach);
        if at - home > self.reach(home) {
            self.set_reach(home, at - home);
        }
        self.word(at, last).store(slot[last], Ordering::Release);
    }

    fn bury(&self, books: &mut Books, at: usize) {
        let slot = self.read(at);
        let home = self.home(&slot);
        let last = self.shape.key - 1;
        self.word(at, last).store(dead(slot[last]), Ordering::Release);
        books.dead.push(at);
        books.live -= 1;
        if at - home == self.reach(home) && at > home {
            let is_of_home = |&at: &usize| {
                let slot = self.read(at);
                let state = slot[self.shape.key - 1];
                state != 0 && !is_dead(state) && self.home(&slot) == home
            };
            let farthest = (home + 1..at).rev().find(is_of_home).unwrap_or(home);
            self.set_reach(home, farthest - home);
        }
    }

    /// Makes the dead slots free.
    fn clear(&self, books: &mut Books, grace: &dyn Fn()) {
        grace();
        self.free(std::mem::take(&mut books.dead));
    }

    fn free(&self, dead: Vec<usize>) {
        for at in dead {
            self.word(at, self.shape.key - 1).store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use super::*;

    const V4: Shape = Shape { key: 2, slot: 4, home: 2 };
    const V6: Shape = Shape { key: 5, slot: 8, home: 1 };

    fn table(shape: Shape, limit: u32) -> Table<Vec<AtomicU64>> {
        let homes = shape.homes_for(limit);
        let words = usize::try_from(shape.slots(homes)).unwrap() * shape.slot;
        Table::new((0..words).map(|_| AtomicU64::new(0)).collect(), shape, homes, 77, limit)
    }

    fn slot(shape: Shape, number: u64, value: u64) -> Slot {
        let mut slot = [0; LONGEST];
        slot[0] = number;
        slot[shape.key - 1] |= u64::from_ne_bytes([0, 0, 0, 0, 17, 0, 0, 0]);
        slot[shape.key] = value;
        slot
    }

    #[test]
    fn it_is_a_map_whatever_comes_and_goes() {
        for shape in [V4, V6] {
            let table = table(shape, 300);
            let mut model = BTreeMap::new();
            let mut dice: u64 = 0x2545_f491_4f6c_dd1d;
            let periods = Cell::new(0);
            for _ in 0..100_000 {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                let (number, value) = (dice >> 40 & 511, dice >> 20 & 0xffff);
                let slot = slot(shape, number, value);
                match dice & 3 {
                    0 => assert_eq!(table.remove(&slot).map(|slot| slot[shape.key]), model.remove(&number)),
                    1 => {
                        assert_eq!(table.get(&slot).map(|slot| slot[shape.key]), model.get(&number).copied());
                    }
                    _ => {
                        let right = match (model.contains_key(&number), model.len() < 300) {
                            (true, _) => Inserted::Replaced,
                            (false, true) => Inserted::New,
                            (false, false) => Inserted::NoRoom,
                        };
                        assert_eq!(table.insert(&slot, Some(&|| periods.set(periods.get() + 1))).0, right);
                        if right != Inserted::NoRoom {
                            model.insert(number, value);
                        }
                    }
                }
                assert_eq!(table.len(), model.len());
            }
            let mut all = BTreeMap::new();
            table.for_each(|slot| assert!(all.insert(slot[0], slot[shape.key]).is_none()));
            assert_eq!(all, model);
            assert!((1..5000).contains(&periods.get()), "{} grace periods", periods.get());
            // Whoever comes later finds the same.
            let Table { memory, homes, seed, .. } = table;
            let later = Table::new(memory, shape, homes, seed, 300);
            assert_eq!(later.len(), model.len());
            assert!(model.iter().all(|(&number, &value)| {
                later.get(&slot(shape, number, 0)).is_some_and(|slot| slot[shape.key] == value)
            }));
        }
    }

    #[test]
    fn a_slot_is_not_used_again_before_its_readers_have_ended() {
        let table = table(V4, 1);
        let periods = Cell::new(0);
        let insert = |number| table.insert(&slot(V4, number, 0), Some(&|| periods.set(periods.get() + 1))).0;
        assert_eq!(insert(1), Inserted::New);
        let first = table.find(&slot(V4, 1, 0)).unwrap();
        assert_eq!(insert(1), Inserted::Replaced);
        assert_ne!(table.find(&slot(V4, 1, 0)).unwrap(), first);
        assert!(is_dead(table.state(first)) && periods.get() == 0);
    }

    #[test]
    fn who_cannot_wait_is_told_so_and_finds_room_once_it_is_tidied() {
        let shape = Shape { home: 1, ..V4 };
        let table = table(shape, 1);
        let mut number = 0;
        // One flow at a time, until those that were removed fill what is behind their homes.
        let refused = loop {
            number += 1;
            assert!(number < 1000, "nothing was ever full");
            let inserted = table.insert(&slot(shape, number, 0), None).0;
            if inserted != Inserted::New {
                break inserted;
            }
            assert!(table.remove(&slot(shape, number, 0)).is_some());
        };
        assert_eq!((refused, table.len()), (Inserted::Later, 0));
        let periods = Cell::new(0);
        table.tidy(&|| {
            periods.set(periods.get() + 1);
            assert_eq!(table.len(), 0, "it can be used meanwhile");
        });
        assert_eq!(table.insert(&slot(shape, number, 0), None).0, Inserted::New);
        table.tidy(&|| periods.set(periods.get() + 1));
        assert_eq!(periods.get(), 1, "with nothing to tidy nothing is waited for");
    }

    #[test]
    fn as_many_have_room_as_were_asked_for() {
        let table = table(V4, 20_000);
        let turned_away = (0..20_000_u64)
            .filter(|number| table.insert(&slot(V4, number << 13, 0), Some(&|| ())).0 != Inserted::New)
            .count();
        assert_eq!(turned_away, 0);
        assert_eq!(table.insert(&slot(V4, 1, 0), Some(&|| ())).0, Inserted::NoRoom);
    }

    #[test]
    fn what_was_far_away_is_not_looked_for_for_ever() {
        let table = table(V4, 2000);
        for number in 0..2000 {
            table.insert(&slot(V4, number, 0), Some(&|| ()));
        }
        let reach = || (0..table.count()).map(|home| table.reach(home)).max().unwrap();
        assert!(reach() > 3);
        for number in 0..2000 {
            table.remove(&slot(V4, number, 0)).unwrap();
        }
        assert_eq!(reach(), 0);
    }

    #[test]
    fn what_is_decided_changes_and_the_key_stays() {
        for shape in [V4, V6] {
            let table = table(shape, 10);
            let last = shape.key - 1;
            let mut decided = slot(shape, 1, 7);
            decided[last] |= u64::from_ne_bytes([0, 0, 0, 0, 0, 9, 0, 80]);
            assert_eq!(table.insert(&decided, Some(&|| ())).0, Inserted::New);
            assert_eq!(table.get(&slot(shape, 1, 0)).unwrap()[..shape.slot], decided[..shape.slot]);
            table.amend(|_| 0);
            assert_eq!(table.get(&decided).unwrap()[last], slot(shape, 1, 0)[last]);
            table.amend(|_| u64::MAX / 3);
            // Who is at the flow when it goes still reads what was decided.
            let at = table.find(&decided).unwrap();
            table.remove(&decided).unwrap();
            assert_eq!(table.state(at) & !KEY_PART, (u64::MAX / 3) & !KEY_PART);
            assert_eq!(table.get(&decided), None);
        }
    }
}
