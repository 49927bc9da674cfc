//! The control socket: requests come in as lines of JSON, one thread answers them all.

mod client;
mod line;
mod server;

pub use client::Client;
pub use server::{BindError, Server};

/// Where the daemon listens when nothing else is said.
pub const DEFAULT_SOCKET: &str = "/run/lvsd/lvsd.sock";

/// The environment variable that names another socket.
pub const SOCKET_VARIABLE: &str = "LVSD_SOCKET";

#[cfg(test)]
mod tests;
