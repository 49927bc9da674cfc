//! `mh`, Maglev hashing: as `sh`, but few clients change servers when a server comes or goes.

use std::net::SocketAddr;

use crate::flags::Flags;
use crate::hash::{fold, siphash};
use crate::kind::BuildError;
use crate::pool::{Pool, Slot, slots};
use crate::scheduler::{Flow, Scheduler};
use crate::sh::key;
use crate::weights::divisor;

/// The size of the table, a prime: `IP_VS_MH_TAB_SIZE` as Linux is built by default.
const PLACES: u32 = 4093;

/// Half the bits of a place's number: a server takes fewer than 2^6 places at a turn.
const TURN_BITS: u32 = 6;

/// The keys of the two hashes that give a server its way through the table.
const KEYS: [u64; 2] = [2_654_435_761, 2_654_446_892];

#[derive(Debug)]
pub(crate) struct Maglev {
    flags: Flags,
    /// The server of each place; empty when there are none.
    places: Vec<Slot>,
    endpoints: Box<[SocketAddr]>,
}

impl Maglev {
    pub(crate) fn new(flags: Flags, pool: &dyn Pool) -> Result<Self, BuildError> {
        let limit = PLACES as usize;
        if pool.len() > limit {
            return Err(BuildError::TooManyServers { servers: pool.len(), limit });
        }
        let endpoints = slots(pool).map(|slot| pool.endpoint(slot)).collect();
        Ok(Self { flags, places: populate(walkers(pool)), endpoints })
    }

    /// The old table, in which the servers stand that still are there (the kernel keeps it when a server too
    /// many is added).
    fn outgrown(&self, pool: &dyn Pool) -> Self {
        let endpoints: Box<[_]> = slots(pool).map(|slot| pool.endpoint(slot)).collect();
        let moved = |old: &SocketAddr| endpoints.iter().position(|new| new == old).map_or(GONE, Slot::at);
        let moves: Vec<Slot> = self.endpoints.iter().map(moved).collect();
        let place = |slot: &Slot| moves.get(slot.index()).copied().unwrap_or(GONE);
        Self { flags: self.flags, places: self.places.iter().map(place).collect(), endpoints }
    }
}

/// In an outgrown table, the place of a server that is no more.
const GONE: Slot = Slot(u32::MAX);

/// A server on its way through the table.
struct Walker {
    slot: Slot,
    place: u32,
    step: u32,
    /// How many places it takes before the next server's turn.
    turn: u32,
}

/// Every server that ever had a weight. That last weight counts, so that a quiesced server keeps its places.
fn walkers(pool: &dyn Pool) -> Vec<Walker> {
    let weights = || slots(pool).map(|slot| pool.last_weight(slot).get());
    let divisor = divisor(weights()).max(1);
    let highest = weights().max().unwrap_or(0) / divisor;
    let shift = (u32::BITS - highest.leading_zeros()).saturating_sub(TURN_BITS);
    let weighty = slots(pool).zip(weights()).filter(|&(_, weight)| weight > 0);
    let walker = |(slot, weight): (Slot, u32)| {
        let endpoint = pool.endpoint(slot);
        let key = fold(endpoint.ip()).wrapping_add(u32::from(endpoint.port()));
        Walker {
            slot,
            place: siphash(KEYS[0], key) % PLACES,
            step: siphash(KEYS[1], key) % (PLACES - 1) + 1,
            turn: ((weight / divisor) >> shift).max(1),
        }
    };
    weighty.map(walker).collect()
}

/// Lets the servers take places in turn, each the next free one on its way, until none is left
/// (`ip_vs_mh_populate`).
fn populate(mut walkers: Vec<Walker>) -> Vec<Slot> {
    if walkers.is_empty() {
        return Vec::new();
    }
    let mut places: Vec<Option<Slot>> = vec![None; PLACES as usize];
    let mut free = PLACES;
    while free > 0 {
        for walker in &mut walkers {
            for _ in 0..walker.turn.min(free) {
                while places[walker.place as usize].is_some() {
                    walker.place = (walker.place + walker.step) % PLACES;
                }
                places[walker.place as usize] = Some(walker.slot);
                free -= 1;
            }
        }
    }
    places.into_iter().flatten().collect()
}

