//! A pool whose servers come and go and whose counts are changed by hand, for the tests.

#![allow(dead_code, reason = "each test program uses another part of it")]

use std::net::SocketAddr;
use std::time::Duration;

use lvs_sched::{Flow, Pool, Slot, Weight};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Server {
    pub(crate) endpoint: SocketAddr,
    pub(crate) weight: u32,
    pub(crate) last_weight: u32,
    pub(crate) active: u32,
    pub(crate) inactive: u32,
    pub(crate) upper: u32,
    pub(crate) overloaded: bool,
}

impl Server {
    pub(crate) fn new(endpoint: SocketAddr, weight: u32) -> Self {
        let (active, inactive, upper) = (0, 0, 0);
        Self { endpoint, weight, last_weight: weight, active, inactive, upper, overloaded: false }
    }

    /// A new connection, and the mark of the upper threshold that comes with it.
    pub(crate) fn connect(&mut self) {
        self.active += 1;
        self.overloaded |= self.upper > 0 && self.active + self.inactive >= self.upper;
    }

    pub(crate) fn edit(&mut self, weight: u32, upper: u32) {
        self.weight = weight;
        if weight > 0 {
            self.last_weight = weight;
        }
        if upper == 0 || upper > self.upper {
            self.overloaded = false;
        }
        self.upper = upper;
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Servers(pub(crate) Vec<Server>);

impl Servers {
    /// Servers with these weights in list order; the first has the highest address, as the newest would.
    pub(crate) fn weighing(weights: &[u32]) -> Self {
        let count = u16::try_from(weights.len()).unwrap();
        Self(weights.iter().zip(0..).map(|(&weight, i)| Server::new(endpoint(count - i), weight)).collect())
    }

    pub(crate) fn find(&self, endpoint: SocketAddr) -> usize {
        self.0.iter().position(|server| server.endpoint == endpoint).unwrap()
    }
}

pub(crate) fn endpoint(number: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    SocketAddr::from(([10, 0, high, low], 80))
}

impl Pool for Servers {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn endpoint(&self, slot: Slot) -> SocketAddr {
        self.0[slot.index()].endpoint
    }

    fn weight(&self, slot: Slot) -> Weight {
        Weight(self.0[slot.index()].weight)
    }

    fn last_weight(&self, slot: Slot) -> Weight {
        Weight(self.0[slot.index()].last_weight)
    }

    fn active(&self, slot: Slot) -> u32 {
        self.0[slot.index()].active
    }

    fn inactive(&self, slot: Slot) -> u32 {
        self.0[slot.index()].inactive
    }

    fn is_overloaded(&self, slot: Slot) -> bool {
        self.0[slot.index()].overloaded
    }
}

pub(crate) fn flow(client: [u8; 4], vip: [u8; 4]) -> Flow {
    let (client, vip) = (client.into(), vip.into());
    Flow { client, client_port: 40_000, vip, service_port: 80, now: Duration::from_secs(1000) }
}

/// Random numbers that come again with the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap() % end
    }

    pub(crate) fn weight(&mut self, highest: usize) -> u32 {
        u32::try_from(self.below(highest + 1)).unwrap()
    }
}
