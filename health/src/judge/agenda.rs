//! Which check is due when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::moment::Moment;
use super::probe::ProbeId;

/// The checks that wait for their turn, the next one first.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(Moment, u64, ProbeId)>>,
    next: u64,
}

impl Agenda {
    /// Enters a check; the entry's number tells it from earlier entries of the same check.
    pub(super) fn enter(&mut self, probe: ProbeId, due: Moment) -> (Moment, u64) {
        self.next += 1;
        self.heap.push(Reverse((due, self.next, probe)));
        (due, self.next)
    }

    /// The first entry's moment.
    pub(super) fn first(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse((due, ..))| *due)
    }

    /// Takes the first entry out, if its moment has come.
    pub(super) fn take(&mut self, now: Moment) -> Option<(ProbeId, u64)> {
        let Reverse((due, number, probe)) = *self.heap.peek()?;
        if due > now {
            return None;
        }
        self.heap.pop();
        Some((probe, number))
    }
}
