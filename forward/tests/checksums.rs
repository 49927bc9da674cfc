//! Every checksum that a rewrite leaves, held against etherparse's recomputation from nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod random;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{EtherType, IpNumber, NetSlice, PacketBuilder, SlicedPacket, TransportSlice, VlanId};
use lvs_forward::{
    Checksums, Encapsulation, End, Fit, Headers, Nat, Packet, Path, PortId, Quoted, Rewrite, Tunnel,
    fragment, icmp,
};
use random::Random;

const ROUNDS: usize = 4000;

fn path(mtu: u16) -> Path {
    Path {
        port: PortId(1),
        src_mac: [2, 0, 0, 0, 0, 1].into(),
        dst_mac: [2, 0, 0, 0, 0, 2].into(),
        mtu,
        checksums: Checksums::Computed,
    }
}

fn address(random: &mut Random, ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::from(random.array::<16>()).into()
    } else {
        Ipv4Addr::from(random.array::<4>()).into()
    }
}

/// How the sender left the transport checksum.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sent {
    Whole,
    Partial,
    /// UDP without a checksum.
    None,
}

struct Made {
    frame: Vec<u8>,
    tcp: bool,
    sent: Sent,
}

/// A TCP or UDP packet with right checksums, save what [`Sent`] says.
fn packet(random: &mut Random, ipv6: bool, most: usize) -> Made {
    let ethernet = PacketBuilder::ethernet2(random.array(), random.array());
    let vlan = random.one_in(3).then(|| VlanId::try_new(random.word() & 0xfff).unwrap());
    let (ttl, tcp) = (random.byte().max(2), random.one_in(2));
    let (src, dst) = (random.array::<16>(), random.array::<16>());
    let v4 = (*src.first_chunk().unwrap(), *dst.first_chunk().unwrap());
    let ip = match (vlan, ipv6) {
        (None, false) => ethernet.ipv4(v4.0, v4.1, ttl),
        (None, true) => ethernet.ipv6(src, dst, ttl),
        (Some(id), false) => ethernet.single_vlan(id).ipv4(v4.0, v4.1, ttl),
        (Some(id), true) => ethernet.single_vlan(id).ipv6(src, dst, ttl),
    };
    let len = random.below(most);
    let payload = random.bytes(len);
    let mut frame = Vec::new();
    let (sport, dport) = (random.word(), random.word());
    if tcp {
        ip.tcp(sport, dport, 7, random.word()).ack(99).write(&mut frame, &payload).unwrap();
    } else {
        ip.udp(sport, dport).write(&mut frame, &payload).unwrap();
    }
    let sent = match random.below(4) {
        0 => Sent::Partial,
        1 if !tcp => Sent::None,
        _ => Sent::Whole,
    };
    let at = checksum_at(&frame, tcp);
    match sent {
        Sent::Whole => {}
        Sent::Partial => {
            let sum = pseudo_sum(&frame);
            frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        Sent::None => frame[at..at + 2].fill(0),
    }
    Made { frame, tcp, sent }
}

fn l3(frame: &[u8]) -> usize {
    if frame[12..14] == [0x81, 0] { 18 } else { 14 }
}

fn checksum_at(frame: &[u8], tcp: bool) -> usize {
    let l3 = l3(frame);
    l3 + if frame[l3] >> 4 == 4 { 20 } else { 40 } + if tcp { 16 } else { 6 }
}

/// The dull twin of the pseudo-header's sum.
fn pseudo_sum(frame: &[u8]) -> u16 {
    let l3 = l3(frame);
    let ip = &frame[l3..];
    let (addresses, proto, len) = if ip[0] >> 4 == 4 {
        (&ip[12..20], ip[9], ip.len() - 20)
    } else {
        (&ip[8..40], ip[6], ip.len() - 40)
    };
    let words = addresses.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let mut sum = words.sum::<u32>() + u32::from(proto) + u32::try_from(len).unwrap();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    u16::try_from(sum).unwrap()
}

/// Whether all checksums of a frame are what etherparse computes. `unsummed`: a UDP checksum of 0 is right.
fn assert_right(frame: &[u8], unsummed: bool, what: &str) {
    let sliced = SlicedPacket::from_ethernet(frame).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_ip_right(&sliced, unsummed, what);
}

fn assert_ip_right(sliced: &SlicedPacket<'_>, unsummed: bool, what: &str) {
    let net = sliced.net.as_ref().unwrap();
    let (field, computed) = match (&sliced.transport, net) {
        (Some(TransportSlice::Tcp(tcp)), NetSlice::Ipv4(ip)) => {
            (tcp.checksum(), tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()).unwrap())
        }
        (Some(TransportSlice::Tcp(tcp)), NetSlice::Ipv6(ip)) => {
            (tcp.checksum(), tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination()).unwrap())
        }
        (Some(TransportSlice::Udp(udp)), NetSlice::Ipv4(ip)) => (
            udp.checksum(),
            udp.to_header().calc_checksum_ipv4(&ip.header().to_header(), udp.payload()).unwrap(),
        ),
        (Some(TransportSlice::Udp(udp)), NetSlice::Ipv6(ip)) => (
            udp.checksum(),
            udp.to_header().calc_checksum_ipv6(&ip.header().to_header(), udp.payload()).unwrap(),
        ),
        (Some(TransportSlice::Icmpv4(message)), _) => {
            (message.checksum(), message.icmp_type().calc_checksum(message.payload()))
        }
        (Some(TransportSlice::Icmpv6(message)), NetSlice::Ipv6(ip)) => {
            let (src, dst) = (ip.header().source(), ip.header().destination());
            (message.checksum(), message.icmp_type().calc_checksum(src, dst, message.payload()).unwrap())
        }
        (None, _) => (0, 0),
        other => panic!("{what}: {other:?}"),
    };
    if !(unsummed && field == 0) {
        assert_eq!(field, computed, "{what}");
    }
    if let NetSlice::Ipv4(ip) = net {
        let header = ip.header().to_header();
        assert_eq!(header.header_checksum, header.calc_header_checksum(), "{what}: IP header");
    }
}

