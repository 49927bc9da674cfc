//! Two to five routers on one network that loses, delays and doubles packets and falls apart, with clocks that are
//! stepped: never without a master for longer than the RFC allows, and two masters only while they are cut off from
//! each other.
//!
//! A run is its seed: `SIMULATE=12345 cargo test -p lvs-vrrp --test simulator -- one_seed --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::time::Duration;

use lvs_vrrp::declared::{
    AntiReplay, Authentication, HmacKey, HmacMode, HmacSettings, Instance, Preemption, Version,
    VirtualAddress,
};
use lvs_vrrp::wire::{Envelope, GROUP_V4, Packet};
use lvs_vrrp::{Action, Gate, Member, Role, Router, Rules, Tick, WallClock};

/// 2026-01-01.
const NEW_YEAR: u64 = 1_767_225_600;

/// A small generator: a seed is a run, on every machine.
struct Chance(u64);

impl Chance {
    /// `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn is(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrive { from: usize, to: usize, packet: Vec<u8> },
    Start(usize),
    Crash(usize),
    Stop(usize),
    Fail(usize),
    Recover(usize),
    StepClock(usize, i64),
    Cut(Vec<u8>),
    Calm,
}

struct Node {
    instance: Instance,
    address: IpAddr,
    running: Option<(Router, Gate)>,
    /// Seconds its wall clock is off.
    off: i64,
    /// Which part of a network that fell apart it is in.
    part: u8,
    is_usable: bool,
}

struct Network {
    seed: u64,
    chance: Chance,
    now: Duration,
    nodes: Vec<Node>,
    queue: BinaryHeap<Reverse<(Duration, u64, Happening)>>,
    count: u64,
    loss: u64,
    doubles: u64,
    delay: Duration,
    is_calm: bool,
    /// Since when each part has had no master.
    missing: Vec<Option<Duration>>,
    /// Of each pair: since when both are masters of one part and nothing between them was lost.
    pairs: Vec<Vec<Option<Duration>>>,
    log: Vec<String>,
}

