//! A table by address prefix: the longest that holds the address answers.

use std::net::IpAddr;

use ipnet::IpNet;

/// Values by prefix. The prefixes cut the addresses into ranges, each with the longest prefix that holds it, so that a
/// look-up is one binary search, however many lengths of prefix there are.
#[derive(Debug, PartialEq)]
pub(crate) struct PrefixMap<T> {
    v4: Ranges<T>,
    v6: Ranges<T>,
}

/// A prefix: its first address, left-aligned in 128 bits, and its length.
type Prefix = (u128, u8);

/// The prefixes of one family.
#[derive(Debug, PartialEq)]
struct Ranges<T> {
    /// By first address, the shorter prefix before those within it.
    values: Vec<(Prefix, T)>,
    /// Where each range begins.
    starts: Vec<u128>,
    /// Which of the values a range has.
    places: Vec<Option<u32>>,
}

impl<T> Default for PrefixMap<T> {
    fn default() -> Self {
        Self::new([])
    }
}

impl<T> PrefixMap<T> {
    /// A table of these; a later value for the same prefix replaces the earlier.
    pub(crate) fn new(values: impl IntoIterator<Item = (IpNet, T)>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (net, value) in values {
            let family = if net.addr().is_ipv4() { &mut v4 } else { &mut v6 };
            family.push(((aligned(net.network()), net.prefix_len()), value));
        }
        Self { v4: Ranges::new(v4), v6: Ranges::new(v6) }
    }

    /// The value of the longest prefix that holds `addr`.
    #[inline]
    pub(crate) fn get(&self, addr: IpAddr) -> Option<&T> {
        if addr.is_ipv4() { self.v4.get(aligned(addr)) } else { self.v6.get(aligned(addr)) }
    }
}

impl<T> Ranges<T> {
    fn new(mut values: Vec<(Prefix, T)>) -> Self {
        // The sort keeps the order of equals: turned round, the latest comes first and stays.
        values.reverse();
        values.sort_by_key(|&(prefix, _)| prefix);
        values.dedup_by_key(|&mut (prefix, _)| prefix);
        let mut ranges = Self { values, starts: Vec::new(), places: Vec::new() };
        // The prefixes that hold the address at hand, each within the one before, with their last addresses.
        let mut around: Vec<(u128, u32)> = Vec::new();
        for place in 0..u32::try_from(ranges.values.len()).unwrap_or(u32::MAX) {
            let Some(&((start, length), _)) = ranges.values.get(place as usize) else { break };
            ranges.leave(&mut around, Some(start));
            ranges.begin(start, Some(place));
            around.push((start | u128::MAX.checked_shr(length.into()).unwrap_or(0), place));
        }
        ranges.leave(&mut around, None);
        ranges
    }

    /// Ends the prefixes around that do not reach as far as `until`.
    fn leave(&mut self, around: &mut Vec<(u128, u32)>, until: Option<u128>) {
        while let Some((end, _)) = around.pop_if(|(end, _)| until.is_none_or(|until| *end < until)) {
            if let Some(next) = end.checked_add(1) {
                self.begin(next, around.last().map(|&(_, place)| place));
            }
        }
    }

    /// Begins a range; at the same address, the later one is the one that counts.
    fn begin(&mut self, start: u128, place: Option<u32>) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.places.pop();
        }
        self.starts.push(start);
        self.places.push(place);
    }

    #[inline]
    fn get(&self, bits: u128) -> Option<&T> {
        let range = self.starts.partition_point(|&start| start <= bits).checked_sub(1)?;
        let place = (*self.places.get(range)?)?;
        self.values.get(place as usize).map(|(_, value)| value)
    }
}

/// The address's bits, left-aligned.
#[inline]
fn aligned(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map<T: Copy>(values: &[(&str, T)]) -> PrefixMap<T> {
        PrefixMap::new(values.iter().map(|&(net, value)| (net.parse().unwrap(), value)))
    }

    #[test]
    fn the_longest_prefix_answers() {
        let map = map(&[
            ("0.0.0.0/0", 0),
            ("10.0.0.0/8", 8),
            ("10.1.0.0/16", 16),
            ("10.1.0.7/32", 32),
            ("::/0", 6),
        ]);
        for (addr, value) in
            [("192.0.2.1", 0), ("10.2.0.1", 8), ("10.1.9.9", 16), ("10.1.0.7", 32), ("2001:db8::1", 6)]
        {
            assert_eq!(map.get(addr.parse().unwrap()), Some(&value), "{addr}");
        }
    }

    #[test]
    fn a_later_value_replaces_the_earlier() {
        let map = map(&[("10.0.0.0/8", 1), ("10.0.0.0/8", 2)]);
        assert_eq!(map.get("10.0.0.1".parse().unwrap()), Some(&2));
        assert_eq!(map.get("11.0.0.1".parse().unwrap()), None);
        assert_eq!(map.get("9.255.255.255".parse().unwrap()), None);
    }

    /// The table against asking every prefix, over prefixes that lie within and beside one another.
    #[test]
    fn each_address_has_what_the_longest_of_all_prefixes_has() {
        let mut state = 5_u64;
        let mut draw = |end: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from(state >> 33).unwrap() % end
        };
        for count in [0, 1, 3, 20, 200] {
            let nets: Vec<IpNet> = (0..count)
                .map(|_| {
                    // Few bits, so that prefixes meet; at both ends of the addresses, too.
                    let addr =
                        std::net::Ipv4Addr::from_bits(draw(4) << 30 | draw(256) << 8 | (draw(4) * 0x55));
                    let length = [0, 2, 16, 20, 24, 26, 30, 32][draw(8) as usize];
                    IpNet::new(addr.into(), length).unwrap().trunc()
                })
                .collect();
            let map = PrefixMap::new(nets.iter().copied().enumerate().map(|(number, net)| (net, number)));
            for _ in 0..2000 {
                let addr = std::net::Ipv4Addr::from_bits(draw(4) << 30 | draw(256) << 8 | draw(256)).into();
                let longest = nets.iter().enumerate().filter(|(_, net)| net.contains(&addr));
                let expected = longest.max_by_key(|(number, net)| (net.prefix_len(), *number));
                assert_eq!(map.get(addr), expected.map(|(number, _)| number).as_ref(), "{addr} in {nets:?}");
            }
        }
    }
}