/// Runs `rewrite` on the frame, in a buffer with room at one of its sides.
fn rewritten(random: &mut Random, frame: &[u8], rewrite: &Rewrite, what: &str) -> Vec<u8> {
    let front = if random.one_in(2) { 100 } else { 0 };
    let mut buffer = [&vec![0; front][..], frame, &[0; 100]].concat();
    let mut packet = Packet::new(&mut buffer, front, frame.len());
    let headers = Headers::parse(packet.bytes()).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let fit = rewrite.apply(&mut packet, &headers, &path(9000), random.word()).unwrap();
    assert_eq!(fit, Fit::Whole);
    packet.bytes().to_vec()
}

#[test]
fn a_translated_packet_has_the_checksums_of_one_made_anew() {
    for seed in 0..ROUNDS {
        let mut random = Random(seed as u64);
        let ipv6 = random.one_in(2);
        let made = packet(&mut random, ipv6, 1400);
        let end = if random.one_in(2) { End::Source } else { End::Destination };
        let nat = Nat { end, addr: address(&mut random, ipv6), port: random.word() };
        let what = format!("seed {seed}: {nat:?}, {:?}", made.sent);
        let after = rewritten(&mut random, &made.frame, &Rewrite::Nat(nat), &what);
        assert_right(&after, false, &what);
        let headers = Headers::parse(&after).unwrap();
        let (src_port, dst_port) = headers.ports();
        let translated = if end == End::Source { (headers.src, src_port) } else { (headers.dst, dst_port) };
        assert_eq!(translated, (nat.addr, nat.port), "{what}");
        assert_eq!(after.len(), made.frame.len(), "{what}");
    }
}

#[test]
fn a_udp_checksum_that_comes_to_nothing_is_written_as_all_ones() {
    for seed in 0..500 {
        let mut random = Random(seed);
        let ipv6 = random.one_in(2);
        let made = packet(&mut random, ipv6, 200);
        let nat = Nat { end: End::Source, addr: address(&mut random, ipv6), port: random.word() };
        let after = rewritten(&mut random, &made.frame, &Rewrite::Nat(nat), "");
        let at = checksum_at(&after, made.tcp);
        let checksum = u16::from_be_bytes([after[at], after[at + 1]]);
        // A port larger by the checksum brings that to 0.
        let (sum, carry) = nat.port.overflowing_add(checksum);
        let nat = Nat { port: sum + u16::from(carry), ..nat };
        let after = rewritten(&mut random, &made.frame, &Rewrite::Nat(nat), "");
        let field = u16::from_be_bytes([after[at], after[at + 1]]);
        assert_eq!(field, if made.tcp { 0 } else { 0xffff }, "seed {seed}: {:?}", made.sent);
    }
}

