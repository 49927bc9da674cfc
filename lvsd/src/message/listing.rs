//! Services, servers and connections as they are listed, with their counters.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{RealServer, VirtualService};

/// Counters as ipvsadm shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Connections scheduled.
    pub conns: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients (NAT).
    pub out_packets: u64,
    /// Bytes from clients, from the IP header on.
    pub in_bytes: u64,
    /// Bytes to clients, from the IP header on.
    pub out_bytes: u64,
    /// Connections a second.
    pub cps: u64,
    /// Packets a second from clients.
    pub in_pps: u64,
    /// Packets a second to clients.
    pub out_pps: u64,
    /// Bytes a second from clients.
    pub in_bps: u64,
    /// Bytes a second to clients.
    pub out_bps: u64,
}

/// The counters of all services together since the daemon started, whether the services are still there or not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Since they were zeroed last, with the rates.
    pub total: Stats,
    /// Those of each worker, which are never zeroed; without rates.
    pub workers: Vec<Stats>,
}

/// A virtual service, as it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceListing {
    /// As declared.
    pub service: VirtualService,
    /// Its counters.
    pub stats: Stats,
    /// Its real servers, in the kernel's own order (the newest first).
    pub servers: Vec<ServerListing>,
}

/// A real server, as it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerListing {
    /// As declared.
    pub server: RealServer,
    /// True when it is an address of the director's own. The tables of `-L` show its declared method all the same, as
    /// the kernel does.
    pub local: bool,
    /// Active connections.
    pub active: u32,
    /// Inactive connections.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
    /// Its counters.
    pub stats: Stats,
}

/// A connection or a persistence template, as `-Lc` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionListing {
    /// The protocol's number; 0 for the template of a mark.
    pub proto: u8,
    /// Seconds until it expires.
    pub expires: u32,
    /// The state's name.
    pub state: String,
    /// The client's address.
    pub cip: IpAddr,
    /// The client's port.
    pub client_port: u16,
    /// The address the client spoke to; for the template of a mark, the mark in an address's bits.
    pub vip: IpAddr,
    /// The port the client spoke to.
    pub service_port: u16,
    /// The real server's address.
    pub rip: IpAddr,
    /// The real server's port.
    pub server_port: u16,
    /// The persistence engine, and what it keeps.
    pub persistence: Option<(String, String)>,
}
