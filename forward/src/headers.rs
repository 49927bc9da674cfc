//! What a packet's headers say, read once per packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lvs_conntrack::{FlowKey, Proto};

use crate::checksum::{Sum, is_right};
use crate::rewrite::{Encapsulation, GRE_HEADER, GUE_HEADER};
use crate::verdict::DropReason;
use crate::wire::{array, ethernet, icmp, ipv4, ipv6, read_u16, read_u32, sctp, tcp, udp};

pub use crate::wire::ipv4::Options;

/// Why a frame has no [`Headers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// The frame carries no IP: ARP, say. It is the host's.
    NotIp,
    /// The frame must be dropped for this reason.
    Malformed(DropReason),
}

impl From<DropReason> for ParseError {
    fn from(reason: DropReason) -> Self {
        Self::Malformed(reason)
    }
}

/// Where a fragment belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// The identification that a datagram's fragments share: 16 bits in IPv4, 32 in IPv6.
    pub ident: u32,
    /// Where its payload belongs, in octets.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
    /// Offset in the frame of the IPv6 Fragment header; that of the IP header in IPv4.
    pub at: usize,
}

impl Fragment {
    /// A fragment that ends behind the longest datagram, or that is not the last and no multiple of 8 octets
    /// (RFC 8200, 4.5), fits nowhere.
    fn check(&self, proto: Proto, payload: usize) -> Result<(), DropReason> {
        let ends = usize::from(self.offset) + payload;
        // RFC 3128: a later fragment at offset 8 could overwrite TCP's flags.
        let reaches_flags = proto == Proto::TCP && self.offset == 8;
        if payload == 0
            || ends > usize::from(u16::MAX)
            || (self.more && !payload.is_multiple_of(8))
            || reaches_flags
        {
            return Err(DropReason::BadFragment);
        }
        Ok(())
    }
}

/// What follows the IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp {
        /// The source port.
        src_port: u16,
        /// The destination port.
        dst_port: u16,
        /// The flags, CWR in the highest bit and FIN in the lowest.
        flags: u8,
    },
    /// UDP.
    Udp {
        /// The source port.
        src_port: u16,
        /// The destination port.
        dst_port: u16,
    },
    /// SCTP.
    Sctp {
        /// The source port.
        src_port: u16,
        /// The destination port.
        dst_port: u16,
        /// The type of the first chunk; DATA (0) where there is none.
        chunk: u8,
        /// The type of the chunk behind it.
        next_chunk: Option<u8>,
    },
    /// ICMP in IPv4, ICMPv6 in IPv6.
    Icmp {
        /// The message's type.
        kind: u8,
        /// The message's code.
        code: u8,
    },
    /// A protocol without ports, such as AH or ESP.
    Other,
    /// A later fragment: the transport header went with the first.
    Later,
}

/// The headers of one frame. Offsets count from the frame's first octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    /// The source address.
    pub src: IpAddr,
    /// The destination address.
    pub dst: IpAddr,
    /// The protocol above IP.
    pub proto: Proto,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// The packet must not be fragmented on its way (always so in IPv6).
    pub dont_fragment: bool,
    /// IPv4 options or IPv6 extension headers.
    pub options: Options,
    /// Where the packet belongs if it is a fragment.
    pub fragment: Option<Fragment>,
    /// What follows the IP header.
    pub transport: Transport,
    /// Where the IP header begins, behind Ethernet and its VLAN tags.
    pub l3: usize,
    /// Where the transport header begins.
    pub l4: usize,
    /// Where the IP packet ends; behind it there may be Ethernet's padding.
    pub end: usize,
}

impl Headers {
    /// Reads the headers of an Ethernet frame. The IPv4 header's checksum is verified; those above are not.
    ///
    /// # Errors
    /// [`ParseError::NotIp`] for what is no IP; [`ParseError::Malformed`] for what must be dropped.
    pub fn parse(frame: &[u8]) -> Result<Self, ParseError> {
        let (kind, l3) = ethernet::payload(frame).ok_or(DropReason::Truncated)?;
        match kind {
            ethernet::IPV4 => Self::parse_v4(frame, l3),
            ethernet::IPV6 => Self::parse_v6(frame, l3),
            _ => Err(ParseError::NotIp),
        }
    }