#[test]
fn there_and_back_again_leaves_the_packet_with_a_lower_ttl() {
    for seed in 0..ROUNDS {
        let mut random = Random(seed as u64);
        let ipv6 = random.one_in(2);
        let made = packet(&mut random, ipv6, 200);
        if made.sent != Sent::Whole {
            continue;
        }
        let before = Headers::parse(&made.frame).unwrap();
        if before.ttl < 3 {
            continue;
        }
        let there = Nat { end: End::Destination, addr: address(&mut random, ipv6), port: random.word() };
        let back = Nat { end: End::Destination, addr: before.dst, port: before.ports().1 };
        let once = rewritten(&mut random, &made.frame, &Rewrite::Nat(there), "there");
        let twice = rewritten(&mut random, &once, &Rewrite::Nat(back), "back");
        let direct = rewritten(&mut random, &made.frame, &Rewrite::Direct, "direct");
        let direct = rewritten(&mut random, &direct, &Rewrite::Direct, "direct");
        assert_eq!(twice, direct, "seed {seed}, TCP {}", made.tcp);
    }
}

#[test]
fn a_wrong_checksum_stays_wrong() {
    for seed in 0..ROUNDS {
        let mut random = Random(seed as u64);
        let ipv6 = random.one_in(2);
        let mut made = packet(&mut random, ipv6, 200);
        if made.sent != Sent::Whole {
            continue;
        }
        let at = checksum_at(&made.frame, made.tcp);
        made.frame[at] ^= 0x10;
        if u16::from_be_bytes([made.frame[at], made.frame[at + 1]]) == pseudo_sum(&made.frame) {
            continue;
        }
        let nat = Nat { end: End::Source, addr: address(&mut random, ipv6), port: random.word() };
        let after = rewritten(&mut random, &made.frame, &Rewrite::Nat(nat), "wrong");
        let caught = std::panic::catch_unwind(|| assert_right(&after, true, ""));
        assert!(caught.is_err(), "seed {seed}: a wrong checksum became right");
    }
}

#[test]
fn a_directly_routed_packet_has_a_whole_checksum_or_none() {
    for seed in 0..ROUNDS {
        let mut random = Random(seed as u64);
        let ipv6 = random.one_in(2);
        let made = packet(&mut random, ipv6, 1400);
        let after = rewritten(&mut random, &made.frame, &Rewrite::Direct, "direct");
        assert_right(&after, true, &format!("seed {seed}: {:?}", made.sent));
        let field = |frame: &[u8]| {
            let at = checksum_at(frame, made.tcp);
            [frame[at], frame[at + 1]]
        };
        assert_eq!(made.sent == Sent::None, field(&after) == [0, 0], "seed {seed}");
    }
}

fn any_tunnel(random: &mut Random) -> Tunnel {
    let ipv6 = random.one_in(2);
    let encapsulation = match random.below(5) {
        0 => Encapsulation::Ipip,
        kind @ (1 | 2) => Encapsulation::Gue { port: 6080, checksum: kind == 1 },
        kind => Encapsulation::Gre { checksum: kind == 3 },
    };
    Tunnel {
        local: address(random, ipv6),
        remote: address(random, ipv6),
        encapsulation,
        pmtu_disc: random.one_in(2),
    }
}

#[test]
fn both_packets_of_a_tunnel_have_right_checksums() {
    for seed in 0..ROUNDS {
        let mut random = Random(seed as u64);
        let ipv6 = random.one_in(2);
        let mut made = packet(&mut random, ipv6, 1400);
        let tunnel = any_tunnel(&mut random);
        let what = format!("seed {seed}: {tunnel:?}, {:?}", made.sent);
        let len = made.frame.len();
        if random.one_in(3) {
            made.frame.resize(len + 6, 0xee);
        }
        let after = rewritten(&mut random, &made.frame, &Rewrite::Tunnel(tunnel), &what);
        assert_eq!(after.len(), len + tunnel.overhead(), "{what}");
        let headers = Headers::parse(&after).unwrap();
        assert_eq!(
            (headers.src, headers.dst, headers.end),
            (tunnel.local, tunnel.remote, after.len()),
            "{what}"
        );
        let inner = headers.l3 + tunnel.overhead();
        let kind = if ipv6 { EtherType::IPV6 } else { EtherType::IPV4 };
        let sliced = SlicedPacket::from_ether_type(kind, &after[inner..]).unwrap();
        assert_ip_right(&sliced, true, &what);
        assert_eq!(
            after[inner + 20..],
            rewritten(&mut random, &made.frame[..len], &Rewrite::Direct, "")[headers.l3 + 20..len],
            "{what}: the inner packet is the direct one"
        );
        match tunnel.encapsulation {
            Encapsulation::Gue { checksum, .. } => {
                let outer = SlicedPacket::from_ethernet(&after).unwrap();
                assert_ip_right(&outer, !checksum, &what);
                let Some(TransportSlice::Udp(udp)) = outer.transport else { panic!("{what}") };
                assert_eq!(udp.checksum() != 0, checksum, "{what}");
                assert!((32768..=60999).contains(&udp.source_port()), "{what}");
            }
            Encapsulation::Gre { checksum: true } => {
                assert_eq!(
                    etherparse::checksum::Sum16BitWords::new()
                        .add_slice(&after[headers.l4..])
                        .ones_complement(),
                    0
                );
            }
            Encapsulation::Ipip | Encapsulation::Gre { checksum: false } => {}
        }
    }
}

