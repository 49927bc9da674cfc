//! Checks real servers and judges, from what the checks say, which of them a virtual server may use.
//!
//! The names and the rules are those of keepalived's `virtual_server`: [`declared`] holds what an administrator asks
//! for, and knows nothing of the file it was written in.

pub mod declared;
