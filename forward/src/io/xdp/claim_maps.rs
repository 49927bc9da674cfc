//! The maps of the XDP program by which it knows the director's packets, and how they follow the claims.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use libbpf_rs::{MapCore, MapFlags, MapHandle, Object};

use super::claims::{Claims, Endpoint};
use super::error::ProgramError;
use super::marked::{MarkedValue, PrefixKey, marked};
use super::program::map;

/// `enum role` of `claim.h`.
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

/// `SETTING_PREFIXES` of `claim.h`.
const SETTING_PREFIXES: u32 = 0;
/// `struct endpoint` of `claim.h`.
type EndpointKey = [u8; 20];
/// `struct address` of `claim.h`: IPv4 as `::ffff:a.b.c.d`.
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

/// The roles that some address has at a port, in the words of `lvsd_port`; words of no role are left out.
fn ports_of<'a>(endpoints: impl Iterator<Item = (&'a Endpoint, Role)>) -> BTreeMap<u32, u64> {
    let mut words = BTreeMap::new();
    for (endpoint, role) in endpoints {
        let (word, place) = (endpoint.port >> 4, endpoint.port & 15);
        *words.entry(u32::from(word)).or_default() |= 1 << (u32::from(place) * 4 + u32::from(role.code()));
    }
    words
}

/// The maps' content.
#[derive(Debug, Default, PartialEq, Eq)]
struct Content {
    endpoints: BTreeSet<EndpointKey>,
    /// The roles of ports, by word.
    ports: BTreeMap<u32, u64>,
    /// The roles an address has at any port, a bit each.
    addresses: BTreeMap<AddressKey, u32>,
    prefixes: BTreeMap<PrefixKey, MarkedValue>,
}

impl Content {
    fn of(claims: &Claims) -> Self {
        let roles = [
            (&claims.services, Role::Service),
            (&claims.servers, Role::Server),
            (&claims.tunnels, Role::Tunnel),
        ];
        let all = || roles.iter().flat_map(|&(of, role)| of.iter().map(move |endpoint| (endpoint, role)));
        let mut content = Self { prefixes: marked(claims), ports: ports_of(all()), ..Self::default() };
        for (&endpoint, role) in all() {
            content.endpoints.insert(endpoint_key(endpoint, role));
            *content.addresses.entry(address_key(endpoint.address)).or_default() |= 1 << role.code();
        }
        content
    }
}

/// The maps in the kernel and what is known to be in them.
#[derive(Debug)]
pub(super) struct ClaimMaps {
    endpoints: MapHandle,
    ports: MapHandle,
    addresses: MapHandle,
    prefixes: MapHandle,
    settings: MapHandle,
    current: Content,
}

const PRESENT: [u8; 4] = 1_u32.to_ne_bytes();

impl ClaimMaps {
    /// The empty maps of an object.
    pub(super) fn of(object: &Object) -> Result<Self, ProgramError> {
        Ok(Self {
            endpoints: map(object, "lvsd_vip")?,
            ports: map(object, "lvsd_port")?,
            addresses: map(object, "lvsd_address")?,
            prefixes: map(object, "lvsd_prefix")?,
            settings: map(object, "lvsd_setting")?,
            current: Content::default(),
        })
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
        for (&word, &roles) in &wanted.ports {
            let before = self.current.ports.get(&word).copied().unwrap_or(0);
            self.set_ports(word, before | roles)?;
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
        let words: Vec<u32> = self.current.ports.keys().copied().collect();
        for word in words {
            self.set_ports(word, wanted.ports.get(&word).copied().unwrap_or(0))?;
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

    fn set_ports(&mut self, word: u32, roles: u64) -> Result<(), ProgramError> {
        if self.current.ports.get(&word).copied().unwrap_or(0) != roles {
            update(&self.ports, &word.to_ne_bytes(), &roles.to_ne_bytes())?;
        }
        if roles == 0 {
            self.current.ports.remove(&word);
        } else {
            self.current.ports.insert(word, roles);
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

pub(super) fn delete(map: &MapHandle, key: &[u8]) -> Result<(), ProgramError> {
    map.delete(key).map_err(|source| ProgramError::map(map, source))
}

#[cfg(test)]
mod tests {
    use lvs_conntrack::Proto;

    use super::*;

    fn endpoint(address: &str, port: u16, proto: Proto) -> Endpoint {
        Endpoint { address: address.parse().unwrap(), port, proto }
    }

    #[test]
    fn keys_lie_as_the_program_reads_them() {
        let key = endpoint_key(endpoint("10.0.0.1", 80, Proto::TCP), Role::Server);
        assert_eq!(key, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1, 0, 80, 6, 2]);
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

    #[test]
    fn a_port_has_every_role_any_of_its_addresses_has() {
        let claims = Claims {
            services: [endpoint("10.0.0.1", 80, Proto::TCP), endpoint("10.0.0.2", 0, Proto::UDP)].into(),
            servers: [endpoint("10.0.0.3", 80, Proto::UDP), endpoint("fd00::2", 65535, Proto::TCP)].into(),
            tunnels: [endpoint("10.0.0.4", 95, Proto::UDP)].into(),
            ..Claims::default()
        };
        let words: Vec<(u32, u64)> = Content::of(&claims).ports.into_iter().collect();
        assert_eq!(words, [(0, 0b0010), (5, 0b0110 | 0b1000 << 60), (4095, 0b0100 << 60)]);
    }
}