impl Scheduler for Maglev {
    fn pick(&self, pool: &dyn Pool, flow: &Flow) -> Option<Slot> {
        let key = key(self.flags, flow);
        let place = |offset: u32| siphash(KEYS[0], key.wrapping_add(offset)) % PLACES;
        let usable = |place: u32| {
            self.places.get(place as usize).copied().filter(|&slot| slot != GONE && pool.accepts_new(slot))
        };
        let first = place(0);
        if let Some(slot) = usable(first) {
            return Some(slot);
        }
        if !self.flags.fallback || self.places.is_empty() {
            return None;
        }
        (0..PLACES).find_map(|offset| usable(place((first + offset) % PLACES)))
    }

    fn rebuild(&self, pool: &dyn Pool) -> Box<dyn Scheduler> {
        Box::new(Self::new(self.flags, pool).unwrap_or_else(|_| self.outgrown(pool)))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::pool::Weight;

    /// 10.0.0.1:80, 10.0.0.2:80 and so on with these weights, added in this order: the last stands first.
    struct Numbered(Vec<u32>);

    impl Pool for Numbered {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn endpoint(&self, slot: Slot) -> SocketAddr {
            (Ipv4Addr::new(10, 0, 0, [3, 2, 1][slot.index()]), 80).into()
        }
        fn weight(&self, slot: Slot) -> Weight {
            Weight(self.0[self.0.len() - 1 - slot.index()])
        }
        fn active(&self, _slot: Slot) -> u32 {
            0
        }
        fn inactive(&self, _slot: Slot) -> u32 {
            0
        }
        fn is_overloaded(&self, _slot: Slot) -> bool {
            false
        }
    }

    #[test]
    fn servers_start_and_step_as_the_kernels_do() {
        let walkers = walkers(&Numbered(vec![1, 1, 1]));
        let ways: Vec<_> = walkers.iter().map(|walker| (walker.place, walker.step)).collect();
        assert_eq!(ways, [(1631, 3453), (1231, 3544), (3167, 700)]);
    }

    #[test]
    fn clients_are_looked_up_where_the_kernel_looks() {
        for (client, port, place) in [
            ("192.0.2.1", 0, 2891),
            ("192.0.2.2", 0, 746),
            ("192.0.2.3", 0, 998),
            ("192.0.2.1", 40_000, 3651),
            ("2001:db8::99", 0, 45),
        ] {
            let key = fold(client.parse::<IpAddr>().unwrap()).wrapping_add(port);
            assert_eq!(siphash(KEYS[0], key) % PLACES, place, "{client} {port}");
        }
    }

    #[test]
    fn the_table_fills_as_the_kernels_does() {
        for (weights, counts, first) in [
            ([1, 1, 1], [1364, 1364, 1365], "12233123311221132211323321211332"),
            ([1, 2, 3], [682, 1364, 2047], "32233323311222132331333323221332"),
            ([100, 200, 300], [682, 1364, 2047], "32233323311222132331333323221332"),
            ([1, 1, 1000], [63, 63, 3967], "33333333333333333333333333333333"),
        ] {
            let places = Maglev::new(Flags::default(), &Numbered(weights.to_vec())).unwrap().places;
            let count = |slot| places.iter().filter(|&&place| place == Slot(slot)).count();
            assert_eq!([count(2), count(1), count(0)], counts, "{weights:?}");
            let names: String = places[..32].iter().map(|slot| ['3', '2', '1'][slot.index()]).collect();
            assert_eq!(names, first, "{weights:?}");
        }
    }
}
