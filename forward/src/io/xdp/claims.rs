//! Which packets are the director's: the wanted set, and the maps of the XDP program that follow it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use lvs_conntrack::Proto;

use super::error::ProgramError;

/// An address with a port and a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port; 0 for every port, and for protocols without ports.
    pub port: u16,
    /// The protocol above IP.
    pub proto: Proto,
}

/// An address prefix. Bits behind `length` do not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// How many bits count: 0 to 32 or to 128.
    pub length: u8,
}

/// The packets that go to the director instead of the host.
///
/// ICMP errors and fragments follow from these by themselves: errors sent to a service's address, or that quote a
/// packet from a service, to a server or to a tunnel's far end; fragments to a service's address or from a server's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// The virtual services: packets to them.
    pub services: BTreeSet<Endpoint>,
    /// The real servers reached through NAT: packets from them.
    pub servers: BTreeSet<Endpoint>,
    /// The far ends of tunnels, as the outer header names them: protocol 4 or 41 (IP in IP) or 47 (GRE) with port
    /// 0, or UDP with the port of GUE. Only ICMP errors that quote such a packet.
    pub tunnels: BTreeSet<Endpoint>,
    /// What may be marked: services on firewall marks. Errors and fragments to these prefixes are wanted, too.
    pub marked: BTreeSet<Marked>,
}

impl Claims {
    /// Endpoints that the program's maps hold, of all roles together: `max_entries` of `lvsd_xdp.bpf.c`.
    pub const MOST_ENDPOINTS: usize = 131_072;
    /// Prefixes that they hold.
    pub const MOST_PREFIXES: usize = 16_384;

    /// True where the maps have room for all of it.
    pub fn fits(&self) -> bool {
        let endpoints = self.services.len() + self.servers.len() + self.tunnels.len();
        // Every prefix of IPv4 lies within one of the map's own.
        let prefixes: BTreeSet<Prefix> = self.marked.iter().map(|marked| marked.prefix).collect();
        endpoints <= Self::MOST_ENDPOINTS && prefixes.len() < Self::MOST_PREFIXES
    }
}

/// Packets to some ports of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Marked {
    /// Their destinations.
    pub prefix: Prefix,
    /// TCP, UDP or SCTP; others are never marked.
    pub proto: Proto,
    /// The first destination port.
    pub first_port: u16,
    /// The last destination port.
    pub last_port: u16,
}

/// `enum role` of `lvsd_xdp.bpf.c`.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Role {
    Service = 1,
    Server = 2,
    Tunnel = 3,
}

impl Role {
    const fn code(self) -> u8 {
        self as u8
    }
}

/// Destination ports of some protocols: `struct range` of `lvsd_xdp.bpf.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    first: u16,
    last: u16,
    protocols: u32,
}

impl Range {
    fn of(marked: &Marked) -> Self {
        let protocols = match marked.proto {
            Proto::TCP => 1,
            Proto::UDP => 2,
            Proto::SCTP => 4,
            _ => 0,
        };
        Self { first: marked.first_port, last: marked.last_port, protocols }
    }

    fn octets(self) -> impl Iterator<Item = u8> {
        let ports = self.first.to_ne_bytes().into_iter().chain(self.last.to_ne_bytes());
        ports.chain(self.protocols.to_ne_bytes())
    }
}

/// Ranges for one prefix, at most `MARKED_RANGES`: they say at least what was asked for. Of more, those next to each
/// other become one; a packet in between goes to the director for nothing, who hands it back.
fn condensed(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.retain(|range| range.protocols != 0);
    ranges.sort_unstable();
    let mut merged: Vec<Range> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last)
                if (last.first, last.last) == (range.first, range.last)
                    || (last.protocols == range.protocols && range.first <= last.last.saturating_add(1)) =>
            {
                last.last = last.last.max(range.last);
                last.protocols |= range.protocols;
            }
            _ => merged.push(range),
        }
    }
    while merged.len() > MARKED_RANGES {
        let distance = |&(left, right): &(&Range, &Range)| i32::from(right.first) - i32::from(left.last);
        let neighbours = merged.iter().zip(merged.iter().skip(1)).enumerate();
        let Some((place, _)) = neighbours.min_by_key(|(_, pair)| distance(pair)) else { break };
        let place = place + 1;
        let right = merged.remove(place);
        if let Some(left) = merged.get_mut(place - 1) {
            left.last = left.last.max(right.last);
            left.protocols |= right.protocols;
        }
    }
    merged
}

