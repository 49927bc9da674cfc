//! Ethernet II with up to two VLAN tags.
//!
//! ```text
//! dst 6 | src 6 | [tag 4 [tag 4]] type 2 | payload
//! ```

use std::fmt;

use super::{array, array_mut, read_u16, write};

/// Octets of the header without tags.
pub const HEADER: usize = 14;
/// Octets of one VLAN tag.
pub const TAG: usize = 4;

/// IPv4 follows.
pub const IPV4: u16 = 0x0800;
/// IPv6 follows.
pub const IPV6: u16 = 0x86dd;
/// A customer's VLAN tag (802.1Q).
pub const VLAN: u16 = 0x8100;
/// A provider's VLAN tag (802.1ad).
pub const PROVIDER_VLAN: u16 = 0x88a8;

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// True for a group address: multicast or broadcast.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl From<[u8; 6]> for Mac {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0;
        write!(f, "{first:02x}")?;
        rest.iter().try_for_each(|octet| write!(f, ":{octet:02x}"))
    }
}

/// The type of the payload behind at most two tags, and where the payload begins.
#[inline]
pub(crate) fn payload(frame: &[u8]) -> Option<(u16, usize)> {
    let mut at = HEADER;
    let mut kind = read_u16(frame, at - 2)?;
    for _ in 0..2 {
        if kind != VLAN && kind != PROVIDER_VLAN {
            break;
        }
        at += TAG;
        kind = read_u16(frame, at - 2)?;
    }
    Some((kind, at))
}

/// Who sent the frame, on its link.
pub fn source(frame: &[u8]) -> Option<Mac> {
    array(frame, 6).copied().map(Mac)
}

/// Whom the frame is for, on its link.
pub fn destination(frame: &[u8]) -> Option<Mac> {
    array(frame, 0).copied().map(Mac)
}

/// Writes both addresses.
#[inline]
pub(crate) fn set_addresses(frame: &mut [u8], src: Mac, dst: Mac) {
    if let Some(header) = array_mut::<12>(frame, 0) {
        header[..6].copy_from_slice(&dst.0);
        header[6..].copy_from_slice(&src.0);
    }
}

/// Writes the type of a payload that begins at `l3`.
pub(crate) fn set_kind(frame: &mut [u8], l3: usize, kind: u16) {
    if let Some(at) = l3.checked_sub(2) {
        write(frame, at, kind.to_be_bytes());
    }
}
