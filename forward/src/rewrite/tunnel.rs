//! Tunnels: the packet travels within an outer one from the director to the real server.
//!
//! ```text
//! IPIP  outer IP | inner IP packet
//! GUE   outer IP | UDP 8 | GUE 4 | inner IP packet
//! GRE   outer IP | GRE 4 [checksum 4] | inner IP packet
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lvs_conntrack::{FlowKey, Proto};

use super::{Checksums, Refused, complete_partial, ttl};
use crate::checksum::{Sum, pseudo_header};
use crate::headers::Headers;
use crate::packet::Packet;
use crate::verdict::DropReason;
use crate::wire::{ethernet, ipv4, ipv6, udp, write};

pub(crate) const GUE_HEADER: usize = 4;
pub(crate) const GRE_HEADER: usize = 4;
const GRE_CHECKSUM: usize = 4;
const PROTO_IPIP: u8 = 4;
const PROTO_IPV6: u8 = 41;
const PROTO_GRE: u8 = 47;

/// The lowest source port of a GUE packet and how many there are: the kernel's default range of local ports.
const GUE_PORTS: (u16, u16) = (32768, 60999 - 32768);

/// What lies between the outer and the inner IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encapsulation {
    /// Nothing (RFC 2003, 2473, 4213).
    Ipip,
    /// UDP and Generic UDP Encapsulation.
    Gue {
        /// The destination port.
        port: u16,
        /// With a UDP checksum. Remote checksum offload comes to the same: it applies only to packets whose own
        /// checksum is not computed yet, and here each is.
        checksum: bool,
    },
    /// Generic Routing Encapsulation (RFC 2784).
    Gre {
        /// With a checksum.
        checksum: bool,
    },
}

/// A tunnel to a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tunnel {
    /// The director's address on the way to the real server.
    pub local: IpAddr,
    /// The real server's address, of the same family as `local`.
    pub remote: IpAddr,
    /// How the packet is wrapped.
    pub encapsulation: Encapsulation,
    /// Path MTU discovery (`net.ipv4.vs.pmtu_disc`): the outer header's DF is the inner one's, and what does not
    /// fit is refused. Without it the outer packet is fragmented.
    pub pmtu_disc: bool,
}

impl Tunnel {
    /// Octets that the tunnel adds.
    pub const fn overhead(&self) -> usize {
        self.outer_header() + self.shim()
    }

    const fn outer_header(&self) -> usize {
        match self.remote {
            IpAddr::V4(_) => ipv4::HEADER,
            IpAddr::V6(_) => ipv6::HEADER,
        }
    }

    const fn shim(&self) -> usize {
        match self.encapsulation {
            Encapsulation::Ipip => 0,
            Encapsulation::Gue { .. } => udp::HEADER + GUE_HEADER,
            Encapsulation::Gre { checksum: false } => GRE_HEADER,
            Encapsulation::Gre { checksum: true } => GRE_HEADER + GRE_CHECKSUM,
        }
    }

    /// The largest packet that fits on a way of `mtu` octets, or `None` where that is less than the outer
    /// family's smallest MTU (`__ip_vs_get_out_rt`).
    pub fn inner_mtu(&self, mtu: u16) -> Option<u16> {
        let smallest = match self.remote {
            IpAddr::V4(_) => ipv4::MINIMUM_MTU,
            IpAddr::V6(_) => ipv6::MINIMUM_MTU,
        };
        let inner = usize::from(mtu).checked_sub(self.overhead())?;
        if inner < smallest { None } else { u16::try_from(inner).ok() }
    }

