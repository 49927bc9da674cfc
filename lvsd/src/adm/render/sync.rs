//! The lines of `-L --daemon`.

use std::fmt::Write as _;

use crate::message::{SyncDaemon, SyncRole};

/// One line a daemon, the master's first; what is zero or absent is left out.
pub(in crate::adm) fn daemons(daemons: &[SyncDaemon]) -> String {
    let mut text = String::new();
    for role in [SyncRole::Master, SyncRole::Backup] {
        for daemon in daemons.iter().filter(|daemon| daemon.role == role) {
            text.push_str(&line(daemon));
        }
    }
    text
}

fn line(daemon: &SyncDaemon) -> String {
    let role = match daemon.role {
        SyncRole::Master => "master",
        SyncRole::Backup => "backup",
    };
    let mut line = format!("{role} sync daemon (mcast={}, syncid={}", daemon.interface, daemon.syncid);
    if daemon.maxlen != 0 {
        let _ = write!(line, ", maxlen={}", daemon.maxlen);
    }
    if let Some(group) = daemon.group {
        let _ = write!(line, ", group={group}");
    }
    if daemon.port != 0 {
        let _ = write!(line, ", port={}", daemon.port);
    }
    if daemon.ttl != 0 {
        let _ = write!(line, ", ttl={}", daemon.ttl);
    }
    line.push_str(")\n");
    line
}
