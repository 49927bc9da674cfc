//! The director's surroundings in a replay: interfaces, routes and neighbours, as a topology file tells them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use lvs_forward::{Checksums, Mac, PortId};
use serde::Deserialize;

use super::ReplayError;
use super::timeline::Case;
use crate::resolve::{Fib, Interface, Neighbour, Route, RouteKind, TakenIn};

/// What a topology file says. A neighbour's `{A..B}` in `ip` stands for each number from A to B; a brace in its
/// `mac` is that number in hexadecimal.
#[derive(Debug, Clone, Deserialize)]
pub struct Topology {
    interfaces: BTreeMap<String, Link>,
    #[serde(default)]
    routes: Vec<Way>,
    #[serde(default)]
    neighbours: Vec<Known>,
}

#[derive(Debug, Clone, Deserialize)]
struct Link {
    mac: String,
    #[serde(default = "ethernet_mtu")]
    mtu: u16,
    #[serde(default)]
    addresses: Vec<IpNet>,
}

/// A route.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Way {
    dst: IpNet,
    via: Option<IpAddr>,
    dev: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Known {
    ip: String,
    mac: String,
    dev: String,
}

const fn ethernet_mtu() -> u16 {
    1500
}

impl Topology {
    /// Reads a topology.
    ///
    /// # Errors
    /// [`ReplayError::Topology`] with what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, ReplayError> {
        serde_json::from_str(text).map_err(|error| ReplayError::Topology(error.to_string()))
    }

    /// The topology of a replay that is given none.
    pub fn builtin() -> Result<Self, ReplayError> {
        Self::parse(include_str!("topology.json"))
    }

    /// The interface's port, by its name.
    pub(super) fn port(&self, name: &str) -> Option<PortId> {
        self.interfaces
            .keys()
            .position(|known| known == name)
            .and_then(|at| u16::try_from(at).ok())
            .map(PortId)
    }

    /// The interface's name, by its port.
    pub(super) fn name(&self, port: PortId) -> Option<&str> {
        self.interfaces.keys().nth(port.index()).map(String::as_str)
    }

    /// The interfaces' names, in the order of their ports.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.interfaces.keys().map(String::as_str)
    }

    /// The interfaces' link-layer addresses, in the order of their ports; zero for one that is none.
    pub(super) fn macs(&self) -> Vec<[u8; 6]> {
        self.interfaces.values().map(|link| mac(&link.mac).map_or([0; 6], |mac| mac.0)).collect()
    }

    /// The host's forwarding table in a case: with its addresses, its MTUs and what it delivers locally.
    pub(super) fn fib(&self, case: &Case) -> Result<Fib, ReplayError> {
        let mut interfaces = Vec::new();
        for (name, link) in &self.interfaces {
            interfaces.push(Interface {
                name: name.clone(),
                index: self.index(name)?,
                port: self.port(name),
                mac: mac(&link.mac)?,
                mtu: case.mtu.get(name).copied().unwrap_or(link.mtu),
                // The recorded interfaces leave checksums to the device, and the frames show it.
                checksums: Checksums::Offloaded,
                addresses: link.addresses.clone(),
            });
        }
        let mut routes: Vec<Route> = interfaces.iter().flat_map(Interface::connected).collect();
        for way in self.routes.iter().chain(&case.routes) {
            routes.push(Route {
                destination: way.dst,
                kind: RouteKind::Unicast,
                via: way.via,
                interface: self.index(&way.dev)?,
                mtu: None,
                source: None,
                metric: 0,
            });
        }
        let vips = case.vips.iter().map(|vip| IpNet::from(*vip));
        routes.extend(vips.chain(case.local.iter().copied()).map(|destination| Route {
            destination,
            kind: RouteKind::Local,
            via: None,
            interface: 0,
            mtu: None,
            source: None,
            metric: 0,
        }));
        let mut neighbours = Vec::new();
        for known in &self.neighbours {
            known.expand(self.index(&known.dev)?, &mut neighbours)?;
        }
        let taken_in = case.taken_in.iter().map(|policy| TakenIn {
            mark: policy.mark,
            mask: u32::MAX,
            destination: policy.dst,
        });
        Ok(Fib::new(interfaces, routes, &neighbours).taking_in(taken_in.collect()))
    }

    fn index(&self, name: &str) -> Result<u32, ReplayError> {
        let port = self.port(name).ok_or_else(|| ReplayError::Topology(format!("no interface {name}")))?;
        Ok(u32::from(port.0) + 1)
    }
}

