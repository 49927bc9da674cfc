//! The transport header's checksum: where it is, and completing one that the sender's kernel left to its device.

use lvs_conntrack::Proto;

use crate::checksum::pseudo_header;
use crate::headers::{Headers, Transport};
use crate::wire::{read_u16, read_u32, sctp, tcp, udp, write};

/// Offset of the Internet checksum within the transport header.
#[inline]
pub(super) const fn checksum_offset(transport: Transport) -> Option<usize> {
    match transport {
        Transport::Tcp { .. } => Some(tcp::CHECKSUM),
        Transport::Udp { .. } => Some(udp::CHECKSUM),
        Transport::Sctp { .. } | Transport::Icmp { .. } | Transport::Other | Transport::Later => None,
    }
}

/// Octets that the checksum covers: UDP says so itself, and the packet may hold more.
#[inline]
pub(super) fn covered(frame: &[u8], headers: &Headers) -> usize {
    let len = headers.end.saturating_sub(headers.l4);
    match headers.transport {
        Transport::Udp { .. } => {
            read_u16(frame, headers.l4 + udp::LENGTH).map_or(len, |said| usize::from(said).min(len))
        }
        Transport::Tcp { .. }
        | Transport::Sctp { .. }
        | Transport::Icmp { .. }
        | Transport::Other
        | Transport::Later => len,
    }
}

/// True where the checksum field holds only the pseudo-header's sum, as a kernel leaves it for its device
/// (`CHECKSUM_PARTIAL`). On a veth nobody completes it. A fragment's was completed before it was cut.
#[inline]
pub(super) fn is_partial(frame: &[u8], headers: &Headers) -> bool {
    if headers.fragment.is_some() {
        return false;
    }
    if let Transport::Sctp { .. } = headers.transport {
        return read_u32(frame, headers.l4 + sctp::CHECKSUM) == Some(0);
    }
    let Some(at) = checksum_offset(headers.transport) else { return false };
    let sum = pseudo_header(headers.src, headers.dst, headers.proto, covered(frame, headers));
    sum.stands(frame, headers.l4 + at)
}

/// Computes the whole checksum for the addresses of `headers` and writes it.
pub(super) fn compute(frame: &mut [u8], headers: &Headers) {
    let end = headers.l4 + covered(frame, headers);
    if let Transport::Sctp { .. } = headers.transport {
        if let Some(crc) = frame.get(headers.l4..end).and_then(sctp::checksum) {
            write(frame, headers.l4 + sctp::CHECKSUM, crc);
        }
        return;
    }
    let Some(at) = checksum_offset(headers.transport) else { return };
    let at = headers.l4 + at;
    let Some(bytes) = frame.get(headers.l4..end) else { return };
    let field = read_u16(frame, at).unwrap_or(0);
    let sum = pseudo_header(headers.src, headers.dst, headers.proto, end - headers.l4);
    let mut checksum = sum.bytes(bytes).without(field).checksum();
    if headers.proto == Proto::UDP {
        checksum = udp::written(checksum);
    }
    write(frame, at, checksum.to_be_bytes());
}

/// Completes a checksum that holds only the pseudo-header's sum. A UDP checksum of 0 is none and stays.
#[inline]
pub fn complete_partial(frame: &mut [u8], headers: &Headers) {
    if is_partial(frame, headers) {
        compute(frame, headers);
    }
}
