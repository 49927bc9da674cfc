//! What the control socket carries: one request, one response, each a line of JSON.
//!
//! The types follow the kernel's own control interface (generic netlink `IPVS`), so that the command line can
//! keep ipvsadm's grammar and the daemon the kernel's answers.

mod listing;
mod status;
mod vrrp;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use crate::health::{CheckListing, HealthListing, ServerHealth};
pub use crate::mark::{MarkRule, PortRange};
pub use listing::{ConnectionListing, ServerListing, ServiceListing, Stats, Totals};
pub use status::{CacheListing, DropListing, InterfaceStatus, Status};
pub use vrrp::{VrrpGroup, VrrpInstance, VrrpListing, VrrpReject};

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

/// What is asked of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request")]
pub enum Request {
    /// `-A`
    AddService(VirtualService),
    /// `-E`
    EditService(VirtualService),
    /// `-D`
    DeleteService {
        /// The service.
        id: ServiceId,
    },
    /// `-C`
    Flush,
    /// `-a`
    AddServer {
        /// The service it joins.
        id: ServiceId,
        /// The server.
        server: RealServer,
    },
    /// `-e`
    EditServer {
        /// The service it serves.
        id: ServiceId,
        /// The server, whole.
        server: RealServer,
    },
    /// `-d`
    DeleteServer {
        /// The service it leaves.
        id: ServiceId,
        /// The server's address.
        rip: IpAddr,
        /// The server's port.
        port: u16,
    },
    /// `-Z`, of one service or of all.
    Zero {
        /// The service; all of them when absent.
        id: Option<ServiceId>,
    },
    /// `--set`, in seconds; 0 keeps a value.
    SetTimeouts(Timeouts),
    /// `-L --timeout`
    Timeouts,
    /// `-L`, `-S`: one service or all, in the kernel's own order.
    List {
        /// The service; all of them when absent.
        id: Option<ServiceId>,
    },
    /// `-L -c`
    Connections,
    /// `--start-daemon`
    StartDaemon(SyncDaemon),
    /// `--stop-daemon`
    StopDaemon {
        /// Which of the two.
        role: SyncRole,
        /// `--syncid`
        syncid: u8,
    },
    /// `-L --daemon`
    Daemons,
    /// `lvsd sysctl`: reads values of `net.ipv4.vs`, and sets those that come with one, all or none.
    Sysctls {
        /// The names; all of them are read when empty.
        settings: Vec<SysctlSetting>,
    },
    /// What was dropped, and why.
    Drops,
    /// How the daemon is doing: interfaces, workers, the accounting of packets.
    Status,
    /// `lvsd vrrp`
    Vrrp,
    /// `lvsd mark add`
    AddMark {
        /// The rule.
        rule: MarkRule,
        /// Its place in the list, counted from 1; at the end when absent.
        at: Option<u32>,
    },
    /// `lvsd mark del`
    DeleteMark {
        /// Which rule.
        which: MarkChoice,
    },
    /// `lvsd mark list`
    Marks,
    /// `lvsd health`
    Health,
    /// `lvsd reload`: the files are read again, and what differs is changed; all of it or nothing.
    Reload,
    /// The counters of all services together, those that are gone included.
    Totals,
}

/// Names a rule for marks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkChoice {
    /// By its place in the list, counted from 1.
    Number(u32),
    /// By all that it says.
    Rule(MarkRule),
}

/// A value of `net.ipv4.vs` to be read or set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SysctlSetting {
    /// Its name, with or without `net.ipv4.vs.`.
    pub name: String,
    /// What it is set to, as text; it is only read when absent.
    #[serde(default)]
    pub value: Option<String>,
}

/// A value of `net.ipv4.vs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SysctlListing {
    /// Its name in full.
    pub name: String,
    /// What it is, as text.
    pub value: String,
    /// Why it has no effect here, where it has none.
    pub note: Option<String>,
}