#[test]
fn an_answer_has_right_checksums_and_the_longest_length_allowed() {
    for seed in 0..ROUNDS {
        let mut random = Random(seed as u64);
        let ipv6 = random.one_in(2);
        let made = packet(&mut random, ipv6, 1450);
        let error = match random.below(3) {
            0 => icmp::Error::TimeExceeded,
            1 => icmp::Error::TooBig(random.word()),
            _ => icmp::Error::PortUnreachable,
        };
        let mut buffer = [&made.frame[..], &[0; 100]].concat();
        let mut packet = Packet::new(&mut buffer, 0, made.frame.len());
        let before = Headers::parse(packet.bytes()).unwrap();
        let from = address(&mut random, ipv6);
        error.answer(&mut packet, &before, from, &path(1500), random.word()).unwrap();
        let what = format!("seed {seed}: {error:?}");
        assert_right(packet.bytes(), false, &what);
        let after = Headers::parse(packet.bytes()).unwrap();
        assert_eq!((after.src, after.dst), (from, before.src), "{what}");
        let (header, most) = if ipv6 { (48, 1280) } else { (28, 576) };
        assert_eq!(after.len(), (before.len() + header).min(most), "{what}");
        let quoted = Quoted::parse(packet.bytes(), &after).unwrap();
        assert_eq!(quoted.flow(), before.flow(), "{what}");
        if let icmp::Error::TooBig(mtu) = error {
            assert_eq!(icmp::reported_mtu(packet.bytes(), &after), Some(mtu), "{what}");
        }
    }
}

#[test]
fn a_translated_error_has_right_checksums_within_and_without() {
    for seed in 0..ROUNDS {
        let mut random = Random(seed as u64);
        let ipv6 = random.one_in(2);
        let made = packet(&mut random, ipv6, 1450);
        let mut buffer = [&made.frame[..], &[0; 100]].concat();
        let mut packet = Packet::new(&mut buffer, 0, made.frame.len());
        let about = Headers::parse(packet.bytes()).unwrap();
        let from = address(&mut random, ipv6);
        icmp::Error::PortUnreachable.answer(&mut packet, &about, from, &path(1500), 7).unwrap();
        let headers = Headers::parse(packet.bytes()).unwrap();
        let quoted = Quoted::parse(packet.bytes(), &headers).unwrap();
        let end = if random.one_in(2) { End::Source } else { End::Destination };
        let nat = Nat { end, addr: address(&mut random, ipv6), port: random.word() };
        icmp::translate(&mut packet, &headers, &quoted, &nat, &path(1500)).unwrap();
        let what = format!("seed {seed}: {nat:?}");
        assert_right(packet.bytes(), false, &what);
        let after = Headers::parse(packet.bytes()).unwrap();
        let inner = Quoted::parse(packet.bytes(), &after).unwrap();
        let seen = match end {
            End::Source => (after.src, inner.dst, inner.dst_port),
            End::Destination => (after.dst, inner.src, inner.src_port),
        };
        assert_eq!(seen, (nat.addr, nat.addr, nat.port), "{what}");
    }
}

