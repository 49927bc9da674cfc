//! Fragments of an outgoing packet that is larger than its way takes.

use crate::packet::Packet;
use crate::rewrite::v4_checksum;
use crate::verdict::DropReason;
use crate::wire::{array, ethernet, ipv4, ipv6, read_u16, write};

/// The longest Ethernet and IP headers that a fragment repeats.
const LONGEST_HEADER: usize = ethernet::HEADER + 2 * ethernet::TAG + ipv4::LONGEST;

/// The headers that each fragment repeats: Ethernet's and IP's.
struct Repeated {
    l3: usize,
    /// Where the payload begins.
    end: usize,
    ipv6: bool,
    /// IPv4: the word of flags and offset of the packet that is split. IPv6: 0.
    word: u16,
}

/// Splits a forwarded packet that is larger than `mtu`. `packet` becomes the first fragment, to be sent next;
/// `others` is given each further frame before that, in order, and must copy it.
///
/// An IPv6 packet is split only where it is the director's own: the outer packet of a tunnel. `ident` becomes the
/// identification of its fragments; IPv4 has one already.
///
/// # Errors
/// [`DropReason::TooBig`] where "don't fragment" is set or nothing fits, [`DropReason::NoRoom`] for IPv6's Fragment
/// header. The packet is then as it was.
pub fn split(
    packet: &mut Packet<'_>,
    mtu: u16,
    ident: u32,
    others: impl FnMut(&[u8]),
) -> Result<(), DropReason> {
    let (kind, l3) = ethernet::payload(packet.bytes()).ok_or(DropReason::Truncated)?;
    let repeated = match kind {
        ethernet::IPV4 => repeated_v4(packet.bytes(), l3)?,
        ethernet::IPV6 => {
            Repeated { l3, end: l3 + ipv6::HEADER + ipv6::FRAGMENT_HEADER, ipv6: true, word: 0 }
        }
        _ => return Err(DropReason::BadIpHeader),
    };
    let room = usize::from(mtu).checked_sub(repeated.end - l3).ok_or(DropReason::TooBig)? & !7;
    let packet_end = packet_end(packet.bytes(), &repeated).ok_or(DropReason::Truncated)?;
    if room == 0 || repeated.end > LONGEST_HEADER {
        return Err(DropReason::TooBig);
    }
    let mut end = packet_end;
    if repeated.ipv6 {
        insert_fragment_header(packet, l3, ident)?;
        end += ipv6::FRAGMENT_HEADER;
    }
    packet.truncate(end);
    repeated.cut(packet, room, others);
    Ok(())
}

fn repeated_v4(frame: &[u8], l3: usize) -> Result<Repeated, DropReason> {
    let [first] = *array(frame, l3).ok_or(DropReason::Truncated)?;
    let word = read_u16(frame, l3 + ipv4::FRAGMENT).ok_or(DropReason::Truncated)?;
    let header_len = usize::from(first & 0xf) * 4;
    if header_len < ipv4::HEADER || l3 + header_len > frame.len() {
        return Err(DropReason::BadIpHeader);
    }
    if word & ipv4::DF != 0 {
        return Err(DropReason::TooBig);
    }
    Ok(Repeated { l3, end: l3 + header_len, ipv6: false, word })
}

/// Where the IP packet ends, by its own length.
fn packet_end(frame: &[u8], repeated: &Repeated) -> Option<usize> {
    let end = if repeated.ipv6 {
        repeated.l3 + ipv6::HEADER + usize::from(read_u16(frame, repeated.l3 + ipv6::PAYLOAD_LENGTH)?)
    } else {
        repeated.l3 + usize::from(read_u16(frame, repeated.l3 + ipv4::TOTAL_LENGTH)?)
    };
    (end <= frame.len() && end + ipv6::FRAGMENT_HEADER > repeated.end).then_some(end)
}

fn insert_fragment_header(packet: &mut Packet<'_>, l3: usize, ident: u32) -> Result<(), DropReason> {
    let at = l3 + ipv6::HEADER;
    let frame = packet.insert(at, ipv6::FRAGMENT_HEADER).map_err(|_| DropReason::NoRoom)?;
    let [next] = *array(frame, l3 + ipv6::NEXT_HEADER).ok_or(DropReason::Truncated)?;
    let [i0, i1, i2, i3] = ident.to_be_bytes();
    write(frame, l3 + ipv6::NEXT_HEADER, [ipv6::FRAGMENT]);
    write(frame, at, [next, 0, 0, 0, i0, i1, i2, i3]);
    Ok(())
}

impl Repeated {
    /// Shows `others` each fragment but the first where it lies, its headers put before it for the moment; then makes
    /// the packet the first.
    fn cut(&self, packet: &mut Packet<'_>, room: usize, mut others: impl FnMut(&[u8])) {
        let frame = packet.bytes_mut();
        let total = frame.len();
        let mut first = [0; LONGEST_HEADER];
        let Some(kept) = first.get_mut(..self.end) else { return };
        kept.copy_from_slice(frame.get(..self.end).unwrap_or_default());
        let mut later = first;
        if let Some(options) = later.get_mut(self.l3 + ipv4::HEADER..self.end)
            && !self.ipv6
        {
            ipv4::keep_copied_options(options);
        }
        let mut saved = [0; LONGEST_HEADER];
        let mut at = self.end + room;
        while at < total {
            let end = (at + room).min(total);
            let Some(fragment) = frame.get_mut(at - self.end..end) else { break };
            if let (Some(place), Some(save)) = (fragment.get_mut(..self.end), saved.get_mut(..self.end)) {
                save.copy_from_slice(place);
                place.copy_from_slice(later.get(..self.end).unwrap_or_default());
            }
            self.describe(fragment, at - self.end, end < total);
            others(fragment);
            if let (Some(place), Some(save)) = (fragment.get_mut(..self.end), saved.get(..self.end)) {
                place.copy_from_slice(save);
            }
            at = end;
        }
        packet.truncate(self.end + room);
        self.describe(packet.bytes_mut(), 0, total > self.end + room);
    }

    /// Writes length, offset and "more fragments" of a fragment whose payload begins `offset` octets into the
    /// packet's.
    fn describe(&self, fragment: &mut [u8], offset: usize, more: bool) {
        let len = fragment.len().saturating_sub(self.l3);
        let offset = u16::try_from(offset).unwrap_or(!7);
        if self.ipv6 {
            let payload = u16::try_from(len.saturating_sub(ipv6::HEADER)).unwrap_or(u16::MAX);
            write(fragment, self.l3 + ipv6::PAYLOAD_LENGTH, payload.to_be_bytes());
            let word = offset | u16::from(more);
            write(fragment, self.l3 + ipv6::HEADER + 2, word.to_be_bytes());
            return;
        }
        let more = if more { ipv4::MF } else { self.word & ipv4::MF };
        let place = (self.word & ipv4::OFFSET).wrapping_add(offset / 8) & ipv4::OFFSET;
        write(fragment, self.l3 + ipv4::TOTAL_LENGTH, u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
        write(fragment, self.l3 + ipv4::FRAGMENT, (more | place).to_be_bytes());
        v4_checksum(fragment, self.l3);
    }
}
