//! One rule for marks: as declared, as typed, and whom it fits.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ipnet::IpNet;
use lvs_forward::PortId;
use serde::{Deserialize, Serialize};

use super::Candidate;
use crate::message::{Family, Transport};
use crate::snapshot::number;

/// One rule: packets that fit carry the mark. What is absent or empty fits every packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkRule {
    /// The mark, never 0.
    pub mark: u32,
    /// The destinations it is for.
    #[serde(default)]
    pub destination: Option<IpNet>,
    /// The clients it is for.
    #[serde(default)]
    pub source: Option<IpNet>,
    /// The protocol.
    #[serde(default)]
    pub protocol: Option<Transport>,
    /// Destination ports; one of these ranges must hold the packet's.
    #[serde(default)]
    pub ports: Vec<PortRange>,
    /// Source ports, likewise.
    #[serde(default)]
    pub source_ports: Vec<PortRange>,
    /// The interface it comes in through.
    #[serde(default)]
    pub interface: Option<String>,
}

impl MarkRule {
    /// True when packets of this family can fit.
    pub fn is_for(&self, family: Family) -> bool {
        let networks = [self.destination, self.source];
        networks.iter().flatten().all(|network| Family::of(network.addr()) == family)
    }

    /// Whether a packet fits, read off the rule itself: what [`Marks`](super::Marks) compiles must say the same.
    /// `interface` is where the rule's interface is, when it has one and it is served.
    pub fn fits(&self, packet: Candidate<'_>, interface: Option<PortId>) -> bool {
        let key = packet.key;
        self.destination.is_none_or(|network| network.contains(&key.dst))
            && self.source.is_none_or(|network| network.contains(&key.src))
            && self.protocol.is_none_or(|wanted| number(wanted) == key.proto)
            && is_among(&self.ports, key.dst_port)
            && is_among(&self.source_ports, key.src_port)
            && (self.interface.is_none() || interface == Some(packet.ingress))
    }
}

fn is_among(ranges: &[PortRange], port: u16) -> bool {
    ranges.is_empty() || ranges.iter().any(|range| range.as_range().contains(&port))
}

/// As the options of `lvsd mark add`.
impl fmt::Display for MarkRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.mark)?;
        for (option, network) in [("destination", self.destination), ("source", self.source)] {
            if let Some(network) = network {
                write!(f, " --{option} {}", plain(network))?;
            }
        }
        if let Some(protocol) = self.protocol {
            write!(f, " --protocol {protocol}")?;
        }
        for (option, ranges) in [("ports", &self.ports), ("source-ports", &self.source_ports)] {
            for (place, range) in ranges.iter().enumerate() {
                if place == 0 {
                    write!(f, " --{option} {range}")?;
                } else {
                    write!(f, ",{range}")?;
                }
            }
        }
        self.interface.as_ref().map_or(Ok(()), |interface| write!(f, " --interface {interface}"))
    }
}

/// A network in words; a single address without its length.
fn plain(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

/// A network, or an address for itself alone; bits behind the prefix are cleared.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse::<IpNet>().ok().or_else(address).map(|network| network.trunc())
}

/// Ports from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port, not before the first.
    pub last: u16,
}

impl PortRange {
    /// One port.
    pub const fn single(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// As a range of numbers.
    pub const fn as_range(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// A text that is no port and no range of ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortRangeError {
    /// Not a number, or not one of a port.
    #[error("`{0}` is no port; expected one of 1 to 65535, or a range such as 8000-8100")]
    NoPort(String),
    /// The range ends before it begins.
    #[error("the range {0}-{1} is empty; write {1}-{0}")]
    Backwards(u16, u16),
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let port = |text: &str| match text.trim().parse() {
            Ok(port) if port != 0 => Ok(port),
            _ => Err(PortRangeError::NoPort(text.trim().to_owned())),
        };
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(text)?, port(text)?),
        };
        if first > last {
            return Err(PortRangeError::Backwards(first, last));
        }
        Ok(Self { first, last })
    }
}
