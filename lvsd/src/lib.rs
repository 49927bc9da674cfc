//! The Linux Virtual Server in user space: the daemon, its control socket and its command lines.

pub mod adm;
pub mod control;
pub mod message;