    /// Wraps the packet and takes one from the TTL of both headers.
    pub(super) fn encapsulate(
        &self,
        packet: &mut Packet<'_>,
        headers: &Headers,
        checksums: Checksums,
        ident: u16,
    ) -> Result<(), Refused> {
        ttl::check(packet.bytes(), headers)?;
        let len = headers.len() + self.overhead();
        if self.local.is_ipv6() != self.remote.is_ipv6() {
            return Err(DropReason::FamilyMismatch.into());
        }
        if len > usize::from(u16::MAX) {
            return Err(DropReason::TooBig.into());
        }
        // Padding must go before the packet moves: behind the outer packet's end it would count as payload.
        let padded = packet.len();
        packet.truncate(headers.end);
        if packet.insert(headers.l3, self.overhead()).is_err() {
            packet.resize(padded)?;
            return Err(DropReason::NoRoom.into());
        }
        let inner = Headers {
            l3: headers.l3 + self.overhead(),
            l4: headers.l4 + self.overhead(),
            end: headers.end + self.overhead(),
            ..*headers
        };
        let frame = packet.bytes_mut();
        complete_partial(frame, &inner);
        ttl::decrement(frame, &inner);
        self.write_outer(frame, &inner, headers.l3, ident);
        self.write_shim(frame, &inner, checksums);
        Ok(())
    }

    fn write_outer(&self, frame: &mut [u8], inner: &Headers, l3: usize, ident: u16) {
        let tos = outer_tos(inner.tos);
        let ttl = inner.ttl.saturating_sub(1);
        let proto = self.outer_proto(inner);
        let len = u16::try_from(inner.end.saturating_sub(l3)).unwrap_or(u16::MAX);
        match (self.local, self.remote) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let dont_fragment = self.pmtu_disc && inner.dont_fragment && !inner.is_ipv6();
                let ident = if dont_fragment { 0 } else { ident };
                let word = if dont_fragment { ipv4::DF } else { 0 };
                ethernet::set_kind(frame, l3, ethernet::IPV4);
                write(frame, l3, v4_header(len, tos, ident, word, ttl, proto, src, dst));
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let payload = len.saturating_sub(40);
                ethernet::set_kind(frame, l3, ethernet::IPV6);
                write(frame, l3, v6_header(payload, tos, ttl, proto, src, dst));
            }
            // encapsulate() has refused these.
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
    }

    const fn outer_proto(&self, inner: &Headers) -> u8 {
        match self.encapsulation {
            Encapsulation::Ipip => inner_proto(inner),
            Encapsulation::Gue { .. } => Proto::UDP.0,
            Encapsulation::Gre { .. } => PROTO_GRE,
        }
    }

    fn write_shim(&self, frame: &mut [u8], inner: &Headers, checksums: Checksums) {
        let at = inner.l3 - self.shim();
        match self.encapsulation {
            Encapsulation::Ipip => {}
            Encapsulation::Gue { port, checksum } => {
                let [s0, s1] = gue_source_port(&inner.flow()).to_be_bytes();
                let [p0, p1] = port.to_be_bytes();
                let len = inner.end - at;
                let [l0, l1] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
                write(frame, at, [s0, s1, p0, p1, l0, l1, 0, 0, 0, inner_proto(inner), 0, 0]);
                if checksum {
                    let pseudo = pseudo_header(self.local, self.remote, Proto::UDP, len);
                    let field = match checksums {
                        Checksums::Offloaded => pseudo.fold(),
                        Checksums::Computed => udp::written(
                            pseudo.bytes(frame.get(at..inner.end).unwrap_or_default()).checksum(),
                        ),
                    };
                    write(frame, at + udp::CHECKSUM, field.to_be_bytes());
                }
            }
            Encapsulation::Gre { checksum } => {
                let kind = if inner.is_ipv6() { ethernet::IPV6 } else { ethernet::IPV4 };
                let [k0, k1] = kind.to_be_bytes();
                if checksum {
                    write(frame, at, [0x80, 0, k0, k1, 0, 0, 0, 0]);
                    if checksums == Checksums::Computed {
                        let sum = Sum::ZERO.bytes(frame.get(at..inner.end).unwrap_or_default()).checksum();
                        write(frame, at + GRE_HEADER, sum.to_be_bytes());
                    }
                } else {
                    write(frame, at, [0, 0, k0, k1]);
                }
            }
        }
    }
}

