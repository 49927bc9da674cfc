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

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lvs_conntrack::{FlowKey, Proto};

use crate::checksum::{Sum, is_right};
use crate::headers::{Headers, Options, Transport, v6_addresses};
use crate::packet::Packet;
use crate::rewrite::{End, Path, Rewrite, Tunnel, address};
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

/// What is to be known of a plain packet, beside the flow that it is of. No more than goes by value: a flow that is
/// written to memory and read back in longer words waits there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plain {
    shape: Shape,
    /// TCP's.
    flags: u8,
    /// Octets of the IP packet.
    len: u16,
}

impl Plain {
    /// Reads the headers of an Ethernet frame; `None` where the packet is not plain, has a TTL of no more than 1, or is
    /// not as it should be.
    #[inline]
    pub fn read(frame: &[u8]) -> Option<(Self, FlowKey)> {
        Self::read_v4(frame).or_else(|| Self::read_v6(frame))
    }

    /// The same, of IPv4 alone: what comes of it can be compiled for addresses of that family.
    #[inline]
    pub fn read_v4(frame: &[u8]) -> Option<(Self, FlowKey)> {
        if read_u16(frame, L3 - 2)? != ethernet::IPV4 {
            return None;
        }
        let header: &[u8; ipv4::HEADER] = array(frame, L3)?;
        let &[first, _, t0, t1, _, _, f0, f1, ttl, proto, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = header;
        let is_piece = u16::from_be_bytes([f0, f1]) & (ipv4::MF | ipv4::OFFSET) != 0;
        if first != VERSION_4 || is_piece || ttl <= 1 || !is_right(Sum::of_header(header)) {
            return None;
        }
        let len = u16::from_be_bytes([t0, t1]);
        let transport = frame.get(V4_L4..L3 + usize::from(len))?;
        let (_, addresses) = header.split_at(ipv4::SOURCE);
        let pseudo = Sum::ZERO.all(addresses.first_chunk::<8>()?);
        let (shape, flags, src_port, dst_port) = match Proto(proto) {
            Proto::TCP => with_shape(Shape::TcpV4, read_tcp(transport, pseudo)?),
            Proto::UDP => with_shape(Shape::UdpV4, read_udp(transport, pseudo)?),
            _ => return None,
        };
        let (src, dst) = (Ipv4Addr::new(s0, s1, s2, s3).into(), Ipv4Addr::new(d0, d1, d2, d3).into());
        Some((Self { shape, flags, len }, FlowKey { proto: Proto(proto), src, src_port, dst, dst_port }))
    }

    /// The same, of IPv6 alone.
    #[inline]
    pub fn read_v6(frame: &[u8]) -> Option<(Self, FlowKey)> {
        if read_u16(frame, L3 - 2)? != ethernet::IPV6 {
            return None;
        }
        let header: &[u8; ipv6::HEADER] = array(frame, L3)?;
        let &[first, _, _, _, p0, p1, next, hop_limit, ..] = header;
        if first >> 4 != 6 || hop_limit <= 1 {
            return None;
        }
        let payload = u16::from_be_bytes([p0, p1]);
        let len = payload.checked_add(40)?;
        let transport = frame.get(V6_L4..V6_L4 + usize::from(payload))?;
        let (_, addresses) = header.split_at(ipv6::SOURCE);
        let pseudo = Sum::ZERO.all(addresses.first_chunk::<32>()?);
        let (shape, flags, src_port, dst_port) = match Proto(next) {
            Proto::TCP => with_shape(Shape::TcpV6, read_tcp(transport, pseudo)?),
            Proto::UDP => with_shape(Shape::UdpV6, read_udp(transport, pseudo)?),
            _ => return None,
        };
        let (src, dst) = v6_addresses(header);
        Some((Self { shape, flags, len }, FlowKey { proto: Proto(next), src, src_port, dst, dst_port }))
    }

    /// True for IPv6.
    #[inline]
    pub const fn is_ipv6(self) -> bool {
        matches!(self.shape, Shape::TcpV6 | Shape::UdpV6)
    }

    /// Octets of the IP packet with its header.
    #[inline]
    pub fn len(self) -> usize {
        usize::from(self.len)
    }

    /// Never: a header has octets.
    pub const fn is_empty(self) -> bool {
        false
    }

    /// What follows the IP header of this flow's packet.
    #[inline]
    pub const fn transport(self, flow: &FlowKey) -> Transport {
        let FlowKey { src_port, dst_port, .. } = *flow;
        match self.shape {
            Shape::TcpV4 | Shape::TcpV6 => Transport::Tcp { src_port, dst_port, flags: self.flags },
            Shape::UdpV4 | Shape::UdpV6 => Transport::Udp { src_port, dst_port },
        }
    }

    /// Gives one end another address and port, and sends the packet on, as [`Rewrite::Nat`] does. `None` where it does
    /// not fit, or the address is of the other family; the packet is then as it was.
    #[inline]
    pub fn translate(
        self,
        end: End,
        addr: IpAddr,
        port: u16,
        packet: &mut Packet<'_>,
        path: &Path,
    ) -> Option<()> {
        if self.len > path.mtu {
            return None;
        }
        let frame = packet.bytes_mut();
        match (self.shape, addr) {
            (Shape::TcpV4, IpAddr::V4(addr)) => {
                translate_v4::<{ V4_L4 + tcp::HEADER }, { V4_L4 + tcp::CHECKSUM }>(end, addr, port, frame)
            }
            (Shape::UdpV4, IpAddr::V4(addr)) => {
                translate_v4::<{ V4_L4 + udp::HEADER }, { V4_L4 + udp::CHECKSUM }>(end, addr, port, frame)
            }
            (Shape::TcpV6, IpAddr::V6(addr)) => {
                translate_v6::<{ V6_L4 + tcp::HEADER }, { V6_L4 + tcp::CHECKSUM }>(end, addr, port, frame)
            }
            (Shape::UdpV6, IpAddr::V6(addr)) => {
                translate_v6::<{ V6_L4 + udp::HEADER }, { V6_L4 + udp::CHECKSUM }>(end, addr, port, frame)
            }
            (Shape::TcpV4 | Shape::UdpV4, IpAddr::V6(_)) | (Shape::TcpV6 | Shape::UdpV6, IpAddr::V4(_)) => {
                None
            }
        }?;
        self.send(packet, path);
        Some(())
    }

    /// Sends the packet on as it is, as [`Rewrite::Direct`] does. `None` where it does not fit; it is then as it was.
    #[inline]
    pub fn forward(self, packet: &mut Packet<'_>, path: &Path) -> Option<()> {
        if self.len > path.mtu {
            return None;
        }
        let frame = packet.bytes_mut();
        if self.is_ipv6() {
            let head: &mut [u8; V6_L4] = frame.first_chunk_mut()?;
            head[L3 + ipv6::HOP_LIMIT] -= 1;
        } else {
            let head: &mut [u8; V4_L4] = frame.first_chunk_mut()?;
            decrement(head, Sum::ZERO);
        }
        self.send(packet, path);
        Some(())
    }

    /// Cuts Ethernet's padding and addresses the frame to the next hop.
    #[inline]
    fn send(self, packet: &mut Packet<'_>, path: &Path) {
        packet.truncate(L3 + self.len());
        address(packet, path);
    }

    /// Wraps this flow's packet in an outer one, as [`Rewrite::Tunnel`] does. `None` where it does not fit; it is then as
    /// it was.
    #[inline]
    pub fn wrap(
        self,
        flow: &FlowKey,
        tunnel: Tunnel,
        packet: &mut Packet<'_>,
        path: &Path,
        ident: u16,
    ) -> Option<()> {
        if self.len > tunnel.inner_mtu(path.mtu)? {
            return None;
        }
        let headers = self.headers(flow, packet.bytes())?;
        Rewrite::Tunnel(tunnel).apply(packet, &headers, path, ident).ok().map(|_| ())
    }

    /// The same headers as [`Headers::parse`] reads.
    #[inline]
    fn headers(self, flow: &FlowKey, frame: &[u8]) -> Option<Headers> {
        let FlowKey { proto, src, dst, .. } = *flow;
        let (ttl, tos, dont_fragment, l4) = if self.is_ipv6() {
            let header: &[u8; ipv6::HEADER] = array(frame, L3)?;
            (header[ipv6::HOP_LIMIT], header[0] << 4 | header[1] >> 4, true, V6_L4)
        } else {
            let header: &[u8; ipv4::HEADER] = array(frame, L3)?;
            let word = u16::from_be_bytes([header[ipv4::FRAGMENT], header[ipv4::FRAGMENT + 1]]);
            (header[ipv4::TTL], header[ipv4::TOS], word & ipv4::DF != 0, V4_L4)
        };
        let (options, fragment, transport) = (Options::None, None, self.transport(flow));
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

#[inline]
const fn with_shape(shape: Shape, (flags, src, dst): (u8, u16, u16)) -> (Shape, u8, u16, u16) {
    (shape, flags, src, dst)
}

/// TCP's flags and ports.
#[inline]
fn read_tcp(transport: &[u8], pseudo: Sum) -> Option<(u8, u16, u16)> {
    let header: &[u8; tcp::HEADER] = transport.first_chunk()?;
    let header_len = usize::from(header[tcp::DATA_OFFSET] >> 4) * 4;
    let covered = u16::try_from(transport.len()).ok()?;
    let pseudo = pseudo.word(u16::from(Proto::TCP.0)).word(covered);
    if header_len < tcp::HEADER || header_len > transport.len() || pseudo.stands(header, tcp::CHECKSUM) {
        return None;
    }
    let &[s0, s1, d0, d1, ..] = header;
    Some((header[tcp::FLAGS], u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])))
}

/// No flags, and UDP's ports.
#[inline]
fn read_udp(transport: &[u8], pseudo: Sum) -> Option<(u8, u16, u16)> {
    let header: &[u8; udp::HEADER] = transport.first_chunk()?;
    let &[s0, s1, d0, d1, l0, l1, c0, c1] = header;
    let covered = u16::from_be_bytes([l0, l1]);
    let pseudo = pseudo.word(u16::from(Proto::UDP.0)).word(covered);
    // Without a checksum NAT computes one.
    let is_odd = [c0, c1] == [0, 0] || pseudo.stands(header, udp::CHECKSUM);
    if usize::from(covered) < udp::HEADER || usize::from(covered) > transport.len() || is_odd {
        return None;
    }
    Some((0, u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])))
}

