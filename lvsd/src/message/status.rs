//! How the daemon is doing: its interfaces, its flow cache, and what it dropped.

use serde::{Deserialize, Serialize};

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
    /// Flows of IPv4 it has room for.
    pub size: u64,
    /// Flows of IPv6 it has room for.
    #[serde(default)]
    pub size_ipv6: u64,
    /// Packets forwarded by the XDP program; they are among those received and forwarded.
    pub forwarded: u64,
    /// Packets it left to the workers, by reason.
    pub left: Vec<(String, u64)>,
    /// What keeps the flows when the daemon ends without a word.
    #[serde(default)]
    pub kept: String,
}