impl Known {
    fn expand(&self, interface: u32, into: &mut Vec<Neighbour>) -> Result<(), ReplayError> {
        let Some((before, numbers, after)) = braced(&self.ip) else {
            into.push(Neighbour { interface, addr: address(&self.ip)?, mac: mac(&self.mac)? });
            return Ok(());
        };
        let wrong = || ReplayError::Topology(format!("{}: expected {{A..B}}", self.ip));
        let (first, last) = numbers.split_once("..").ok_or_else(wrong)?;
        let last = last.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        let (first, last): (u8, u8) =
            (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
        for number in first..=last {
            let hex = match braced(&self.mac) {
                Some((before, _, after)) => format!("{before}{number:02x}{after}"),
                None => self.mac.clone(),
            };
            let addr = address(&format!("{before}{number}{after}"))?;
            into.push(Neighbour { interface, addr, mac: mac(&hex)? });
        }
        Ok(())
    }
}

/// The text before, in and after a pair of braces.
fn braced(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (inside, after) = rest.split_once('}')?;
    Some((before, inside, after))
}

fn address(text: &str) -> Result<IpAddr, ReplayError> {
    text.parse().map_err(|_| ReplayError::Topology(format!("{text}: no IP address")))
}

fn mac(text: &str) -> Result<Mac, ReplayError> {
    let wrong = || ReplayError::Topology(format!("{text}: no link-layer address"));
    let mut octets = [0; 6];
    let mut parts = text.split(':');
    for octet in &mut octets {
        let part = parts.next().ok_or_else(wrong)?;
        *octet = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
    }
    if parts.next().is_some() { Err(wrong()) } else { Ok(Mac(octets)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_topology_knows_its_neighbours() {
        let fib = Topology::builtin().unwrap().fib(&Case::default()).unwrap();
        let path = |addr: &str| *fib.lookup(addr.parse().unwrap()).unwrap().path().unwrap();
        assert_eq!(path("10.2.0.11").dst_mac, Mac([2, 0, 0, 0, 2, 0x0b]));
        assert_eq!(path("2001:db8:2::42").dst_mac, Mac([2, 0, 0, 0, 2, 0x2a]));
        assert_eq!(path("203.0.113.1").dst_mac, Mac([2, 0, 0, 0, 1, 1]));
    }

    #[test]
    fn a_range_may_carry_a_remark() {
        let text = r#"{"interfaces": {"x": {"mac": "02:00:00:00:00:01", "addresses": ["10.0.0.1/24"]}},
            "neighbours": [{"ip": "10.0.0.{2..3, both}", "mac": "02:00:00:00:00:{the number}", "dev": "x"}]}"#;
        let fib = Topology::parse(text).unwrap().fib(&Case::default()).unwrap();
        let hop = fib.lookup("10.0.0.3".parse().unwrap()).unwrap();
        assert_eq!(hop.path().unwrap().dst_mac, Mac([2, 0, 0, 0, 0, 3]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = Topology::parse(r#"{"interfaces": 5}"#).unwrap_err();
        assert!(error.to_string().starts_with("the topology"), "{error}");
        let dangling = r#"{"interfaces": {}, "routes": [{"dst": "0.0.0.0/0", "dev": "y"}]}"#;
        let error = Topology::parse(dangling).unwrap().fib(&Case::default()).unwrap_err();
        assert!(error.to_string().contains("no interface y"), "{error}");
    }
}
