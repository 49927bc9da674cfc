//! Checks real servers and judges, from what the checks say, which of them a virtual server may use.
//!
//! ```text
//! declared ---> judge: which attempt is due? ---> checker: makes it
//!                 ^                                  |
//!                 |             outcome              |
//!                 +----------------------------------+
//!                 |
//!                 +---> actions: add, weigh, remove a server; tell somebody
//! ```
//!
//! The names and the rules are those of keepalived's `virtual_server`. [`declared`] holds what an administrator asks
//! for, and knows nothing of the file it was written in; [`judge`] is pure; only [`checker`] has sockets.

pub mod checker;
pub mod declared;
pub mod judge;
