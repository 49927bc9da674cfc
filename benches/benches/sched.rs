//! A decision of each scheduler, beside a plain walk over the servers as the kernel's lists are walked.
//!
//! `sched/KIND/ours/N` is `pick` by itself, `sched/KIND/decision/N` is `pick`, the new connection's count and
//! `load_changed`, and `sched/KIND/scan/N` is the plain walk with the new connection's count.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use lvs_sched::{Flags, Flow, Kind, Pool, Scheduler, Slot, Weight};

const SIZES: [u32; 4] = [10, 100, 1_000, 10_000];

/// A server by itself in memory, as large as the kernel's.
#[repr(align(64))]
struct Server {
    endpoint: SocketAddr,
    weight: u32,
    active: AtomicU32,
    inactive: AtomicU32,
    overloaded: bool,
    _rest: [u8; 248],
}

#[allow(clippy::vec_box, reason = "each server stands where it happens to be allocated, as in the kernel")]
struct Servers(Vec<Box<Server>>);

impl Servers {
    fn new(count: u32, weight: fn(u32) -> u32) -> Self {
        let server = |number: u32| Server {
            endpoint: SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + number), 80)),
            weight: weight(number),
            active: AtomicU32::new(mix(number) % 50),
            inactive: AtomicU32::new(mix(number + 7) % 500),
            overloaded: false,
            _rest: [0; 248],
        };
        Self((0..count).map(|number| Box::new(server(number))).collect())
    }

    fn connect(&self, slot: Slot) {
        self.0[slot.index()].active.fetch_add(1, Ordering::Relaxed);
    }
}

impl Pool for Servers {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn endpoint(&self, slot: Slot) -> SocketAddr {
        self.0[slot.index()].endpoint
    }

    fn weight(&self, slot: Slot) -> Weight {
        Weight(self.0[slot.index()].weight)
    }

    fn active(&self, slot: Slot) -> u32 {
        self.0[slot.index()].active.load(Ordering::Relaxed)
    }

    fn inactive(&self, slot: Slot) -> u32 {
        self.0[slot.index()].inactive.load(Ordering::Relaxed)
    }

    fn is_overloaded(&self, slot: Slot) -> bool {
        self.0[slot.index()].overloaded
    }
}

fn mix(number: u32) -> u32 {
    let mixed = (number ^ number >> 16).wrapping_mul(0x7feb_352d);
    (mixed ^ mixed >> 15).wrapping_mul(0x846c_a68b) >> 8
}

fn random_weight(number: u32) -> u32 {
    mix(number) % 100 + 1
}

/// One server a thousand times as heavy as the others.
fn skewed_weight(number: u32) -> u32 {
    if number == 5 { 1000 } else { 1 }
}

fn flow(number: u32) -> Flow {
    Flow {
        client: Ipv4Addr::from_bits(mix(number)).into(),
        client_port: 40_000,
        vip: Ipv4Addr::from_bits(0x0a09_0000 + mix(number) % 1000).into(),
        service_port: 80,
        now: Duration::ZERO,
    }
}

/// The walks of the kernel's schedulers over their list.
mod scan {
    use std::sync::atomic::Ordering;

    use super::{Server, Servers, Slot};

    pub(crate) fn open(servers: &Servers) -> impl Iterator<Item = (Slot, &Server)> {
        let all = (0..).map(Slot).zip(servers.0.iter().map(AsRef::as_ref));
        all.filter(|(_, server)| !server.overloaded && server.weight > 0)
    }

    pub(crate) fn overhead(server: &Server) -> u64 {
        u64::from(server.active.load(Ordering::Relaxed)) * 256
            + u64::from(server.inactive.load(Ordering::Relaxed))
    }

    pub(crate) fn delay(server: &Server) -> u64 {
        u64::from(server.active.load(Ordering::Relaxed)) + 1
    }

    pub(crate) fn least(
        servers: &Servers,
        load: impl Fn(&Server) -> u64,
        share: impl Fn(&Server) -> u32,
    ) -> Option<Slot> {
        let mut open = open(servers);
        let (mut least, mut best) = open.next()?;
        let mut lowest = load(best);
        for (slot, server) in open {
            let load = load(server);
            if lowest * u64::from(share(server)) > load * u64::from(share(best)) {
                (least, best, lowest) = (slot, server, load);
            }
        }
        Some(least)
    }

    pub(crate) fn never_queue(servers: &Servers) -> Option<Slot> {
        let idle = open(servers).find(|(_, server)| server.active.load(Ordering::Relaxed) == 0);
        idle.map(|(slot, _)| slot).or_else(|| least(servers, delay, |server| server.weight))
    }

    pub(crate) fn heaviest(servers: &Servers, has_room: impl Fn(&Server) -> bool) -> Option<Slot> {
        let mut heaviest: Option<(Slot, u32)> = None;
        for (slot, server) in open(servers).filter(|(_, server)| has_room(server)) {
            if heaviest.is_none_or(|(_, weight)| server.weight > weight) {
                heaviest = Some((slot, server.weight));
            }
        }
        heaviest.map(|(slot, _)| slot)
    }

