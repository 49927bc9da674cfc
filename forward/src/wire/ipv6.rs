//! The IPv6 header and its extension headers (RFC 8200).
//!
//! ```text
//!  0 version, traffic class, flow label | 4 payload length | 6 next header | 7 hop limit
//!  8 source | 24 destination | 40
//! ```

use lvs_conntrack::Proto;

use super::{array, ipv4::Options};

/// Octets of the header without extension headers.
pub const HEADER: usize = 40;
/// The smallest MTU of a link (RFC 8200, 5); an ICMPv6 error is not made larger.
pub const MINIMUM_MTU: usize = 1280;
/// Octets of the Fragment header.
pub const FRAGMENT_HEADER: usize = 8;
/// Extension headers that are followed; a longer chain serves nobody but an attacker.
pub const LONGEST_CHAIN: usize = 8;

pub(crate) const PAYLOAD_LENGTH: usize = 4;
pub(crate) const NEXT_HEADER: usize = 6;
pub(crate) const HOP_LIMIT: usize = 7;
pub(crate) const SOURCE: usize = 8;
pub(crate) const DESTINATION: usize = 24;

/// Next header: hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// Next header: routing.
pub const ROUTING: u8 = 43;
/// Next header: fragment.
pub const FRAGMENT: u8 = 44;
/// Next header: destination options.
pub const DESTINATION_OPTIONS: u8 = 60;

/// Where a chain of extension headers leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain {
    /// What the chain ends in.
    pub(crate) proto: Proto,
    /// Where that begins.
    pub(crate) l4: usize,
    /// Where the Fragment header begins, and its identification and offset word.
    pub(crate) fragment: Option<(usize, u32, u16)>,
    /// Whether there were extension headers, and what they say of the way.
    pub(crate) options: Options,
}

/// Why a chain leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The packet ends within an extension header.
    Truncated,
    /// More headers than [`LONGEST_CHAIN`].
    TooLong,
}

/// Follows the chain that begins with a header of type `next` at `at`. It ends at the transport header (AH and
/// ESP count as such), or behind the Fragment header of a later fragment, which has none.
pub(crate) fn follow(packet: &[u8], mut next: u8, mut at: usize) -> Result<Chain, Broken> {
    let (mut fragment, mut options) = (None, Options::None);
    for _ in 0..=LONGEST_CHAIN {
        match next {
            HOP_BY_HOP | DESTINATION_OPTIONS | ROUTING => {
                let [following, len, _, segments_left] = *array(packet, at).ok_or(Broken::Truncated)?;
                if next == ROUTING && segments_left != 0 {
                    options = Options::SourceRoute;
                } else if options == Options::None {
                    options = Options::Some;
                }
                at += (usize::from(len) + 1) * 8;
                next = following;
            }
            FRAGMENT => {
                let [following, _, o0, o1, i0, i1, i2, i3] = *array(packet, at).ok_or(Broken::Truncated)?;
                let word = u16::from_be_bytes([o0, o1]);
                fragment = Some((at, u32::from_be_bytes([i0, i1, i2, i3]), word));
                at += FRAGMENT_HEADER;
                next = following;
                if word & !7 != 0 {
                    return Ok(Chain { proto: Proto(next), l4: at, fragment, options });
                }
            }
            _ => return Ok(Chain { proto: Proto(next), l4: at, fragment, options }),
        }
    }
    Err(Broken::TooLong)
}
