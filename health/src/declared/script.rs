//! A program to be run: for a check, or to tell somebody of a change.

use serde::{Deserialize, Serialize};

/// A program with its arguments; no shell is between.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Script {
    /// The program, then its arguments; never empty.
    pub command: Vec<String>,
    /// As whom it runs; as the daemon itself when absent.
    #[serde(default)]
    pub user: Option<User>,
}

/// A user, and a group if it is not the user's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct User {
    /// The user's name.
    pub name: String,
    /// The group's name.
    #[serde(default)]
    pub group: Option<String>,
}
