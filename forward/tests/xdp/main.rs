//! The XDP programs, AF_XDP sockets and the TUN device on real interfaces, in network namespaces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "real interfaces take real time")]

mod addressed;
mod claimed;
mod director;
mod flows;
mod frames;
mod heritage;
mod host;
mod life;
mod net;
mod passage;
#[path = "../random/mod.rs"]
mod random;
