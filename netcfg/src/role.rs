//! What a host is to be, and the commands that make it so on a machine without lvsd.

use crate::Error;
use crate::change::Change;
use crate::director::Director;
use crate::real_server::{Method, RealServer};
use crate::view::HostView;

/// What a host is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// A director.
    Director(Director),
    /// A real server.
    RealServer(RealServer),
}

/// The name under which a role's changes are journalled; needed alone to take them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleName {
    /// A director.
    Director,
    /// A real server.
    RealServer,
}

impl RoleName {
    /// The name as on the command line: `director` or `real-server`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Director => "director",
            Self::RealServer => "real-server",
        }
    }
}

impl Role {
    /// The role's name.
    pub const fn name(&self) -> RoleName {
        match self {
            Self::Director(_) => RoleName::Director,
            Self::RealServer(_) => RoleName::RealServer,
        }
    }

    /// The commands that set the role up on a machine without lvsd; looks at no host.
    pub fn dry_run(&self) -> Result<Vec<String>, Error> {
        let changes = self.changes(None)?;
        let mut commands: Vec<String> = changes.iter().flat_map(Change::commands).collect();
        if let Self::RealServer(RealServer { method: Method::Masquerade { directors, .. }, .. }) = self {
            for director in directors {
                let family = if director.is_ipv4() { "" } else { "-6 " };
                commands.push(format!("ip {family}route replace default via {director}"));
            }
        }
        Ok(commands)
    }

    /// What the role wants of the host, in the order it is made; `host` is none for a dry run.
    pub(crate) fn changes(&self, host: Option<&HostView>) -> Result<Vec<Change>, Error> {
        match self {
            Self::Director(director) => director.changes(host),
            Self::RealServer(server) => server.changes(host),
        }
    }

    /// The interfaces that must be there and up.
    pub(crate) fn interfaces(&self) -> Result<Vec<String>, Error> {
        match self {
            Self::Director(director) => director.interfaces(),
            Self::RealServer(server) => Ok(server.interfaces()),
        }
    }
}

#[cfg(test)]
mod tests;
