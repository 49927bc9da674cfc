//! One less of TTL or hop limit.

use crate::checksum::replace_word;
use crate::headers::Headers;
use crate::verdict::DropReason;
use crate::wire::{array, array_mut, ipv4, ipv6};

/// Whether the frame has the header that `headers` says.
pub(super) fn check(frame: &[u8], headers: &Headers) -> Result<(), DropReason> {
    let header = if headers.is_ipv6() { ipv6::HEADER } else { ipv4::HEADER };
    if headers.end > frame.len() || headers.l3 + header > headers.l4 || headers.l4 > headers.end {
        return Err(DropReason::Truncated);
    }
    Ok(())
}

/// Takes one from the TTL. IPv4's header checksum follows.
pub(crate) fn decrement(frame: &mut [u8], headers: &Headers) {
    if headers.is_ipv6() {
        if let Some(header) = array_mut::<{ ipv6::HEADER }>(frame, headers.l3) {
            header[ipv6::HOP_LIMIT] = header[ipv6::HOP_LIMIT].saturating_sub(1);
        }
    } else if let Some(header) = array_mut::<{ ipv4::HEADER }>(frame, headers.l3) {
        decrement_v4(header);
    }
}

fn decrement_v4(header: &mut [u8; ipv4::HEADER]) {
    let old = u16::from_be_bytes([header[ipv4::TTL], header[ipv4::PROTO]]);
    header[ipv4::TTL] = header[ipv4::TTL].saturating_sub(1);
    let new = u16::from_be_bytes([header[ipv4::TTL], header[ipv4::PROTO]]);
    let checksum = array::<2>(header, ipv4::CHECKSUM).copied().map_or(0, u16::from_be_bytes);
    let [high, low] = replace_word(checksum, old, new).to_be_bytes();
    header[ipv4::CHECKSUM] = high;
    header[ipv4::CHECKSUM + 1] = low;
}
