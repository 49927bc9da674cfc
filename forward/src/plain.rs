//! A packet as nearly all are: Ethernet without tags, IPv4 without options or IPv6 without extension headers, a whole
//! TCP segment or UDP datagram, and its checksum computed.
//!
//! Every field then lies where it always lies, so it is read and rewritten without looking for it. What is not plain
//! is told by [`Headers`], and whatever is done here does the same as [`Rewrite::apply`] with them, to the octet.
//!
//! ```text
//! 0 Ethernet 14 | 14 IPv4 20 | 34 TCP 20 or UDP 8
//! 0 Ethernet 14 | 14 IPv6 40 | 54 TCP 20 or UDP 8
//! ```

use std::net::{IpAddr, Ipv4Addr};

use lvs_conntrack::{FlowKey, Proto};

use crate::checksum::{Sum, is_right};
use crate::headers::{Headers, Options, Transport, v6_addresses};
use crate::packet::Packet;
use crate::rewrite::{End, Nat, Path, Rewrite, address};
use crate::wire::{array, ethernet, ipv4, ipv6, read_u16, tcp, udp};

const L3: usize = ethernet::HEADER;
const V4_L4: usize = L3 + ipv4::HEADER;
const V6_L4: usize = L3 + ipv6::HEADER;

/// IPv4 without options.
const VERSION_4: u8 = 0x45;

/// Which headers a plain packet has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    TcpV4,
    UdpV4,
    TcpV6,
    UdpV6,
}

/// What a plain packet's headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plain {
    shape: Shape,
    flow: FlowKey,
    /// TCP's.
    flags: u8,
    /// Octets of the IP packet.
    len: u16,
}

impl Plain {
    /// Reads the headers of an Ethernet frame; `None` where the packet is not plain, has a TTL of no more than 1, or is
    /// not as it should be.
    #[inline]
    pub fn read(frame: &[u8]) -> Option<Self> {
        match read_u16(frame, L3 - 2)? {
            ethernet::IPV4 => Self::read_v4(frame),
            ethernet::IPV6 => Self::read_v6(frame),
            _ => None,
        }
    }