#[test]
fn a_forged_error_is_not_translated() {
    let mut random = Random(1);
    let made = packet(&mut random, false, 100);
    let mut buffer = [&made.frame[..], &[0; 100]].concat();
    let mut packet = Packet::new(&mut buffer, 0, made.frame.len());
    let about = Headers::parse(packet.bytes()).unwrap();
    icmp::Error::PortUnreachable.answer(&mut packet, &about, about.dst, &path(1500), 7).unwrap();
    let headers = Headers::parse(packet.bytes()).unwrap();
    packet.bytes_mut()[headers.end - 1] ^= 1;
    let before = packet.bytes().to_vec();
    let quoted = Quoted::parse(packet.bytes(), &headers).unwrap();
    let nat = Nat { end: End::Source, addr: about.dst, port: 1 };
    let refused = icmp::translate(&mut packet, &headers, &quoted, &nat, &path(1500));
    assert_eq!(refused, Err(lvs_forward::DropReason::BadL4Checksum));
    assert_eq!(packet.bytes(), before);
}

#[test]
fn fragments_put_together_are_the_packet() {
    for seed in 0..ROUNDS {
        let mut random = Random(seed as u64);
        let mut made = packet(&mut random, false, 3000);
        let l3 = l3(&made.frame);
        // etherparse sets "don't fragment".
        made.frame[l3 + 6] = 0;
        let sum = etherparse::checksum::Sum16BitWords::new()
            .add_slice(&made.frame[l3..l3 + 10])
            .add_slice(&made.frame[l3 + 12..l3 + 20])
            .ones_complement();
        made.frame[l3 + 10..l3 + 12].copy_from_slice(&sum.to_ne_bytes());
        let whole = made.frame.len() - l3;
        let mtu = u16::try_from(68 + random.below(1500)).unwrap();
        if whole <= usize::from(mtu) {
            continue;
        }
        let mut packet = Packet::new(&mut made.frame, 0, usize::MAX);
        let before = packet.bytes().to_vec();
        let mut frames = Vec::new();
        fragment::split(&mut packet, mtu, 0, |frame| frames.push(frame.to_vec())).unwrap();
        frames.insert(0, packet.bytes().to_vec());
        let mut joined = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            let what = format!("seed {seed}: fragment {number} of {} at MTU {mtu}", frames.len());
            let SlicedPacket { net: Some(NetSlice::Ipv4(ip)), .. } =
                SlicedPacket::from_ethernet(frame).unwrap()
            else {
                panic!("{what}")
            };
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum(), "{what}");
            assert_eq!(usize::from(header.fragment_offset.value()) * 8, joined.len(), "{what}");
            assert_eq!(header.more_fragments, number + 1 < frames.len(), "{what}");
            assert!(header.total_len <= mtu, "{what}");
            assert_eq!(header.protocol, if made.tcp { IpNumber::TCP } else { IpNumber::UDP });
            joined.extend_from_slice(&frame[l3 + 20..]);
        }
        assert_eq!(joined, before[l3 + 20..], "seed {seed}");
    }
}

#[test]
fn an_outer_ipv6_packet_is_split_with_a_fragment_header() {
    for seed in 0..500 {
        let mut random = Random(seed);
        let mut made = packet(&mut random, false, 3000);
        let l3 = l3(&made.frame);
        made.frame.extend_from_slice(&[0; 100]);
        let len = made.frame.len() - 100;
        let mut packet = Packet::new(&mut made.frame, 0, len);
        let headers = Headers::parse(packet.bytes()).unwrap();
        let ipip = Encapsulation::Ipip;
        let (local, remote) = (address(&mut random, true), address(&mut random, true));
        let tunnel = Tunnel { local, remote, encapsulation: ipip, pmtu_disc: false };
        let fit = Rewrite::Tunnel(tunnel).apply(&mut packet, &headers, &path(1400), 1).unwrap();
        if fit == Fit::Whole {
            continue;
        }
        let whole = packet.bytes().to_vec();
        let mut frames = Vec::new();
        fragment::split(&mut packet, 1400, 0xdead_beef, |frame| frames.push(frame.to_vec())).unwrap();
        frames.insert(0, packet.bytes().to_vec());
        let mut joined = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            let headers = Headers::parse(frame).unwrap();
            assert!(headers.len() <= 1400, "seed {seed}");
            let place = headers.fragment.unwrap();
            assert_eq!((place.ident, usize::from(place.offset)), (0xdead_beef, joined.len()), "seed {seed}");
            assert_eq!(place.more, number + 1 < frames.len(), "seed {seed}");
            assert_eq!(headers.proto.0, 4);
            joined.extend_from_slice(&frame[l3 + 48..]);
        }
        assert_eq!(joined, whole[l3 + 40..], "seed {seed}");
    }
}
