//! The connection table: insert, hit, miss and expire with a thousand and a million connections, and the memory
//! a connection takes.
//!
//! Every connection is of NAT, so that two flows lead to it, and what it is bound to is as large as in the director. Hits
//! come in random order. `hit` is one lookup after another; `chained` makes each lookup's key depend on the
//! answer of the one before, which is the whole time a packet waits when nothing else is done meanwhile.

#![allow(missing_docs, reason = "criterion's macros make functions without any")]

use std::hint::black_box;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lvs_benches::Counting;
use lvs_conntrack::{Conn, FlowKey, NewConn, Proto, Table, TcpFlags, TcpTable, Tick, Timeouts};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SIZES: [u32; 2] = [1_000, 1_000_000];
const SEED: u64 = 0x5eed;
const NOW: Tick = Tick::from_millis(1_000_000);

/// As large as the director's: a server, the count that the connection is in, and the way to the server.
#[derive(Clone)]
struct Bound {
    lease: (Arc<u64>, u8),
    _way: u8,
}

impl Bound {
    fn new() -> Self {
        Self { lease: (Arc::new(1), 0), _way: 0 }
    }
}

#[derive(Clone, Copy)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn client(self, n: u32) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::from_bits(0xc612_0000 + n / 16).into(),
            Self::V6 => Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(n / 16)).into(),
        }
    }

    fn fixed(self, host: u8) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, 2, 0, host).into(),
            Self::V6 => Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(host)).into(),
        }
    }

    fn key(self, n: u32) -> FlowKey {
        FlowKey {
            proto: Proto::TCP,
            src: self.client(n),
            src_port: 1024 + u16::try_from(n % 16).unwrap_or(0) * 331,
            dst: self.fixed(1),
            dst_port: 80,
        }
    }

    fn server(self, n: u32) -> SocketAddr {
        SocketAddr::new(self.fixed(10 + u8::try_from(n % 100).unwrap_or(0)), 8080)
    }

    fn reply(self, n: u32) -> FlowKey {
        let server = self.server(n);
        FlowKey { src: server.ip(), src_port: server.port(), ..self.key(n).reversed() }
    }

    fn conn(self, n: u32, binding: &Bound) -> Conn<Bound> {
        let new = NewConn {
            key: self.key(n),
            server: self.server(n),
            reply: true,
            no_output: false,
            binding: binding.clone(),
            template: None,
        };
        Conn::new(new, NOW)
    }
}

fn filled(family: Family, size: u32) -> Table<Bound> {
    let table = Table::new(usize::MAX, SEED);
    let binding = Bound::new();
    for n in 0..size {
        let _ = table.insert(family.conn(n, &binding), NOW);
    }
    table
}

/// The same shuffled order for all.
fn shuffled(size: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..size).collect();
    let mut state = SEED;
    for at in (1..order.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(at, usize::try_from(state >> 33).unwrap_or(0) % (at + 1));
    }
    order
}

fn packet(table: &Table<Bound>, key: &FlowKey, timeouts: &Timeouts) -> u64 {
    let seen = table.with(key, NOW, |conn, direction| {
        conn.on_tcp(TcpFlags::ACK, direction, timeouts, TcpTable::Normal);
        conn.count_packet();
        conn.touch(NOW);
        *conn.binding().lease.0
    });
    seen.unwrap_or(0)
}

fn lookups(criterion: &mut Criterion) {
    let timeouts = Timeouts::default();
    for size in SIZES {
        let table = filled(Family::V4, size);
        let order = shuffled(size);
        let mut group = criterion.benchmark_group(format!("conntrack/{size}"));
        group.throughput(Throughput::Elements(1));
        let keys: Vec<FlowKey> = order.iter().map(|&n| Family::V4.key(n)).collect();
        let replies: Vec<FlowKey> = order.iter().map(|&n| Family::V4.reply(n)).collect();
        let strangers: Vec<FlowKey> =
            order.iter().map(|&n| FlowKey { src_port: 9, ..Family::V4.key(n) }).collect();
        for (name, keys) in [("hit", &keys), ("reply", &replies), ("miss", &strangers)] {
            let mut at = 0;
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| {
                    at = if at + 1 == keys.len() { 0 } else { at + 1 };
                    packet(&table, black_box(&keys[at]), &timeouts)
                });
            });
        }
        let mut at = 0;
        group.bench_function("chained", |bencher| {
            bencher.iter(|| {
                let next = usize::try_from(packet(&table, &keys[at], &timeouts)).unwrap_or(0);
                at = if at + next >= keys.len() { 0 } else { at + next };
            });
        });
        group.finish();
        let before = Counting::calls();
        keys.iter().take(1000).for_each(|key| {
            packet(&table, key, &timeouts);
        });
        report(&format!("conntrack/{size}: {} allocations in 1000 hits", Counting::calls() - before));
    }
}

fn churn(criterion: &mut Criterion) {
    for size in SIZES {
        let mut group = criterion.benchmark_group(format!("conntrack/{size}"));
        group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(4));
        let binding = Bound::new();
        // Into a table that holds `size` connections, 1000 at a time; they leave untimed.
        let table = filled(Family::V4, size);
        group.bench_function("insert", |bencher| {
            bencher.iter_custom(|iterations| {
                let mut spent = Duration::ZERO;
                let mut left = u32::try_from(iterations).unwrap_or(u32::MAX);
                while left > 0 {
                    let batch = left.min(1000);
                    let start = Instant::now();
                    for n in size..size + batch {
                        let _ = table.insert(Family::V4.conn(n, &binding), NOW);
                    }
                    spent += start.elapsed();
                    (size..size + batch).for_each(|n| drop(table.remove(&Family::V4.key(n))));
                    left -= batch;
                }
                spent
            });
        });
        drop(table);
        group.bench_function("expire", |bencher| {
            bencher.iter_custom(|iterations| {
                let rounds = iterations.div_ceil(u64::from(size));
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    let table = filled(Family::V4, size);
                    let start = Instant::now();
                    table.sweep(NOW + Duration::from_secs(3), usize::MAX, drop);
                    spent += start.elapsed();
                }
                let ended = u128::from(rounds) * u128::from(size);
                Duration::from_nanos(
                    u64::try_from(spent.as_nanos() * u128::from(iterations) / ended).unwrap_or(0),
                )
            });
        });
        group.finish();
    }
}

fn memory(_: &mut Criterion) {
    for (name, family) in [("IPv4", Family::V4), ("IPv6", Family::V6)] {
        let resident = resident_bytes();
        let before = Counting::live_bytes();
        let table = filled(family, 1_000_000);
        let asked = (Counting::live_bytes() - before) / table.len();
        let resident = resident_bytes().saturating_sub(resident) / table.len();
        report(&format!(
            "conntrack/1000000: {asked} bytes a NAT connection of {name}, both directions ({resident} resident)"
        ));
    }
}

/// What the kernel counts as this process's memory, the allocator's own included.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

fn report(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

criterion_group!(benches, memory, lookups, churn);
criterion_main!(benches);
