//! What the control socket carries: one request, one response, each a line of JSON.
//!
//! The types follow the kernel's own control interface (generic netlink `IPVS`), so that the command line can
//! keep ipvsadm's grammar and the daemon the kernel's answers.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use crate::health::{CheckListing, HealthListing, ServerHealth};
pub use crate::mark::{MarkRule, PortRange};

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

/// Counters as ipvsadm shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Connections scheduled.
    pub conns: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients (NAT).
    pub out_packets: u64,
    /// Bytes from clients, from the IP header on.
    pub in_bytes: u64,
    /// Bytes to clients, from the IP header on.
    pub out_bytes: u64,
    /// Connections a second.
    pub cps: u64,
    /// Packets a second from clients.
    pub in_pps: u64,
    /// Packets a second to clients.
    pub out_pps: u64,
    /// Bytes a second from clients.
    pub in_bps: u64,
    /// Bytes a second to clients.
    pub out_bps: u64,
}

/// The counters of all services together since the daemon started, whether the services are still there or not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Since they were zeroed last, with the rates.
    pub total: Stats,
    /// Those of each worker, which are never zeroed; without rates.
    pub workers: Vec<Stats>,
}

/// A virtual service, as it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceListing {
    /// As declared.
    pub service: VirtualService,
    /// Its counters.
    pub stats: Stats,
    /// Its real servers, in the kernel's own order (the newest first).
    pub servers: Vec<ServerListing>,
}

/// A real server, as it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerListing {
    /// As declared.
    pub server: RealServer,
    /// True when it is an address of the director's own. The tables of `-L` show its declared method all the same, as
    /// the kernel does.
    pub local: bool,
    /// Active connections.
    pub active: u32,
    /// Inactive connections.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
    /// Its counters.
    pub stats: Stats,
}

/// A connection or a persistence template, as `-Lc` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionListing {
    /// The protocol's number; 0 for the template of a mark.
    pub proto: u8,
    /// Seconds until it expires.
    pub expires: u32,
    /// The state's name.
    pub state: String,
    /// The client's address.
    pub cip: IpAddr,
    /// The client's port.
    pub client_port: u16,
    /// The address the client spoke to; for the template of a mark, the mark in an address's bits.
    pub vip: IpAddr,
    /// The port the client spoke to.
    pub service_port: u16,
    /// The real server's address.
    pub rip: IpAddr,
    /// The real server's port.
    pub server_port: u16,
    /// The persistence engine, and what it keeps.
    pub persistence: Option<(String, String)>,
}

/// Packets dropped for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropListing {
    /// The reason's name.
    pub reason: String,
    /// The reason in a sentence.
    pub meaning: String,
    /// How many.
    pub packets: u64,
}

/// How the daemon is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's process.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime: u64,
    /// The interfaces it serves.
    pub interfaces: Vec<InterfaceStatus>,
    /// Packets taken from the interfaces.
    pub received: u64,
    /// Packets forwarded.
    pub forwarded: u64,
    /// Packets handed to the host's own stack.
    pub to_host: u64,
    /// Packets dropped, all reasons together.
    pub dropped: u64,
    /// Packets that wait for something.
    pub held: u64,
    /// Packets of the director's own making.
    pub originated: u64,
    /// Connections in the table.
    pub connections: u64,
    /// Persistence templates in the table.
    pub templates: u64,
    /// The flow cache, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheListing>,
}

/// One interface of the daemon's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// `native` or `generic`.
    pub mode: String,
    /// Queues served.
    pub queues: u32,
    /// Why the XDP program does not send established connections' packets out here by itself, while the AF_XDP
    /// sockets do; absent where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_cached: Option<String>,
}

/// What the flow cache did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CacheListing {
    /// Flows in it: one for each direction of a connection that is seen here.
    pub flows: u64,
    /// Flows of each address family it has room for.
    pub size: u64,
    /// Packets forwarded by the XDP program; they are among those received and forwarded.
    pub forwarded: u64,
    /// Packets it left to the workers, by reason.
    pub left: Vec<(String, u64)>,
}

/// The virtual routers of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VrrpListing {
    /// In the order declared.
    pub instances: Vec<VrrpInstance>,
    /// In the order declared.
    pub groups: Vec<VrrpGroup>,
    /// Adverts that belonged to no instance, by reason.
    pub strangers: Vec<VrrpReject>,
}

/// A sync group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VrrpGroup {
    /// Its name.
    pub name: String,
    /// `MASTER`, `BACKUP`, `FAULT` or `STOP`.
    pub state: String,
    /// Its instances.
    pub members: Vec<String>,
}

/// A virtual router.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VrrpInstance {
    /// Its name.
    pub name: String,
    /// The interface its adverts go through.
    pub interface: String,
    /// Its number.
    pub virtual_router_id: u8,
    /// The protocol's version, 2 or 3.
    pub version: u8,
    /// `MASTER`, `BACKUP`, `FAULT` or `STOP`.
    pub state: String,
    /// The priority as declared.
    pub priority: u8,
    /// The priority as what is watched has made it.
    pub effective_priority: u8,
    /// Milliseconds since the last transition.
    pub since: u64,
    /// Why that was.
    pub cause: String,
    /// The master, where another is.
    pub master: Option<IpAddr>,
    /// The master's priority, where another is.
    pub master_priority: Option<u8>,
    /// The address our adverts come from.
    pub source: Option<IpAddr>,
    /// Milliseconds from one of our adverts to the next.
    pub advert_interval: u64,
    /// Milliseconds of silence after which the master is thought dead.
    pub down_interval: u64,
    /// The virtual addresses, those that adverts do not name among them.
    pub addresses: Vec<IpAddr>,
    /// How many of them are on this host.
    pub held: usize,
    /// Adverts listened to.
    pub received: u64,
    /// Adverts sent.
    pub sent: u64,
    /// Adverts of priority 0 listened to.
    pub zero_received: u64,
    /// Adverts of priority 0 sent.
    pub zero_sent: u64,
    /// Times it became master.
    pub became_master: u64,
    /// Times it stopped being master.
    pub released_master: u64,
    /// Adverts whose checksum was right with the pseudo-header (RFC 5798, and IPv6).
    pub checksum_with_pseudo_header: u64,
    /// Adverts whose checksum was right without it (RFC 9568 for IPv4, and version 2).
    pub checksum_without: u64,
    /// Adverts rejected, by reason; those that there were.
    pub rejects: Vec<VrrpReject>,
    /// What keeps it from working, where something does.
    pub faults: Vec<String>,
}

/// Adverts rejected for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpReject {
    /// The reason's name.
    pub reason: String,
    /// The reason in a sentence.
    pub meaning: String,
    /// How many.
    pub adverts: u64,
}