    #[inline]
    fn read_v4(frame: &[u8]) -> Option<Self> {
        let header: &[u8; ipv4::HEADER] = array(frame, L3)?;
        let &[first, _, t0, t1, _, _, f0, f1, ttl, proto, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = header;
        let is_piece = u16::from_be_bytes([f0, f1]) & (ipv4::MF | ipv4::OFFSET) != 0;
        if first != VERSION_4 || is_piece || ttl <= 1 || !is_right(Sum::of_header(header)) {
            return None;
        }
        let len = u16::from_be_bytes([t0, t1]);
        let (_, addresses) = header.split_at(ipv4::SOURCE);
        let pseudo = Sum::ZERO.all(addresses.first_chunk::<8>()?);
        let transport = frame.get(V4_L4..L3 + usize::from(len))?;
        let src = Ipv4Addr::new(s0, s1, s2, s3).into();
        let dst = Ipv4Addr::new(d0, d1, d2, d3).into();
        match Proto(proto) {
            Proto::TCP => Self::read_tcp(Shape::TcpV4, transport, pseudo, src, dst, len),
            Proto::UDP => Self::read_udp(Shape::UdpV4, transport, pseudo, src, dst, len),
            _ => None,
        }
    }

    #[inline]
    fn read_v6(frame: &[u8]) -> Option<Self> {
        let header: &[u8; ipv6::HEADER] = array(frame, L3)?;
        let &[first, _, _, _, p0, p1, next, hop_limit, ..] = header;
        if first >> 4 != 6 || hop_limit <= 1 {
            return None;
        }
        let payload = u16::from_be_bytes([p0, p1]);
        let len = payload.checked_add(40)?;
        let (_, addresses) = header.split_at(ipv6::SOURCE);
        let pseudo = Sum::ZERO.all(addresses.first_chunk::<32>()?);
        let transport = frame.get(V6_L4..V6_L4 + usize::from(payload))?;
        let (src, dst) = v6_addresses(header);
        match Proto(next) {
            Proto::TCP => Self::read_tcp(Shape::TcpV6, transport, pseudo, src, dst, len),
            Proto::UDP => Self::read_udp(Shape::UdpV6, transport, pseudo, src, dst, len),
            _ => None,
        }
    }

    #[inline]
    fn read_tcp(
        shape: Shape,
        transport: &[u8],
        pseudo: Sum,
        src: IpAddr,
        dst: IpAddr,
        len: u16,
    ) -> Option<Self> {
        let header: &[u8; tcp::HEADER] = transport.first_chunk()?;
        let header_len = usize::from(header[tcp::DATA_OFFSET] >> 4) * 4;
        let covered = u16::try_from(transport.len()).ok()?;
        let pseudo = pseudo.word(u16::from(Proto::TCP.0)).word(covered);
        if header_len < tcp::HEADER || header_len > transport.len() || pseudo.stands(header, tcp::CHECKSUM) {
            return None;
        }
        let &[s0, s1, d0, d1, ..] = header;
        let (src_port, dst_port) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
        let flow = FlowKey { proto: Proto::TCP, src, src_port, dst, dst_port };
        Some(Self { shape, flow, flags: header[tcp::FLAGS], len })
    }

    #[inline]
    fn read_udp(
        shape: Shape,
        transport: &[u8],
        pseudo: Sum,
        src: IpAddr,
        dst: IpAddr,
        len: u16,
    ) -> Option<Self> {
        let header: &[u8; udp::HEADER] = transport.first_chunk()?;
        let &[s0, s1, d0, d1, l0, l1, c0, c1] = header;
        let covered = u16::from_be_bytes([l0, l1]);
        let pseudo = pseudo.word(u16::from(Proto::UDP.0)).word(covered);
        // Without a checksum NAT computes one.
        let is_odd = [c0, c1] == [0, 0] || pseudo.stands(header, udp::CHECKSUM);
        if usize::from(covered) < udp::HEADER || usize::from(covered) > transport.len() || is_odd {
            return None;
        }
        let (src_port, dst_port) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
        let flow = FlowKey { proto: Proto::UDP, src, src_port, dst, dst_port };
        Some(Self { shape, flow, flags: 0, len })
    }

    /// The flow as this packet names it.
    #[inline]
    pub const fn flow(&self) -> &FlowKey {
        &self.flow
    }

    /// True for IPv6.
    #[inline]
    pub const fn is_ipv6(&self) -> bool {
        matches!(self.shape, Shape::TcpV6 | Shape::UdpV6)
    }

    /// Octets of the IP packet with its header.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Never: a header has octets.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// What follows the IP header.
    #[inline]
    pub const fn transport(&self) -> Transport {
        let FlowKey { src_port, dst_port, .. } = self.flow;
        match self.shape {
            Shape::TcpV4 | Shape::TcpV6 => Transport::Tcp { src_port, dst_port, flags: self.flags },
            Shape::UdpV4 | Shape::UdpV6 => Transport::Udp { src_port, dst_port },
        }
    }

    /// Forwards the packet as [`Rewrite::apply`] does. `None` where it does not fit, or cannot be rewritten so; it is
    /// then as it was.
    #[inline]
    pub fn apply(&self, rewrite: &Rewrite, packet: &mut Packet<'_>, path: &Path, ident: u16) -> Option<()> {
        if self.len() > usize::from(rewrite.inner_mtu(path).ok()?) {
            return None;
        }
        match rewrite {
            Rewrite::Nat(nat) => self.translate(nat, packet.bytes_mut())?,
            Rewrite::Direct => self.forward(packet.bytes_mut())?,
            Rewrite::Tunnel(_) => {
                let headers = self.headers(packet.bytes())?;
                return rewrite.apply(packet, &headers, path, ident).ok().map(|_| ());
            }
        }
        packet.truncate(L3 + self.len());
        address(packet, path);
        Some(())
    }

    #[inline]
    fn translate(&self, nat: &Nat, frame: &mut [u8]) -> Option<()> {
        match self.shape {
            Shape::TcpV4 => translate_v4::<{ V4_L4 + tcp::HEADER }, { V4_L4 + tcp::CHECKSUM }>(nat, frame),
            Shape::UdpV4 => translate_v4::<{ V4_L4 + udp::HEADER }, { V4_L4 + udp::CHECKSUM }>(nat, frame),
            Shape::TcpV6 => translate_v6::<{ V6_L4 + tcp::HEADER }, { V6_L4 + tcp::CHECKSUM }>(nat, frame),
            Shape::UdpV6 => translate_v6::<{ V6_L4 + udp::HEADER }, { V6_L4 + udp::CHECKSUM }>(nat, frame),
        }
    }

    /// Takes one from the TTL.
    #[inline]
    fn forward(&self, frame: &mut [u8]) -> Option<()> {
        if self.is_ipv6() {
            let head: &mut [u8; V6_L4] = frame.first_chunk_mut()?;
            head[L3 + ipv6::HOP_LIMIT] -= 1;
        } else {
            let head: &mut [u8; V4_L4] = frame.first_chunk_mut()?;
            decrement(head, Sum::ZERO);
        }
        Some(())
    }

    /// The same headers as [`Headers::parse`] reads.
    #[inline]
    fn headers(&self, frame: &[u8]) -> Option<Headers> {
        let FlowKey { proto, src, dst, .. } = self.flow;
        let (ttl, tos, dont_fragment, l4) = if self.is_ipv6() {
            let header: &[u8; ipv6::HEADER] = array(frame, L3)?;
            (header[ipv6::HOP_LIMIT], header[0] << 4 | header[1] >> 4, true, V6_L4)
        } else {
            let header: &[u8; ipv4::HEADER] = array(frame, L3)?;
            let word = u16::from_be_bytes([header[ipv4::FRAGMENT], header[ipv4::FRAGMENT + 1]]);
            (header[ipv4::TTL], header[ipv4::TOS], word & ipv4::DF != 0, V4_L4)
        };
        let (options, fragment, transport) = (Options::None, None, self.transport());
        let end = L3 + self.len();
        Some(Headers {
            src,
            dst,
            proto,
            ttl,
            tos,
            dont_fragment,
            options,
            fragment,
            transport,
            l3: L3,
            l4,
            end,
        })
    }
}

/// Translates an IPv4 packet with `HEAD` octets of headers and its transport checksum at `CHECKSUM`.
#[inline]
fn translate_v4<const HEAD: usize, const CHECKSUM: usize>(nat: &Nat, frame: &mut [u8]) -> Option<()> {
    let head: &mut [u8; HEAD] = frame.first_chunk_mut()?;
    let IpAddr::V4(addr) = nat.addr else { return None };
    let (at, port_at) = match nat.end {
        End::Source => (L3 + ipv4::SOURCE, V4_L4),
        End::Destination => (L3 + ipv4::DESTINATION, V4_L4 + 2),
    };
    let change = Sum::ZERO.replace::<4>(head, at, addr.octets());
    decrement(head, change);
    put_port::<HEAD, CHECKSUM>(head, port_at, nat.port, change);
    Some(())
}

/// The same for IPv6, whose header has no checksum.
#[inline]
fn translate_v6<const HEAD: usize, const CHECKSUM: usize>(nat: &Nat, frame: &mut [u8]) -> Option<()> {
    let head: &mut [u8; HEAD] = frame.first_chunk_mut()?;
    let IpAddr::V6(addr) = nat.addr else { return None };
    let (at, port_at) = match nat.end {
        End::Source => (L3 + ipv6::SOURCE, V6_L4),
        End::Destination => (L3 + ipv6::DESTINATION, V6_L4 + 2),
    };
    let change = Sum::ZERO.replace::<16>(head, at, addr.octets());
    head[L3 + ipv6::HOP_LIMIT] -= 1;
    put_port::<HEAD, CHECKSUM>(head, port_at, nat.port, change);
    Some(())
}

/// Takes one from the TTL of IPv4, which is more than 1; the header's checksum follows that and the other change.
#[inline]
fn decrement<const HEAD: usize>(head: &mut [u8; HEAD], change: Sum) {
    let [ttl, proto] = [head[L3 + ipv4::TTL], head[L3 + ipv4::PROTO]];
    let change = change.replace::<2>(head, L3 + ipv4::TTL, [ttl - 1, proto]);
    change.mend(head, L3 + ipv4::CHECKSUM);
}

/// Writes a port; the transport's checksum follows that and the other change. UDP's is never 0.
#[inline]
fn put_port<const HEAD: usize, const CHECKSUM: usize>(
    head: &mut [u8; HEAD],
    at: usize,
    port: u16,
    change: Sum,
) {
    let change = change.replace::<2>(head, at, port.to_be_bytes());
    change.mend(head, CHECKSUM);
    // UDP's header ends with it.
    if CHECKSUM + 2 == HEAD && head[CHECKSUM..] == [0, 0] {
        head[CHECKSUM..].fill(0xff);
    }
}