    #[inline]
    fn parse_v4(frame: &[u8], l3: usize) -> Result<Self, ParseError> {
        let header: &[u8; ipv4::HEADER] = array(frame, l3).ok_or(DropReason::Truncated)?;
        let &[first, tos, t0, t1, i0, i1, f0, f1, ttl, proto, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = header;
        let header_len = usize::from(first & 0xf) * 4;
        let total = usize::from(u16::from_be_bytes([t0, t1]));
        if first >> 4 != 4 || header_len < ipv4::HEADER || total < header_len {
            return Err(DropReason::BadIpHeader.into());
        }
        let (l4, end) = (l3 + header_len, l3 + total);
        let whole = frame.get(l3..l4).ok_or(DropReason::Truncated)?;
        let bytes = frame.get(l4..end).ok_or(DropReason::Truncated)?;
        let options = match whole.get(ipv4::HEADER..) {
            Some(bytes) if !bytes.is_empty() => ipv4::options(bytes),
            _ => Options::None,
        };
        if options == Options::Malformed {
            return Err(DropReason::BadIpHeader.into());
        }
        let sum = if header_len == ipv4::HEADER { Sum::of_header(header) } else { Sum::ZERO.bytes(whole) };
        if !is_right(sum) {
            return Err(DropReason::BadIpChecksum.into());
        }
        let proto = Proto(proto);
        let word = u16::from_be_bytes([f0, f1]);
        let fragment = (word & (ipv4::MF | ipv4::OFFSET) != 0).then(|| Fragment {
            ident: u32::from(u16::from_be_bytes([i0, i1])),
            offset: (word & ipv4::OFFSET) * 8,
            more: word & ipv4::MF != 0,
            at: l3,
        });
        Ok(Self {
            src: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
            dst: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
            proto,
            ttl,
            tos,
            dont_fragment: word & ipv4::DF != 0,
            options,
            fragment,
            transport: transport_or_piece(proto, false, bytes, fragment)?,
            l3,
            l4,
            end,
        })
    }

    fn parse_v6(frame: &[u8], l3: usize) -> Result<Self, ParseError> {
        let header: &[u8; ipv6::HEADER] = array(frame, l3).ok_or(DropReason::Truncated)?;
        let [b0, b1, _, _, p0, p1, next, ttl, ..] = *header;
        if b0 >> 4 != 6 {
            return Err(DropReason::BadIpHeader.into());
        }
        let end = l3 + ipv6::HEADER + usize::from(u16::from_be_bytes([p0, p1]));
        let packet = frame.get(..end).ok_or(DropReason::Truncated)?;
        let (src, dst) = v6_addresses(header);
        let chain = ipv6::follow(packet, next, l3 + ipv6::HEADER).map_err(|broken| match broken {
            ipv6::Broken::Truncated => DropReason::BadIpHeader,
            ipv6::Broken::TooLong => DropReason::ExtensionChain,
        })?;
        let bytes = packet.get(chain.l4..).ok_or(DropReason::BadIpHeader)?;
        // An atomic fragment (RFC 6946) is a whole packet.
        let fragment = chain
            .fragment
            .filter(|&(_, _, word)| word & !6 != 0)
            .map(|(at, ident, word)| Fragment { ident, offset: word & !7, more: word & 1 != 0, at });
        Ok(Self {
            src,
            dst,
            proto: chain.proto,
            ttl,
            tos: (b0 << 4) | (b1 >> 4),
            dont_fragment: true,
            options: chain.options,
            fragment,
            transport: transport_or_piece(chain.proto, true, bytes, fragment)?,
            l3,
            l4: chain.l4,
            end,
        })
    }

    /// True for IPv6.
    #[inline]
    pub const fn is_ipv6(&self) -> bool {
        self.src.is_ipv6()
    }

    /// Octets of the IP packet with its header.
    #[inline]
    pub const fn len(&self) -> usize {
        self.end.saturating_sub(self.l3)
    }

    /// Never: a header has octets.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Source and destination port; 0 where the protocol has none.
    #[inline]
    pub const fn ports(&self) -> (u16, u16) {
        self.transport.ports()
    }

    /// The flow as this packet names it.
    #[inline]
    pub const fn flow(&self) -> FlowKey {
        let (src_port, dst_port) = self.ports();
        FlowKey { proto: self.proto, src: self.src, src_port, dst: self.dst, dst_port }
    }

    /// TCP's flags; none for another protocol.
    #[inline]
    pub const fn tcp_flags(&self) -> u8 {
        match self.transport {
            Transport::Tcp { flags, .. } => flags,
            Transport::Udp { .. }
            | Transport::Sctp { .. }
            | Transport::Icmp { .. }
            | Transport::Other
            | Transport::Later => 0,
        }
    }

    /// TCP's sequence number.
    pub fn tcp_sequence(&self, frame: &[u8]) -> Option<u32> {
        match self.transport {
            Transport::Tcp { .. } => read_u32(frame, self.l4 + tcp::SEQUENCE),
            Transport::Udp { .. }
            | Transport::Sctp { .. }
            | Transport::Icmp { .. }
            | Transport::Other
            | Transport::Later => None,
        }
    }

    /// True for an ICMP or ICMPv6 message that quotes the packet it is about.
    pub const fn is_icmp_error(&self) -> bool {
        match self.transport {
            Transport::Icmp { kind, .. } if self.is_ipv6() => kind < icmp::V6_INFORMATIONAL,
            Transport::Icmp { kind, .. } => is_v4_error(kind),
            Transport::Tcp { .. }
            | Transport::Udp { .. }
            | Transport::Sctp { .. }
            | Transport::Other
            | Transport::Later => false,
        }
    }

    /// True where no honest packet comes from the source address: multicast, broadcast, loopback, unspecified, 0/8,
    /// 240/4.
    pub const fn has_martian_source(&self) -> bool {
        match self.src {
            IpAddr::V4(src) => {
                let [first, ..] = src.octets();
                first == 0 || first == 127 || first >= 224
            }
            IpAddr::V6(src) => src.is_unspecified() || src.is_loopback() || src.is_multicast(),
        }
    }

    /// What was transported: from the transport header to the packet's end.
    pub fn transport_bytes<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        frame.get(self.l4..self.end).unwrap_or_default()
    }
}

