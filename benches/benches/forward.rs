//! Parsing and each rewrite: IPv4 and IPv6, frames of 64 and of 1500 octets of IP.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark's own packets are as they must be")]

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lvs_forward::{
    Checksums, Encapsulation, End, Headers, Nat, Packet, Path, PortId, Rewrite, Tunnel, checksum::Sum, icmp,
};

/// Room before the frame: a tunnel then moves the Ethernet header alone.
const ROOM: usize = 128;

/// A TCP segment in a frame, its IP packet `len` octets long, all checksums right.
fn segment(ipv6: bool, len: usize) -> Vec<u8> {
    let mut frame = vec![2; 12];
    let header = if ipv6 {
        frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 6, 64]);
        frame.extend_from_slice(&[0x20; 32]);
        frame[18..20].copy_from_slice(&u16::try_from(len - 40).unwrap().to_be_bytes());
        40
    } else {
        frame.extend_from_slice(&[8, 0, 0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0]);
        frame.extend_from_slice(&[192, 0, 2, 1, 10, 9, 9, 9]);
        frame[16..18].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
        let checksum = Sum::ZERO.bytes(&frame[14..34]).checksum();
        frame[24..26].copy_from_slice(&checksum.to_be_bytes());
        20
    };
    frame.extend_from_slice(&[
        0x10, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0x12, 0x34, 0, 0,
    ]);
    frame.resize(14 + len, 0x78);
    assert!(len >= header + 20);
    frame
}

fn path() -> Path {
    Path {
        port: PortId(1),
        src_mac: [2; 6].into(),
        dst_mac: [4; 6].into(),
        mtu: 9000,
        checksums: Checksums::Computed,
    }
}

fn rewrites(ipv6: bool) -> Vec<(&'static str, Rewrite)> {
    let server: IpAddr = if ipv6 { "2001:db8:2::11" } else { "10.2.0.11" }.parse().unwrap();
    let local: IpAddr = if ipv6 { "2001:db8:2::1" } else { "10.2.0.1" }.parse().unwrap();
    let tunnel =
        |encapsulation| Rewrite::Tunnel(Tunnel { local, remote: server, encapsulation, pmtu_disc: true });
    vec![
        ("nat", Rewrite::Nat(Nat { end: End::Destination, addr: server, port: 8080 })),
        ("direct", Rewrite::Direct),
        ("ipip", tunnel(Encapsulation::Ipip)),
        ("gue", tunnel(Encapsulation::Gue { port: 6080, checksum: false })),
        ("gue-csum", tunnel(Encapsulation::Gue { port: 6080, checksum: true })),
        ("gre", tunnel(Encapsulation::Gre { checksum: false })),
        ("gre-csum", tunnel(Encapsulation::Gre { checksum: true })),
    ]
}

/// The frame anew, and where it lies. Only the headers are written again: no rewrite changes what follows them.
fn renew<'a>(buffer: &'a mut [u8], frame: &[u8]) -> Packet<'a> {
    let headers = frame.len().min(74);
    buffer[ROOM..ROOM + headers].copy_from_slice(&frame[..headers]);
    Packet::new(buffer, ROOM, frame.len())
}

fn forward(c: &mut Criterion) {
    for (family, ipv6) in [("ipv4", false), ("ipv6", true)] {
        for len in [64, 1500] {
            let mut group = c.benchmark_group(format!("forward/{family}/{len}B"));
            group.throughput(Throughput::Elements(1));
            let frame = segment(ipv6, len);
            group.bench_function("parse", |b| b.iter(|| Headers::parse(black_box(&frame))));
            let headers = Headers::parse(&frame).unwrap();
            let mut buffer = [&[0; ROOM][..], &frame, &[0; ROOM]].concat();
            group.bench_function("renew", |b| b.iter(|| renew(black_box(&mut buffer), &frame).len()));
            for (name, rewrite) in rewrites(ipv6) {
                group.bench_function(name, |b| {
                    b.iter(|| {
                        let mut packet = renew(&mut buffer, &frame);
                        rewrite.apply(&mut packet, black_box(&headers), &path(), 7)
                    });
                });
            }
            group.finish();
        }
    }
}

/// What only a packet of a veth needs, and what few packets need.
fn seldom(c: &mut Criterion) {
    let mut group = c.benchmark_group("forward/seldom");
    for len in [64, 1500] {
        let mut frame = segment(false, len);
        let headers = Headers::parse(&frame).unwrap();
        let pseudo = lvs_forward::checksum::pseudo_header(headers.src, headers.dst, headers.proto, len - 20);
        frame[50..52].copy_from_slice(&pseudo.fold().to_be_bytes());
        let mut buffer = [&[0; ROOM][..], &frame, &[0; ROOM]].concat();
        let (_, nat) = rewrites(false).swap_remove(0);
        group.bench_function(format!("nat-partial-checksum/{len}B"), |b| {
            b.iter(|| {
                let mut packet = renew(&mut buffer, &frame);
                nat.apply(&mut packet, black_box(&headers), &path(), 7)
            });
        });
        group.bench_function(format!("time-exceeded/{len}B"), |b| {
            b.iter(|| {
                let mut packet = renew(&mut buffer, &frame);
                icmp::Error::TimeExceeded.answer(&mut packet, &headers, headers.dst, &path(), 7)
            });
        });
    }
    group.finish();
}

/// A tunnel on a frame without room before it, as AF_XDP receives it: what follows the Ethernet header moves.
fn roomless(c: &mut Criterion) {
    let mut group = c.benchmark_group("forward/roomless");
    for len in [64, 1500] {
        let frame = segment(false, len);
        let headers = Headers::parse(&frame).unwrap();
        let (name, ipip) = rewrites(false).swap_remove(2);
        for (where_, room) in [("before", ROOM), ("behind", 0)] {
            let mut buffer = [vec![0; room], frame.clone(), vec![0; ROOM]].concat();
            group.bench_function(format!("{name}/{len}B/{where_}"), |b| {
                b.iter(|| {
                    let shown = frame.len().min(74);
                    buffer[room..room + shown].copy_from_slice(&frame[..shown]);
                    let mut packet = Packet::new(&mut buffer, room, frame.len());
                    ipip.apply(&mut packet, black_box(&headers), &path(), 7)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, forward, seldom, roomless);
criterion_main!(benches);