/// Timeouts in seconds (`--set`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Established TCP.
    pub tcp: u32,
    /// TCP after a FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

/// Which half of connection synchronisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncRole {
    /// Sends.
    Master,
    /// Receives.
    Backup,
}

/// A connection synchronisation daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncDaemon {
    /// Sender or receiver.
    pub role: SyncRole,
    /// `--mcast-interface`
    pub interface: String,
    /// `--syncid`
    pub syncid: u8,
    /// `--sync-maxlen`; 0 for the default.
    pub maxlen: u16,
    /// `--mcast-group`
    pub group: Option<IpAddr>,
    /// `--mcast-port`; 0 for the default.
    pub port: u16,
    /// `--mcast-ttl`; 0 for the default.
    pub ttl: u8,
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "response")]
pub enum Response {
    /// Done, with nothing to tell.
    Done,
    /// Refused; nothing was changed.
    Refused {
        /// Why, as the kernel would put it.
        error: Refusal,
    },
    /// The request could not be read, or makes no sense; nothing was done.
    Malformed {
        /// What was wrong with it.
        message: String,
    },
    /// The services asked for.
    Services {
        /// In the kernel's own order.
        services: Vec<ServiceListing>,
    },
    /// The connections.
    Connections {
        /// In no order.
        connections: Vec<ConnectionListing>,
    },
    /// The timeouts in force.
    Timeouts(Timeouts),
    /// The synchronisation daemons that run.
    Daemons {
        /// Master before backup.
        daemons: Vec<SyncDaemon>,
    },
    /// The values asked for, as they are now.
    Sysctls {
        /// In the order asked for.
        sysctls: Vec<SysctlListing>,
    },
    /// Packets dropped, by reason.
    Drops {
        /// Every reason.
        drops: Vec<DropListing>,
    },
    /// How the daemon is doing.
    Status(Status),
    /// How the real servers' checks stand.
    Health {
        /// The virtual servers that are checked, as declared.
        virtual_servers: Vec<HealthListing>,
    },
    /// The virtual routers.
    Vrrp(VrrpListing),
    /// The files were read again and taken.
    Reloaded(Reloaded),
    /// The rules for marks.
    Marks {
        /// In their order: the first that fits a packet counts.
        rules: Vec<MarkRule>,
    },
    /// The counters of all services together.
    Totals(Totals),
}

/// What a reload came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reloaded {
    /// Services and servers that were added, changed or removed; those of checks apart.
    pub changes: u64,
    /// Virtual services there are.
    pub services: u64,
    /// Virtual routers there are.
    pub routers: u64,
    /// How long it took.
    pub milliseconds: u64,
    /// What in the files has no effect, with its places.
    pub warnings: String,
}

/// Why a request was refused: the error numbers of the kernel's control interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// EEXIST: it is there already.
    #[error("it exists already")]
    Exists,
    /// ENOENT: a named part (scheduler, engine, server) is not there.
    #[error("a part of it does not exist")]
    NoEntry,
    /// ESRCH: the service is not there.
    #[error("there is no such service")]
    NoService,
    /// EINVAL: a value the kernel does not take.
    #[error("a value is not valid")]
    Invalid,
    /// ERANGE: a weight or threshold out of range.
    #[error("a value is out of range")]
    Range,
    /// EPERM: the caller may not.
    #[error("permission denied")]
    NotPermitted,
    /// ENOPROTOOPT: this build does not have it.
    #[error("not available")]
    NotAvailable,
    /// ENOMEM: a limit is reached.
    #[error("no memory")]
    NoMemory,
    /// EOPNOTSUPP: not for this kind of service.
    #[error("not supported")]
    NotSupported,
    /// ENODEV: there is no such interface.
    #[error("there is no such interface")]
    NoDevice,
    /// EAFNOSUPPORT: not for this address family.
    #[error("address family not supported")]
    FamilyNotSupported,
}
