//! Remembers which real server a connection was given: states, timers and persistence templates.

#![forbid(unsafe_code)]

mod key;
mod tick;

pub use key::{Direction, FlowKey, Proto};
pub use tick::Tick;