pub(crate) const fn is_v4_error(kind: u8) -> bool {
    matches!(
        kind,
        icmp::V4_UNREACHABLE
            | icmp::V4_SOURCE_QUENCH
            | icmp::V4_REDIRECT
            | icmp::V4_TIME_EXCEEDED
            | icmp::V4_PARAMETER_PROBLEM
    )
}

impl Transport {
    /// Source and destination port; 0 where the protocol has none.
    #[inline]
    pub const fn ports(&self) -> (u16, u16) {
        match *self {
            Self::Tcp { src_port, dst_port, .. }
            | Self::Udp { src_port, dst_port }
            | Self::Sctp { src_port, dst_port, .. } => (src_port, dst_port),
            Self::Icmp { .. } | Self::Other | Self::Later => (0, 0),
        }
    }

    /// True where there are ports.
    #[inline]
    pub const fn has_ports(&self) -> bool {
        matches!(self, Self::Tcp { .. } | Self::Udp { .. } | Self::Sctp { .. })
    }
}

#[inline]
pub(crate) fn v6_addresses(header: &[u8; ipv6::HEADER]) -> (IpAddr, IpAddr) {
    let at = |at| array::<16>(header, at).copied().unwrap_or_default();
    (Ipv6Addr::from(at(ipv6::SOURCE)).into(), Ipv6Addr::from(at(ipv6::DESTINATION)).into())
}

