//! The least loaded server, found in few steps however many there are.
//!
//! `lc`, `wlc`, `sed` and `nq` differ only in how they measure a server: a load, and the share of it the server
//! is to carry. Two servers compare as fractions, by cross multiplication, as the kernel compares them; of equal
//! ones the first in list order wins. A few servers are simply compared at each choice. Many are kept in a
//! tournament: a tree in whose leaves the servers stand in list order and in which each pair sends its winner up.
//!
//! ```text
//!              B               a change of D is played again on D's way up: 14 matches for 10,000 servers
//!          B       C
//!         A B     C D
//! ```

use std::fmt::Debug;
use std::hint::select_unpredictable;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::pool::{Pool, Slot, slots};
use crate::scheduler::{Flow, Scheduler};

/// The number of servers from which on a tournament is faster than comparing them all.
const TOURNAMENT_FROM: usize = 16;

/// How a scheduler measures servers.
pub(crate) trait Measure: Debug + Send + Sync + 'static {
    /// The load of a server with this many active and inactive connections.
    fn load(active: u32, inactive: u32) -> u64;

    /// The share of a server of this weight, which is not 0.
    fn share(weight: u32) -> u32 {
        weight
    }
}

/// The overhead of `lc`, `wlc`, `lblc`, `lblcr` and `twos`: an active connection weighs as much as 256
/// inactive ones.
pub(crate) const fn overhead(active: u32, inactive: u32) -> u64 {
    active as u64 * 256 + inactive as u64
}

/// What a server enters a comparison with. A share of 0 stands for a server that takes no connections: it wins
/// against nobody. Loads from 2^32 on (16 million active connections) are all one; the kernel's are past their
/// range at half of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bid {
    load: u32,
    share: u32,
    slot: u32,
}

impl Bid {
    const NONE: Self = Self { load: 1, share: 0, slot: u32::MAX };

    fn of<M: Measure>(pool: &dyn Pool, slot: Slot) -> Self {
        let weight = pool.weight(slot);
        if weight.is_quiesced() || pool.is_overloaded(slot) {
            return Self { slot: slot.0, ..Self::NONE };
        }
        let load = u32::try_from(M::load(pool.active(slot), pool.inactive(slot))).unwrap_or(u32::MAX);
        Self { load, share: M::share(weight.get()), slot: slot.0 }
    }

    /// The better of two, of which `self` stands first in list order.
    fn or(self, later: Self) -> Self {
        self.against(later, 0)
    }

    /// The better of two. `place` is 0 if `self` stands first in list order and so keeps a draw, else 1.
    #[inline]
    fn against(self, other: Self, place: u64) -> Self {
        let mine = u64::from(self.load) * u64::from(other.share);
        let its = u64::from(other.load) * u64::from(self.share);
        select_unpredictable(mine + place <= its, self, other)
    }

    fn winner(self) -> Option<Slot> {
        (self.share > 0).then_some(Slot(self.slot))
    }
}

/// Chooses the server with the least load for its share.
#[derive(Debug)]
pub(crate) struct Least<M> {
    tournament: Option<Tournament>,
    measure: PhantomData<M>,
}

impl<M: Measure> Least<M> {
    pub(crate) fn new(pool: &dyn Pool) -> Self {
        let bids = || slots(pool).map(|slot| Bid::of::<M>(pool, slot));
        let tournament = (pool.len() >= TOURNAMENT_FROM).then(|| Tournament::new(bids()));
        Self { tournament, measure: PhantomData }
    }

    pub(crate) fn least(&self, pool: &dyn Pool) -> Option<Slot> {
        let Some(tournament) = &self.tournament else {
            return slots(pool).map(|slot| Bid::of::<M>(pool, slot)).fold(Bid::NONE, Bid::or).winner();
        };
        let mut slot = tournament.champion()?;
        // A server whose mark was set a moment ago may not have been announced yet.
        while pool.is_overloaded(slot) {
            tournament.enter(slot, || Bid::of::<M>(pool, slot));
            slot = tournament.champion()?;
        }
        Some(slot)
    }

    pub(crate) fn note(&self, pool: &dyn Pool, slot: Slot) {
        if let Some(tournament) = &self.tournament {
            tournament.enter(slot, || Bid::of::<M>(pool, slot));
        }
    }
}

impl<M: Measure> Scheduler for Least<M> {
    fn pick(&self, pool: &dyn Pool, _flow: &Flow) -> Option<Slot> {
        self.least(pool)
    }

    fn rebuild(&self, pool: &dyn Pool) -> Box<dyn Scheduler> {
        Box::new(Self::new(pool))
    }

    fn load_changed(&self, pool: &dyn Pool, slot: Slot) {
        self.note(pool, slot);
    }
}

/// The tree, and its winner where it can be read without the lock.
#[derive(Debug)]
struct Tournament {
    champion: AtomicU32,
    matches: Mutex<Matches>,
}

/// `pairs[i]` are the two that meet in match `i`; its winner goes to match `i / 2`, as the first of that pair if
/// `i` is even. Match 1 is the final. Leaf `i` is player `i % 2` of match `i / 2`; slot 0 is leaf `leaves`.
#[derive(Debug)]
struct Matches {
    leaves: usize,
    pairs: Box<[Pair]>,
}

/// Both players of a match lie in one cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Pair([Bid; 2]);

impl Pair {
    fn winner(&self) -> Bid {
        self.0[0].or(self.0[1])
    }
}

impl Tournament {
    fn new(bids: impl ExactSizeIterator<Item = Bid>) -> Self {
        let leaves = bids.len().next_power_of_two().max(2);
        let mut pairs = vec![Pair([Bid::NONE; 2]); leaves].into_boxed_slice();
        for (leaf, bid) in (leaves..).zip(bids) {
            pairs[leaf / 2].0[leaf % 2] = bid;
        }
        for i in (2..leaves).rev() {
            pairs[i / 2].0[i % 2] = pairs[i].winner();
        }
        let champion = AtomicU32::new(pairs[1].winner().slot_or_none());
        Self { champion, matches: Mutex::new(Matches { leaves, pairs }) }
    }

    fn champion(&self) -> Option<Slot> {
        let slot = self.champion.load(Ordering::Relaxed);
        (slot != Bid::NONE.slot).then_some(Slot(slot))
    }

    /// Replaces a server's bid. It is read under the lock, so that of two changes told at once the later lock
    /// holder sees both.
    fn enter(&self, slot: Slot, bid: impl FnOnce() -> Bid) {
        let mut matches = self.matches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(winner) = matches.enter(slot, bid()) {
            self.champion.store(winner.slot_or_none(), Ordering::Relaxed);
        }
    }
}

impl Matches {
    /// Plays the matches on the slot's way up, as far as they bring anything new. Returns the winner of the
    /// final if that was played.
    fn enter(&mut self, slot: Slot, bid: Bid) -> Option<Bid> {
        let mut i = self.leaves + slot.index();
        let mut winner = bid;
        while i > 1 {
            let pair = &mut self.pairs.get_mut(i / 2)?.0;
            let (place, other) = (i % 2, pair[1 - i % 2]);
            if pair[place] == winner {
                return None;
            }
            pair[place] = winner;
            winner = winner.against(other, place as u64);
            i /= 2;
        }
        Some(winner)
    }
}

impl Bid {
    fn slot_or_none(self) -> u32 {
        if self.share > 0 { self.slot } else { Self::NONE.slot }
    }
}
