//! A virtual service and its real servers as an operator declares them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// The family of an address.
    pub const fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }
}

/// The protocol of a virtual service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// What names a virtual service: an address with its port, or a firewall mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceId {
    /// A firewall mark within an address family.
    Mark {
        /// The mark, never 0.
        mark: u32,
        /// The family of the packets it gathers.
        family: Family,
    },
    /// A protocol, an address (VIP) and a port; port 0 gathers every port.
    Address {
        /// The protocol.
        transport: Transport,
        /// The address (VIP).
        vip: IpAddr,
        /// The port; 0 for all of them.
        port: u16,
    },
}

impl ServiceId {
    /// The address family of the service's packets.
    pub const fn family(&self) -> Family {
        match self {
            Self::Mark { family, .. } => *family,
            Self::Address { vip, .. } => Family::of(*vip),
        }
    }
}

/// A virtual service as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualService {
    /// What names it.
    pub id: ServiceId,
    /// The scheduler's name, as ipvsadm spells it.
    pub scheduler: String,
    /// Scheduler flags (`-b`): bit 0 flag-1 (sh-fallback, mh-fallback), bit 1 flag-2 (sh-port, mh-port), bit 2 flag-3.
    #[serde(default)]
    pub flags: u8,
    /// Persistence timeout in seconds; none for a service without persistence.
    #[serde(default)]
    pub persistent: Option<u32>,
    /// Bits of the client's address that persistence looks at: 1 to 32 for IPv4, 1 to 128 for IPv6.
    pub netmask: u8,
    /// The persistence engine's name (`--pe`).
    #[serde(default)]
    pub persistence_engine: Option<String>,
    /// One-packet scheduling (`-o`).
    #[serde(default)]
    pub one_packet: bool,
}

/// How packets reach a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardMethod {
    /// NAT: addresses and ports are rewritten, both ways (`-m`).
    Masquerade,
    /// Direct routing: only the MAC address changes (`-g`).
    DirectRoute,
    /// A tunnel: an outer IP header is put in front (`-i`).
    Tunnel(TunnelKind),
}

/// The outer header of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TunnelKind {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation to this port.
    Gue {
        /// The far end's UDP port, never 0.
        port: u16,
        /// What is done about the outer checksum.
        checksum: TunnelChecksum,
    },
    /// Generic routing encapsulation.
    Gre {
        /// What is done about the outer checksum; never [`TunnelChecksum::Remote`].
        checksum: TunnelChecksum,
    },
}

/// What a tunnel does about its outer checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelChecksum {
    /// None (`--tun-nocsum`).
    None,
    /// Present (`--tun-csum`).
    Full,
    /// Present, the inner one offloaded to the far end (`--tun-remcsum`).
    Remote,
}

/// A real server as declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    /// Its address (RIP).
    pub rip: IpAddr,
    /// Its port; 0 behind a mark or a port-0 service stands for the packet's own.
    pub port: u16,
    /// How packets reach it.
    pub method: ForwardMethod,
    /// Its weight, 0 to 2^31 - 1.
    pub weight: u32,
    /// Connections from which on it gets no new ones; 0 for no limit (`-x`).
    #[serde(default)]
    pub upper_threshold: u32,
    /// Connections under which it gets new ones again; 0 for three quarters of the upper one (`-y`).
    #[serde(default)]
    pub lower_threshold: u32,
}
