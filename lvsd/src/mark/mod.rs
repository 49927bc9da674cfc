//! Which packets carry which firewall mark.
//!
//! The host's own firewall sees a packet only after the director took it, so the director marks for itself: by
//! rules of its own, of which the first that fits counts.
//!
//! ```text
//! MarkRule  --\
//! MarkRule  ---+-- Marks (the list) -- Classifier, one for each address family -- the packet's mark
//! MarkRule  --/                          Trie, Ports, Bits: one table for each field
//! ```

mod bits;
mod classifier;
mod marks;
mod ports;
mod rule;
#[cfg(test)]
mod tests;
mod trie;

pub use marks::{MarkError, Marks};
pub(crate) use rule::network;
pub use rule::{MarkRule, PortRange, PortRangeError};

use lvs_conntrack::FlowKey;
use lvs_forward::PortId;

/// What a rule can look at in the first packet of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Protocol, addresses and ports.
    pub key: &'a FlowKey,
    /// The interface it came in through.
    pub ingress: PortId,
}
