//! Which packets are the director's: the wanted set.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lvs_conntrack::Proto;

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
    /// Endpoints that the program's maps hold, of all roles together: `max_entries` of `claim.h`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_maps_have_no_room_for_does_not_fit() {
        let port = |number: usize| u16::try_from(number % 60_000 + 1).unwrap();
        let octet = |number: usize| u8::try_from(number / 60_000 + 1).unwrap();
        let many = |count| {
            let of = |number| {
                let address = [10, 0, 0, octet(number)].into();
                Endpoint { address, port: port(number), proto: Proto::TCP }
            };
            Claims { servers: (0..count).map(of).collect(), ..Claims::default() }
        };
        assert!(many(Claims::MOST_ENDPOINTS).fits());
        assert!(!many(Claims::MOST_ENDPOINTS + 1).fits());
        let source = include_str!("../../../bpf/claim.h");
        for most in [Claims::MOST_ENDPOINTS, Claims::MOST_PREFIXES] {
            assert!(source.contains(&format!("__uint(max_entries, {most})")), "{most}");
        }
    }
}
