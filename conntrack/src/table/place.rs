//! What the map has for one end of flows: hardly ever more than one connection.

use super::crowd::Crowd;
use super::is_alive;
use crate::conn::Conn;
use crate::key::{Direction, FlowKey};
use crate::tick::Tick;
use crate::wheel::Timer;

/// A connection with its number in the wheel.
pub(super) struct Entry<B, T> {
    pub(super) conn: Conn<B, T>,
    pub(super) timer: Timer,
}

/// The connections of one client's end. In the map as it is, so that a lookup need not go elsewhere.
pub(super) enum Place<B, T> {
    /// None; not left in the map.
    Empty,
    /// One connection.
    One(Entry<B, T>),
    /// Several: one client port talks to several services, or two clients' hashes are the same.
    Many(Box<Crowd<B, T>>),
}

impl<B, T> Place<B, T> {
    pub(super) const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The connection `key` names in that direction, if its time is not over at `now`; the newest of several.
    #[inline]
    pub(super) fn find(
        &mut self,
        key: &FlowKey,
        direction: Direction,
        now: Tick,
        held: fn(&B) -> bool,
    ) -> Option<&mut Entry<B, T>> {
        match self {
            Self::Empty => None,
            Self::One(entry) => {
                (entry.conn.has(key, direction) && is_alive(&entry.conn, now, held)).then_some(entry)
            }
            // A copy: whoever's address is given away has to lie in memory, and here a key seldom does.
            Self::Many(crowd) => crowd.find(&key.clone(), direction, now, held),
        }
    }

    /// Reads something in each of the cache's lines that a connection covers.
    #[inline]
    pub(super) fn fetch(&self) {
        if let Self::One(entry) = self {
            entry.conn.fetch();
            std::hint::black_box(entry.timer);
        }
    }

    pub(super) fn timed(&mut self, timer: Timer) -> Option<&mut Entry<B, T>> {
        match self {
            Self::Empty => None,
            Self::One(entry) => (entry.timer == timer).then_some(entry),
            Self::Many(crowd) => crowd.timed(timer),
        }
    }

    /// The number of the connection `key` names in that direction, whether or not its time is over.
    pub(super) fn timer(&self, key: &FlowKey, direction: Direction) -> Option<Timer> {
        match self {
            Self::Empty => None,
            Self::One(entry) => entry.conn.has(key, direction).then_some(entry.timer),
            Self::Many(crowd) => crowd.timer(key, direction),
        }
    }

    /// Adds a connection that is not there; the newest from now on.
    pub(super) fn add(&mut self, entry: Entry<B, T>) {
        *self = match std::mem::replace(self, Self::Empty) {
            Self::Empty => Self::One(entry),
            Self::One(older) => Self::Many(Box::new(Crowd::of(older, entry))),
            Self::Many(mut crowd) => {
                crowd.add(entry);
                Self::Many(crowd)
            }
        };
    }

    /// Takes a connection out by its number.
    pub(super) fn take(&mut self, timer: Timer) -> Option<Conn<B, T>> {
        let (rest, taken) = match std::mem::replace(self, Self::Empty) {
            Self::One(entry) if entry.timer == timer => (Self::Empty, Some(entry.conn)),
            Self::Many(mut crowd) => {
                let taken = crowd.take(timer);
                match crowd.last() {
                    Some(last) => (Self::One(last), taken),
                    None => (Self::Many(crowd), taken),
                }
            }
            rest @ (Self::Empty | Self::One(_)) => (rest, None),
        };
        *self = rest;
        taken
    }
}
