//! What may be marked, by prefix, as the program has it: `struct prefix` and `struct marked` of `claim.h`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use lvs_conntrack::Proto;

use super::claim_maps::address_key;
use super::claims::{Claims, Marked, Prefix};

/// `MARKED_RANGES` of `claim.h`.
const MARKED_RANGES: usize = 8;

/// `struct prefix` of `claim.h`.
pub(super) type PrefixKey = [u8; 20];
/// `struct marked` of `claim.h`.
pub(super) type MarkedValue = [u8; 8 * MARKED_RANGES];

/// What may be marked, by prefix. The kernel finds the longest prefix only, so that each says as well what those
/// around it say.
pub(super) fn marked(claims: &Claims) -> BTreeMap<PrefixKey, MarkedValue> {
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

/// Destination ports of some protocols: `struct range` of `claim.h`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_lies_as_the_program_reads_it() {
        let key = prefix_key(Prefix { address: "10.0.0.0".parse().unwrap(), length: 24 });
        assert_eq!(key[..4], 120_u32.to_ne_bytes());
        assert_eq!(key[4..], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 0]);
        let key = prefix_key(Prefix { address: "2001:db8::".parse().unwrap(), length: 32 });
        assert_eq!(key[..4], 32_u32.to_ne_bytes());
    }

    fn rule(address: &str, length: u8, proto: Proto, ports: (u16, u16)) -> Marked {
        let prefix = Prefix { address: address.parse().unwrap(), length };
        Marked { prefix, proto, first_port: ports.0, last_port: ports.1 }
    }

    /// The ranges in the map at the prefix, as numbers.
    fn ranges(claims: &Claims, address: &str, length: u8) -> Vec<(u16, u16, u32)> {
        let key = prefix_key(Prefix { address: address.parse().unwrap(), length });
        let content = marked(claims);
        let number = |octets: &[u8]| u16::from_ne_bytes([octets[0], octets[1]]);
        let range = |octets: &[u8]| (number(octets), number(&octets[2..]), u32::from(octets[4]));
        content[&key].chunks(8).map(range).filter(|range| range.2 != 0).collect()
    }

    #[test]
    fn a_prefix_says_what_those_around_it_say_as_well() {
        let claims = Claims {
            marked: [
                rule("10.0.0.0", 8, Proto::TCP, (80, 80)),
                rule("10.0.0.0", 8, Proto::UDP, (80, 80)),
                rule("10.1.0.0", 16, Proto::UDP, (53, 53)),
                rule("10.2.0.0", 16, Proto::TCP, (80, 90)),
                rule("::", 0, Proto::TCP, (1, 65535)),
                rule("2001:db8::1", 128, Proto::UDP, (53, 53)),
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
        let many = ports.map(|port| rule("10.0.0.0", 8, Proto::TCP, (port, port)));
        let claims = Claims { marked: many.into(), ..Claims::default() };
        let few = ranges(&claims, "10.0.0.0", 8);
        assert_eq!(few.len(), MARKED_RANGES);
        for port in ports {
            assert!(few.iter().any(|&(first, last, _)| (first..=last).contains(&port)), "{port} in {few:?}");
        }
        assert!(few.contains(&(5000, 5005, 1)) && few.contains(&(60000, 60000, 1)), "{few:?}");
    }
}
