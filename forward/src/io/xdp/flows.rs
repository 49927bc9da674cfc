//! The flows that the XDP program forwards by itself, and what it needs to know of their servers and ways.
//!
//! The source is `forward/bpf/flow.h`. User space decides about a flow and writes the decision here; the program
//! repeats it for each packet that begins and ends nothing, counts it, and leaves all others to the director.
//!
//! ```text
//! flow -- epoch: counts only while it is the cache's
//!     |-- server: is it still a service's? where is it, what tunnel leads there; counters
//!     |-- path: for replies, the way to the client
//!     `-- source: for replies, the address they come from
//! ```

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use libbpf_rs::{MapCore, MapFlags, MapHandle, Object};
use lvs_conntrack::FlowKey;

use super::claim_maps::update;
use super::counted::{Outcomes, Tally};
use super::error::ProgramError;
use super::flow::{Flow, FlowRewrite, Stored, V4, V6, WORD, decode_key, shape_of, slot_of, without_epoch};
use super::mapped::Mapped;
use super::program::map;
use super::record::{Reader, Record};
use super::server::{
    Egress, FlowServer, IDENTITY, PATH, SERVER, SERVERS, encode_path, encode_server, identity_in,
};
use super::sizes::{Families, Sizes};
use super::sources::{self, SOURCES, Sources};
use super::table::{Inserted, Shape, Slot, Table};
use crate::io::sys;
use crate::rewrite::Path;

/// `CACHE_VERSION` of `flow.h`.
pub(super) const VERSION: u32 = 4;
/// Servers that are read with one call.
const BATCH: u32 = 1024;

/// The maps of the program that hold flows.
#[derive(Debug)]
pub struct Flows {
    v4: Table<Mapped>,
    v6: Table<Mapped>,
    sizes: Sizes,
    sources: Sources<Mapped>,
    servers: MapHandle,
    paths: MapHandle,
    tallies: MapHandle,
    cache: MapHandle,
    outcomes: MapHandle,
}

impl Flows {
    /// The maps of an object that was loaded with sizes of its own, or with the maps of a predecessor.
    pub(super) fn of(object: &Object, own: Option<Sizes>) -> Result<Self, ProgramError> {
        let cache = map(object, "lvsd_cache")?;
        let sizes = match own {
            Some(sizes) => sizes,
            None => Sizes::decode(&Self::read(&cache, &0_u32.to_ne_bytes())?.unwrap_or_default()),
        };
        let table =
            |name, shape, family: fn(Families) -> u32| table(&map(object, name)?, shape, &sizes, family);
        let v4 = table("lvsd_flow4", V4, Families::of_v4)?;
        let v6 = table("lvsd_flow6", V6, Families::of_v6)?;
        let mut named = Vec::new();
        for (table, shape) in [(&v4, V4), (&v6, V6)] {
            table.for_each(|slot| named.extend(Stored::read(&slot, shape).source()));
        }
        let sources = map(object, "lvsd_source")?;
        let words = SOURCES as usize * sources::WORDS;
        let memory = Mapped::new(sources.as_fd(), words)
            .map_err(|source| ProgramError::map(&sources, source.into()))?;
        let flows = Self {
            v4,
            v6,
            sizes,
            sources: Sources::new(memory, named),
            servers: map(object, "lvsd_server")?,
            paths: map(object, "lvsd_path")?,
            tallies: map(object, "lvsd_tally")?,
            cache,
            outcomes: map(object, "lvsd_cached")?,
        };
        if own.is_some() {
            flows.set_epoch(0, 0)?;
        }
        Ok(flows)
    }

    /// True where the flows' maps have the shape that is known here.
    pub(super) fn fit(maps: &BTreeMap<String, MapHandle>) -> bool {
        let octets_of = |octets| u32::try_from(octets).unwrap_or(u32::MAX);
        let octets = |shape: Shape| octets_of(shape.slot * WORD * shape.home as usize);
        let shapes = [
            ("lvsd_flow4", octets(V4)),
            ("lvsd_flow6", octets(V6)),
            ("lvsd_server", octets_of(SERVER)),
            ("lvsd_path", octets_of(PATH)),
            ("lvsd_source", octets_of(sources::WORDS * WORD)),
            ("lvsd_cache", 40),
        ];
        shapes.iter().all(|&(name, value)| maps.get(name).is_some_and(|map| map.value_size() == value))
    }

