//! The short way of a plain packet against the long one: the same frames, the same rewriting, the same octets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod random;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::PacketBuilder;
use lvs_conntrack::FlowKey;
use lvs_forward::{
    Checksums, Encapsulation, End, Fit, Headers, Nat, Packet, Path, Plain, PortId, Rewrite, Transport, Tunnel,
};
use random::Random;

const ROUNDS: u64 = 40_000;
const IDENT: u16 = 77;

fn address(random: &mut Random, ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::from(random.array::<16>()).into()
    } else {
        Ipv4Addr::from(random.array::<4>()).into()
    }
}

/// A packet with right checksums, and room for few different ones: zero and all ones come up often.
fn packet(random: &mut Random, ipv6: bool) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2(random.array(), random.array());
    let ttl = random.byte();
    let ip = if ipv6 {
        ethernet.ipv6(random.array(), random.array(), ttl)
    } else {
        ethernet.ipv4(random.array(), random.array(), ttl)
    };
    let len = random.below(40);
    let payload = random.bytes(len);
    let (src, dst, mut frame) = (random.word(), random.word(), Vec::new());
    if random.one_in(2) {
        ip.tcp(src, dst, 7, random.word()).ack(99).write(&mut frame, &payload).unwrap();
    } else {
        ip.udp(src, dst).write(&mut frame, &payload).unwrap();
    }
    if random.one_in(5) {
        // Ethernet's padding.
        frame.extend(vec![9; random.below(20)]);
    }
    frame
}

/// Makes something of the packet wrong, odd or rare.
fn disturb(random: &mut Random, frame: &mut Vec<u8>, ipv6: bool) {
    let l4 = if ipv6 { 54 } else { 34 };
    match random.below(8) {
        0 => frame.truncate(random.below(frame.len() + 1)),
        // A flag, a length, an option, a fragment, a checksum.
        1 | 2 => {
            let at = 12 + random.below(frame.len() - 12);
            frame[at] ^= 1 << random.below(8);
        }
        3 => {
            let at = 12 + random.below(frame.len() - 12);
            frame[at] = random.byte();
        }
        4 => frame[l4 + 6..l4 + 8].fill(0),
        5 if frame.len() > l4 + 18 => frame[l4 + 16..l4 + 18].fill(if random.one_in(2) { 0 } else { 0xff }),
        _ => {}
    }
}

fn rewrite(random: &mut Random, ipv6: bool) -> Rewrite {
    let family = if random.one_in(9) { !ipv6 } else { ipv6 };
    match random.below(4) {
        0 | 1 => Rewrite::Nat(Nat {
            end: if random.one_in(2) { End::Source } else { End::Destination },
            addr: address(random, family),
            port: random.word(),
        }),
        2 => Rewrite::Direct,
        _ => {
            let outer = random.one_in(2);
            Rewrite::Tunnel(Tunnel {
                local: address(random, outer),
                remote: address(random, outer),
                encapsulation: match random.below(3) {
                    0 => Encapsulation::Ipip,
                    1 => Encapsulation::Gue { port: 6080, checksum: random.one_in(2) },
                    _ => Encapsulation::Gre { checksum: random.one_in(2) },
                },
                pmtu_disc: random.one_in(2),
            })
        }
    }
}

/// What a way of rewriting leaves of a frame.
fn after(frame: &[u8], work: impl FnOnce(&mut Packet<'_>) -> bool) -> (bool, Vec<u8>) {
    let mut buffer = [frame, &[0; 100]].concat();
    let mut packet = Packet::new(&mut buffer, 0, frame.len());
    let is_done = work(&mut packet);
    (is_done, packet.bytes().to_vec())
}

/// The short way.
fn forward(
    (plain, flow): (Plain, FlowKey),
    rewrite: &Rewrite,
    packet: &mut Packet<'_>,
    path: &Path,
) -> Option<()> {
    match *rewrite {
        Rewrite::Nat(nat) => plain.translate(nat.end, nat.addr, nat.port, packet, path),
        Rewrite::Direct => plain.forward(packet, path),
        Rewrite::Tunnel(tunnel) => plain.wrap(&flow, tunnel, packet, path, IDENT),
    }
}

#[test]
fn a_plain_packet_is_read_and_rewritten_as_its_headers_say() {
    let (mut plain_ones, mut rewritten, mut others) = (0, 0, 0);
    for seed in 0..ROUNDS {
        let mut random = Random(seed);
        let ipv6 = random.one_in(2);
        let mut frame = packet(&mut random, ipv6);
        disturb(&mut random, &mut frame, ipv6);
        let Some((plain, flow)) = Plain::read(&frame) else {
            others += 1;
            continue;
        };
        plain_ones += 1;
        let headers = Headers::parse(&frame).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
        assert_eq!(flow, headers.flow(), "seed {seed}");
        assert_eq!(plain.transport(&flow), headers.transport, "seed {seed}");
        assert_eq!((plain.len(), plain.is_ipv6()), (headers.len(), headers.is_ipv6()), "seed {seed}");
        assert!(headers.ttl > 1 && headers.fragment.is_none(), "seed {seed}");

        let rewrite = rewrite(&mut random, ipv6);
        let path = Path {
            port: PortId(1),
            src_mac: random.array::<6>().into(),
            dst_mac: random.array::<6>().into(),
            mtu: 40 + u16::try_from(random.below(1500)).unwrap(),
            checksums: Checksums::Computed,
        };
        let short = after(&frame, |packet| forward((plain, flow), &rewrite, packet, &path).is_some());
        let long = after(&frame, |packet| {
            rewrite.apply(packet, &headers, &path, IDENT).is_ok_and(|fit| fit == Fit::Whole)
        });
        if short.0 {
            rewritten += 1;
            assert_eq!(short, long, "seed {seed}: {rewrite:?}\n{frame:02x?}");
        } else {
            assert_eq!(short.1, frame, "seed {seed}: what is refused stays as it was");
        }
    }
    println!("{plain_ones} plain, {rewritten} rewritten, {others} not plain");
    assert!(plain_ones > 20_000 && rewritten > 15_000 && others > 3_000);
}

#[test]
fn what_is_not_plain_is_left_to_the_headers() {
    let mut random = Random(1);
    let udp = |ttl| {
        let mut frame = Vec::new();
        let ip = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], ttl);
        ip.udp(7, 9).write(&mut frame, &[1, 2, 3]).unwrap();
        frame
    };
    let (plain, flow) = Plain::read(&udp(2)).unwrap();
    assert!(matches!(plain.transport(&flow), Transport::Udp { src_port: 7, dst_port: 9 }));
    assert_eq!(Plain::read(&udp(1)), None, "it ends here");
    assert_eq!(Plain::read(&[]), None);
    assert_eq!(Plain::read(&random.bytes(60)), None);
    let tagged = [&udp(2)[..12], &[0x81, 0, 0, 5], &udp(2)[12..]].concat();
    assert_eq!(Plain::read(&tagged), None, "a VLAN tag moves what follows");
    let mut unsummed = udp(2);
    unsummed[40..42].fill(0);
    assert_eq!(Plain::read(&unsummed), None, "NAT computes the checksum");
    let mut partial = udp(2);
    // 10.0.0.1 + 10.0.0.2 + UDP + 11 octets.
    partial[40..42].copy_from_slice(&(0x0a00_u16 * 2 + 1 + 2 + 17 + 11).to_be_bytes());
    assert_eq!(Plain::read(&partial), None, "its checksum is still to be computed");
}
