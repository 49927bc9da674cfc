//! The texts of `/proc/net/ip_vs` and the files beside it, byte for byte as the kernel writes them: for exporters and
//! scripts that read those files, and do not run ipvsadm.
//!
//! ```text
//! File -> Request -> Response -> text
//! ```

mod connections;
mod counters;
mod services;

use std::fmt;
use std::net::IpAddr;

use clap::ValueEnum;

use crate::message::{Request, Response};

/// A file of the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum File {
    /// Services and their servers
    #[value(name = "ip_vs")]
    Services,
    /// Connections and persistence templates
    #[value(name = "ip_vs_conn")]
    Connections,
    /// The same, with where they come from
    #[value(name = "ip_vs_conn_sync")]
    ConnectionsSync,
    /// Counters of all services together
    #[value(name = "ip_vs_stats")]
    Counters,
    /// The same by worker, which stands for the kernel's processor
    #[value(name = "ip_vs_stats_percpu")]
    CountersByWorker,
    /// Helpers for protocols
    #[value(name = "ip_vs_app")]
    Helpers,
}

impl File {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Services,
        Self::Connections,
        Self::ConnectionsSync,
        Self::Counters,
        Self::CountersByWorker,
        Self::Helpers,
    ];

    /// Its name under `/proc/net`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Services => "ip_vs",
            Self::Connections => "ip_vs_conn",
            Self::ConnectionsSync => "ip_vs_conn_sync",
            Self::Counters => "ip_vs_stats",
            Self::CountersByWorker => "ip_vs_stats_percpu",
            Self::Helpers => "ip_vs_app",
        }
    }

    /// What its text is made of.
    pub const fn request(self) -> Request {
        match self {
            Self::Services => Request::List { id: None },
            Self::Connections | Self::ConnectionsSync => Request::Connections,
            Self::Counters | Self::CountersByWorker | Self::Helpers => Request::Totals,
        }
    }

    /// Its text, out of the answer to [`request`](Self::request); `None` for another answer.
    pub fn text(self, response: &Response) -> Option<String> {
        if let (Self::Services, Response::Services { services }) = (self, response) {
            Some(services::text(services))
        } else if let (Self::Connections, Response::Connections { connections }) = (self, response) {
            Some(connections::text(connections))
        } else if let (Self::ConnectionsSync, Response::Connections { connections }) = (self, response) {
            Some(connections::sync_text(connections))
        } else if let Response::Totals(totals) = response {
            match self {
                Self::Counters => Some(counters::text(totals)),
                Self::CountersByWorker => Some(counters::by_worker(totals)),
                Self::Helpers => Some("prot port    usecnt name\n".to_owned()),
                Self::Services | Self::Connections | Self::ConnectionsSync => None,
            }
        } else {
            None
        }
    }
}

/// An address as these files write it: eight hexadecimal digits, or eight groups of four (`%08X`, `%pI6`).
struct Address(IpAddr);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(addr) => write!(f, "{:08X}", addr.to_bits()),
            IpAddr::V6(addr) => {
                let [first, others @ ..] = addr.segments();
                write!(f, "{first:04x}")?;
                others.iter().try_for_each(|group| write!(f, ":{group:04x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