    /// How many flows there may be.
    pub const fn size(&self) -> Families {
        self.sizes.flows
    }

    /// True while one flow in eight or more is missing of those that have room, in both families.
    pub fn has_room(&self) -> bool {
        let has_room = |table: &Table<Mapped>, size: u32| table.len() < size as usize / 8 * 7;
        has_room(&self.v4, self.sizes.flows.v4) && has_room(&self.v6, self.sizes.flows.v6)
    }

    /// How many flows there are.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// True while there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Begins an epoch: only flows of it are forwarded; none while it is 0. `clock` is the time that flows are said
    /// to be seen at, 0 for the kernel's own: the monotonic clock in units of 2^20 nanoseconds.
    ///
    /// # Errors
    /// [`ProgramError::Map`]
    pub fn set_epoch(&self, epoch: u8, clock: u32) -> Result<(), ProgramError> {
        let Sizes { flows, homes, seed } = self.sizes;
        let record = Record::<40>::new().u32(epoch.into()).u32(clock).u32(VERSION).u32(homes.v4).u64(seed);
        let record = record.u32(flows.v4).u32(homes.v6).u32(flows.v6).u32(0);
        update(&self.cache, &0_u32.to_ne_bytes(), record.octets())
    }

    /// The epoch there is; `None` where the maps are of another version.
    ///
    /// # Errors
    /// [`ProgramError::Map`]
    pub fn epoch(&self) -> Result<Option<u8>, ProgramError> {
        let found = Self::read(&self.cache, &0_u32.to_ne_bytes())?.unwrap_or_default();
        let mut reader = Reader::new(&found);
        let (epoch, _clock, version) = (reader.u32(), reader.u32(), reader.u32());
        Ok(u8::try_from(epoch).ok().filter(|_| version == VERSION))
    }

    /// Makes every decision void, so that an epoch's number can be used again.
    pub fn forget_epochs(&self) {
        self.v4.amend(without_epoch);
        self.v6.amend(without_epoch);
    }

    /// Takes a flow in, in place of what was known of it. It may wait some milliseconds for a place.
    pub fn insert(&self, key: &FlowKey, flow: &Flow) -> Inserted {
        self.insert_within(key, flow, Some(&sys::grace_period))
    }

    /// The same, but without waiting.
    pub fn insert_at_once(&self, key: &FlowKey, flow: &Flow) -> Inserted {
        self.insert_within(key, flow, None)
    }

    /// Makes room where flows went out, some milliseconds after they did. To be called now and then.
    pub fn tidy(&self) {
        self.v4.tidy(&sys::grace_period);
        self.v6.tidy(&sys::grace_period);
    }

    fn insert_within(&self, key: &FlowKey, flow: &Flow, grace: Option<&dyn Fn()>) -> Inserted {
        let source = match flow.rewrite {
            FlowRewrite::Source { address, .. } => self.sources.take(address, grace),
            FlowRewrite::Destination | FlowRewrite::Direct | FlowRewrite::Tunnel { .. } => Some(0),
        };
        let Some(source) = source else {
            return if grace.is_some() { Inserted::NoRoom } else { Inserted::Later };
        };
        let stored = Stored::of(flow, source);
        let (inserted, old) = self.table(key).insert(&slot_of(key, Some(stored)), grace);
        let shape = shape_of(key);
        let old = old.and_then(|slot| Stored::read(&slot, shape).source());
        let refused = stored.source().filter(|_| matches!(inserted, Inserted::NoRoom | Inserted::Later));
        for place in [old, refused].into_iter().flatten() {
            self.sources.release(place);
        }
        inserted
    }

    /// What is known of a flow.
    pub fn get(&self, key: &FlowKey) -> Option<Flow> {
        self.table(key).get(&slot_of(key, None)).and_then(|slot| self.flow(&slot, shape_of(key)))
    }

    /// Takes a flow out and says what was known of it.
    pub fn remove(&self, key: &FlowKey) -> Option<Flow> {
        let slot = self.table(key).remove(&slot_of(key, None))?;
        let flow = self.flow(&slot, shape_of(key));
        if let Some(place) = Stored::read(&slot, shape_of(key)).source() {
            self.sources.release(place);
        }
        flow
    }

