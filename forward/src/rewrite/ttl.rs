//! One less of TTL or hop limit.

use crate::headers::Headers;
use crate::verdict::DropReason;
use crate::wire::{array_mut, ipv4, ipv6};

/// One of TTL in the word of the IPv4 header that it shares with the protocol.
const ONE: u16 = 1 << 8;

/// Whether the frame has the header that `headers` says.
#[inline]
pub(super) fn check(frame: &[u8], headers: &Headers) -> Result<(), DropReason> {
    let header = if headers.is_ipv6() { ipv6::HEADER } else { ipv4::HEADER };
    if headers.end > frame.len() || headers.l3 + header > headers.l4 || headers.l4 > headers.end {
        return Err(DropReason::Truncated);
    }
    Ok(())
}

/// Takes one from the TTL. IPv4's header checksum follows.
#[inline]
pub(crate) fn decrement(frame: &mut [u8], headers: &Headers) {
    if headers.is_ipv6() {
        if let Some(header) = array_mut::<{ ipv6::HEADER }>(frame, headers.l3) {
            header[ipv6::HOP_LIMIT] = header[ipv6::HOP_LIMIT].saturating_sub(1);
        }
    } else if let Some(header) = array_mut::<{ ipv4::HEADER }>(frame, headers.l3) {
        decrement_v4(header);
    }
}

/// One less in the TTL is one more in the checksum, where 0xffff stands for nothing (RFC 1624, equation 3, for this
/// change).
#[inline]
fn decrement_v4(header: &mut [u8; ipv4::HEADER]) {
    let Some(ttl) = header[ipv4::TTL].checked_sub(1) else { return };
    header[ipv4::TTL] = ttl;
    let checksum = u16::from_be_bytes([header[ipv4::CHECKSUM], header[ipv4::CHECKSUM + 1]]);
    let (sum, carry) = checksum.overflowing_add(ONE);
    let is_over = carry || sum == u16::MAX;
    let [high, low] = sum.wrapping_add(u16::from(is_over)).to_be_bytes();
    header[ipv4::CHECKSUM] = high;
    header[ipv4::CHECKSUM + 1] = low;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::replace_word;

    #[test]
    fn the_checksum_is_what_replacing_the_word_would_make_it() {
        for checksum in 0..=u16::MAX {
            for (ttl, proto) in [(1, 0), (2, 6), (64, 17), (255, 255)] {
                let mut header = [0; ipv4::HEADER];
                (header[ipv4::TTL], header[ipv4::PROTO]) = (ttl, proto);
                header[ipv4::CHECKSUM..ipv4::CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
                decrement_v4(&mut header);
                let [old, new] = [ttl, ttl - 1].map(|ttl| u16::from_be_bytes([ttl, proto]));
                let written = u16::from_be_bytes([header[ipv4::CHECKSUM], header[ipv4::CHECKSUM + 1]]);
                assert_eq!(written, replace_word(checksum, old, new), "{checksum:#06x} {ttl}");
                assert_eq!(header[ipv4::TTL], ttl - 1);
            }
        }
    }
}
