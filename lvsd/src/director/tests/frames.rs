//! Frames for the scenarios, made octet by octet.

use std::net::{IpAddr, SocketAddr};

use lvs_conntrack::Proto;
use lvs_forward::checksum::{Sum, pseudo_header};

pub(super) const SYN: u8 = 0x02;
pub(super) const ACK: u8 = 0x10;
pub(super) const FIN: u8 = 0x11;
pub(super) const RST: u8 = 0x04;

/// A TCP segment without payload.
pub(super) fn tcp(from: SocketAddr, to: SocketAddr, flags: u8) -> Vec<u8> {
    let mut segment = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    finished(from.ip(), to.ip(), Proto::TCP, segment, 16)
}

/// A UDP datagram.
pub(super) fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap();
    let mut datagram = [from.port(), to.port(), len, 0].map(u16::to_be_bytes).concat();
    datagram.extend(payload);
    finished(from.ip(), to.ip(), Proto::UDP, datagram, 6)
}

/// A packet of a protocol without ports.
pub(super) fn other(from: IpAddr, to: IpAddr, proto: Proto) -> Vec<u8> {
    ip(from, to, proto, &[0; 24])
}

pub(super) fn finished(from: IpAddr, to: IpAddr, proto: Proto, mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    let sum = pseudo_header(from, to, proto, bytes.len()).bytes(&bytes).checksum();
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    ip(from, to, proto, &bytes)
}

/// An Ethernet frame with an IP packet; TTL 64, "don't fragment" clear.
pub(super) fn ip(from: IpAddr, to: IpAddr, proto: Proto, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 6, 6, 6, 6, 6, 6];
    let len = u16::try_from(payload.len()).unwrap();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = vec![0x45, 0];
            header.extend((len + 20).to_be_bytes());
            header.extend([0x12, 0x34, 0, 0, 64, proto.0, 0, 0]);
            header.extend(from.octets());
            header.extend(to.octets());
            seal(&mut header);
            frame.extend([0x08, 0x00]);
            frame.extend(header);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(len.to_be_bytes());
            frame.extend([proto.0, 64]);
            frame.extend(from.octets());
            frame.extend(to.octets());
        }
        _ => panic!("{from} and {to} are of two families"),
    }
    frame.extend(payload);
    frame
}

/// Computes the checksum of an IPv4 header.
pub(super) fn seal(header: &mut [u8]) {
    header[10..12].fill(0);
    let sum = Sum::ZERO.bytes(header).checksum();
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// The frame with another TTL.
pub(super) fn with_ttl(mut frame: Vec<u8>, ttl: u8) -> Vec<u8> {
    frame[22] = ttl;
    seal(&mut frame[14..34]);
    frame
}

/// The frame with "don't fragment" set.
pub(super) fn with_df(mut frame: Vec<u8>) -> Vec<u8> {
    frame[20] |= 0x40;
    seal(&mut frame[14..34]);
    frame
}

/// An IPv4 frame in fragments, each with so many octets of the payload.
pub(super) fn fragmented(frame: &[u8], each: usize) -> Vec<Vec<u8>> {
    let (head, payload) = frame.split_at(34);
    let count = payload.chunks(each).count();
    let parts = payload.chunks(each).enumerate().map(|(number, chunk)| {
        let mut part = [head, chunk].concat();
        let more = if number + 1 < count { 0x2000 } else { 0 };
        let word = u16::try_from(number * each / 8).unwrap() | more;
        part[16..18].copy_from_slice(&u16::try_from(20 + chunk.len()).unwrap().to_be_bytes());
        part[20..22].copy_from_slice(&word.to_be_bytes());
        seal(&mut part[14..34]);
        part
    });
    parts.collect()
}
