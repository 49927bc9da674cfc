//! Frames that no honest sender sends: each has an outcome, and none panics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../fuzz/entry.rs"]
mod entry;
mod random;

use std::fs;

use lvs_forward::headers::Options;
use lvs_forward::{DropReason, Headers, ParseError, Transport};
use random::Random;

fn malformed(reason: DropReason) -> Result<Headers, ParseError> {
    Err(ParseError::Malformed(reason))
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &kind.to_be_bytes(), payload].concat()
}

/// An IPv4 packet with a right header checksum; `patch` changes the header before that is computed.
fn v4(proto: u8, options: &[u8], payload: &[u8], patch: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let header_len = 20 + options.len();
    let total = u16::try_from(header_len + payload.len()).unwrap().to_be_bytes();
    let first = 0x40 | u8::try_from(header_len / 4).unwrap();
    let mut header =
        vec![first, 0, total[0], total[1], 0x12, 0x34, 0, 0, 64, proto, 0, 0, 192, 0, 2, 1, 10, 9, 9, 9];
    header.extend_from_slice(options);
    patch(&mut header);
    header[10..12].fill(0);
    let sum = etherparse::checksum::Sum16BitWords::new().add_slice(&header).ones_complement();
    header[10..12].copy_from_slice(&sum.to_ne_bytes());
    ethernet(0x0800, &[&header[..], payload].concat())
}

fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, len[0], len[1], next, 64];
    packet.extend_from_slice(&[0x20; 16]);
    packet.extend_from_slice(&[0x22; 16]);
    packet.extend_from_slice(payload);
    ethernet(0x86dd, &packet)
}

fn udp(payload: usize) -> Vec<u8> {
    let len = u16::try_from(8 + payload).unwrap().to_be_bytes();
    [&[0x10, 0, 0, 53, len[0], len[1], 0, 0][..], &vec![7; payload]].concat()
}

fn tcp() -> Vec<u8> {
    vec![0x10, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]
}

/// The packet of `inner` quoted by an ICMP error with a right checksum.
fn quoted_v4(inner: &[u8]) -> Vec<u8> {
    let mut message = [&[3, 3, 0, 0, 0, 0, 0, 0][..], inner].concat();
    let sum = etherparse::checksum::Sum16BitWords::new().add_slice(&message).ones_complement();
    message[2..4].copy_from_slice(&sum.to_ne_bytes());
    v4(1, &[], &message, |_| {})
}

fn honest() -> Vec<Vec<u8>> {
    let udp_packet = v4(17, &[], &udp(100), |_| {});
    let fragment = [&[17, 0, 0, 1, 0, 0, 0, 9][..], &udp(8)].concat();
    let hops = [&[44, 0, 1, 4, 0, 0, 0, 0][..], &fragment].concat();
    let ipip = v4(4, &[], &udp_packet[14..], |_| {});
    let gre = v4(47, &[], &[&[0, 0, 8, 0][..], &udp_packet[14..]].concat(), |_| {});
    let gue = v4(
        17,
        &[],
        &[&[0x90, 0, 0x17, 0xc0, 0, 140, 0, 0, 0, 4, 0, 0][..], &udp_packet[14..]].concat(),
        |_| {},
    );
    vec![
        v4(6, &[], &tcp(), |_| {}),
        v4(17, &[0x94, 4, 0, 0], &udp(1400), |_| {}),
        v4(132, &[], &[0x10, 0, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 1, 0, 0, 4], |_| {}),
        v4(50, &[], &[1; 40], |_| {}),
        v4(17, &[], &udp(16), |header| header[6] = 0x20),
        v6(6, &tcp()),
        v6(0, &hops),
        quoted_v4(&udp_packet[14..]),
        quoted_v4(&ipip[14..]),
        quoted_v4(&gre[14..]),
        quoted_v4(&gue[14..]),
        ethernet(0x88a8, &[&[0, 5, 0x81, 0, 0, 6, 8, 0][..], &udp_packet[14..]].concat()),
        udp_packet,
    ]
}

#[test]
fn honest_frames_are_read() {
    for frame in honest() {
        Headers::parse(&frame).unwrap_or_else(|error| panic!("{error:?}: {frame:02x?}"));
    }
}

#[test]
fn a_frame_cut_at_any_length_is_refused_or_whole() {
    for frame in honest() {
        for len in 0..frame.len() {
            let cut = &frame[..len];
            assert!(
                matches!(Headers::parse(cut), Err(ParseError::Malformed(_))),
                "cut to {len} of {frame:02x?}"
            );
            for choice in [0, 0x80, 0x55] {
                entry::run(&[&[choice, 9][..], cut].concat());
            }
        }
    }
}

