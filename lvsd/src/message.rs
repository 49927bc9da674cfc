//! What the control socket carries: one request, one response, each a line of JSON.
//!
//! The types follow the kernel's own control interface (generic netlink `IPVS`), so that the command line can
//! keep ipvsadm's grammar and the daemon the kernel's answers.

mod listing;
mod refusal;
mod request;
mod service;
mod status;
mod sync;
mod vrrp;

use serde::{Deserialize, Serialize};

pub use crate::health::{CheckListing, HealthListing, ServerHealth};
pub use crate::mark::{MarkRule, PortRange};
pub use listing::{ConnectionListing, ServerListing, ServiceListing, Stats, Totals};
pub use refusal::Refusal;
pub use request::{Effect, MarkChoice, Request, Stop, SysctlSetting};
pub use service::{
    Family, ForwardMethod, RealServer, ServiceId, Transport, TunnelChecksum, TunnelKind, VirtualService,
};
pub use status::{CacheListing, DropListing, InterfaceStatus, Status};
pub use sync::{SyncDaemon, SyncRole};
pub use vrrp::{VrrpGroup, VrrpInstance, VrrpListing, VrrpReject};

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
