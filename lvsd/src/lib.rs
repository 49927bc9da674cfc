//! The Linux Virtual Server in user space: the daemon, its control socket and its command lines.

pub mod adm;
pub mod args;
pub mod cache;
pub mod check;
pub mod command;
pub mod config;
pub mod control;
pub mod destination;
pub mod director;
pub mod health;
pub mod host;
pub mod import;
pub mod keepalived;
pub mod lab;
pub mod log;
pub mod mark;
pub mod message;
pub mod proc;
pub mod replay;
pub mod report;
pub mod resolve;
pub mod run;
pub mod services;
pub mod snapshot;
pub mod vrrp;
pub mod worker;
