//! What is checked, and which services follow from it.

use std::collections::HashMap;
use std::net::SocketAddr;

use lvs_health::declared as check;

use crate::config::{CheckedConfig, Config, ServiceConfig};
use crate::message::{RealServer, ServiceId};

/// Everything that is checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Declared {
    /// What holds for all.
    pub globals: check::Globals,
    /// The virtual servers. A service that is in none of them keeps the servers it was given.
    pub virtual_servers: Vec<VirtualServer>,
}

/// A virtual server: services whose servers come and go together.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualServer {
    /// The services: one, or all of a `virtual_server_group`.
    pub services: Vec<ServiceId>,
    /// How each real server is reached; its weight is of no account, for the checks say it.
    pub servers: Vec<RealServer>,
    /// How each is reached from the services after the first, in their order; empty where it is so from all of them.
    pub from_others: Vec<Vec<RealServer>>,
    /// How the sorry server is reached.
    pub sorry: Option<RealServer>,
    /// The checks, and what follows from them: its servers are those above, by their addresses.
    pub checked: check::VirtualServer,
}

impl Declared {
    /// What a configuration says of checks; its services say how their servers are reached.
    pub fn of(config: &Config) -> Self {
        let by_id: HashMap<ServiceId, &ServiceConfig> =
            config.services.iter().map(|service| (service.service.id, service)).collect();
        let virtual_server = |checked: &CheckedConfig| {
            let of = |id: &ServiceId| by_id.get(id).map_or_else(Vec::new, |service| service.servers.clone());
            let mut all = checked.services.iter().map(of);
            let servers = all.next().unwrap_or_default();
            let others: Vec<_> = all.collect();
            let is_alike = others.iter().all(|other| *other == servers);
            VirtualServer {
                services: checked.services.clone(),
                servers,
                from_others: if is_alike { Vec::new() } else { others },
                sorry: checked.sorry,
                checked: checked.server.clone(),
            }
        };
        Self {
            globals: config.health.clone(),
            virtual_servers: config.checked.iter().map(virtual_server).collect(),
        }
    }

    /// True when nothing is checked.
    pub fn is_empty(&self) -> bool {
        self.virtual_servers.is_empty()
    }
}

/// A real server's address as checks know it.
pub(super) const fn address(server: &RealServer) -> SocketAddr {
    SocketAddr::new(server.rip, server.port)
}

/// What keepalived calls a virtual server of one service: `[192.0.2.10]:tcp:80`, `FWM 1`.
pub fn name(id: &ServiceId) -> String {
    match id {
        ServiceId::Mark { mark, .. } => format!("FWM {mark}"),
        ServiceId::Address { transport, vip, port } => format!("[{vip}]:{transport}:{port}"),
    }
}
