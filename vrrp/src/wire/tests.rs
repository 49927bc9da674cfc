//! Packets against bytes that other programs made: the vectors were computed with Python's `hmac` and `struct` from the
//! draft's text, and the version 2 one is what keepalived 2.2.7 sends for the same declaration.

use std::time::Duration;

use super::*;
use crate::Reject;
use crate::declared::{Checksum, Version};

/// 192.168.77.1 to 192.168.77.2, router 52, priority 200, one address, signed with the bytes 0 to 31 as key 1.
pub(crate) const SIGNED_V4: &str =
    "3134c8010064dc87c0a84d64010100006553f100800000003029c30c367fe9ab045e2dca0e453682";
/// The same message unsigned, its checksum without pseudo-header.
const PLAIN_V4: &str = "3134c8010064f858c0a84d64";
/// `fd00::1` to `fd00::2`, router 51, priority 200, one address, signed with the same key.
pub(crate) const SIGNED_V6: &str = "3133c8010064ae8bfd000000000000000000000000000100010100006553f10080000000a1f1b14c802e56b62febdb0896a7bc1c";
/// Version 2: router 51, priority 100, the password 1111.
const PASSWORD: &str = "213364010101fb2ac0a85b943131313100000000";

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

pub(crate) fn v4() -> Envelope {
    Envelope {
        source: "192.168.77.1".parse().unwrap(),
        destination: "192.168.77.2".parse().unwrap(),
        ttl: 255,
    }
}

pub(crate) fn v6() -> Envelope {
    Envelope { source: "fd00::1".parse().unwrap(), destination: "fd00::2".parse().unwrap(), ttl: 255 }
}

fn advert() -> Advert {
    Advert {
        version: Version::V3,
        router_id: 52,
        priority: 200,
        interval: Duration::from_secs(1),
        addresses: vec!["192.168.77.100".parse().unwrap()],
    }
}

#[test]
fn version_3_is_read_with_the_checksum_in_either_reading() {
    let signed = bytes(SIGNED_V4);
    let packet = Packet::parse(&signed, &v4()).unwrap();
    assert_eq!(packet.advert, advert());
    assert_eq!(packet.checksum, ChecksumKind::WithPseudoHeader);
    assert_eq!(packet.trailer.unwrap().trailer.key, 1);
    let plain = bytes(PLAIN_V4);
    let packet = Packet::parse(&plain, &v4()).unwrap();
    assert_eq!((packet.advert, packet.checksum), (advert(), ChecksumKind::Message));
    assert_eq!(packet.trailer, None);
}

#[test]
fn either_checksum_is_written_as_declared() {
    let write = |reading| advert().write(Proof::None, reading, &v4(), None);
    assert_eq!(write(Checksum::Rfc9568), bytes(PLAIN_V4));
    assert_eq!(write(Checksum::Rfc5798), bytes(SIGNED_V4)[..12]);
}

#[test]
fn ipv6_is_read_with_its_trailer_under_the_checksum() {
    let signed = bytes(SIGNED_V6);
    let packet = Packet::parse(&signed, &v6()).unwrap();
    assert_eq!(packet.advert.addresses, ["fd00::100".parse::<IpAddr>().unwrap()]);
    let mut changed = signed.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(Packet::parse(&changed, &v6()), Err(Reject::Checksum));
}

#[test]
fn version_2_with_a_password_is_read_and_written() {
    let sent = bytes(PASSWORD);
    let packet = Packet::parse(&sent, &v4()).unwrap();
    assert_eq!(packet.proof, Proof::Password(*b"1111\0\0\0\0"));
    assert_eq!((packet.advert.version, packet.advert.interval), (Version::V2, Duration::from_secs(1)));
    assert_eq!(packet.advert.write(packet.proof, Checksum::default(), &v4(), None), sent);
}

/// The packet with a byte changed and its checksum made right again.
fn with(place: usize, value: u8) -> Vec<u8> {
    let mut packet = bytes(PLAIN_V4);
    packet[place] = value;
    packet[6] = 0;
    packet[7] = 0;
    let sum = checksum::checksum(&[&packet]).to_be_bytes();
    packet[6..8].copy_from_slice(&sum);
    packet
}

#[test]
fn every_malformed_packet_is_rejected_for_its_reason() {
    let reject = |packet: &[u8]| Packet::parse(packet, &v4()).unwrap_err();
    assert_eq!(reject(&with(0, 0x41)), Reject::Version);
    assert_eq!(reject(&with(0, 0x32)), Reject::Kind);
    assert_eq!(reject(&with(1, 0)), Reject::RouterId);
    assert_eq!(reject(&with(5, 0)), Reject::NoInterval, "erratum 8301");
    assert_eq!(reject(&with(3, 2)), Reject::Length);
    assert_eq!(reject(&[]), Reject::Length);
    let mut longer = with(2, 1);
    longer.push(0);
    assert_eq!(reject(&longer), Reject::Length);
    let mut wrong = with(2, 1);
    wrong[2] = 255;
    assert_eq!(reject(&wrong), Reject::Checksum);
    let v2 = bytes(PASSWORD);
    assert_eq!(Packet::parse(&v2, &v6()).unwrap_err(), Reject::Version, "version 2 has no IPv6");
}

#[test]
fn reserved_bits_are_not_looked_at() {
    let packet = with(4, 0xf0);
    assert_eq!(Packet::parse(&packet, &v4()).unwrap().advert, advert());
}

#[test]
fn the_ipv4_header_is_taken_off_and_what_is_no_whole_advert_refused() {
    let mut packet = vec![0x45, 0xc0, 0, 32, 0, 1, 0x40, 0, 255, 112, 0, 0, 192, 168, 77, 1, 192, 168, 77, 2];
    packet.extend(bytes(PLAIN_V4));
    let (envelope, payload) = ipv4::open(&packet).unwrap();
    assert_eq!((envelope, payload), (v4(), &bytes(PLAIN_V4)[..]));
    let reject = |place: usize, value: u8| {
        let mut changed = packet.clone();
        changed[place] = value;
        ipv4::open(&changed).unwrap_err()
    };
    assert_eq!(reject(0, 0x65), Reject::Version);
    assert_eq!(reject(0, 0x4f), Reject::Length);
    assert_eq!(reject(0, 0x41), Reject::Length);
    assert_eq!(reject(3, 33), Reject::Length);
    assert_eq!(reject(6, 0x20), Reject::Length, "a fragment");
    assert_eq!(reject(9, 51), Reject::AuthenticationHeader);
}

#[test]
fn no_bytes_at_all_bring_it_down() {
    let mut seed = 1_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(seed >> 56).unwrap()
    };
    for base in [SIGNED_V4, SIGNED_V6, PASSWORD] {
        for _ in 0..20_000 {
            let mut packet = bytes(base);
            packet.truncate(usize::from(next()) % (packet.len() + 1));
            for _ in 0..next() % 4 {
                let place = usize::from(next()) % packet.len().max(1);
                if let Some(byte) = packet.get_mut(place) {
                    *byte = next();
                }
            }
            let _ = Packet::parse(&packet, &v4());
            let _ = Packet::parse(&packet, &v6());
            let _ = ipv4::open(&packet);
        }
    }
}
