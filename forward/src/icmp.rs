//! ICMP errors: the director's own, made in place of the packet they are about, and those of others about a
//! translated connection or a tunnel.

use std::net::IpAddr;
use std::ops::Range;

use lvs_conntrack::Proto;

use crate::checksum::{Sum, is_right, pseudo_header};
use crate::headers::{Fragment, Headers, Quoted};
use crate::packet::Packet;
use crate::rewrite::{Checksums, End, Nat, Path, v4_checksum, v4_header, v6_header, write_address};
use crate::rewrite::{address, decrement};
use crate::verdict::DropReason;
use crate::wire::{ethernet, icmp, ipv4, ipv6, read_u16, write};

/// TTL and hop limit of what the director itself sends.
const OWN_TTL: u8 = 64;

/// An error that the director itself reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// TTL or hop limit used up.
    TimeExceeded,
    /// Larger than this MTU and not to be fragmented. It is found out behind the TTL's decrement, and the
    /// quoted packet shows that.
    TooBig(u16),
    /// No server behind the port.
    PortUnreachable,
}

impl Error {
    /// Type, code and the word that follows the checksum.
    const fn message(self, ipv6: bool) -> Message {
        let (kind, code, rest) = match (self, ipv6) {
            (Self::TimeExceeded, false) => (icmp::V4_TIME_EXCEEDED, 0, 0),
            (Self::TimeExceeded, true) => (icmp::V6_TIME_EXCEEDED, 0, 0),
            (Self::TooBig(mtu), false) => (icmp::V4_UNREACHABLE, icmp::V4_FRAGMENTATION_NEEDED, mtu),
            (Self::TooBig(mtu), true) => (icmp::V6_PACKET_TOO_BIG, 0, mtu),
            (Self::PortUnreachable, false) => (icmp::V4_UNREACHABLE, icmp::V4_PORT, 0),
            (Self::PortUnreachable, true) => (icmp::V6_UNREACHABLE, icmp::V6_PORT, 0),
        };
        Message { kind, code, rest: rest as u32 }
    }

    /// Makes the packet into the error about it, from `from` to the packet's source, addressed on its link as
    /// `path` says. `ident` becomes the identification of an IPv4 answer. It quotes as much as the kernel quotes:
    /// 576 octets in all in IPv4 (RFC 1812, 4.3.2.3), 1280 in IPv6 (RFC 4443, 2.4 (c)).
    ///
    /// Ask [`may_answer`] first.
    ///
    /// # Errors
    /// [`DropReason::FamilyMismatch`] where `from` is of another family, [`DropReason::NoRoom`]; the packet is
    /// then as it was.
    pub fn answer(
        self,
        packet: &mut Packet<'_>,
        headers: &Headers,
        from: IpAddr,
        path: &Path,
        ident: u16,
    ) -> Result<(), DropReason> {
        if headers.end > packet.len() || headers.l3 > headers.end {
            return Err(DropReason::Truncated);
        }
        let outer = Outer { l3: headers.l3, from, to: headers.src, tos: headers.tos, ident };
        let header = outer.header_len()?;
        let quote = headers.len().min(outer.longest(path).saturating_sub(header));
        let whole = packet.len();
        packet.truncate(headers.l3 + quote);
        if packet.insert(headers.l3, header).is_err() {
            // Cutting takes nothing away, so this cannot fail.
            let _ = packet.resize(whole);
            return Err(DropReason::NoRoom);
        }
        let frame = packet.bytes_mut();
        if let Self::TooBig(_) = self {
            let quoted = Headers { l3: headers.l3 + header, ..*headers };
            decrement(frame, &quoted);
        }
        outer.write(frame, self.message(from.is_ipv6()), quote);
        address(packet, path);
        Ok(())
    }
}

/// Type, code and the word that follows the checksum.
#[derive(Debug, Clone, Copy)]
struct Message {
    kind: u8,
    code: u8,
    rest: u32,
}

/// The IP header of an error.
struct Outer {
    l3: usize,
    from: IpAddr,
    to: IpAddr,
    tos: u8,
    ident: u16,
}

