//! The flows that the XDP program forwards by itself, and what it needs to know of their servers and ways.
//!
//! The source is `forward/bpf/flow.h`. User space decides about a flow and writes the decision here; the program
//! repeats it for each packet that begins and ends nothing, counts it, and leaves all others to the director.
//!
//! ```text
//! flow -- epoch: counts only while it is the cache's
//!     |-- server: is it still a service's? where is it, what tunnel leads there; counters
//!     `-- path: for replies, the way to the client
//! ```

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::os::fd::AsFd;

use libbpf_rs::{MapCore, MapFlags, MapHandle, Object};
use lvs_conntrack::{FlowKey, Proto};

use super::claims::{address_key, update};
use super::error::ProgramError;
use super::mapped::Mapped;
use super::program::map;
use super::record::{Reader, Record};
use super::table::{Inserted, Shape, Slot, Table, slots_for, with_window};
use crate::io::sys;
use crate::rewrite::{Encapsulation, Path, Tunnel};

/// `SERVERS` of `flow.h`: how many servers may have flows here.
pub const SERVERS: u16 = 16384;
/// `PATHS` of `flow.h`: how many next hops toward clients may have flows here.
pub const PATHS: u16 = 16384;
/// `CACHE_VERSION` of `flow.h`.
pub(super) const VERSION: u32 = 3;
/// `OUTCOME_COUNT` of `flow.h`.
const OUTCOMES: usize = 9;
/// `STATE_LIVE` of `flow.h`.
const LIVE: u8 = 1;
/// `struct flow4` and `struct flow6`, in words.
const V4: Shape = Shape { key: 2, slot: 6 };
const V6: Shape = Shape { key: 5, slot: 10 };
/// Servers that are read with one call.
const BATCH: u32 = 1024;
/// Octets by which a server is known again.
pub const IDENTITY: usize = 48;

/// What is done to a flow's packets: `enum rewrite` of `flow.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FlowRewrite {
    /// NAT toward the server.
    Destination = 1,
    /// NAT back to the client.
    Source = 2,
    /// Only the link-layer addresses change.
    Direct = 3,
    /// Into the server's tunnel.
    Tunnel = 4,
}

/// What is decided about a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// What is done to its packets.
    pub rewrite: FlowRewrite,
    /// The new address of NAT; of other flows an address of the flow's family that nobody looks at.
    pub address: IpAddr,
    /// The new port of NAT; of other flows the server's.
    pub port: u16,
    /// The source port of GUE.
    pub gue_port: u16,
    /// The decision counts while this is the cache's epoch.
    pub epoch: u32,
    /// The server's place.
    pub server: u16,
    /// The place of a reply's way.
    pub path: u16,
    /// When its last packet came, by the cache's clock; 0 for none yet.
    pub seen: u32,
    /// How many packets came.
    pub packets: u32,
    /// An end of the connection came by.
    pub is_closed: bool,
}

/// A way out, as the program takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Egress {
    /// The interface's number.
    pub ifindex: u32,
    /// The interface's place in the program's map of them.
    pub device: u32,
    /// What came in there leaves by `XDP_TX`. A veth is redirected to even so: it wakes its peer for such frames only
    /// where the peer has an XDP program.
    pub transmits: bool,
}

/// A server, as the program needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowServer {
    /// The way to it, if the program can take it.
    pub way: Option<(Egress, Path)>,
    /// The tunnel to it, if the program can make it.
    pub tunnel: Option<Tunnel>,
    /// By what it is known again.
    pub identity: [u8; IDENTITY],
    /// It is a server of a service's now.
    pub is_there: bool,
}

/// What was forwarded of a server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Packets from clients.
    pub in_packets: u64,
    /// Their octets, from the IP header on.
    pub in_bytes: u64,
    /// Packets to clients.
    pub out_packets: u64,
    /// Their octets, from the IP header on.
    pub out_bytes: u64,
}

/// What became of packets that were the director's to have, summed over processors: `enum outcome` of `flow.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcomes {
    /// Forwarded by the program.
    pub forwarded: u64,
    /// The cache was off.
    pub off: u64,
    /// Of no flow that is known.
    pub unknown: u64,
    /// A fragment, options, a VLAN tag, extension headers, a header that is not right.
    pub odd: u64,
    /// The beginning or the end of a connection, or behind its end.
    pub end: u64,
    /// The decision had become stale.
    pub stale: u64,
    /// The TTL was used up.
    pub ttl: u64,
    /// Larger than its way's MTU.
    pub too_big: u64,
    /// The checksum had to be computed as a whole.
    pub checksum: u64,
}