#[test]
fn random_frames_and_random_changes_have_an_outcome() {
    let honest = honest();
    for seed in 0..60_000 {
        let mut random = Random(seed);
        let mut frame = honest[random.below(honest.len())].clone();
        if random.one_in(8) {
            let len = random.below(120);
            frame = random.bytes(len);
            if len > 14 {
                frame[12..14].copy_from_slice(if random.one_in(2) { &[8, 0] } else { &[0x86, 0xdd] });
            }
        }
        for _ in 0..random.below(6) {
            let len = frame.len().clamp(1, 120);
            if let Some(place) = frame.get_mut(random.below(len)) {
                *place = random.byte();
            }
        }
        if frame.len() > 34 && frame[12..14] == [8, 0] && !random.one_in(8) {
            repair(&mut frame);
        }
        entry::run(&[&random.array::<2>()[..], &frame].concat());
    }
}

/// Gives a changed IPv4 header the right checksum, so that not every change ends there.
fn repair(frame: &mut [u8]) {
    let end = (14 + usize::from(frame[14] & 15) * 4).min(frame.len());
    frame[24..26].fill(0);
    let sum = etherparse::checksum::Sum16BitWords::new().add_slice(&frame[14..end]).ones_complement();
    frame[24..26].copy_from_slice(&sum.to_ne_bytes());
}

#[test]
fn the_fuzzer_s_corpus_breaks_nothing() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/frame");
    let mut count = 0;
    for file in fs::read_dir(corpus).unwrap() {
        let input = fs::read(file.unwrap().path()).unwrap();
        for choice in 0..=255 {
            entry::run(&[&[choice, 100][..], input.get(2..).unwrap_or_default()].concat());
        }
        count += 1;
    }
    assert!(count >= 10, "only {count} inputs");
}

#[test]
fn an_ipv4_header_that_contradicts_itself_is_malformed() {
    for (what, reason, frame) in [
        ("version 5", DropReason::BadIpHeader, v4(17, &[], &udp(8), |header| header[0] = 0x55)),
        ("IHL 4", DropReason::BadIpHeader, v4(17, &[], &udp(8), |header| header[0] = 0x44)),
        ("IHL past the end", DropReason::BadIpHeader, v4(17, &[], &udp(8), |header| header[0] = 0x4f)),
        ("total length < header", DropReason::BadIpHeader, v4(17, &[], &udp(8), |header| header[3] = 19)),
        ("total length > frame", DropReason::Truncated, v4(17, &[], &udp(8), |header| header[3] += 1)),
        ("option of length 0", DropReason::BadIpHeader, v4(17, &[0x94, 0, 0, 0], &udp(8), |_| {})),
        ("option past the header", DropReason::BadIpHeader, v4(17, &[0x94, 5, 0, 0], &udp(8), |_| {})),
    ] {
        assert_eq!(Headers::parse(&frame), malformed(reason), "{what}");
    }
}

#[test]
fn a_wrong_ip_checksum_is_told_from_a_right_one() {
    let mut frame = v4(17, &[], &udp(8), |_| {});
    assert!(Headers::parse(&frame).is_ok());
    frame[22] ^= 1;
    assert_eq!(Headers::parse(&frame), malformed(DropReason::BadIpChecksum));
}

#[test]
fn source_routing_is_seen_and_other_options_are_told_from_it() {
    for (options, expected) in [
        (&[1, 1, 1, 0][..], Options::Some),
        (&[0x94, 4, 0, 0], Options::Some),
        (&[0x83, 7, 4, 10, 0, 0, 1, 0], Options::SourceRoute),
        (&[1, 0x89, 7, 4, 10, 0, 0, 1], Options::SourceRoute),
        (&[0, 0x83, 7, 4], Options::Some),
        (&[], Options::None),
    ] {
        let frame = v4(17, options, &udp(8), |_| {});
        assert_eq!(Headers::parse(&frame).unwrap().options, expected, "{options:02x?}");
    }
    let routed = [&[17, 2, 0, 1, 0, 0, 0, 0][..], &[0; 16], &udp(8)].concat();
    assert_eq!(Headers::parse(&v6(43, &routed)).unwrap().options, Options::SourceRoute);
    let arrived = [&[17, 2, 0, 0, 0, 0, 0, 0][..], &[0; 16], &udp(8)].concat();
    assert_eq!(Headers::parse(&v6(43, &arrived)).unwrap().options, Options::Some);
}

