//! How large the tables of flows are.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::flow::{V4, V6};
use super::record::Reader;

/// A number for each address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Families {
    /// Of IPv4.
    pub v4: u32,
    /// Of IPv6.
    pub v6: u32,
}

impl Families {
    /// The same number for both.
    pub const fn both(number: u32) -> Self {
        Self { v4: number, v6: number }
    }

    pub(super) const fn of_v4(self) -> u32 {
        self.v4
    }

    pub(super) const fn of_v6(self) -> u32 {
        self.v6
    }

    fn map(self, f: impl Fn(u32) -> u32) -> Self {
        Self { v4: f(self.v4), v6: f(self.v6) }
    }
}

/// How large the tables of flows are, and where their hashes begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Flows there may be.
    pub(super) flows: Families,
    /// Homes of each table.
    pub(super) homes: Families,
    pub(super) seed: u64,
}

impl Sizes {
    /// Sizes for so many flows.
    pub(super) fn of(flows: Families) -> Self {
        let flows = flows.map(|flows| flows.max(1));
        // A number that nobody can guess: the standard library seeds its maps so.
        let seed = RandomState::new().build_hasher().finish();
        Self { flows, homes: Families { v4: V4.homes_for(flows.v4), v6: V6.homes_for(flows.v6) }, seed }
    }

    /// Values of each table's map: as large as a home is.
    pub(super) const fn values(self) -> Families {
        let Families { v4, v6 } = self.homes;
        Families { v4: V4.slots(v4) / V4.home, v6: V6.slots(v6) / V6.home }
    }

    /// As `struct cache` has them.
    pub(super) fn decode(cache: &[u8]) -> Self {
        let mut reader = Reader::new(cache);
        let [_epoch, _clock, _version] = [reader.u32(), reader.u32(), reader.u32()];
        let homes4 = reader.u32();
        let seed = reader.u64();
        let (flows4, homes6, flows6) = (reader.u32(), reader.u32(), reader.u32());
        let (flows, homes) = (Families { v4: flows4, v6: flows6 }, Families { v4: homes4, v6: homes6 });
        Self { flows, homes, seed }
    }
}