/// The maps of the program that hold flows.
#[derive(Debug)]
pub struct Flows {
    v4: Table<Mapped>,
    v6: Table<Mapped>,
    sizes: Sizes,
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
        let flows = Self {
            v4: table("lvsd_flow4", V4, Families::of_v4)?,
            v6: table("lvsd_flow6", V6, Families::of_v6)?,
            sizes,
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
        let octets = |shape: Shape| u32::try_from(shape.slot * WORD).unwrap_or(u32::MAX);
        let shapes = [
            ("lvsd_flow4", octets(V4)),
            ("lvsd_flow6", octets(V6)),
            ("lvsd_server", 112),
            ("lvsd_path", 24),
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
    pub fn set_epoch(&self, epoch: u32, clock: u32) -> Result<(), ProgramError> {
        let Sizes { flows, homes, seed } = self.sizes;
        let record = Record::<40>::new().u32(epoch).u32(clock).u32(VERSION).u32(homes.v4).u64(seed);
        let record = record.u32(flows.v4).u32(homes.v6).u32(flows.v6).u32(0);
        update(&self.cache, &0_u32.to_ne_bytes(), record.octets())
    }

    /// The epoch there is; `None` where the maps are of another version.
    ///
    /// # Errors
    /// [`ProgramError::Map`]
    pub fn epoch(&self) -> Result<Option<u32>, ProgramError> {
        let found = Self::read(&self.cache, &0_u32.to_ne_bytes())?.unwrap_or_default();
        let mut reader = Reader::new(&found);
        let (epoch, _clock, version) = (reader.u32(), reader.u32(), reader.u32());
        Ok((version == VERSION).then_some(epoch))
    }

    /// Takes a flow in, in place of what was known of it.
    pub fn insert(&self, key: &FlowKey, flow: &Flow) -> Inserted {
        self.table(key).insert(&slot_of(key, Some(flow)), sys::grace_period)
    }

    /// What is known of a flow.
    pub fn get(&self, key: &FlowKey) -> Option<Flow> {
        self.table(key).get(&slot_of(key, None)).and_then(|slot| decode_flow(&slot, key.src.is_ipv6()))
    }

    /// Takes a flow out and says what was known of it.
    pub fn remove(&self, key: &FlowKey) -> Option<Flow> {
        self.table(key).remove(&slot_of(key, None)).and_then(|slot| decode_flow(&slot, key.src.is_ipv6()))
    }

    /// Runs `f` on every flow; what comes or goes meanwhile may be missed or come twice.
    pub fn for_each(&self, mut f: impl FnMut(FlowKey, Flow)) {
        for (table, is_v6) in [(&self.v4, false), (&self.v6, true)] {
            table.for_each(|slot| {
                if let (Some(key), Some(flow)) = (decode_key(&slot, is_v6), decode_flow(&slot, is_v6)) {
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

    /// Writes the way at a place below [`PATHS`]; `None` for one that cannot be taken.
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
        let [in_packets, in_bytes, out_packets, out_bytes] = sums(&self.tallies, u32::from(place))?;
        Ok(Tally { in_packets, in_bytes, out_packets, out_bytes })
    }

    /// What became of packets so far.
    ///
    /// # Errors
    /// [`ProgramError::Map`]
    pub fn outcomes(&self) -> Result<Outcomes, ProgramError> {
        let mut counts = [0; OUTCOMES];
        for (count, index) in counts.iter_mut().zip(0_u32..) {
            [*count] = sums(&self.outcomes, index)?;
        }
        let [forwarded, off, unknown, odd, end, stale, ttl, too_big, checksum] = counts;
        Ok(Outcomes { forwarded, off, unknown, odd, end, stale, ttl, too_big, checksum })
    }

    fn read(map: &MapHandle, key: &[u8]) -> Result<Option<Vec<u8>>, ProgramError> {
        map.lookup(key, MapFlags::ANY).map_err(|source| ProgramError::map(map, source))
    }

    const fn table(&self, key: &FlowKey) -> &Table<Mapped> {
        if key.src.is_ipv6() { &self.v6 } else { &self.v4 }
    }
}

impl Outcomes {
    /// Those that user space was left to see, by reason.
    pub const fn missed(&self) -> [(&'static str, u64); 8] {
        [
            ("off", self.off),
            ("unknown", self.unknown),
            ("odd", self.odd),
            ("end", self.end),
            ("stale", self.stale),
            ("ttl", self.ttl),
            ("too-big", self.too_big),
            ("checksum", self.checksum),
        ]
    }
}

/// `TRANSMITS` of `flow.h`.
const TRANSMITS: u32 = 1 << 31;
/// The epoch and the layout of a cache of whatever layout: all begin alike.
pub(super) fn epoch_and_version(cache: &MapHandle) -> (u32, u32) {
    let found = cache.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY).ok().flatten().unwrap_or_default();
    let mut reader = Reader::new(&found);
    let (epoch, _clock, version) = (reader.u32(), reader.u32(), reader.u32());
    (epoch, version)
}

/// The identity in a `struct server` that is one.
fn identity_in(server: &[u8]) -> Option<[u8; IDENTITY]> {
    let is_there = server.get(PATH).is_some_and(|&octet| octet != 0);
    server.last_chunk().filter(|_| is_there).copied()
}

/// Octets of `struct path`.
const PATH: usize = 24;

/// Octets of a word.
const WORD: usize = size_of::<u64>();

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

    const fn of_v4(self) -> u32 {
        self.v4
    }

    const fn of_v6(self) -> u32 {
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
    flows: Families,
    /// Slots of each table that are homes.
    homes: Families,
    seed: u64,
}

impl Sizes {
    /// Sizes for so many flows.
    pub(super) fn of(flows: Families) -> Self {
        let flows = flows.map(|flows| flows.max(1));
        // A number that nobody can guess: the standard library seeds its maps so.
        let seed = RandomState::new().build_hasher().finish();
        Self { flows, homes: flows.map(slots_for), seed }
    }

    /// Slots of each table.
    pub(super) fn slots(self) -> Families {
        self.homes.map(with_window)
    }

    /// As `struct cache` has them.
    fn decode(cache: &[u8]) -> Self {
        let mut reader = Reader::new(cache);
        let [_epoch, _clock, _version] = [reader.u32(), reader.u32(), reader.u32()];
        let homes4 = reader.u32();
        let seed = reader.u64();
        let (flows4, homes6, flows6) = (reader.u32(), reader.u32(), reader.u32());
        let (flows, homes) = (Families { v4: flows4, v6: flows6 }, Families { v4: homes4, v6: homes6 });
        Self { flows, homes, seed }
    }
}

/// The table of a family in its map.
fn table(
    map: &MapHandle,
    shape: Shape,
    sizes: &Sizes,
    family: fn(Families) -> u32,
) -> Result<Table<Mapped>, ProgramError> {
    let words = usize::try_from(family(sizes.slots())).unwrap_or(usize::MAX).saturating_mul(shape.slot);
    let mapped = Mapped::new(map.as_fd(), words).map_err(|source| ProgramError::map(map, source.into()))?;
    Ok(Table::new(mapped, shape, family(sizes.homes), sizes.seed, family(sizes.flows)))
}

/// The counters at `index`, each summed over the processors.
fn sums<const N: usize>(map: &MapHandle, index: u32) -> Result<[u64; N], ProgramError> {
    let found = map
        .lookup_percpu(&index.to_ne_bytes(), MapFlags::ANY)
        .map_err(|source| ProgramError::map(map, source))?;
    let mut sums = [0_u64; N];
    for value in found.unwrap_or_default() {
        let mut reader = Reader::new(&value);
        for sum in &mut sums {
            *sum = sum.wrapping_add(reader.u64());
        }
    }
    Ok(sums)
}

/// The slot of a flow, or its key alone: `struct flow4`, `struct flow6`.
fn slot_of(key: &FlowKey, flow: Option<&Flow>) -> Slot {
    let mut record = Record::<80>::new().address(key.src).address(key.dst);
    record = record.port(key.src_port).port(key.dst_port).u8(key.proto.0).u8(LIVE).u16(0);
    if let Some(flow) = flow {
        record = record
            .u32(flow.seen)
            .u32(flow.packets)
            .u32(flow.epoch)
            .u16(flow.server)
            .u16(flow.path)
            .port(flow.port)
            .port(flow.gue_port)
            .u8(flow.rewrite as u8)
            .u8(u8::from(flow.is_closed))
            .u16(0)
            .address(flow.address);
    }
    let mut slot = Slot::default();
    for (word, octets) in slot.iter_mut().zip(record.octets().as_chunks().0) {
        *word = u64::from_ne_bytes(*octets);
    }
    slot
}

fn octets_of(slot: &Slot) -> Vec<u8> {
    slot.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn decode_key(slot: &Slot, is_v6: bool) -> Option<FlowKey> {
    let octets = octets_of(slot);
    let mut reader = Reader::new(&octets);
    let (src, dst) = (reader.address(is_v6)?, reader.address(is_v6)?);
    let (src_port, dst_port) = (reader.port(), reader.port());
    Some(FlowKey { proto: Proto(reader.u8()), src, src_port, dst, dst_port })
}

fn decode_flow(slot: &Slot, is_v6: bool) -> Option<Flow> {
    let octets = octets_of(slot);
    let key = if is_v6 { V6.key } else { V4.key };
    let mut reader = Reader::new(octets.get(key * WORD..)?);
    let (seen, packets, epoch) = (reader.u32(), reader.u32(), reader.u32());
    let (server, path) = (reader.u16(), reader.u16());
    let (port, gue_port) = (reader.port(), reader.port());
    let rewrite = match reader.u8() {
        1 => FlowRewrite::Destination,
        2 => FlowRewrite::Source,
        3 => FlowRewrite::Direct,
        4 => FlowRewrite::Tunnel,
        _ => return None,
    };
    let is_closed = reader.u8() != 0;
    let _reach = reader.u16();
    let address = reader.address(is_v6)?;
    Some(Flow { rewrite, address, port, gue_port, epoch, server, path, seen, packets, is_closed })
}

/// `struct path`
fn encode_path(way: Option<(Egress, Path)>, tunnel_mtu: u16) -> Record<PATH> {
    let Some((egress, path)) = way else { return Record::new() };
    Record::new()
        .u32(egress.ifindex)
        .u32(egress.device | if egress.transmits { TRANSMITS } else { 0 })
        .u16(path.mtu)
        .u16(tunnel_mtu)
        .put(&path.dst_mac.0)
        .put(&path.src_mac.0)
}

/// `struct server`
fn encode_server(server: &FlowServer) -> [u8; 112] {
    let mtu = server.way.map_or(0, |(_, path)| path.mtu);
    let tunnel = server.tunnel.filter(|tunnel| tunnel.local.is_ipv6() == tunnel.remote.is_ipv6());
    let tunnel_mtu = tunnel.and_then(|tunnel| tunnel.inner_mtu(mtu)).unwrap_or(0);
    let (kind, port) = match tunnel.map(|tunnel| tunnel.encapsulation) {
        // What has a checksum of its own is left to user space.
        Some(Encapsulation::Gue { port, checksum: false }) => (1, port),
        Some(Encapsulation::Gre { checksum: false }) => (2, 0),
        Some(Encapsulation::Ipip) | None => (0, 0),
        Some(Encapsulation::Gue { .. } | Encapsulation::Gre { .. }) => (u8::MAX, 0),
    };
    let tunnel_mtu = if kind == u8::MAX { 0 } else { tunnel_mtu };
    let ends = tunnel.map_or([[0; 16]; 2], |tunnel| [tunnel.local, tunnel.remote].map(address_key));
    let [local, remote] = ends;
    *Record::<112>::new()
        .put(encode_path(server.way, tunnel_mtu).octets())
        .u8(u8::from(server.is_there))
        .u8(u8::from(tunnel.is_some_and(|tunnel| tunnel.remote.is_ipv6())))
        .u8(kind)
        .u8(u8::from(tunnel.is_some_and(|tunnel| tunnel.pmtu_disc)))
        .port(port)
        .u16(0)
        .put(&local)
        .put(&remote)
        .put(&server.identity)
        .octets()
}