/// The flow that a frame seems to be of. Nothing is verified but what is read: it is only a hint of what the packet's
/// headers will say.
#[inline]
pub fn glance(frame: &[u8]) -> Option<FlowKey> {
    let (kind, l3) = ethernet::payload(frame)?;
    let (proto, src, dst, l4) = match kind {
        ethernet::IPV4 => {
            let header: &[u8; ipv4::HEADER] = array(frame, l3)?;
            let &[first, _, _, _, _, _, _, _, _, proto, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = header;
            let (src, dst) = (Ipv4Addr::new(s0, s1, s2, s3), Ipv4Addr::new(d0, d1, d2, d3));
            (proto, src.into(), dst.into(), l3 + usize::from(first & 0xf) * 4)
        }
        ethernet::IPV6 => {
            let header: &[u8; ipv6::HEADER] = array(frame, l3)?;
            let (src, dst) = v6_addresses(header);
            (header[ipv6::NEXT_HEADER], src, dst, l3 + ipv6::HEADER)
        }
        _ => return None,
    };
    let [s0, s1, d0, d1] = *array(frame, l4)?;
    let (src_port, dst_port) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    Some(FlowKey { proto: Proto(proto), src, src_port, dst, dst_port })
}

/// What follows the IP header of a packet that may be a fragment.
#[inline]
fn transport_or_piece(
    proto: Proto,
    ipv6: bool,
    bytes: &[u8],
    fragment: Option<Fragment>,
) -> Result<Transport, DropReason> {
    let Some(fragment) = fragment else { return transport(proto, ipv6, bytes, true) };
    fragment.check(proto, bytes.len())?;
    match fragment.offset {
        0 => transport(proto, ipv6, bytes, false).map_err(|_| DropReason::BadFragment),
        _ => Ok(Transport::Later),
    }
}

/// Reads a transport header. `whole`: no fragment, so lengths can be held against the packet's.
#[inline]
fn transport(proto: Proto, ipv6: bool, bytes: &[u8], whole: bool) -> Result<Transport, DropReason> {
    let too_short = DropReason::BadL4Header;
    match proto {
        Proto::TCP => {
            let header: &[u8; tcp::HEADER] = array(bytes, 0).ok_or(too_short)?;
            let header_len = usize::from(header[tcp::DATA_OFFSET] >> 4) * 4;
            if header_len < tcp::HEADER || (whole && header_len > bytes.len()) {
                return Err(too_short);
            }
            let [s0, s1, d0, d1, ..] = *header;
            let (src_port, dst_port) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
            Ok(Transport::Tcp { src_port, dst_port, flags: header[tcp::FLAGS] })
        }
        Proto::UDP => {
            let [s0, s1, d0, d1, l0, l1, ..] = *array::<{ udp::HEADER }>(bytes, 0).ok_or(too_short)?;
            let len = usize::from(u16::from_be_bytes([l0, l1]));
            if len < udp::HEADER || (whole && len > bytes.len()) {
                return Err(too_short);
            }
            Ok(Transport::Udp {
                src_port: u16::from_be_bytes([s0, s1]),
                dst_port: u16::from_be_bytes([d0, d1]),
            })
        }
        Proto::SCTP => {
            let [s0, s1, d0, d1, ..] = *array::<{ sctp::HEADER }>(bytes, 0).ok_or(too_short)?;
            Ok(Transport::Sctp {
                src_port: u16::from_be_bytes([s0, s1]),
                dst_port: u16::from_be_bytes([d0, d1]),
                chunk: bytes.get(sctp::HEADER).copied().unwrap_or(0),
                next_chunk: sctp::second_chunk(bytes),
            })
        }
        Proto::ICMP | Proto::ICMPV6 if (proto == Proto::ICMPV6) == ipv6 => {
            let [kind, code, ..] = *array::<{ icmp::HEADER }>(bytes, 0).ok_or(too_short)?;
            Ok(Transport::Icmp { kind, code })
        }
        _ => Ok(Transport::Other),
    }
}

/// The packet that an ICMP error quotes, as far as it is quoted. Offsets count from the frame's first octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    /// The source address of the quoted packet: whom the error is for.
    pub src: IpAddr,
    /// The destination address of the quoted packet.
    pub dst: IpAddr,
    /// The protocol above IP.
    pub proto: Proto,
    /// The source port; 0 where the protocol has none.
    pub src_port: u16,
    /// The destination port; 0 where the protocol has none.
    pub dst_port: u16,
    /// The quoted packet must not be fragmented.
    pub dont_fragment: bool,
    /// The quoted packet is a later fragment: it has no ports.
    pub is_later_fragment: bool,
    /// Where the quoted IP header begins.
    pub l3: usize,
    /// Where the quoted transport header begins.
    pub l4: usize,
}

impl Quoted {
    /// Reads the packet that the ICMP error of `headers` quotes. At least 8 octets of what it transported must be
    /// there (RFC 792).
    ///
    /// # Errors
    /// [`DropReason::IcmpUnmatched`] where the message is no error or quotes too little to be matched.
    pub fn parse(frame: &[u8], headers: &Headers) -> Result<Self, DropReason> {
        if !headers.is_icmp_error() {
            return Err(DropReason::IcmpUnmatched);
        }
        let packet = frame.get(..headers.end).ok_or(DropReason::Truncated)?;
        Self::at(packet, headers.l4 + icmp::HEADER, headers.is_ipv6())
    }