/// Translates an IPv4 packet with `HEAD` octets of headers and its transport checksum at `CHECKSUM`.
#[inline]
fn translate_v4<const HEAD: usize, const CHECKSUM: usize>(
    end: End,
    addr: Ipv4Addr,
    port: u16,
    frame: &mut [u8],
) -> Option<()> {
    let head: &mut [u8; HEAD] = frame.first_chunk_mut()?;
    let (at, port_at) = match end {
        End::Source => (L3 + ipv4::SOURCE, V4_L4),
        End::Destination => (L3 + ipv4::DESTINATION, V4_L4 + 2),
    };
    let change = Sum::ZERO.replace::<4>(head, at, addr.octets());
    decrement(head, change);
    put_port::<HEAD, CHECKSUM>(head, port_at, port, change);
    Some(())
}

/// The same for IPv6, whose header has no checksum.
#[inline]
fn translate_v6<const HEAD: usize, const CHECKSUM: usize>(
    end: End,
    addr: Ipv6Addr,
    port: u16,
    frame: &mut [u8],
) -> Option<()> {
    let head: &mut [u8; HEAD] = frame.first_chunk_mut()?;
    let (at, port_at) = match end {
        End::Source => (L3 + ipv6::SOURCE, V6_L4),
        End::Destination => (L3 + ipv6::DESTINATION, V6_L4 + 2),
    };
    let change = Sum::ZERO.replace::<16>(head, at, addr.octets());
    head[L3 + ipv6::HOP_LIMIT] -= 1;
    put_port::<HEAD, CHECKSUM>(head, port_at, port, change);
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
