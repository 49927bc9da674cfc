//! Connection synchronisation daemons, as `--start-daemon` names them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

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