/// `SETTING_PREFIXES` of `lvsd_xdp.bpf.c`.
const SETTING_PREFIXES: u32 = 0;
/// `MARKED_RANGES` of `lvsd_xdp.bpf.c`.
const MARKED_RANGES: usize = 8;

/// `struct endpoint` of `lvsd_xdp.bpf.c`.
type EndpointKey = [u8; 20];
/// `struct prefix` of `lvsd_xdp.bpf.c`.
type PrefixKey = [u8; 20];
/// `struct marked` of `lvsd_xdp.bpf.c`.
type MarkedValue = [u8; 8 * MARKED_RANGES];
/// `struct address` of `lvsd_xdp.bpf.c`: IPv4 as `::ffff:a.b.c.d`.
type AddressKey = [u8; 16];

pub(super) fn address_key(address: IpAddr) -> AddressKey {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn endpoint_key(endpoint: Endpoint, role: Role) -> EndpointKey {
    let mut key = [0; 20];
    let [a, b] = endpoint.port.to_be_bytes();
    let tail = [a, b, endpoint.proto.0, role.code()];
    for (to, from) in key.iter_mut().zip(address_key(endpoint.address).into_iter().chain(tail)) {
        *to = from;
    }
    key
}

/// How much longer an IPv4 prefix is in the maps.
const V4_OFFSET: u32 = 96;

fn prefix_key(prefix: Prefix) -> PrefixKey {
    let (offset, most) = if prefix.address.is_ipv4() { (V4_OFFSET, 32) } else { (0, 128) };
    let length = u32::from(prefix.length.min(most)) + offset;
    let bits = u128::from_be_bytes(address_key(prefix.address)) & mask(length);
    let mut key = [0; 20];
    for (to, from) in key.iter_mut().zip(length.to_ne_bytes().into_iter().chain(bits.to_be_bytes())) {
        *to = from;
    }
    key
}

/// The upper `length` bits.
fn mask(length: u32) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(length)).unwrap_or(0)
}

/// What may be marked, by prefix. The kernel finds the longest prefix only, so that each says as well what those
/// around it say.
fn marked(claims: &Claims) -> BTreeMap<PrefixKey, MarkedValue> {
    let mut wanted: BTreeMap<(u128, u32, PrefixKey), Vec<Range>> = BTreeMap::new();
    for marked in &claims.marked {
        let key = prefix_key(marked.prefix);
        let (length, bits) = key.split_first_chunk::<4>().map_or((0, 0), |(length, bits)| {
            (u32::from_ne_bytes(*length), bits.first_chunk().map_or(0, |bits| u128::from_be_bytes(*bits)))
        });
        wanted.entry((bits, length, key)).or_default().push(Range::of(marked));
    }
    // IPv4 lies within IPv6 here, but no prefix of IPv6 is meant to hold it.
    let all_v4 = prefix_key(Prefix { address: Ipv4Addr::UNSPECIFIED.into(), length: 0 });
    if !wanted.is_empty() {
        wanted.entry((0xffff << 32, V4_OFFSET, all_v4)).or_default();
    }
    let mut around: Vec<(u128, u32, Vec<Range>)> = Vec::new();
    let mut content = BTreeMap::new();
    for ((bits, length, key), mut ranges) in wanted {
        while around.last().is_some_and(|(outer, length, _)| bits & mask(*length) != *outer) {
            around.pop();
        }
        if key != all_v4 {
            ranges.extend(around.last().into_iter().flat_map(|(_, _, ranges)| ranges));
        }
        let ranges = condensed(ranges);
        let mut value = [0; 8 * MARKED_RANGES];
        for (to, from) in value.iter_mut().zip(ranges.iter().flat_map(|range| range.octets())) {
            *to = from;
        }
        content.insert(key, value);
        around.push((bits, length, ranges));
    }
    content
}

/// The maps' content.
#[derive(Debug, Default, PartialEq, Eq)]
struct Content {
    endpoints: BTreeSet<EndpointKey>,
    /// The roles an address has at any port, a bit each.
    addresses: BTreeMap<AddressKey, u32>,
    prefixes: BTreeMap<PrefixKey, MarkedValue>,
}

impl Content {
    fn of(claims: &Claims) -> Self {
        let mut content = Self { prefixes: marked(claims), ..Self::default() };
        for (endpoints, role) in [
            (&claims.services, Role::Service),
            (&claims.servers, Role::Server),
            (&claims.tunnels, Role::Tunnel),
        ] {
            for &endpoint in endpoints {
                content.endpoints.insert(endpoint_key(endpoint, role));
                *content.addresses.entry(address_key(endpoint.address)).or_default() |= 1 << role.code();
            }
        }
        content
    }
}

