//! Where names of hosts and ports come from.

/// How names are turned into numbers and numbers into names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// As the host does: `/etc/services`, `/etc/hosts`, DNS.
    System,
    /// Ports by a built-in table, addresses never: the same on every machine (replays, tests).
    BuiltIn,
}
