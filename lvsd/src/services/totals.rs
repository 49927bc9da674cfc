//! The counters of all services together: they outlive the services (`ip_vs_tot_stats`).
//!
//! Nothing more is counted for them on the packet path: they are the sum of what each service has counted, those
//! that are gone included.

use std::sync::Arc;

use super::entry::Entry;
use super::meter::Meter;
use crate::destination::{Counters, Stats};
use crate::message::{Stats as Shown, Totals as Listing};

/// What services that are gone have counted, and the reading of the whole.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// By worker.
    gone: Vec<Counters>,
    /// Of services that are gone; a worker may still count on them until it has seen the next snapshot.
    leaving: Vec<Arc<Stats>>,
    meter: Meter,
}

impl Totals {
    /// Takes in the counters of a service that goes.
    pub(super) fn take_in(&mut self, stats: Arc<Stats>) {
        self.leaving.push(stats);
    }

    /// Keeps only the sum of counters that nobody counts on any more.
    pub(super) fn let_go(&mut self) {
        let gone = &mut self.gone;
        self.leaving.retain(|stats| {
            let is_used = Arc::strong_count(stats) > 1;
            if !is_used {
                gone.resize(gone.len().max(stats.lanes()), Counters::default());
                for (lane, sum) in gone.iter_mut().enumerate() {
                    *sum = [*sum, stats.of(lane)].into_iter().sum();
                }
            }
            is_used
        });
    }

    /// Takes the estimator's step.
    pub(super) fn step(&mut self, entries: &[Entry]) {
        let counted = self.counted(entries);
        self.meter.step(counted);
    }

    /// Makes what is counted now the new zero (`ip_vs_zero_all`).
    pub(super) fn zero(&mut self, entries: &[Entry]) {
        let counted = self.counted(entries);
        self.meter.zero(counted);
    }

    /// What is shown, with a row for each of `lanes` workers.
    pub(super) fn read(&self, entries: &[Entry], lanes: usize) -> Listing {
        let of_lane = |lane| -> Counters {
            let gone = self.gone.get(lane).copied().unwrap_or_default();
            self.all(entries).map(|stats| stats.of(lane)).chain([gone]).sum()
        };
        let workers = (0..lanes).map(of_lane).map(|counted| Shown {
            conns: counted.conns,
            in_packets: counted.in_packets,
            out_packets: counted.out_packets,
            in_bytes: counted.in_bytes,
            out_bytes: counted.out_bytes,
            ..Shown::default()
        });
        Listing { total: self.meter.read(self.counted(entries)), workers: workers.collect() }
    }

    fn counted(&self, entries: &[Entry]) -> Counters {
        self.all(entries).map(Stats::sum).chain(self.gone.iter().copied()).sum()
    }

    fn all<'a>(&'a self, entries: &'a [Entry]) -> impl Iterator<Item = &'a Stats> {
        entries.iter().map(Entry::stats).chain(&self.leaving).map(Arc::as_ref)
    }
}
