//! Chooses a real server for a new connection: the fourteen schedulers of the Linux Virtual Server.

#![forbid(unsafe_code)]

mod pool;
mod scheduler;

pub use pool::{Pool, Slot, Weight};
pub use scheduler::{Flow, Scheduler};
