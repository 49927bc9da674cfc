//! Packets in, packets out: parsing and rewriting as pure functions, and the devices packets come from.

pub mod io;
mod packet;
mod verdict;

pub use packet::{NoRoom, Packet};
pub use verdict::{DropReason, Drops, PortId, Verdict};
