//! The virtual routers as they are listed.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The virtual routers of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VrrpListing {
    /// In the order declared.
    pub instances: Vec<VrrpInstance>,
    /// In the order declared.
    pub groups: Vec<VrrpGroup>,
    /// Adverts that belonged to no instance, by reason.
    pub strangers: Vec<VrrpReject>,
}

/// A sync group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VrrpGroup {
    /// Its name.
    pub name: String,
    /// `MASTER`, `BACKUP`, `FAULT` or `STOP`.
    pub state: String,
    /// Its instances.
    pub members: Vec<String>,
}

/// A virtual router.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VrrpInstance {
    /// Its name.
    pub name: String,
    /// The interface its adverts go through.
    pub interface: String,
    /// Its number.
    pub virtual_router_id: u8,
    /// The protocol's version, 2 or 3.
    pub version: u8,
    /// `MASTER`, `BACKUP`, `FAULT` or `STOP`.
    pub state: String,
    /// The priority as declared.
    pub priority: u8,
    /// The priority as what is watched has made it.
    pub effective_priority: u8,
    /// Milliseconds since the last transition.
    pub since: u64,
    /// Why that was.
    pub cause: String,
    /// The master, where another is.
    pub master: Option<IpAddr>,
    /// The master's priority, where another is.
    pub master_priority: Option<u8>,
    /// The address our adverts come from.
    pub source: Option<IpAddr>,
    /// Milliseconds from one of our adverts to the next.
    pub advert_interval: u64,
    /// Milliseconds of silence after which the master is thought dead.
    pub down_interval: u64,
    /// The virtual addresses, those that adverts do not name among them.
    pub addresses: Vec<IpAddr>,
    /// How many of them are on this host.
    pub held: usize,
    /// Adverts listened to.
    pub received: u64,
    /// Adverts sent.
    pub sent: u64,
    /// Adverts of priority 0 listened to.
    pub zero_received: u64,
    /// Adverts of priority 0 sent.
    pub zero_sent: u64,
    /// Times it became master.
    pub became_master: u64,
    /// Times it stopped being master.
    pub released_master: u64,
    /// Adverts whose checksum was right with the pseudo-header (RFC 5798, and IPv6).
    pub checksum_with_pseudo_header: u64,
    /// Adverts whose checksum was right without it (RFC 9568 for IPv4, and version 2).
    pub checksum_without: u64,
    /// Adverts rejected, by reason; those that there were.
    pub rejects: Vec<VrrpReject>,
    /// What keeps it from working, where something does.
    pub faults: Vec<String>,
}

/// Adverts rejected for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpReject {
    /// The reason's name.
    pub reason: String,
    /// The reason in a sentence.
    pub meaning: String,
    /// How many.
    pub adverts: u64,
}