    /// Reads a possibly truncated IP packet that begins at `l3` of `packet`.
    pub(crate) fn at(packet: &[u8], l3: usize, ipv6: bool) -> Result<Self, DropReason> {
        let quoted = if ipv6 { Self::at_v6(packet, l3) } else { Self::at_v4(packet, l3) };
        quoted.ok_or(DropReason::IcmpUnmatched)
    }

    fn at_v4(packet: &[u8], l3: usize) -> Option<Self> {
        let header: &[u8; ipv4::HEADER] = array(packet, l3)?;
        let [first, _, _, _, _, _, f0, f1, _, proto, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *header;
        let header_len = usize::from(first & 0xf) * 4;
        if first >> 4 != 4 || header_len < ipv4::HEADER {
            return None;
        }
        let word = u16::from_be_bytes([f0, f1]);
        Self {
            src: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
            dst: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
            proto: Proto(proto),
            src_port: 0,
            dst_port: 0,
            dont_fragment: word & ipv4::DF != 0,
            is_later_fragment: word & ipv4::OFFSET != 0,
            l3,
            l4: l3 + header_len,
        }
        .with_ports(packet)
    }

    fn at_v6(packet: &[u8], l3: usize) -> Option<Self> {
        let header: &[u8; ipv6::HEADER] = array(packet, l3)?;
        if header[0] >> 4 != 6 {
            return None;
        }
        let (src, dst) = v6_addresses(header);
        let chain = ipv6::follow(packet, header[ipv6::NEXT_HEADER], l3 + ipv6::HEADER).ok()?;
        Self {
            src,
            dst,
            proto: chain.proto,
            src_port: 0,
            dst_port: 0,
            dont_fragment: true,
            is_later_fragment: chain.fragment.is_some_and(|(_, _, word)| word & !7 != 0),
            l3,
            l4: chain.l4,
        }
        .with_ports(packet)
    }

    fn with_ports(mut self, packet: &[u8]) -> Option<Self> {
        let _transported: &[u8; 8] = array(packet, self.l4)?;
        if self.has_ports() {
            self.src_port = read_u16(packet, self.l4)?;
            self.dst_port = read_u16(packet, self.l4 + 2)?;
        }
        Some(self)
    }

    /// The packet that travelled within the quoted one, where that is a tunnel's outer packet of this kind.
    ///
    /// # Errors
    /// [`DropReason::IcmpUnmatched`] where it is not, or too little is quoted.
    pub fn within(&self, frame: &[u8], headers: &Headers, kind: Encapsulation) -> Result<Self, DropReason> {
        let packet = frame.get(..headers.end).ok_or(DropReason::Truncated)?;
        let inner = self.inner(packet, kind).ok_or(DropReason::IcmpUnmatched)?;
        let version = packet.get(inner).map_or(0, |first| first >> 4);
        Self::at(packet, inner, version == 6)
    }

    /// Where the inner packet begins.
    fn inner(&self, packet: &[u8], kind: Encapsulation) -> Option<usize> {
        match kind {
            Encapsulation::Ipip => matches!(self.proto, Proto(4 | 41)).then_some(self.l4),
            Encapsulation::Gue { port, .. } => {
                // Version 0 without options, and a data packet: what this director sends.
                let plain = read_u16(packet, self.l4 + udp::HEADER)? & 0xff00 == 0;
                let ours = self.proto == Proto::UDP && self.dst_port == port && plain;
                ours.then_some(self.l4 + udp::HEADER + GUE_HEADER)
            }
            Encapsulation::Gre { .. } => {
                let flags = read_u16(packet, self.l4)?;
                let len = if flags & 0x8000 == 0 { GRE_HEADER } else { GRE_HEADER + 4 };
                (self.proto == Proto(47) && matches!(flags, 0 | 0x8000)).then_some(self.l4 + len)
            }
        }
    }

    /// True where the quoted packet has ports.
    pub const fn has_ports(&self) -> bool {
        matches!(self.proto, Proto::TCP | Proto::UDP | Proto::SCTP) && !self.is_later_fragment
    }

    /// The flow as the quoted packet names it: a packet of it was what the error is about.
    pub const fn flow(&self) -> FlowKey {
        FlowKey {
            proto: self.proto,
            src: self.src,
            src_port: self.src_port,
            dst: self.dst,
            dst_port: self.dst_port,
        }
    }
}