    /// The two laps of `twos`, the first adding up the weights, the second counting two tickets down.
    pub(crate) fn twos(servers: &Servers, random: u64) -> Option<Slot> {
        let total: u64 = open(servers).map(|(_, server)| u64::from(server.weight)).sum();
        let ticket = |random: u64| {
            let mut left = random % (total + 1);
            open(servers).find(|(_, server)| {
                let reached = left <= u64::from(server.weight);
                left = left.saturating_sub(u64::from(server.weight));
                reached
            })
        };
        let ((first, one), (second, other)) = (ticket(random >> 32)?, ticket(random & 0xffff_ffff)?);
        let heavier = overhead(one) * u64::from(other.weight) > overhead(other) * u64::from(one.weight);
        Some(if heavier { second } else { first })
    }

    /// The walk of `wrr`: the next server that has the weight, which drops by 1 at each end of the list.
    pub(crate) struct GcdWalk {
        at: usize,
        needed: u32,
        most: u32,
    }

    impl GcdWalk {
        pub(crate) fn new(servers: &Servers) -> Self {
            let most = servers.0.iter().map(|server| server.weight).max().unwrap_or(0);
            Self { at: 0, needed: most, most }
        }

        pub(crate) fn pick(&mut self, servers: &Servers) -> Slot {
            loop {
                for place in self.at..servers.0.len() {
                    let server = &servers.0[place];
                    if !server.overloaded && server.weight >= self.needed {
                        self.at = place + 1;
                        return Slot(u32::try_from(place).unwrap_or(0));
                    }
                }
                self.at = 0;
                self.needed = if self.needed <= 1 { self.most } else { self.needed - 1 };
            }
        }
    }
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn ours(group: &mut Group<'_>, kind: Kind, label: &str, count: u32, weight: fn(u32) -> u32) -> Option<()> {
    let servers = Servers::new(count, weight);
    let scheduler = kind.build(Flags::default(), 1, &servers).ok()?;
    let scheduler: &dyn Scheduler = black_box(scheduler.as_ref());
    let flows: Vec<Flow> = (0..4096).map(flow).collect();
    let mut turn = 0;
    let mut next = || {
        turn = (turn + 1) % flows.len();
        &flows[turn]
    };
    group.bench_function(format!("{label}/pick/{count}"), |bencher| {
        bencher.iter(|| scheduler.pick(&servers, next()));
    });
    group.bench_function(format!("{label}/decision/{count}"), |bencher| {
        bencher.iter(|| {
            let slot = scheduler.pick(&servers, next());
            if let Some(slot) = slot {
                servers.connect(slot);
                scheduler.load_changed(&servers, slot);
            }
            slot
        });
    });
    Some(())
}

fn walk(
    group: &mut Group<'_>,
    label: &str,
    count: u32,
    weight: fn(u32) -> u32,
    mut pick: impl FnMut(&Servers) -> Option<Slot>,
) {
    let servers = Servers::new(count, weight);
    group.bench_function(format!("{label}/scan/{count}"), |bencher| {
        bencher.iter(|| {
            let slot = pick(black_box(&servers));
            if let Some(slot) = slot {
                servers.connect(slot);
            }
            slot
        });
    });
}

fn scans(group: &mut Group<'_>, kind: Kind, count: u32) {
    let weight = random_weight;
    let name = kind.name();
    match kind {
        Kind::Rr => {
            let mut last = 0;
            walk(group, name, count, weight, |servers| {
                let lap = (1..=servers.0.len()).map(|step| (last + step) % servers.0.len());
                let is_open = |&place: &usize| servers.0[place].weight > 0 && !servers.0[place].overloaded;
                last = lap.into_iter().find(is_open)?;
                u32::try_from(last).ok().map(Slot)
            });
        }
        Kind::Wrr => gcd_walk(group, name, count, weight),
        Kind::Lc => walk(group, name, count, weight, |servers| scan::least(servers, scan::overhead, |_| 1)),
        Kind::Wlc | Kind::Lblc | Kind::Lblcr => {
            walk(group, name, count, weight, |servers| {
                scan::least(servers, scan::overhead, |server| server.weight)
            });
        }
        Kind::Sed => walk(group, name, count, weight, |servers| {
            scan::least(servers, scan::delay, |server| server.weight)
        }),
        Kind::Nq => walk(group, name, count, weight, scan::never_queue),
        Kind::Fo => walk(group, name, count, weight, |servers| scan::heaviest(servers, |_| true)),
        Kind::Ovf => walk(group, name, count, weight, |servers| {
            scan::heaviest(servers, |server| server.active.load(Ordering::Relaxed) <= server.weight)
        }),
        Kind::Twos => {
            let mut random = 1_u64;
            walk(group, name, count, weight, move |servers| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                scan::twos(servers, random)
            });
        }
        // The kernel looks these up in a table as well.
        Kind::Sh | Kind::Dh | Kind::Mh => {}
    }
}

fn gcd_walk(group: &mut Group<'_>, label: &str, count: u32, weight: fn(u32) -> u32) {
    let mut laps = scan::GcdWalk::new(&Servers::new(count, weight));
    walk(group, label, count, weight, |servers| Some(laps.pick(servers)));
}

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sched");
    for kind in Kind::ALL {
        for count in SIZES {
            // More servers than its table holds are refused by mh.
            if ours(&mut group, kind, kind.name(), count, random_weight).is_some() {
                scans(&mut group, kind, count);
            }
        }
    }
    for count in SIZES {
        ours(&mut group, Kind::Wrr, "wrr-skewed", count, skewed_weight);
        gcd_walk(&mut group, "wrr-skewed", count, skewed_weight);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(150))
        .measurement_time(Duration::from_millis(400))
        .sample_size(20);
    targets = decisions
}
criterion_main!(benches);
