//! What it costs to mark a connection's first packet, with more and more rules; nothing is allocated for it, which is
//! asserted.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "benchmarks are not for users"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lvs_benches::Counting;
use lvs_conntrack::{FlowKey, Proto};
use lvs_forward::PortId;
use lvsd::mark::{Candidate, MarkRule, Marks, PortRange};
use lvsd::message::Transport;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The address of a service that rule `n` is for.
fn vip(n: u32, is_v4: bool) -> IpAddr {
    if is_v4 {
        Ipv4Addr::from_bits(0x0a00_0000 + n * 257).into()
    } else {
        Ipv6Addr::from_bits((0x2001_0db8 << 96) + u128::from(n) * 0x1_0000_0001).into()
    }
}

/// Every rule has an address, a protocol and ports of its own; every third one a source network as well.
fn rules(count: u32, is_v4: bool) -> Vec<MarkRule> {
    let rule = |n| MarkRule {
        mark: n + 1,
        destination: Some(vip(n, is_v4).into()),
        source: (n.is_multiple_of(3))
            .then(|| if is_v4 { "192.0.0.0/8" } else { "2001:db8::/32" }.parse().unwrap()),
        protocol: Some(Transport::Tcp),
        ports: vec![PortRange::single(80), PortRange { first: port(n), last: port(n) + 9 }],
        source_ports: Vec::new(),
        interface: None,
    };
    (0..count).map(rule).collect()
}

fn port(n: u32) -> u16 {
    8000 + u16::try_from(n % 1000).unwrap() * 10
}

/// First packets for rules all over the list, in no order.
fn keys(count: u32, is_v4: bool, misses: bool) -> Vec<FlowKey> {
    let key = |n: u32| {
        let rule = n.wrapping_mul(0x9e37_79b1) % count;
        FlowKey {
            proto: Proto::TCP,
            src: if is_v4 { IpAddr::from([192, 0, 2, 1]) } else { "2001:db8::1".parse().unwrap() },
            src_port: 40000,
            dst: vip(if misses { rule + 5000 } else { rule }, is_v4),
            dst_port: if n.is_multiple_of(2) { 80 } else { port(rule) + 5 },
        }
    };
    (0..1024).map(key).collect()
}

fn marks(c: &mut Criterion) {
    for (family, is_v4) in [("ipv4", true), ("ipv6", false)] {
        for (outcome, misses) in [("marked", false), ("unmarked", true)] {
            let mut group = c.benchmark_group(format!("marks/{family}/{outcome}"));
            for count in [1, 100, 1000, 4096] {
                let list = rules(count, is_v4);
                let marks = Marks::new(list.clone(), &[]).unwrap();
                let keys = keys(count, is_v4, misses);
                let before = Counting::calls();
                for key in &keys {
                    let mark = marks.mark(Candidate { key, ingress: PortId(0) });
                    assert_eq!(mark == 0, misses);
                }
                assert_eq!(Counting::calls(), before, "marking allocates nothing");
                let mut turn = keys.iter().cycle();
                group.bench_function(BenchmarkId::new("compiled", count), |b| {
                    b.iter(|| {
                        let key = turn.next().unwrap();
                        marks.mark(black_box(Candidate { key, ingress: PortId(0) }))
                    });
                });
                group.bench_function(BenchmarkId::new("scan", count), |b| {
                    b.iter(|| {
                        let packet = black_box(Candidate { key: turn.next().unwrap(), ingress: PortId(0) });
                        list.iter().find(|rule| rule.fits(packet, None)).map_or(0, |rule| rule.mark)
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, marks);
criterion_main!(benches);
