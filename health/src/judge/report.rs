//! How everything stands, to be shown.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::outcome::Outcome;
use crate::declared::Path;

/// A virtual server as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolReport {
    /// Its name.
    pub name: String,
    /// Its servers that are up are enough.
    pub has_quorum: bool,
    /// The sorry server serves.
    pub is_sorry: bool,
    /// Nothing is checked for it, for its addresses are elsewhere.
    pub is_suspended: bool,
    /// What the servers that are up weigh together.
    pub weight: u64,
    /// `quorum`
    pub quorum: u32,
    /// `hysteresis`
    pub hysteresis: u32,
    /// Its servers, as declared.
    pub servers: Vec<ServerReport>,
}

/// A real server as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerReport {
    /// Its address.
    pub address: SocketAddr,
    /// All its checks are content.
    pub is_up: bool,
    /// Its weight in the virtual server; none while it is not in it.
    pub weight: Option<u32>,
    /// Its checks, as declared.
    pub checks: Vec<CheckReport>,
}

/// A check as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The check's name, as keepalived.conf spells it.
    pub keyword: String,
    /// Whom it asks.
    pub target: SocketAddr,
    /// Which way its packets take there.
    pub path: Path,
    /// What it says of the server, or what is assumed until it says something.
    pub is_up: bool,
    /// It has said something.
    pub has_run: bool,
    /// Since when it says so.
    pub since: Option<Moment>,
    /// When the last attempt ended.
    pub ended: Option<Moment>,
    /// How long it took.
    pub took: Option<Duration>,
    /// What came of it.
    pub last: Option<Outcome>,
    /// How many real servers of all virtual servers depend on it.
    pub users: usize,
}
