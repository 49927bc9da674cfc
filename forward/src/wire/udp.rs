//! The UDP header (RFC 768).
//!
//! ```text
//!  0 source port | 2 destination port | 4 length | 6 checksum
//! ```

/// Octets of the header.
pub const HEADER: usize = 8;

pub(crate) const LENGTH: usize = 4;
pub(crate) const CHECKSUM: usize = 6;

/// A computed checksum as it is written: 0 would say that there is none.
#[inline]
pub(crate) const fn written(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}
