//! The choice itself: which server gets the first packet of a connection.

use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

use crate::pool::{Pool, Slot};

/// The connection a server is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// The client's address (CIP).
    pub client: IpAddr,
    /// The client's port; 0 where the protocol has none.
    pub client_port: u16,
    /// The address the client spoke to (VIP; any address behind a firewall mark).
    pub vip: IpAddr,
    /// The port the client spoke to; 0 where the protocol has none.
    pub service_port: u16,
    /// The time since any fixed moment, the same moment for every call.
    pub now: Duration,
}

/// Chooses the server for the first packet of a connection.
pub trait Scheduler: Send + Sync + Debug {
    /// Returns `None` when no server accepts this connection.
    fn pick(&self, pool: &dyn Pool, flow: &Flow) -> Option<Slot>;

    /// Prepares a scheduler for a changed pool, keeping what still applies (a cursor, a locality map).
    fn rebuild(&self, pool: &dyn Pool) -> Box<dyn Scheduler>;

    /// Tells that a server's connection counts or its overload mark changed. Callable from any thread; a
    /// scheduler that reads the counts at each choice ignores it.
    fn load_changed(&self, _pool: &dyn Pool, _slot: Slot) {}

    /// After which time without use `lblc` and `lblcr` forget a destination address, and without a change `lblcr`
    /// shrinks a set of servers: `net.ipv4.vs.lblc_expiration` and `lblcr_expiration`, 24 hours unless told.
    /// Holds for the schedulers that come after this one by [`rebuild`](Self::rebuild), too.
    fn expire_after(&self, _expiration: Duration) {}

    /// Drops what has aged; called every few seconds, off the packet path.
    fn sweep(&self, _now: Duration) {}
}
