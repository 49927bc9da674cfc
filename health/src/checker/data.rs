//! The way of the traffic, as a check sees it: whoever forwards the packets leads a flow of ours to one real server.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Leads flows of checks to one real server each, by the way a virtual server's packets take to it.
pub trait DataPath: fmt::Debug + Send + Sync {
    /// Where a flow to `target` (a virtual server, over TCP or UDP) and on to `server` is to begin; none where there is no way to speak
    /// of, for the server is this very host: it is then spoken to at its own address.
    ///
    /// # Errors
    /// What this host lacks for it.
    fn start(&self, is_tcp: bool, target: SocketAddr, server: SocketAddr) -> Result<Option<Start>, String>;

    /// Leads a flow to this server, from now on until what is handed back is dropped. What the flow's socket says as it
    /// is closed is led there too.
    fn lead(&self, flow: Flow, server: SocketAddr) -> Lead;
}

/// What a socket has to be bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The interface its packets leave by.
    pub interface: String,
    /// The address they come from, where the check names none.
    pub address: IpAddr,
}

/// A flow of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Over TCP; over UDP otherwise.
    pub is_tcp: bool,
    /// Our end.
    pub from: SocketAddr,
    /// The virtual server's.
    pub to: SocketAddr,
}

/// Ends the leading of a flow as it is dropped.
pub struct Lead(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Lead {
    /// Ends by this.
    pub fn ended_by(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(end)))
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

impl fmt::Debug for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead").finish_non_exhaustive()
    }
}
