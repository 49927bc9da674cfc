//! The TCP header (RFC 9293, 3.1).
//!
//! ```text
//!  0 source port | 2 destination port | 4 sequence | 8 acknowledgement
//! 12 data offset | 13 flags | 14 window | 16 checksum | 18 urgent pointer | 20 options
//! ```

/// Octets of the header without options.
pub const HEADER: usize = 20;

pub(crate) const SEQUENCE: usize = 4;
pub(crate) const ACKNOWLEDGEMENT: usize = 8;
pub(crate) const DATA_OFFSET: usize = 12;
pub(crate) const FLAGS: usize = 13;
pub(crate) const CHECKSUM: usize = 16;
