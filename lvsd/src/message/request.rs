//! What is asked of the daemon.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{MarkRule, RealServer, ServiceId, SyncDaemon, SyncRole, Timeouts, VirtualService};

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
    /// `lvsd stop`: answered at once; the daemon ends when it is done.
    Stop(Stop),
}

/// What a request changes when it is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The services and their servers.
    Services,
    /// The rules for marks.
    Marks,
    /// Timeouts or values of `net.ipv4.vs`.
    Settings,
    /// Nothing that is to last.
    Nothing,
}

impl Request {
    /// What it changes, if it is carried out.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match self {
            Self::AddService(_)
            | Self::EditService(_)
            | Self::DeleteService { .. }
            | Self::Flush
            | Self::AddServer { .. }
            | Self::EditServer { .. }
            | Self::DeleteServer { .. } => Effect::Services,
            Self::AddMark { .. } | Self::DeleteMark { .. } => Effect::Marks,
            Self::SetTimeouts(_) => Effect::Settings,
            Self::Sysctls { settings } if settings.iter().any(|setting| setting.value.is_some()) => {
                Effect::Settings
            }
            Self::Sysctls { .. }
            | Self::Zero { .. }
            | Self::Timeouts
            | Self::List { .. }
            | Self::Connections
            | Self::StartDaemon(_)
            | Self::StopDaemon { .. }
            | Self::Daemons
            | Self::Drops
            | Self::Status
            | Self::Marks
            | Self::Health
            | Self::Vrrp
            | Self::Reload
            | Self::Stop(_)
            | Self::Totals => Effect::Nothing,
        }
    }
}

/// How the daemon is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// Once no TCP connection is established any more, or after so many seconds; no server gets new ones meanwhile.
    Drain(u32),
    /// At once, and all is as it was before.
    Now,
    /// At once; what was set up stays, and the XDP program goes on with the connections it knows: for a successor.
    HandOver,
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
