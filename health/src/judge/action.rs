//! What the judge wants done.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::declared::Script;

/// Something to be done, in the order it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A server joins a virtual server.
    Add(Member, u32),
    /// A server's weight is another; 0 leaves it the connections it has.
    Weigh(Member, u32),
    /// A server leaves a virtual server.
    Remove(Member),
    /// Somebody is told.
    Tell(Notice),
}

/// A server within a virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Member {
    /// The virtual server's name.
    pub virtual_server: Arc<str>,
    /// The server's address.
    pub address: SocketAddr,
    /// It is the one that serves while the quorum is lost.
    pub is_sorry: bool,
}

/// A change somebody wants to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whose.
    pub subject: Subject,
    /// What it is now.
    pub is_up: bool,
    /// Why, for the log; empty when there is nothing to be said.
    pub reason: String,
    /// The program to be run.
    pub script: Option<Script>,
}

/// Whose state changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A real server's.
    Server {
        /// The virtual server's name.
        virtual_server: Arc<str>,
        /// The real server's address.
        address: SocketAddr,
    },
    /// A virtual server's quorum.
    Quorum {
        /// The virtual server's name.
        virtual_server: Arc<str>,
    },
}