#[test]
fn a_chain_of_extension_headers_has_an_end() {
    for (count, reason) in [(8, None), (9, Some(DropReason::ExtensionChain))] {
        let mut chain = Vec::new();
        for number in 0..count {
            chain.extend_from_slice(&[if number + 1 == count { 17 } else { 60 }, 0, 1, 4, 0, 0, 0, 0]);
        }
        chain.extend_from_slice(&udp(8));
        let read = Headers::parse(&v6(60, &chain));
        match reason {
            None => assert_eq!(read.unwrap().ports(), (0x1000, 53)),
            Some(reason) => assert_eq!(read, malformed(reason)),
        }
    }
    // An extension header that reaches behind the packet.
    assert_eq!(Headers::parse(&v6(60, &[17, 9, 1, 4, 0, 0, 0, 0])), malformed(DropReason::BadIpHeader));
}

#[test]
fn a_transport_header_that_contradicts_itself_is_malformed() {
    let mut short_offset = tcp();
    short_offset[12] = 0x40;
    let mut long_offset = tcp();
    long_offset[12] = 0x60;
    let mut long_udp = udp(8);
    long_udp[5] = 17;
    let mut short_udp = udp(8);
    short_udp[5] = 7;
    for (proto, payload) in [
        (6, &short_offset[..]),
        (6, &long_offset),
        (6, &tcp()[..19]),
        (17, &long_udp),
        (17, &short_udp),
        (17, &udp(8)[..7]),
        (132, &[0; 11]),
        (1, &[8, 0, 0, 0]),
    ] {
        assert_eq!(
            Headers::parse(&v4(proto, &[], payload, |_| {})),
            malformed(DropReason::BadL4Header),
            "{payload:?}"
        );
    }
}

#[test]
fn fragments_that_fit_nowhere_are_malformed() {
    let at = |word: u16, proto: u8, payload: &[u8]| {
        v4(proto, &[], payload, |header| header[6..8].copy_from_slice(&word.to_be_bytes()))
    };
    for (what, frame) in [
        ("a first one without all of TCP's header", at(0x2000, 6, &tcp()[..16])),
        ("a first one without ports", at(0x2000, 17, &[])),
        ("not a multiple of 8", at(0x2000, 17, &udp(5))),
        ("one that overwrites TCP's flags", at(1, 6, &[0; 16])),
        ("one behind the longest datagram", at(0x1fff, 17, &[0; 16])),
    ] {
        assert_eq!(Headers::parse(&frame), malformed(DropReason::BadFragment), "{what}");
    }
    let later = Headers::parse(&at(0x2003, 17, &[9; 16])).unwrap();
    assert_eq!((later.transport, later.ports()), (Transport::Later, (0, 0)));
    let place = later.fragment.unwrap();
    assert_eq!((place.offset, place.more, place.ident), (24, true, 0x1234));
}

#[test]
fn a_first_fragment_s_chain_is_followed_to_its_ports() {
    let options = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &udp(8)].concat();
    let headers = Headers::parse(&v6(44, &[&[60, 0, 0, 1, 0, 0, 0, 9][..], &options].concat())).unwrap();
    assert_eq!((headers.ports(), headers.fragment.map(|place| place.more)), ((0x1000, 53), Some(true)));
}

#[test]
fn an_atomic_fragment_is_a_whole_packet() {
    let frame = v6(44, &[&[17, 0, 0, 0, 0, 0, 0, 9][..], &udp(8)].concat());
    let headers = Headers::parse(&frame).unwrap();
    assert_eq!((headers.fragment, headers.ports()), (None, (0x1000, 53)));
}

#[test]
fn two_tags_are_read_and_a_third_is_none_of_ours() {
    let packet = &v4(17, &[], &udp(8), |_| {})[14..];
    let tag = [0x81, 0, 0, 5];
    for (tags, is_ip) in [(0, true), (1, true), (2, true), (3, false)] {
        let mut frame = vec![2; 12];
        for _ in 0..tags {
            frame.extend_from_slice(&tag);
        }
        frame.extend_from_slice(&[8, 0]);
        frame.extend_from_slice(packet);
        match Headers::parse(&frame) {
            Ok(headers) => assert!(is_ip && headers.l3 == 14 + 4 * tags),
            Err(error) => assert!(!is_ip && error == ParseError::NotIp),
        }
    }
}

#[test]
fn what_is_not_ip_is_the_host_s() {
    for kind in [0x0806, 0x88cc, 0x0026] {
        assert_eq!(Headers::parse(&ethernet(kind, &[0; 46])), Err(ParseError::NotIp));
    }
}

#[test]
fn a_martian_source_is_known() {
    for (source, martian) in [
        ([10, 0, 0, 1], false),
        ([0, 1, 2, 3], true),
        ([127, 0, 0, 1], true),
        ([224, 0, 0, 1], true),
        ([255, 255, 255, 255], true),
    ] {
        let frame = v4(17, &[], &udp(8), |header| header[12..16].copy_from_slice(&source));
        assert_eq!(Headers::parse(&frame).unwrap().has_martian_source(), martian, "{source:?}");
    }
}
