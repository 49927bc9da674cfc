//! Several connections in one place of the map, found in logarithmic time however many there are.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::is_alive;
use super::place::Entry;
use crate::conn::Conn;
use crate::key::{Direction, FlowKey};
use crate::tick::Tick;
use crate::wheel::Timer;

pub(super) struct Crowd<B, T> {
    members: BTreeMap<Timer, Member<B, T>>,
    names: BTreeMap<Name, Timer>,
    /// How many there have been.
    ages: u64,
}

struct Member<B, T> {
    entry: Entry<B, T>,
    age: Reverse<u64>,
}

/// A flow that leads to a member. The answers of a server may lead to several: the newest stands first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    direction: Direction,
    key: FlowKey,
    age: Reverse<u64>,
}

impl<B, T> Crowd<B, T> {
    pub(super) fn of(older: Entry<B, T>, newer: Entry<B, T>) -> Self {
        let mut crowd = Self { members: BTreeMap::new(), names: BTreeMap::new(), ages: 0 };
        crowd.add(older);
        crowd.add(newer);
        crowd
    }

    pub(super) fn find(
        &mut self,
        key: &FlowKey,
        direction: Direction,
        now: Tick,
        held: fn(&B) -> bool,
    ) -> Option<&mut Entry<B, T>> {
        let timer = named(&self.names, key, direction).find(|timer| {
            self.members.get(timer).is_some_and(|member| is_alive(&member.entry.conn, now, held))
        })?;
        self.timed(timer)
    }

    pub(super) fn timer(&self, key: &FlowKey, direction: Direction) -> Option<Timer> {
        named(&self.names, key, direction).next()
    }

    pub(super) fn timed(&mut self, timer: Timer) -> Option<&mut Entry<B, T>> {
        self.members.get_mut(&timer).map(|member| &mut member.entry)
    }

    pub(super) fn add(&mut self, entry: Entry<B, T>) {
        self.ages += 1;
        let age = Reverse(self.ages);
        for name in names(&entry.conn, age) {
            self.names.insert(name, entry.timer);
        }
        self.members.insert(entry.timer, Member { entry, age });
    }

    pub(super) fn take(&mut self, timer: Timer) -> Option<Conn<B, T>> {
        let Member { entry, age } = self.members.remove(&timer)?;
        for name in names(&entry.conn, age) {
            self.names.remove(&name);
        }
        Some(entry.conn)
    }

    /// Takes the last member out when there is only one left.
    pub(super) fn last(&mut self) -> Option<Entry<B, T>> {
        if self.members.len() > 1 {
            return None;
        }
        self.members.pop_first().map(|(_, member)| member.entry)
    }
}

/// Who goes by that name, the newest first.
fn named(names: &BTreeMap<Name, Timer>, key: &FlowKey, direction: Direction) -> impl Iterator<Item = Timer> {
    let name = |age| Name { direction, key: *key, age: Reverse(age) };
    names.range(name(u64::MAX)..=name(0)).map(|(_, timer)| *timer)
}

fn names<B, T>(conn: &Conn<B, T>, age: Reverse<u64>) -> impl Iterator<Item = Name> {
    let there = Name { direction: Direction::ToServer, key: *conn.key(), age };
    let back = conn.reply_key().map(|key| Name { direction: Direction::ToClient, key, age });
    [Some(there), back].into_iter().flatten()
}
