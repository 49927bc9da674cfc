//! Packets in, packets out: parsing and rewriting as pure functions, and the devices packets come from.

pub mod checksum;
pub mod fragment;
pub mod headers;
pub mod icmp;
pub mod io;
mod packet;
mod plain;
pub mod rewrite;
mod verdict;
pub mod wire;

pub use headers::{Fragment, Headers, ParseError, Quoted, Transport};
pub use packet::{NoRoom, Packet};
pub use plain::Plain;
pub use rewrite::{Checksums, Encapsulation, End, Fit, Nat, Path, Refused, Rewrite, Tunnel};
pub use verdict::{DropReason, Drops, PortId, Verdict};

pub use wire::ethernet::Mac;