/// The maps in the kernel and what is known to be in them.
#[derive(Debug)]
pub(super) struct ClaimMaps {
    endpoints: MapHandle,
    addresses: MapHandle,
    prefixes: MapHandle,
    settings: MapHandle,
    current: Content,
}

const PRESENT: [u8; 4] = 1_u32.to_ne_bytes();

impl ClaimMaps {
    /// Over empty maps.
    pub(super) fn new(
        endpoints: MapHandle,
        addresses: MapHandle,
        prefixes: MapHandle,
        settings: MapHandle,
    ) -> Self {
        Self { endpoints, addresses, prefixes, settings, current: Content::default() }
    }

    /// Makes the maps say `claims`. What is new goes in before what is old comes out, so that no packet that is
    /// wanted before and after is ever the host's in between.
    pub(super) fn follow(&mut self, claims: &Claims) -> Result<(), ProgramError> {
        let wanted = Content::of(claims);
        self.add(&wanted)?;
        self.remove(&wanted)
    }

    fn add(&mut self, wanted: &Content) -> Result<(), ProgramError> {
        for (key, &roles) in &wanted.addresses {
            let before = self.current.addresses.get(key).copied().unwrap_or(0);
            if before | roles != before {
                update(&self.addresses, key, &(before | roles).to_ne_bytes())?;
                self.current.addresses.insert(*key, before | roles);
            }
        }
        for key in &wanted.endpoints {
            if !self.current.endpoints.contains(key) {
                update(&self.endpoints, key, &PRESENT)?;
                self.current.endpoints.insert(*key);
            }
        }
        for (key, value) in &wanted.prefixes {
            if self.current.prefixes.get(key) != Some(value) {
                update(&self.prefixes, key, value)?;
                self.current.prefixes.insert(*key, *value);
            }
        }
        self.set_prefixes_in_use()
    }

    fn remove(&mut self, wanted: &Content) -> Result<(), ProgramError> {
        let old: Vec<_> = self.current.endpoints.difference(&wanted.endpoints).copied().collect();
        for key in old {
            delete(&self.endpoints, &key)?;
            self.current.endpoints.remove(&key);
        }
        let is_old = |key: &&PrefixKey| !wanted.prefixes.contains_key(*key);
        let old: Vec<_> = self.current.prefixes.keys().filter(is_old).copied().collect();
        for key in old {
            delete(&self.prefixes, &key)?;
            self.current.prefixes.remove(&key);
        }
        self.set_prefixes_in_use()?;
        let old: Vec<_> = self.current.addresses.iter().map(|(&key, &roles)| (key, roles)).collect();
        for (key, roles) in old {
            match wanted.addresses.get(&key) {
                Some(&kept) if kept == roles => {}
                Some(&kept) => {
                    update(&self.addresses, &key, &kept.to_ne_bytes())?;
                    self.current.addresses.insert(key, kept);
                }
                None => {
                    delete(&self.addresses, &key)?;
                    self.current.addresses.remove(&key);
                }
            }
        }
        Ok(())
    }

    fn set_prefixes_in_use(&self) -> Result<(), ProgramError> {
        let in_use = u32::from(!self.current.prefixes.is_empty());
        update(&self.settings, &SETTING_PREFIXES.to_ne_bytes(), &in_use.to_ne_bytes())
    }
}

pub(super) fn update(map: &MapHandle, key: &[u8], value: &[u8]) -> Result<(), ProgramError> {
    map.update(key, value, MapFlags::ANY).map_err(|source| ProgramError::map(map, source))
}

