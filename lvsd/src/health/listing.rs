//! How the checks stand, for `lvsd health`.

use std::net::SocketAddr;
use std::time::Duration;

use lvs_health::declared::Path;
use lvs_health::judge::{CheckReport, Moment, Outcome, PoolReport, ServerReport};
use serde::{Deserialize, Serialize};

/// A virtual server as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthListing {
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
    pub servers: Vec<ServerHealth>,
}

/// A real server as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerHealth {
    /// Its address.
    pub address: SocketAddr,
    /// All its checks are content.
    pub is_up: bool,
    /// Its weight in the virtual server; none while it is not in it.
    pub weight: Option<u32>,
    /// Its checks, as declared.
    pub checks: Vec<CheckListing>,
}

/// A check as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckListing {
    /// The check's name, as keepalived.conf spells it.
    pub check: String,
    /// Whom it asks.
    pub target: SocketAddr,
    /// Which way its packets take: `host`, or `data` for that of the traffic.
    pub path: String,
    /// What it says of the server, or what is assumed until it says something.
    pub is_up: bool,
    /// It has said something.
    pub has_run: bool,
    /// For how many seconds it has said so.
    pub since: Option<f64>,
    /// How many seconds ago the last attempt ended.
    pub ago: Option<f64>,
    /// How many milliseconds it took.
    pub took: Option<f64>,
    /// What came of it: `ok`, or why it failed.
    pub result: Option<String>,
    /// How many real servers of all virtual servers depend on it.
    pub users: usize,
}

/// The judge's report as it is shown at the moment `now`.
pub(super) fn of(report: &[PoolReport], now: Moment) -> Vec<HealthListing> {
    let pool = |pool: &PoolReport| HealthListing {
        name: pool.name.clone(),
        has_quorum: pool.has_quorum,
        is_sorry: pool.is_sorry,
        is_suspended: pool.is_suspended,
        weight: pool.weight,
        quorum: pool.quorum,
        hysteresis: pool.hysteresis,
        servers: pool.servers.iter().map(|server| self::server(server, now)).collect(),
    };
    report.iter().map(pool).collect()
}

fn server(server: &ServerReport, now: Moment) -> ServerHealth {
    ServerHealth {
        address: server.address,
        is_up: server.is_up,
        weight: server.weight,
        checks: server.checks.iter().map(|check| self::check(check, now)).collect(),
    }
}

fn check(check: &CheckReport, now: Moment) -> CheckListing {
    let ago = |moment: Moment| now.since(moment).as_secs_f64();
    CheckListing {
        check: check.keyword.clone(),
        target: check.target,
        path: match check.path {
            Path::Host => "host",
            Path::Data(_) => "data",
        }
        .to_owned(),
        is_up: check.is_up,
        has_run: check.has_run,
        since: check.since.map(ago),
        ago: check.ended.map(ago),
        took: check.took.map(|took: Duration| took.as_secs_f64() * 1000.0),
        result: check.last.as_ref().map(result),
        users: check.users,
    }
}

fn result(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Success { weight: None } => "ok".to_owned(),
        Outcome::Success { weight: Some(weight) } => format!("ok, weight {weight}"),
        Outcome::Failure(failure) => failure.to_string(),
    }
}