const fn inner_proto(inner: &Headers) -> u8 {
    if inner.is_ipv6() { PROTO_IPV6 } else { PROTO_IPIP }
}

/// TOS or traffic class of the outer header: the inner one's, and "congestion experienced" starts anew as
/// ECT(0) (RFC 3168 9.1.1, full functionality).
const fn outer_tos(tos: u8) -> u8 {
    if tos & 3 == 3 { (tos & !3) | 2 } else { tos }
}

/// The source port of a flow's GUE packets: one per flow, so that the network and the real server spread flows over
/// their queues.
pub fn gue_source_port(flow: &FlowKey) -> u16 {
    let folded = match (flow.src, flow.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits()),
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let both = src.to_bits() ^ dst.to_bits().rotate_left(1);
            let octets = both.to_ne_bytes();
            let (halves, _) = octets.as_chunks::<8>();
            halves.iter().fold(0, |hash, &half| hash ^ u64::from_ne_bytes(half))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => 0,
    };
    let ports = u64::from(flow.src_port) << 24 | u64::from(flow.dst_port) << 8 | u64::from(flow.proto.0);
    // Fibonacci hashing: the product's high bits depend on all bits of the factor.
    let mixed = (folded ^ ports.rotate_left(20)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (lowest, count) = GUE_PORTS;
    let [high, low, ..] = mixed.to_be_bytes();
    let scaled = (u32::from(u16::from_be_bytes([high, low])) * u32::from(count)) >> 16;
    lowest + u16::try_from(scaled).unwrap_or(0)
}

#[allow(clippy::too_many_arguments, reason = "these are the header's fields")]
pub(crate) fn v4_header(
    len: u16,
    tos: u8,
    ident: u16,
    fragment: u16,
    ttl: u8,
    proto: u8,
    src: Ipv4Addr,
    dst: Ipv4Addr,
) -> [u8; ipv4::HEADER] {
    let mut header = [0; ipv4::HEADER];
    header[0] = 0x45;
    header[ipv4::TOS] = tos;
    write(&mut header, ipv4::TOTAL_LENGTH, len.to_be_bytes());
    write(&mut header, ipv4::IDENT, ident.to_be_bytes());
    write(&mut header, ipv4::FRAGMENT, fragment.to_be_bytes());
    header[ipv4::TTL] = ttl;
    header[ipv4::PROTO] = proto;
    write(&mut header, ipv4::SOURCE, src.octets());
    write(&mut header, ipv4::DESTINATION, dst.octets());
    let checksum = Sum::ZERO.bytes(&header).checksum();
    write(&mut header, ipv4::CHECKSUM, checksum.to_be_bytes());
    header
}

/// Computes the checksum of the IPv4 header at `l3`, options and all, and writes it.
pub(crate) fn v4_checksum(frame: &mut [u8], l3: usize) {
    let Some(&first) = frame.get(l3) else { return };
    let Some(header) = frame.get_mut(l3..l3 + usize::from(first & 0xf) * 4) else { return };
    write(header, ipv4::CHECKSUM, [0, 0]);
    let checksum = Sum::ZERO.bytes(header).checksum();
    write(header, ipv4::CHECKSUM, checksum.to_be_bytes());
}

pub(crate) fn v6_header(
    payload: u16,
    class: u8,
    hop_limit: u8,
    next: u8,
    src: Ipv6Addr,
    dst: Ipv6Addr,
) -> [u8; ipv6::HEADER] {
    let mut header = [0; ipv6::HEADER];
    header[0] = 0x60 | (class >> 4);
    header[1] = class << 4;
    write(&mut header, ipv6::PAYLOAD_LENGTH, payload.to_be_bytes());
    header[ipv6::NEXT_HEADER] = next;
    header[ipv6::HOP_LIMIT] = hop_limit;
    write(&mut header, ipv6::SOURCE, src.octets());
    write(&mut header, ipv6::DESTINATION, dst.octets());
    header
}