fn delete(map: &MapHandle, key: &[u8]) -> Result<(), ProgramError> {
    map.delete(key).map_err(|source| ProgramError::map(map, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(address: &str, port: u16, proto: Proto) -> Endpoint {
        Endpoint { address: address.parse().unwrap(), port, proto }
    }

    #[test]
    fn what_the_maps_have_no_room_for_does_not_fit() {
        let port = |number: usize| u16::try_from(number % 60_000 + 1).unwrap();
        let octet = |number: usize| u8::try_from(number / 60_000 + 1).unwrap();
        let many = |count| {
            let of = |number| endpoint(&format!("10.0.0.{}", octet(number)), port(number), Proto::TCP);
            Claims { servers: (0..count).map(of).collect(), ..Claims::default() }
        };
        assert!(many(Claims::MOST_ENDPOINTS).fits());
        assert!(!many(Claims::MOST_ENDPOINTS + 1).fits());
        let source = include_str!("../../../bpf/lvsd_xdp.bpf.c");
        for most in [Claims::MOST_ENDPOINTS, Claims::MOST_PREFIXES] {
            assert!(source.contains(&format!("__uint(max_entries, {most})")), "{most}");
        }
    }

    #[test]
    fn keys_lie_as_the_program_reads_them() {
        let key = endpoint_key(endpoint("10.0.0.1", 80, Proto::TCP), Role::Server);
        assert_eq!(key, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1, 0, 80, 6, 2]);
        let key = prefix_key(Prefix { address: "10.0.0.0".parse().unwrap(), length: 24 });
        assert_eq!(key[..4], 120_u32.to_ne_bytes());
        assert_eq!(key[4..], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 0]);
        let key = prefix_key(Prefix { address: "2001:db8::".parse().unwrap(), length: 32 });
        assert_eq!(key[..4], 32_u32.to_ne_bytes());
    }

    #[test]
    fn an_address_has_every_role_any_of_its_ports_has() {
        let claims = Claims {
            services: [endpoint("10.0.0.1", 80, Proto::TCP), endpoint("10.0.0.1", 53, Proto::UDP)].into(),
            servers: [endpoint("10.0.0.1", 8080, Proto::TCP), endpoint("fd00::2", 0, Proto::TCP)].into(),
            ..Claims::default()
        };
        let content = Content::of(&claims);
        assert_eq!(content.endpoints.len(), 4);
        let roles: Vec<u32> = content.addresses.values().copied().collect();
        assert_eq!(roles, [0b0110, 0b0100]);
    }

    fn marked(address: &str, length: u8, proto: Proto, ports: (u16, u16)) -> Marked {
        let prefix = Prefix { address: address.parse().unwrap(), length };
        Marked { prefix, proto, first_port: ports.0, last_port: ports.1 }
    }

    /// The ranges in the map at the prefix, as numbers.
    fn ranges(claims: &Claims, address: &str, length: u8) -> Vec<(u16, u16, u32)> {
        let key = prefix_key(Prefix { address: address.parse().unwrap(), length });
        let content = Content::of(claims);
        let number = |octets: &[u8]| u16::from_ne_bytes([octets[0], octets[1]]);
        let range = |octets: &[u8]| (number(octets), number(&octets[2..]), u32::from(octets[4]));
        content.prefixes[&key].chunks(8).map(range).filter(|range| range.2 != 0).collect()
    }

    #[test]
    fn a_prefix_says_what_those_around_it_say_as_well() {
        let claims = Claims {
            marked: [
                marked("10.0.0.0", 8, Proto::TCP, (80, 80)),
                marked("10.0.0.0", 8, Proto::UDP, (80, 80)),
                marked("10.1.0.0", 16, Proto::UDP, (53, 53)),
                marked("10.2.0.0", 16, Proto::TCP, (80, 90)),
                marked("::", 0, Proto::TCP, (1, 65535)),
                marked("2001:db8::1", 128, Proto::UDP, (53, 53)),
            ]
            .into(),
            ..Claims::default()
        };
        assert_eq!(ranges(&claims, "10.0.0.0", 8), [(80, 80, 3)]);
        assert_eq!(ranges(&claims, "10.1.0.0", 16), [(53, 53, 2), (80, 80, 3)]);
        assert_eq!(ranges(&claims, "10.2.0.0", 16), [(80, 80, 3), (80, 90, 1)]);
        assert_eq!(ranges(&claims, "2001:db8::1", 128), [(1, 65535, 1), (53, 53, 2)]);
        // What is around all of IPv6 is not around IPv4.
        assert_eq!(ranges(&claims, "0.0.0.0", 0), []);
    }

    #[test]
    fn many_ranges_become_few_that_hold_them_all() {
        let ports = [1, 2, 10, 100, 1000, 1001, 2000, 3000, 4000, 5000, 5005, 60000];
        let many = ports.map(|port| marked("10.0.0.0", 8, Proto::TCP, (port, port)));
        let claims = Claims { marked: many.into(), ..Claims::default() };
        let few = ranges(&claims, "10.0.0.0", 8);
        assert_eq!(few.len(), MARKED_RANGES);
        for port in ports {
            assert!(few.iter().any(|&(first, last, _)| (first..=last).contains(&port)), "{port} in {few:?}");
        }
        assert!(few.contains(&(5000, 5005, 1)) && few.contains(&(60000, 60000, 1)), "{few:?}");
    }
}
