//! Changing what a TCP segment says: octets of its payload replaced, sequence numbers moved.

use std::ops::Range;

use super::l4;
use crate::checksum::{Sum, is_right, pseudo_header, replace_word};
use crate::headers::{Headers, Transport};
use crate::packet::Packet;
use crate::verdict::DropReason;
use crate::wire::{ipv4, ipv6, read_u16, read_u32, tcp, write};

const ACK: u8 = 0x10;
/// The options that are one octet long, and the one that tells what came out of order (RFC 2018).
const END: u8 = 0;
const NOP: u8 = 1;
const SACK: u8 = 5;
/// Octets of one of its blocks.
const BLOCK: usize = 8;

/// What a whole TCP segment carries.
pub fn payload<'a>(frame: &'a [u8], headers: &Headers) -> Option<&'a [u8]> {
    frame.get(begin(frame, headers)?..headers.end)
}

/// Puts `text` in the place of the octets `range` of the payload of a whole TCP segment. The lengths and the checksum
/// follow, and `headers` tells of the segment as it is then.
///
/// # Errors
/// [`DropReason::BadL4Checksum`] for a segment whose checksum is wrong (it would be right afterwards),
/// [`DropReason::NoRoom`] where the buffer is too small, [`DropReason::BadL4Header`] where there is no such range.
/// The segment is then as it was.
pub fn replace(
    packet: &mut Packet<'_>,
    headers: &mut Headers,
    range: Range<usize>,
    text: &[u8],
) -> Result<(), DropReason> {
    let start = begin(packet.bytes(), headers).ok_or(DropReason::BadL4Header)?;
    let (from, rest) = (start + range.start, start + range.end);
    if from > rest || rest > headers.end || headers.end > packet.len() {
        return Err(DropReason::BadL4Header);
    }
    if !has_right_checksum(packet.bytes(), headers) {
        return Err(DropReason::BadL4Checksum);
    }
    let end = headers.end - (rest - from) + text.len();
    let length = ip_length(headers, end).ok_or(DropReason::TooBig)?;
    packet.resize(end.max(headers.end)).map_err(|_| DropReason::NoRoom)?;
    let frame = packet.bytes_mut();
    frame.copy_within(rest..headers.end, from + text.len());
    if let Some(place) = frame.get_mut(from..from + text.len()) {
        place.copy_from_slice(text);
    }
    write_ip_length(frame, headers, length);
    headers.end = end;
    packet.truncate(end);
    l4::compute(packet.bytes_mut(), headers);
    Ok(())
}

/// Moves the sequence number of a TCP segment by `sequence`, and by `acknowledged` what it acknowledges, selectively
/// acknowledged octets included. The checksum follows; a wrong one stays wrong.
pub fn renumber(
    frame: &mut [u8],
    headers: &Headers,
    sequence: impl Fn(u32) -> u32,
    acknowledged: impl Fn(u32) -> u32,
) {
    let Transport::Tcp { flags, .. } = headers.transport else { return };
    let is_partial = l4::is_partial(frame, headers);
    let Some(end) = begin(frame, headers) else { return };
    let Some(header) = frame.get_mut(headers.l4..end) else { return };
    let before = Sum::ZERO.bytes(header).fold();
    change(header, tcp::SEQUENCE, sequence);
    if flags & ACK != 0 {
        change(header, tcp::ACKNOWLEDGEMENT, &acknowledged);
        change_blocks(header, acknowledged);
    }
    let after = Sum::ZERO.bytes(header).fold();
    if !is_partial && let Some(checksum) = read_u16(header, tcp::CHECKSUM) {
        let updated = Sum::ZERO.without(before).word(after).update(checksum);
        write(header, tcp::CHECKSUM, updated.to_be_bytes());
    }
}

/// Leaves the checksum of a TCP segment to the device: the pseudo-header's sum stands in its place.
pub fn leave_checksum(frame: &mut [u8], headers: &Headers) {
    if let Transport::Tcp { .. } = headers.transport {
        let sum = pseudo_header(headers.src, headers.dst, headers.proto, l4::covered(frame, headers)).fold();
        write(frame, headers.l4 + tcp::CHECKSUM, sum.to_be_bytes());
    }
}

/// Where the payload begins.
fn begin(frame: &[u8], headers: &Headers) -> Option<usize> {
    let Transport::Tcp { .. } = headers.transport else { return None };
    let words = frame.get(headers.l4 + tcp::DATA_OFFSET)? >> 4;
    let start = headers.l4 + usize::from(words) * 4;
    (start <= headers.end && start >= headers.l4 + tcp::HEADER && headers.fragment.is_none()).then_some(start)
}

fn has_right_checksum(frame: &[u8], headers: &Headers) -> bool {
    let bytes = headers.transport_bytes(frame);
    let sum = pseudo_header(headers.src, headers.dst, headers.proto, bytes.len()).bytes(bytes);
    l4::is_partial(frame, headers) || is_right(sum)
}

/// What the IP header says of a packet that ends at `end`, if it can.
fn ip_length(headers: &Headers, end: usize) -> Option<u16> {
    let header = if headers.is_ipv6() { ipv6::HEADER } else { 0 };
    u16::try_from(end.checked_sub(headers.l3 + header)?).ok()
}

fn write_ip_length(frame: &mut [u8], headers: &Headers, length: u16) {
    if headers.is_ipv6() {
        write(frame, headers.l3 + ipv6::PAYLOAD_LENGTH, length.to_be_bytes());
        return;
    }
    let at = headers.l3 + ipv4::TOTAL_LENGTH;
    if let (Some(old), Some(checksum)) = (read_u16(frame, at), read_u16(frame, headers.l3 + ipv4::CHECKSUM)) {
        write(frame, at, length.to_be_bytes());
        write(frame, headers.l3 + ipv4::CHECKSUM, replace_word(checksum, old, length).to_be_bytes());
    }
}

fn change(header: &mut [u8], at: usize, to: impl Fn(u32) -> u32) {
    if let Some(value) = read_u32(header, at) {
        write(header, at, to(value).to_be_bytes());
    }
}

/// Changes the edges of the blocks that are acknowledged selectively. They need not be aligned.
fn change_blocks(header: &mut [u8], to: impl Fn(u32) -> u32) {
    let mut at = tcp::HEADER;
    while let Some(&kind) = header.get(at) {
        let len = match kind {
            END => return,
            NOP => 1,
            _ => header.get(at + 1).copied().map_or(0, usize::from),
        };
        if len == 0 || at + len > header.len() {
            return;
        }
        if kind == SACK && len % BLOCK == 2 {
            (at + 2..at + len).step_by(4).for_each(|edge| change(header, edge, &to));
        }
        at += len;
    }
}

#[cfg(test)]
mod tests;
