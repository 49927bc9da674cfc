//! Packet counters of a service or a destination: one cell per worker, so that no two workers write one line.

use std::iter::Sum;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters, summed over the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Connections scheduled.
    pub conns: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Bytes from clients, from the IP header on.
    pub in_bytes: u64,
    /// Packets to clients.
    pub out_packets: u64,
    /// Bytes to clients, from the IP header on.
    pub out_bytes: u64,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Cell {
    conns: AtomicU64,
    in_packets: AtomicU64,
    in_bytes: AtomicU64,
    out_packets: AtomicU64,
    out_bytes: AtomicU64,
}

impl Cell {
    fn read(&self) -> Counters {
        Counters {
            conns: self.conns.load(Relaxed),
            in_packets: self.in_packets.load(Relaxed),
            in_bytes: self.in_bytes.load(Relaxed),
            out_packets: self.out_packets.load(Relaxed),
            out_bytes: self.out_bytes.load(Relaxed),
        }
    }
}

impl Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(counters: I) -> Self {
        counters.fold(Self::default(), |sum, counted| Self {
            conns: sum.conns + counted.conns,
            in_packets: sum.in_packets + counted.in_packets,
            in_bytes: sum.in_bytes + counted.in_bytes,
            out_packets: sum.out_packets + counted.out_packets,
            out_bytes: sum.out_bytes + counted.out_bytes,
        })
    }
}

/// The counters of all workers.
#[derive(Debug)]
pub struct Stats(Box<[Cell]>);

impl Stats {
    /// Counters for `lanes` workers, at least one.
    pub fn new(lanes: usize) -> Self {
        Self((0..lanes.max(1)).map(|_| Cell::default()).collect())
    }

    /// How many workers there are counters for.
    pub fn lanes(&self) -> usize {
        self.0.len()
    }

    /// Counts a connection scheduled by worker `lane`.
    pub fn conn(&self, lane: usize) {
        if let Some(cell) = self.0.get(lane) {
            add(&cell.conns, 1);
        }
    }

    /// Counts a packet of `bytes` from a client.
    #[inline]
    pub fn packet_in(&self, lane: usize, bytes: u64) {
        if let Some(cell) = self.0.get(lane) {
            add(&cell.in_packets, 1);
            add(&cell.in_bytes, bytes);
        }
    }

    /// Counts a packet of `bytes` to a client.
    #[inline]
    pub fn packet_out(&self, lane: usize, bytes: u64) {
        if let Some(cell) = self.0.get(lane) {
            add(&cell.out_packets, 1);
            add(&cell.out_bytes, bytes);
        }
    }

    /// Counts all of this at once.
    pub fn add(&self, lane: usize, more: &Counters) {
        if let Some(cell) = self.0.get(lane) {
            add(&cell.conns, more.conns);
            add(&cell.in_packets, more.in_packets);
            add(&cell.in_bytes, more.in_bytes);
            add(&cell.out_packets, more.out_packets);
            add(&cell.out_bytes, more.out_bytes);
        }
    }

    /// The sum over all workers.
    pub fn sum(&self) -> Counters {
        self.0.iter().map(Cell::read).sum()
    }

    /// What worker `lane` has counted.
    pub fn of(&self, lane: usize) -> Counters {
        self.0.get(lane).map(Cell::read).unwrap_or_default()
    }
}

/// A lane has one writer, so a load and a store are enough; no locked instruction is needed.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}
