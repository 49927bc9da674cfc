//! Frames as a client, a server or a router between them would send.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{IpNumber, PacketBuilder};

const FROM: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const TO: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A UDP datagram.
pub(crate) fn udp(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(FROM, TO)
        .ipv4(source.0.octets(), destination.0.octets(), 64)
        .udp(source.1, destination.1);
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).unwrap();
    frame
}

/// A UDP datagram in VLAN 7, in VLAN 9 of the provider's when `double`.
pub(crate) fn tagged(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), double: bool) -> Vec<u8> {
    let plain = udp(source, destination, b"tagged");
    let provider: &[u8] = if double { &[0x88, 0xa8, 0, 9] } else { &[] };
    [&plain[..12], provider, &[0x81, 0, 0, 7], &plain[12..]].concat()
}

pub(crate) fn udp6(source: (Ipv6Addr, u16), destination: (Ipv6Addr, u16), payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(FROM, TO)
        .ipv6(source.0.octets(), destination.0.octets(), 64)
        .udp(source.1, destination.1);
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).unwrap();
    frame
}

/// An IPv6 packet with `count` destination options headers before its UDP header.
pub(crate) fn extended6(source: (Ipv6Addr, u16), destination: (Ipv6Addr, u16), count: usize) -> Vec<u8> {
    let plain = udp6(source, destination, b"extended");
    let mut frame = plain[..54].to_vec();
    let chain = |at: usize| if at + 1 < count { 60 } else { 17 };
    frame[20] = if count > 0 { 60 } else { 17 };
    for at in 0..count {
        frame.extend([chain(at), 0, 1, 4, 0, 0, 0, 0]);
    }
    frame.extend(&plain[54..]);
    let length = u16::try_from(frame.len() - 54).unwrap();
    frame[18..20].copy_from_slice(&length.to_be_bytes());
    frame
}

/// A TCP segment with only SYN set.
pub(crate) fn syn(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16)) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(FROM, TO)
        .ipv4(source.0.octets(), destination.0.octets(), 64)
        .tcp(source.1, destination.1, 1000, 64240)
        .syn();
    let mut frame = Vec::new();
    builder.write(&mut frame, &[]).unwrap();
    frame
}

/// A fragment: eight bytes at `offset` (in units of eight bytes) of a UDP datagram.
pub(crate) fn fragment(source: Ipv4Addr, destination: Ipv4Addr, offset: u16, more: bool) -> Vec<u8> {
    let mut frame = udp((source, 7), (destination, 7), b"");
    let bits = offset | if more { 0x2000 } else { 0 };
    frame[20..22].copy_from_slice(&bits.to_be_bytes());
    refresh_ip_checksum(&mut frame);
    frame
}

fn refresh_ip_checksum(frame: &mut [u8]) {
    let mut header = etherparse::Ipv4Header::from_slice(&frame[14..]).unwrap().0;
    header.header_checksum = header.calc_header_checksum();
    frame[24..26].copy_from_slice(&header.header_checksum.to_be_bytes());
}

/// An ICMP message of this type and code that quotes a frame's packet.
pub(crate) fn icmp(source: Ipv4Addr, destination: Ipv4Addr, kind: (u8, u8), quoted: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(FROM, TO)
        .ipv4(source.octets(), destination.octets(), 64)
        .icmpv4_raw(kind.0, kind.1, [0; 4]);
    let mut frame = Vec::new();
    builder.write(&mut frame, quoted.get(14..).unwrap_or_default()).unwrap();
    frame
}

pub(crate) fn icmp6(source: Ipv6Addr, destination: Ipv6Addr, kind: (u8, u8), quoted: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(FROM, TO)
        .ipv6(source.octets(), destination.octets(), 64)
        .icmpv6_raw(kind.0, kind.1, [0; 4]);
    let mut frame = Vec::new();
    builder.write(&mut frame, quoted.get(14..).unwrap_or_default()).unwrap();
    frame
}

/// The packet of `inner` behind an outer IPv4 header with this protocol; `between` are the bytes of GRE or GUE.
pub(crate) fn tunnel(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    proto: u8,
    between: &[u8],
    inner: &[u8],
) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(FROM, TO).ipv4(source.octets(), destination.octets(), 64);
    let mut frame = Vec::new();
    builder.write(&mut frame, IpNumber(proto), &[between, &inner[14..]].concat()).unwrap();
    frame
}

/// The same with an outer IPv6 header.
pub(crate) fn tunnel6(source: Ipv6Addr, destination: Ipv6Addr, proto: u8, inner: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(FROM, TO).ipv6(source.octets(), destination.octets(), 64);
    let mut frame = Vec::new();
    builder.write(&mut frame, IpNumber(proto), &inner[14..]).unwrap();
    frame
}

/// The frame with another destination on the link.
pub(crate) fn to_mac(mut frame: Vec<u8>, mac: [u8; 6]) -> Vec<u8> {
    frame[..6].copy_from_slice(&mac);
    frame
}