    fn flow(&self, slot: &Slot, shape: Shape) -> Option<Flow> {
        Stored::read(slot, shape).flow(|place| self.sources.get(place))
    }

    /// Runs `f` on every flow; what comes or goes meanwhile may be missed or come twice.
    pub fn for_each(&self, mut f: impl FnMut(FlowKey, Flow)) {
        for (table, shape, is_v6) in [(&self.v4, V4, false), (&self.v6, V6, true)] {
            table.for_each(|slot| {
                if let (Some(key), Some(flow)) = (decode_key(&slot, is_v6), self.flow(&slot, shape)) {
                    f(key, flow);
                }
            });
        }
    }

    /// Writes what is to be known of the server at a place below [`SERVERS`].
    ///
    /// # Errors
    /// [`ProgramError::Map`]
    pub fn set_server(&self, place: u16, server: &FlowServer) -> Result<(), ProgramError> {
        update(&self.servers, &u32::from(place).to_ne_bytes(), &encode_server(server))
    }

    /// The places that have a server, and by what each is known again.
    ///
    /// # Errors
    /// [`ProgramError::Map`]
    pub fn identities(&self) -> Result<Vec<(u16, [u8; IDENTITY])>, ProgramError> {
        let failed = |source| ProgramError::map(&self.servers, source);
        // Many with each call: one after another they take as long as everything else at a start.
        let all = self.servers.lookup_batch(BATCH, MapFlags::ANY, MapFlags::ANY).map_err(failed)?;
        let mut found = Vec::new();
        let mut count = 0;
        for (place, value) in all {
            count += 1;
            let place = place.first_chunk().map(|&place| u32::from_ne_bytes(place));
            let place = place.and_then(|place| u16::try_from(place).ok());
            found.extend(place.zip(identity_in(&value)));
        }
        // A batch that failed ends them without a word.
        for place in count..SERVERS {
            let value = Self::read(&self.servers, &u32::from(place).to_ne_bytes())?.unwrap_or_default();
            found.extend(identity_in(&value).map(|identity| (place, identity)));
        }
        Ok(found)
    }

    /// Writes the way at a place below [`PATHS`](super::PATHS); `None` for one that cannot be taken.
    ///
    /// # Errors
    /// [`ProgramError::Map`]
    pub fn set_path(&self, place: u16, way: Option<(Egress, Path)>) -> Result<(), ProgramError> {
        update(&self.paths, &u32::from(place).to_ne_bytes(), encode_path(way, 0).octets())
    }

    /// What was forwarded of the server at a place, since the program was loaded.
    ///
    /// # Errors
    /// [`ProgramError::Map`]
    pub fn tally(&self, place: u16) -> Result<Tally, ProgramError> {
        Tally::read(&self.tallies, place)
    }

    /// What became of packets so far.
    ///
    /// # Errors
    /// [`ProgramError::Map`]
    pub fn outcomes(&self) -> Result<Outcomes, ProgramError> {
        Outcomes::read(&self.outcomes)
    }

    fn read(map: &MapHandle, key: &[u8]) -> Result<Option<Vec<u8>>, ProgramError> {
        map.lookup(key, MapFlags::ANY).map_err(|source| ProgramError::map(map, source))
    }

    const fn table(&self, key: &FlowKey) -> &Table<Mapped> {
        if key.src.is_ipv6() { &self.v6 } else { &self.v4 }
    }
}

/// The epoch and the layout of a cache of whatever layout: all begin alike.
pub(super) fn epoch_and_version(cache: &MapHandle) -> (u32, u32) {
    let found = cache.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY).ok().flatten().unwrap_or_default();
    let mut reader = Reader::new(&found);
    let (epoch, _clock, version) = (reader.u32(), reader.u32(), reader.u32());
    (epoch, version)
}

/// The table of a family in its map.
fn table(
    map: &MapHandle,
    shape: Shape,
    sizes: &Sizes,
    family: fn(Families) -> u32,
) -> Result<Table<Mapped>, ProgramError> {
    let slots = usize::try_from(shape.slots(family(sizes.homes))).unwrap_or(usize::MAX);
    let words = slots.saturating_mul(shape.slot);
    let mapped = Mapped::new(map.as_fd(), words).map_err(|source| ProgramError::map(map, source.into()))?;
    Ok(Table::new(mapped, shape, family(sizes.homes), sizes.seed, family(sizes.flows)))
}
