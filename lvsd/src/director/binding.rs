//! What a connection is bound to: its destination, and how packets were to reach it when it began.

use std::sync::Arc;

use crate::destination::{Counted, Destination, Lease};
use crate::message::ForwardMethod;

/// How a connection's packets are forwarded. Fixed when the connection begins; an edited server's new method is
/// for new connections (`ip_vs_bind_dest`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// NAT, both ways.
    Masquerade,
    /// Only the link-layer addresses change.
    DirectRoute,
    /// Within an outer packet.
    Tunnel,
    /// To no server: the packet goes where it was going (`cache_bypass`).
    Bypass,
}

impl From<ForwardMethod> for Method {
    fn from(method: ForwardMethod) -> Self {
        match method {
            ForwardMethod::Masquerade => Self::Masquerade,
            ForwardMethod::DirectRoute => Self::DirectRoute,
            ForwardMethod::Tunnel(_) => Self::Tunnel,
        }
    }
}

/// A connection's bond to its destination; ending the connection gives the counts back.
#[derive(Debug)]
pub struct Binding {
    lease: Lease,
    method: Method,
}

impl Binding {
    /// Binds a new connection, inactive as it begins.
    pub fn new(destination: &Arc<Destination>, method: Method) -> Self {
        Self { lease: Lease::take(destination, Counted::Inactive), method }
    }

    /// Binds a new connection that has no server to `nobody`, who belongs to no service.
    pub(super) fn bypass(nobody: &Arc<Destination>) -> Self {
        Self::new(nobody, Method::Bypass)
    }

    /// The destination.
    pub const fn destination(&self) -> &Arc<Destination> {
        self.lease.destination()
    }

    /// How packets reach it.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Moves the connection between the destination's active and inactive count.
    pub fn set_active(&mut self, active: bool) {
        self.lease.set_active(active);
    }
}
