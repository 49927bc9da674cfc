//! What an operator declares: instances, sync groups and what they watch, as plain values that can be compared.
//!
//! Whoever reads a file fills in what it says, and what its global section says for all; every default here is
//! keepalived's. [`Declared::mistakes`] says what no file may say.

mod address;
mod authentication;
mod command;
mod instance;
mod mistake;
mod route;
mod rule;
mod track;
mod words;

use std::path::PathBuf;
use std::time::Duration;

pub use address::{Flag, Scope, VirtualAddress};
pub use authentication::{AntiReplay, Authentication, HmacKey, HmacMode, HmacSettings};
pub use command::{Command, Notify, RunAs};
pub use instance::{
    Announcing, Checksum, InitialState, Instance, Ipvlan, IpvlanMode, Peer, Preemption, Version, VirtualMac,
};
pub use mistake::{Mistake, Subject};
pub use route::{Route, RouteKind};
pub use rule::{Rule, RuleVerdict};
pub use track::{InitialNumber, Script, Track, TrackFile, TrackProcess, Weight};
pub use words::{KEEPALIVED, Prefix, Unread};

/// Everything about VRRP that an operator declares.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Declared {
    /// What holds for all of it.
    pub globals: Globals,
    /// The instances, each with a name of its own.
    pub instances: Vec<Instance>,
    /// The sync groups, each with a name of its own.
    pub groups: Vec<SyncGroup>,
    /// The scripts that instances and groups may watch.
    pub scripts: Vec<Script>,
    /// The files that instances and groups may watch.
    pub files: Vec<TrackFile>,
    /// The processes that instances and groups may watch.
    pub processes: Vec<TrackProcess>,
    /// How long an interface must have been down, and up, before it counts (`interface_up_down_delays`).
    pub link_delays: Vec<LinkDelay>,
    /// What is on the host whoever is master.
    pub lasting: Lasting,
}

impl Declared {
    /// True when there is nothing to run.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty() && self.lasting == Lasting::default()
    }
}

/// What is on the host from the start to the end, whoever is master.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lasting {
    /// Addresses, each with its interface (`static_ipaddress`).
    pub addresses: Vec<VirtualAddress>,
    /// Routes (`static_routes`).
    pub routes: Vec<Route>,
    /// Rules of policy routing (`static_rules`).
    pub rules: Vec<Rule>,
}

/// What holds for all instances together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Globals {
    /// No instance leaves its first state before this has passed since the start (`vrrp_startup_delay`).
    pub startup_delay: Duration,
    /// The pipes every transition is written to (`notify_fifo`, `vrrp_notify_fifo`); made when they are not there.
    pub notify_fifos: Vec<Fifo>,
    /// Who scripts run as that name no one (`script_user`); the daemon's own user when absent.
    pub script_user: Option<RunAs>,
    /// Refuses scripts that run as root and that others than root could change (`enable_script_security`).
    pub script_security: bool,
    /// The real-time priority of the thread that sends adverts (`vrrp_rt_priority`), 1 to 99; one is tried when
    /// absent.
    pub realtime_priority: Option<u8>,
}

/// A pipe that transitions are written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fifo {
    /// Where it is.
    pub path: PathBuf,
    /// A program to read it, started with the pipe's path behind its own arguments (`notify_fifo_script`).
    pub reader: Option<Command>,
}

/// Instances that change state together (`vrrp_sync_group`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncGroup {
    /// Its name.
    pub name: String,
    /// The names of its instances.
    pub members: Vec<String>,
    /// Interfaces watched for all members.
    pub track_interfaces: Vec<Track>,
    /// Scripts watched for all members.
    pub track_scripts: Vec<Track>,
    /// Files watched for all members.
    pub track_files: Vec<Track>,
    /// Processes watched for all members.
    pub track_processes: Vec<Track>,
    /// What runs on the group's transitions.
    pub notify: Notify,
    /// Lets the members' own weights count (`sync_group_tracking_weight`); else they are ignored.
    pub members_weigh: bool,
}

/// How long an interface must have been in a state before it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkDelay {
    /// The interface's name.
    pub interface: String,
    /// Before it counts as down.
    pub down: Duration,
    /// Before it counts as up.
    pub up: Duration,
}