impl Outer {
    fn header_len(&self) -> Result<usize, DropReason> {
        match (self.from, self.to) {
            (IpAddr::V4(_), IpAddr::V4(_)) => Ok(ipv4::HEADER + icmp::HEADER),
            (IpAddr::V6(_), IpAddr::V6(_)) => Ok(ipv6::HEADER + icmp::HEADER),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                Err(DropReason::FamilyMismatch)
            }
        }
    }

    /// Octets of the longest error on this way.
    fn longest(&self, path: &Path) -> usize {
        match self.from {
            IpAddr::V4(_) => ipv4::MINIMUM_REASSEMBLY.min(usize::from(path.mtu)),
            IpAddr::V6(_) => ipv6::MINIMUM_MTU,
        }
    }

    /// Writes the IP and ICMP headers before `quote` octets that are in place.
    fn write(&self, frame: &mut [u8], message: Message, quote: usize) {
        let len = u16::try_from(quote + icmp::HEADER).unwrap_or(u16::MAX);
        let [r0, r1, r2, r3] = message.rest.to_be_bytes();
        let head = [message.kind, message.code, 0, 0, r0, r1, r2, r3];
        match (self.from, self.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                // icmp_send: RT_TOS() of the packet, "internetwork control".
                let tos = (self.tos & 0x1e) | 0xc0;
                let header = v4_header(len + 20, tos, self.ident, 0, OWN_TTL, Proto::ICMP.0, from, to);
                write(frame, self.l3, header);
                ethernet::set_kind(frame, self.l3, ethernet::IPV4);
                let l4 = self.l3 + ipv4::HEADER;
                write(frame, l4, head);
                write_checksum(frame, l4..l4 + usize::from(len), Sum::ZERO);
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let header = v6_header(len, 0, OWN_TTL, Proto::ICMPV6.0, from, to);
                write(frame, self.l3, header);
                ethernet::set_kind(frame, self.l3, ethernet::IPV6);
                let l4 = self.l3 + ipv6::HEADER;
                write(frame, l4, head);
                let pseudo = pseudo_header(self.from, self.to, Proto::ICMPV6, usize::from(len));
                write_checksum(frame, l4..l4 + usize::from(len), pseudo);
            }
            // header_len() has refused these.
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
    }
}

/// Computes the checksum of the message at `range`, whatever its field holds.
fn write_checksum(frame: &mut [u8], range: Range<usize>, pseudo: Sum) {
    let at = range.start + icmp::CHECKSUM;
    write(frame, at, [0, 0]);
    let checksum = pseudo.bytes(frame.get(range).unwrap_or_default()).checksum();
    write(frame, at, checksum.to_be_bytes());
}

/// Whether an ICMP error about the packet may be sent: not about another error, not about a later fragment, not to
/// or about a group, not to an address that is no host's (RFC 1122, 3.2.2; RFC 4443, 2.4 (e)).
pub fn may_answer(frame: &[u8], headers: &Headers) -> bool {
    let later = matches!(headers.fragment, Some(Fragment { offset, .. }) if offset != 0);
    let group = ethernet::destination(frame).is_none_or(ethernet::Mac::is_group)
        || match headers.dst {
            IpAddr::V4(dst) => dst.is_multicast() || dst.is_broadcast(),
            IpAddr::V6(dst) => dst.is_multicast(),
        };
    !later && !group && !headers.is_icmp_error() && !headers.has_martian_source()
}

/// Forwards an ICMP error about a translated connection: the outer address and the quoted packet's opposite end are
/// translated as `nat` says, and one is taken from the TTL.
///
/// An error to the client (`End::Source`) seems to come from the virtual service and quotes the packet as the client
/// sent it; one to the server (`End::Destination`) quotes the reply as the server sent it (`ip_vs_nat_icmp`). The
/// checksum of the quoted transport header is left as it is, as the kernel does.
///
/// # Errors
/// [`DropReason::BadL4Checksum`] where the message's checksum is wrong, and the reasons of a rewrite. The packet is
/// then as it was.
pub fn translate(
    packet: &mut Packet<'_>,
    headers: &Headers,
    quoted: &Quoted,
    nat: &Nat,
    path: &Path,
) -> Result<(), DropReason> {
    if headers.ttl <= 1 {
        return Err(DropReason::TtlExceeded);
    }
    if headers.len() > usize::from(path.mtu) {
        return Err(DropReason::TooBig);
    }
    let (outer, opposite, inner) = match nat.end {
        End::Source => (headers.src, End::Destination, quoted.dst),
        End::Destination => (headers.dst, End::Source, quoted.src),
    };
    if nat.addr.is_ipv6() != outer.is_ipv6() {
        return Err(DropReason::FamilyMismatch);
    }
    verify(packet.bytes(), headers)?;
    let frame = packet.bytes_mut();
    decrement(frame, headers);
    write_address(frame, headers.l3, nat.end, outer, nat.addr);
    write_address(frame, quoted.l3, opposite, inner, nat.addr);
    if quoted.has_ports() {
        let at = quoted.l4 + if opposite == End::Source { 0 } else { 2 };
        write(frame, at, nat.port.to_be_bytes());
    }
    finish(frame, headers, quoted, nat, path.checksums);
    packet.truncate(headers.end);
    address(packet, path);
    Ok(())
}

