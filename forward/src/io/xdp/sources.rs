//! The addresses that replies come from: few, and each once, for a flow has no room for one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::claim_maps::address_key;

/// `SOURCES` of `flow.h`.
pub(super) const SOURCES: u32 = 65536;
/// Words of `struct address`.
pub(super) const WORDS: usize = 2;

/// The table `lvsd_source`, in memory that holds its words.
///
/// A place that no flow names any more is used again only after every program that ran then has ended: it may have
/// read the place from a flow that was there.
#[derive(Debug)]
pub(super) struct Sources<M> {
    memory: M,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    places: HashMap<IpAddr, u16>,
    /// How many flows name a place.
    uses: HashMap<u16, u32>,
    free: Vec<u16>,
    /// To be free after a grace period.
    left: Vec<u16>,
    /// The first place that was never used.
    fresh: u32,
}

impl<M: Deref<Target = [AtomicU64]>> Sources<M> {
    /// The table, with the places that flows name, each as often as they do.
    pub(super) fn new(memory: M, named: impl IntoIterator<Item = u16>) -> Self {
        let mut books = Books::default();
        for place in named {
            *books.uses.entry(place).or_default() += 1;
        }
        let sources = Self { memory, books: Mutex::default() };
        books.fresh = books.uses.keys().max().map_or(0, |&place| u32::from(place) + 1);
        let below = (0..books.fresh).filter_map(|place| u16::try_from(place).ok());
        books.free = below.filter(|place| !books.uses.contains_key(place)).collect();
        books.places = books.uses.keys().map(|&place| (sources.get(place), place)).collect();
        *sources.books.lock() = books;
        sources
    }

    /// The place of an address that one more flow is to name; `None` where there is no room. `grace` returns when every
    /// program that runs now has ended; nothing is waited for without it.
    pub(super) fn take(&self, address: IpAddr, grace: Option<&dyn Fn()>) -> Option<u16> {
        let books = &mut *self.books.lock();
        let place = if let Some(&place) = books.places.get(&address) {
            place
        } else {
            let place = books.unused(grace)?;
            self.put(place, address);
            books.places.insert(address, place);
            place
        };
        *books.uses.entry(place).or_default() += 1;
        Some(place)
    }

    /// One flow that named the place is no more.
    pub(super) fn release(&self, place: u16) {
        let books = &mut *self.books.lock();
        let Some(uses) = books.uses.get_mut(&place) else { return };
        *uses -= 1;
        if *uses == 0 {
            books.uses.remove(&place);
            let address = self.get(place);
            if books.places.get(&address) == Some(&place) {
                books.places.remove(&address);
            }
            books.left.push(place);
        }
    }

    /// The address at a place.
    pub(super) fn get(&self, place: u16) -> IpAddr {
        let mut octets = [0; 16];
        for (to, word) in octets.as_chunks_mut().0.iter_mut().zip(self.words(place)) {
            *to = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        Ipv6Addr::from(octets).to_canonical()
    }

    fn put(&self, place: u16, address: IpAddr) {
        let octets = address_key(address);
        // The flow that names the place is written behind this.
        for (word, octets) in self.words(place).iter().zip(octets.as_chunks().0) {
            word.store(u64::from_ne_bytes(*octets), Ordering::Relaxed);
        }
    }

    fn words(&self, place: u16) -> &[AtomicU64] {
        let first = usize::from(place) * WORDS;
        self.memory.get(first..first + WORDS).unwrap_or_default()
    }
}

impl Books {
    /// A place that no flow names and no program knows.
    fn unused(&mut self, grace: Option<&dyn Fn()>) -> Option<u16> {
        if self.free.is_empty()
            && self.fresh >= SOURCES
            && !self.left.is_empty()
            && let Some(grace) = grace
        {
            grace();
            std::mem::swap(&mut self.free, &mut self.left);
        }
        self.free.pop().or_else(|| {
            let place = u16::try_from(self.fresh).ok()?;
            self.fresh += 1;
            Some(place)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn memory() -> Vec<AtomicU64> {
        (0..SOURCES as usize * WORDS).map(|_| AtomicU64::new(0)).collect()
    }

    fn address(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn an_address_has_one_place_while_a_flow_names_it() {
        let sources = Sources::new(memory(), []);
        let v6: IpAddr = "2001:db8::7".parse().unwrap();
        assert_eq!(
            [address(7), v6, address(7)].map(|address| sources.take(address, Some(&|| ()))),
            [Some(0), Some(1), Some(0)]
        );
        assert_eq!((sources.get(0), sources.get(1)), (address(7), v6));
        sources.release(0);
        assert_eq!(sources.take(address(8), Some(&|| ())), Some(2), "one flow names it still");
        assert_eq!(sources.take(address(7), Some(&|| ())), Some(0));
        // Whoever comes later knows the same places, and those between them that nobody names.
        let Sources { memory, .. } = sources;
        let later = Sources::new(memory, [0, 0, 2]);
        assert_eq!([7, 8].map(|number| later.take(address(number), Some(&|| ()))), [Some(0), Some(2)]);
        assert_eq!([9, 10].map(|number| later.take(address(number), Some(&|| ()))), [Some(1), Some(3)]);
    }

    #[test]
    fn a_place_is_used_again_only_after_a_grace_period() {
        let sources = Sources::new(memory(), []);
        let periods = Cell::new(0);
        let take = |number| sources.take(address(number), Some(&|| periods.set(periods.get() + 1)));
        assert!((0..SOURCES).all(|number| take(number).map(u32::from) == Some(number)));
        assert_eq!((take(SOURCES), periods.get()), (None, 0));
        sources.release(77);
        sources.release(78);
        assert_eq!(sources.get(77), address(77), "a program may be at it");
        assert_eq!((take(SOURCES).is_some(), periods.get()), (true, 1));
        assert_eq!((take(SOURCES + 1).is_some(), periods.get()), (true, 1), "one period for all");
        assert_eq!(take(SOURCES + 2), None);
    }
}
