//! A virtual server with its real servers: what follows from their checks.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Check, Script, User};

/// What holds for all virtual servers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Globals {
    /// `rs_init_notifies`: the notifications of real servers are made for their first state too.
    pub rs_init_notifies: bool,
    /// `lvs_notify_fifo` with `lvs_notify_fifo_script`, and `notify_fifo` with its own: each gets every line.
    pub fifos: Vec<Fifo>,
    /// `SSL`
    pub tls: Tls,
    /// `script_user`: as whom programs run that name no user.
    pub script_user: Option<User>,
    /// `enable_script_security`: no program runs as root that somebody else could change.
    pub script_security: bool,
}

/// A named pipe that is told of every change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fifo {
    /// Where it is; it is made if it is not there.
    pub path: PathBuf,
    /// A program that reads it, started with the path as its last argument.
    pub script: Option<Script>,
}

/// What we say of ourselves when we speak TLS (`SSL`); a server's certificate is not looked at unless `ca` is given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Tls {
    /// `ca`: a PEM file of the authorities a server's certificate must come from.
    pub ca: Option<PathBuf>,
    /// `certificate`: a PEM file with our own, for servers that ask for one.
    pub certificate: Option<PathBuf>,
    /// `key`: a PEM file with its key, not encrypted.
    pub key: Option<PathBuf>,
}

/// A virtual server: its real servers, and when which of them serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualServer {
    /// What it is called in logs, in notifications and and when it is declared anew; no other has the same. keepalived
    /// calls it `[VIP]:tcp:80`, `FWM 1` or, for a group, by the group's name.
    pub name: String,
    /// What follows from the checks.
    pub policy: Policy,
    /// Its real servers, in the order they are added; no two have the same address.
    pub servers: Vec<RealServer>,
}

/// What follows from the checks of a virtual server's real servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// `quorum`: the sum of weights with which it can do its work, at least 1.
    pub quorum: u32,
    /// `hysteresis`: it is up from quorum + hysteresis on, and down under quorum - hysteresis; less than the quorum.
    pub hysteresis: u32,
    /// `omega`: the notifications of servers going down, and of the quorum lost, are made at the end too.
    pub omega: bool,
    /// `ha_suspend`: nothing is checked while none of its addresses is on this host.
    pub ha_suspend: bool,
    /// `sorry_server`: serves while the quorum is lost.
    pub sorry: Option<Sorry>,
    /// `quorum_up`
    pub quorum_up: Option<Script>,
    /// `quorum_down`
    pub quorum_down: Option<Script>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            quorum: 1,
            hysteresis: 0,
            omega: false,
            ha_suspend: false,
            sorry: None,
            quorum_up: None,
            quorum_down: None,
        }
    }
}

/// The server that serves while the quorum is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sorry {
    /// Its address.
    pub address: SocketAddr,
    /// `sorry_server_inhibit`: it is always there, with weight 0 while it is not needed.
    pub inhibit: bool,
}

/// A real server with its checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    /// Its address; port 0 where the virtual server has none.
    pub address: SocketAddr,
    /// `weight`
    pub weight: u32,
    /// `inhibit_on_failure`: while it is down it stays with weight 0.
    pub inhibit_on_failure: bool,
    /// `notify_up`
    pub notify_up: Option<Script>,
    /// `notify_down`
    pub notify_down: Option<Script>,
    /// Its checks: all of them must succeed. Without any it is always up.
    pub checks: Vec<Check>,
}