impl Network {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let size = usize::try_from(2 + chance.below(4)).unwrap();
        let version = if chance.is(30) { Version::V2 } else { Version::V3 };
        let interval = match version {
            Version::V2 => Duration::from_secs(1 + chance.below(2)),
            Version::V3 => Duration::from_millis(10 * (1 + chance.below(100))),
        };
        let is_signed = chance.is(20);
        let nodes = (0..size).map(|place| {
            let mut instance = Instance::new("sim", "eth0", 7);
            instance.version = Some(version);
            instance.advert_interval = interval;
            if version == Version::V3 && chance.is(20) {
                instance.advert_interval = interval * 2;
            }
            instance.priority = match chance.below(10) {
                0 => 100,
                1 => 255,
                _ => u8::try_from(1 + chance.below(254)).unwrap(),
            };
            instance.preemption = match chance.below(4) {
                0 => Preemption::Never,
                1 => Preemption::After(interval * u32::try_from(chance.below(8)).unwrap()),
                _ => Preemption::default(),
            };
            instance.addresses.push(VirtualAddress::new("192.0.2.10".parse().unwrap()));
            if is_signed {
                instance.authentication = Authentication::Hmac(HmacSettings {
                    keys: vec![HmacKey { id: 1, secret: vec![9; 32] }],
                    active_key: 1,
                    mode: HmacMode::Enforce,
                    anti_replay: AntiReplay::Time,
                    window: None,
                });
            }
            let address = IpAddr::from([10, 0, 0, u8::try_from(place + 1).unwrap()]);
            Node { instance, address, running: None, off: 0, part: 0, is_usable: true }
        });
        let nodes: Vec<Node> = nodes.collect();
        let most = nodes.iter().map(|node| node.instance.advert_interval).max().unwrap();
        let mut network = Self {
            seed,
            now: Duration::ZERO,
            missing: vec![None; size],
            pairs: vec![vec![None; size]; size],
            nodes,
            queue: BinaryHeap::new(),
            count: 0,
            loss: [0, 0, 1, 10, 30][usize::try_from(chance.below(5)).unwrap()],
            doubles: chance.below(3) * 10,
            delay: interval * u32::try_from(chance.below(25)).unwrap() / 100,
            is_calm: false,
            log: Vec::new(),
            chance,
        };
        network.plan(size, most, is_signed);
        network
    }

    /// What will happen: everyone starts; then accidents; then calm, in which there must be one master.
    fn plan(&mut self, size: usize, interval: Duration, is_signed: bool) {
        let within = |chance: &mut Chance, from: u32, to: u32| {
            interval * from
                + interval * u32::try_from(chance.below(u64::from(to - from) * 100)).unwrap() / 100
        };
        for place in 0..size {
            let at = within(&mut self.chance, 0, 6);
            self.happen(at, Happening::Start(place));
        }
        for _ in 0..self.chance.below(8) {
            let at = within(&mut self.chance, 6, 40);
            let place = usize::try_from(self.chance.below(size as u64)).unwrap();
            match self.chance.below(6) {
                0 => {
                    self.happen(at, Happening::Crash(place));
                    let back = at + within(&mut self.chance, 1, 10);
                    self.happen(back, Happening::Start(place));
                }
                1 => {
                    self.happen(at, Happening::Stop(place));
                    let back = at + within(&mut self.chance, 1, 10);
                    self.happen(back, Happening::Start(place));
                }
                2 => {
                    self.happen(at, Happening::Fail(place));
                    let back = at + within(&mut self.chance, 1, 10);
                    self.happen(back, Happening::Recover(place));
                }
                3 if is_signed => {
                    let step = [3600, -3600, 86_400, -7][usize::try_from(self.chance.below(4)).unwrap()];
                    self.happen(at, Happening::StepClock(place, step));
                    let right = at + within(&mut self.chance, 1, 30);
                    self.happen(right, Happening::StepClock(place, -step));
                }
                _ => {
                    let parts = (0..size).map(|_| u8::try_from(self.chance.below(2)).unwrap()).collect();
                    self.happen(at, Happening::Cut(parts));
                    let whole = at + within(&mut self.chance, 1, 10);
                    self.happen(whole, Happening::Cut(vec![0; size]));
                }
            }
        }
        self.happen(interval * 75, Happening::Calm);
    }

    fn happen(&mut self, at: Duration, happening: Happening) {
        self.count += 1;
        self.queue.push(Reverse((at, self.count, happening)));
    }

    fn wall(&self, place: usize) -> WallClock {
        let now = Duration::from_secs(NEW_YEAR) + self.now;
        let off = Duration::from_secs(self.nodes[place].off.unsigned_abs());
        WallClock(if self.nodes[place].off < 0 { now.saturating_sub(off) } else { now + off })
    }

    fn slowest(&self) -> Duration {
        self.nodes.iter().map(|node| node.instance.advert_interval).max().unwrap()
    }

    /// Three intervals and the longest skew, of the slowest master there may be.
    fn longest_down(&self) -> Duration {
        self.slowest() * 3 + self.slowest().max(Duration::from_secs(1)) + self.delay
    }

    fn run(mut self) {
        let end = self.slowest() * 75 + self.longest_down() * 4 + self.slowest() * 20;
        while self.now < end {
            let due = self.nodes.iter().filter_map(|node| node.running.as_ref()?.0.next_deadline()).min();
            let due = due.map_or(end, Tick::since_zero);
            let next = self.queue.peek().map_or(end, |Reverse((at, _, _))| *at);
            self.check(due.min(next).min(end));
            self.now = due.min(next).min(end).max(self.now);
            if next <= due && next < end {
                let Reverse((_, _, happening)) = self.queue.pop().unwrap();
                self.apply(happening);
            } else {
                for place in 0..self.nodes.len() {
                    let now = Tick::at(self.now);
                    if let Some((router, _)) = &mut self.nodes[place].running {
                        router.on_deadline(now);
                    }
                    self.act(place);
                }
            }
            self.take_stock();
        }
        let masters = (0..self.nodes.len()).filter(|&place| self.is_master(place)).count();
        assert_eq!(masters, 1, "seed {}: in the end\n{}", self.seed, self.log.join("\n"));
    }

    fn apply(&mut self, happening: Happening) {
        let now = Tick::at(self.now);
        match happening {
            Happening::Arrive { from, to, packet } => return self.arrive(from, to, &packet),
            Happening::Start(place) => {
                // Who has just started and tells a wrong time cannot be told from a recording.
                self.nodes[place].off *= i64::from(self.nodes[place].running.is_some());
                let wall = self.wall(place);
                let node = &mut self.nodes[place];
                if node.running.is_none() {
                    let mut router = Router::new();
                    let rules = Rules::new(&node.instance, false);
                    let member = router.add(rules, node.address, now);
                    router.set_usable(member, node.is_usable, now);
                    router.start(now);
                    node.running = Some((router, Gate::new(&node.instance, now, wall)));
                }
            }
            Happening::Crash(place) => self.nodes[place].running = None,
            Happening::Stop(place) => {
                if let Some((router, _)) = &mut self.nodes[place].running {
                    router.stop(None, now);
                }
                self.act(place);
                self.nodes[place].running = None;
            }
            Happening::Fail(place) => self.set_usable(place, false),
            Happening::Recover(place) => self.set_usable(place, true),
            Happening::StepClock(place, step) => self.nodes[place].off += step,
            Happening::Cut(ref parts) => {
                for (node, part) in self.nodes.iter_mut().zip(parts) {
                    node.part = *part;
                }
                self.pairs.iter_mut().flatten().for_each(|since| *since = None);
            }
            Happening::Calm => {
                (self.loss, self.is_calm) = (0, true);
                self.nodes.iter_mut().for_each(|node| node.part = 0);
                for place in 0..self.nodes.len() {
                    self.apply(Happening::Recover(place));
                    self.apply(Happening::Start(place));
                }
            }
        }
        self.log.push(format!("{:?} {happening:?}", self.now));
        self.missing.iter_mut().for_each(|since| *since = None);
        (0..self.nodes.len()).for_each(|place| self.act(place));
    }

    fn set_usable(&mut self, place: usize, is_usable: bool) {
        self.nodes[place].is_usable = is_usable;
        if let Some((router, _)) = &mut self.nodes[place].running {
            router.set_usable(Member(0), is_usable, Tick::at(self.now));
        }
    }

    fn arrive(&mut self, from: usize, to: usize, packet: &[u8]) {
        if self.nodes[from].part != self.nodes[to].part {
            return;
        }
        let (now, wall) = (Tick::at(self.now), self.wall(to));
        let envelope = Envelope { source: self.nodes[from].address, destination: GROUP_V4, ttl: 255 };
        let Some((router, gate)) = &mut self.nodes[to].running else { return };
        let parsed = Packet::parse(packet, &envelope).unwrap();
        match gate.admit(parsed, &envelope, None, false, now, wall) {
            Ok(admitted) => router.on_advert(Member(0), &admitted.advert, envelope.source, now),
            Err(reason) => self.log.push(format!("{:?} {to} rejects {from}: {reason:?}", self.now)),
        }
        self.act(to);
    }

    fn act(&mut self, place: usize) {
        let (now, wall, address) = (Tick::at(self.now), self.wall(place), self.nodes[place].address);
        loop {
            let Some((router, gate)) = &mut self.nodes[place].running else { return };
            match router.next_action() {
                None => return,
                Some((_, Action::Advertise { priority })) => {
                    let packet = gate.write(priority, address, GROUP_V4, now, wall);
                    self.send(place, &packet);
                }
                Some((_, Action::Tell(transition))) => {
                    self.log
                        .push(format!("{:?} {place} {:?} {:?}", self.now, transition.role, transition.cause));
                }
                Some(_) => {}
            }
        }
    }

    fn send(&mut self, from: usize, packet: &[u8]) {
        for to in 0..self.nodes.len() {
            if to == from || self.nodes[to].part != self.nodes[from].part {
                continue;
            }
            if self.chance.is(self.loss) {
                // Whatever was between the two begins anew.
                self.pairs[from.min(to)][from.max(to)] = None;
                continue;
            }
            let copies = 1 + u64::from(self.chance.is(self.doubles));
            for _ in 0..copies {
                let nanos = u64::try_from(self.delay.as_nanos()).unwrap();
                let delay = Duration::from_nanos(self.chance.below(nanos + 1));
                self.happen(self.now + delay, Happening::Arrive { from, to, packet: packet.to_vec() });
            }
        }
    }

    fn is_master(&self, place: usize) -> bool {
        let running = self.nodes[place].running.as_ref();
        running.is_some_and(|(router, _)| router.machine(Member(0)).unwrap().role() == Role::Master)
    }

    /// Notes since when a part has no master, and since when two of a part are.
    fn take_stock(&mut self) {
        for part in 0..self.nodes.len() {
            let here: Vec<usize> =
                (0..self.nodes.len()).filter(|&place| usize::from(self.nodes[place].part) == part).collect();
            let can =
                here.iter().any(|&place| self.nodes[place].running.is_some() && self.nodes[place].is_usable);
            let has = here.iter().any(|&place| self.is_master(place));
            let since = &mut self.missing[part];
            *since = if can && !has { since.or(Some(self.now)) } else { None };
        }
        for one in 0..self.nodes.len() {
            for other in one + 1..self.nodes.len() {
                let both = self.is_master(one) && self.is_master(other);
                let together = self.nodes[one].part == self.nodes[other].part;
                let since = &mut self.pairs[one][other];
                *since = if both && together { since.or(Some(self.now)) } else { None };
            }
        }
    }

    /// What holds until `until` must not have held for too long.
    fn check(&self, until: Duration) {
        let story = || self.log.iter().rev().take(60).rev().cloned().collect::<Vec<_>>().join("\n");
        for (part, since) in self.missing.iter().enumerate() {
            let lasts = since.map_or(Duration::ZERO, |since| until.saturating_sub(since));
            let bound = self.longest_down();
            assert!(
                lasts <= bound,
                "seed {}: part {part} without a master for {lasts:?} (bound {bound:?}) until {until:?}\n{}",
                self.seed,
                story()
            );
        }
        // The next advert of either ends it; two owners need three, and a stepped clock costs one.
        let bound = self.slowest() * 5 + self.delay * 2;
        for (one, others) in self.pairs.iter().enumerate() {
            for (other, since) in others.iter().enumerate() {
                let lasts = since.map_or(Duration::ZERO, |since| until.saturating_sub(since));
                assert!(
                    lasts <= bound,
                    "seed {}: {one} and {other} both masters for {lasts:?} (bound {bound:?}) until {until:?}\n{}",
                    self.seed,
                    story()
                );
            }
        }
    }
}

fn simulate(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        Network::new(seed).run();
    }
}

#[test]
fn a_few_thousand_runs() {
    simulate(0..1500);
}

#[test]
#[ignore = "a hundred thousand runs take a minute"]
fn a_hundred_thousand_runs() {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || simulate((10_000..110_001).filter(|seed| seed % threads == thread)));
        }
    });
}

#[test]
#[ignore = "replays the run of the seed in SIMULATE"]
fn one_seed() {
    if let Ok(seed) = std::env::var("SIMULATE") {
        simulate(std::iter::once(seed.parse().unwrap()));
    }
}