/// Whether the message's checksum is right.
///
/// # Errors
/// [`DropReason::BadL4Checksum`] where it is not.
pub fn verify(frame: &[u8], headers: &Headers) -> Result<(), DropReason> {
    let bytes = frame.get(headers.l4..headers.end).ok_or(DropReason::Truncated)?;
    let pseudo = if headers.is_ipv6() {
        pseudo_header(headers.src, headers.dst, Proto::ICMPV6, bytes.len())
    } else {
        Sum::ZERO
    };
    if is_right(pseudo.bytes(bytes)) { Ok(()) } else { Err(DropReason::BadL4Checksum) }
}

fn finish(frame: &mut [u8], headers: &Headers, quoted: &Quoted, nat: &Nat, checksums: Checksums) {
    let message = headers.l4..headers.end;
    if !headers.is_ipv6() {
        // What a router on the way made of the quoted header's checksum is not known: ip_send_check() anew.
        v4_checksum(frame, quoted.l3);
        write_checksum(frame, message, Sum::ZERO);
        return;
    }
    let (src, dst) = match nat.end {
        End::Source => (nat.addr, headers.dst),
        End::Destination => (headers.src, nat.addr),
    };
    let pseudo = pseudo_header(src, dst, Proto::ICMPV6, message.len());
    match checksums {
        Checksums::Computed => write_checksum(frame, message, pseudo),
        Checksums::Offloaded => write(frame, message.start + icmp::CHECKSUM, pseudo.fold().to_be_bytes()),
    }
}

/// The MTU that an ICMP error tells of, where it tells one.
pub fn reported_mtu(frame: &[u8], headers: &Headers) -> Option<u16> {
    let [kind, code] = *crate::wire::array(frame, headers.l4)?;
    let at = headers.l4 + 6;
    if headers.is_ipv6() {
        (kind == icmp::V6_PACKET_TOO_BIG).then(|| read_u16(frame, at)).flatten()
    } else {
        (kind == icmp::V4_UNREACHABLE && code == icmp::V4_FRAGMENTATION_NEEDED)
            .then(|| read_u16(frame, at))
            .flatten()
    }
}

/// Makes an IPv4 ICMP error about a tunnel's outer packet into one about `inner`, the packet that travelled in it
/// (from [`Quoted::within`]), for the client that sent it (`ip_vs_in_icmp`). Type and code stay; `mtu`, where the
/// error tells one, is what the client is told instead.
///
/// # Errors
/// [`DropReason::FamilyMismatch`] where `inner` or `from` is no IPv4; the packet is then as it was.
pub fn relay(
    packet: &mut Packet<'_>,
    headers: &Headers,
    inner: &Quoted,
    mtu: Option<u16>,
    from: IpAddr,
    path: &Path,
    ident: u16,
) -> Result<(), DropReason> {
    let outer = Outer { l3: headers.l3, from, to: inner.src, tos: 0, ident };
    let header = outer.header_len()?;
    if headers.is_ipv6() || inner.src.is_ipv6() {
        return Err(DropReason::FamilyMismatch);
    }
    let frame = packet.bytes_mut();
    let [kind, code, _, _, r0, r1, r2, r3] =
        *crate::wire::array(frame, headers.l4).ok_or(DropReason::Truncated)?;
    if headers.end > frame.len() || inner.l3 > headers.end || inner.l3 < headers.l3 + header {
        return Err(DropReason::Truncated);
    }
    let quote = (headers.end - inner.l3).min(outer.longest(path).saturating_sub(header));
    let tos = frame.get(inner.l3 + ipv4::TOS).copied().unwrap_or(0);
    frame.copy_within(inner.l3..inner.l3 + quote, headers.l3 + header);
    let rest = mtu.map_or_else(|| u32::from_be_bytes([r0, r1, r2, r3]), u32::from);
    Outer { tos, ..outer }.write(frame, Message { kind, code, rest }, quote);
    packet.truncate(headers.l3 + header + quote);
    address(packet, path);
    Ok(())
}
