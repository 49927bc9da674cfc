//! Which packets are the director's: the wanted set, and the maps of the XDP program that follow it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

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
    /// Destinations of which every packet is wanted: services on firewall marks.
    pub prefixes: BTreeSet<Prefix>,
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

/// `SETTING_PREFIXES` of `lvsd_xdp.bpf.c`.
const SETTING_PREFIXES: u32 = 0;

/// `struct endpoint` of `lvsd_xdp.bpf.c`.
type EndpointKey = [u8; 20];
/// `struct prefix` of `lvsd_xdp.bpf.c`.
type PrefixKey = [u8; 20];
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

fn prefix_key(prefix: Prefix) -> PrefixKey {
    let (offset, most) = if prefix.address.is_ipv4() { (96, 32) } else { (0, 128) };
    let length = u32::from(prefix.length.min(most)) + offset;
    let mut key = [0; 20];
    for (to, from) in key.iter_mut().zip(length.to_ne_bytes().into_iter().chain(address_key(prefix.address)))
    {
        *to = from;
    }
    key
}

/// The maps' content.
#[derive(Debug, Default, PartialEq, Eq)]
struct Content {
    endpoints: BTreeSet<EndpointKey>,
    /// The roles an address has at any port, a bit each.
    addresses: BTreeMap<AddressKey, u32>,
    prefixes: BTreeSet<PrefixKey>,
}

impl Content {
    fn of(claims: &Claims) -> Self {
        let mut content =
            Self { prefixes: claims.prefixes.iter().copied().map(prefix_key).collect(), ..Self::default() };
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
                update(&self.addresses, key, (before | roles).to_ne_bytes())?;
                self.current.addresses.insert(*key, before | roles);
            }
        }
        for key in &wanted.endpoints {
            if !self.current.endpoints.contains(key) {
                update(&self.endpoints, key, PRESENT)?;
                self.current.endpoints.insert(*key);
            }
        }
        for key in &wanted.prefixes {
            if !self.current.prefixes.contains(key) {
                update(&self.prefixes, key, PRESENT)?;
                self.current.prefixes.insert(*key);
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
        let old: Vec<_> = self.current.prefixes.difference(&wanted.prefixes).copied().collect();
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
                    update(&self.addresses, &key, kept.to_ne_bytes())?;
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
        update(&self.settings, &SETTING_PREFIXES.to_ne_bytes(), in_use.to_ne_bytes())
    }
}

pub(super) fn update(map: &MapHandle, key: &[u8], value: [u8; 4]) -> Result<(), ProgramError> {
    map.update(key, &value, MapFlags::ANY).map_err(|source| ProgramError::map(map, source))
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
}
