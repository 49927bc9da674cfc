//! `PING_CHECK`: an ICMP echo is answered (RFC 792, RFC 4443).

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;

use socket2::{Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::{Failure, socket};
use crate::declared::Endpoint;

/// Type of an echo request and of its reply, IPv4.
const ECHO: (u8, u8) = (8, 0);
/// Type of an echo request and of its reply, IPv6.
const ECHO6: (u8, u8) = (128, 129);
/// Bytes of the ICMP header.
const HEADER: usize = 8;

pub(super) async fn check(endpoint: &Endpoint) -> Result<(), Failure> {
    // ICMP has no ports.
    let endpoint = &Endpoint { address: SocketAddr::new(endpoint.address.ip(), 0), ..endpoint.clone() };
    let socket = open(endpoint).map_err(|error| socket::on_host(&error))?;
    let socket = UdpSocket::from_std(socket.into()).map_err(|error| socket::on_host(&error))?;
    socket.connect(endpoint.address).await.map_err(|error| socket::failure(&error))?;
    // The payload tells our reply from others': the kernel chooses the identifier where it lets anyone ping.
    let nonce = RandomState::new().hash_one(0).to_be_bytes();
    let is_ipv4 = endpoint.address.is_ipv4();
    let (request, reply) = if is_ipv4 { ECHO } else { ECHO6 };
    let sent = socket.send(&echo(request, nonce)).await;
    sent.map_err(|error| socket::failure(&error))?;
    let mut packet = [0; 1500];
    loop {
        let length = socket.recv(&mut packet).await.map_err(|error| socket::failure(&error))?;
        let message = message(packet.get(..length).unwrap_or_default(), is_ipv4);
        if message.first() == Some(&reply) && message.get(HEADER..) == Some(&nonce) {
            return Ok(());
        }
    }
}

/// A socket for ICMP: one that needs no privilege where the kernel lets us, a raw one otherwise.
fn open(endpoint: &Endpoint) -> io::Result<Socket> {
    let protocol = if endpoint.address.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    socket::open(endpoint, Type::DGRAM, protocol).or_else(|_| socket::open(endpoint, Type::RAW, protocol))
}

/// An echo request.
fn echo(kind: u8, nonce: [u8; 8]) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, 0x1f, 0x9a, 0, 1];
    message.extend_from_slice(&nonce);
    // Without it the kernel fills in that of ICMPv6, and a plain socket's too.
    let sum = checksum(&message);
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    message
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

/// The ICMP message in what a socket gives: a raw one for IPv4 leaves the IP header in front.
fn message(packet: &[u8], is_ipv4: bool) -> &[u8] {
    match packet.first() {
        Some(first) if is_ipv4 && first >> 4 == 4 => {
            packet.get(usize::from(first & 0xf) * 4..).unwrap_or_default()
        }
        _ => packet,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_one_and_its_checksum_is_right() {
        let request = echo(ECHO.0, *b"01234567");
        assert_eq!((request[0], &request[HEADER..]), (8, b"01234567".as_slice()));
        assert_eq!(checksum(&request), 0);
    }

    #[test]
    fn the_message_stands_behind_an_ip_header_where_there_is_one() {
        let reply = echo(ECHO.1, *b"01234567");
        let raw = [&[0x46; 24][..], &reply].concat();
        assert_eq!((message(&raw, true), message(&reply, true)), (&reply[..], &reply[..]));
        assert_eq!(message(&raw, false), &raw[..]);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_looked_at_within_its_bounds(packet: Vec<u8>, is_ipv4: bool) {
            prop_assert!(packet.ends_with(message(&packet, is_ipv4)));
        }
    }
}
