//! A table by address prefix: the longest that holds the address answers.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

/// Values by prefix. A look-up costs one hash probe for each length of prefix in the table, a handful on a host.
#[derive(Debug, PartialEq)]
pub(crate) struct PrefixMap<T> {
    v4: Vec<(u8, ByNetwork<T>)>,
    v6: Vec<(u8, ByNetwork<T>)>,
}

type ByNetwork<T> = HashMap<u128, T, foldhash::fast::RandomState>;

impl<T> Default for PrefixMap<T> {
    fn default() -> Self {
        Self { v4: Vec::new(), v6: Vec::new() }
    }
}

impl<T> PrefixMap<T> {
    /// Adds a prefix; a later value for the same prefix replaces the earlier.
    pub(crate) fn insert(&mut self, net: IpNet, value: T) {
        let (table, length) = match net {
            IpNet::V4(_) => (&mut self.v4, net.prefix_len()),
            IpNet::V6(_) => (&mut self.v6, net.prefix_len()),
        };
        let at = match table.binary_search_by(|(l, _)| length.cmp(l)) {
            Ok(at) => at,
            Err(at) => {
                table.insert(at, (length, HashMap::default()));
                at
            }
        };
        if let Some((_, networks)) = table.get_mut(at) {
            networks.insert(masked(net.addr(), length), value);
        }
    }

    /// The value of the longest prefix that holds `addr`.
    pub(crate) fn get(&self, addr: IpAddr) -> Option<&T> {
        let table = if addr.is_ipv4() { &self.v4 } else { &self.v6 };
        table.iter().find_map(|(length, networks)| networks.get(&masked(addr, *length)))
    }
}

/// The first `length` bits of the address, left-aligned in 128.
fn masked(addr: IpAddr, length: u8) -> u128 {
    let bits = match addr {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    bits & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_answers() {
        let mut map = PrefixMap::default();
        for (net, value) in
            [("0.0.0.0/0", 0), ("10.0.0.0/8", 8), ("10.1.0.0/16", 16), ("10.1.0.7/32", 32), ("::/0", 6)]
        {
            map.insert(net.parse().unwrap(), value);
        }
        for (addr, value) in
            [("192.0.2.1", 0), ("10.2.0.1", 8), ("10.1.9.9", 16), ("10.1.0.7", 32), ("2001:db8::1", 6)]
        {
            assert_eq!(map.get(addr.parse().unwrap()), Some(&value), "{addr}");
        }
    }

    #[test]
    fn a_later_value_replaces_the_earlier() {
        let mut map = PrefixMap::default();
        map.insert("10.0.0.0/8".parse().unwrap(), 1);
        map.insert("10.0.0.0/8".parse().unwrap(), 2);
        assert_eq!(map.get("10.0.0.1".parse().unwrap()), Some(&2));
        assert_eq!(map.get("11.0.0.1".parse().unwrap()), None);
    }
}
