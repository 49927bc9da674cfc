//! What every scheduler keeps to, and the clever ones beside their dull twins.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod servers;
mod twins;

use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

use lvs_sched::{BuildError, Flags, Kind, Pool, Scheduler, Slot, Weight};
use servers::{Random, Server, Servers, endpoint, flow};

const WITH_FALLBACK: Flags = Flags { fallback: true, port: true, third: false };

fn build(kind: Kind, pool: &Servers) -> Box<dyn Scheduler> {
    kind.build(WITH_FALLBACK, 7, pool).unwrap()
}

fn any_flow(random: &mut Random) -> lvs_sched::Flow {
    let bytes = random.next().to_le_bytes();
    flow([192, bytes[0], bytes[1], bytes[2]], [10, 0, bytes[3] % 4, bytes[4] % 16])
}

/// True for the kinds that find a server whenever one accepts connections.
fn always_finds(kind: Kind) -> bool {
    !matches!(kind, Kind::Dh | Kind::Ovf)
}

/// A pool that changes at random as a director's does, with its scheduler told of everything.
struct Life {
    pool: Servers,
    scheduler: Box<dyn Scheduler>,
    random: Random,
    added: u16,
    largest: usize,
    /// What every weight is a multiple of.
    scale: u32,
}

/// What became of the list.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    None,
    Added,
    Removed(usize),
    Edited,
}

impl Life {
    fn new(kind: Kind, seed: u64, largest: usize, weights: &[u32]) -> Self {
        let pool = Servers::weighing(weights);
        let added = u16::try_from(weights.len()).unwrap();
        Self { scheduler: build(kind, &pool), pool, random: Random(seed), added, largest, scale: 1 }
    }

    fn any(&mut self) -> Option<usize> {
        let len = self.pool.len();
        (len > 0).then(|| self.random.below(len))
    }

    fn told(&mut self, place: usize) {
        self.scheduler.load_changed(&self.pool, slot(place));
    }

    fn pick(&mut self) -> Option<Slot> {
        let flow = any_flow(&mut self.random);
        let picked = self.scheduler.pick(&self.pool, &flow);
        if let Some(slot) = picked {
            self.pool.0[slot.index()].connect();
            self.told(slot.index());
        }
        picked
    }

    /// Something happens to a server; once in a while to the list of them.
    fn happens(&mut self) -> Change {
        let event = self.random.below(200);
        if event >= 196 {
            return self.changes(event);
        }
        let Some(place) = self.any() else { return Change::None };
        let server = &mut self.pool.0[place];
        match event {
            0..80 => {
                server.inactive += server.active.min(1);
                server.active -= server.active.min(1);
            }
            80..190 => {
                server.inactive = server.inactive.saturating_sub(3);
                server.overloaded &= server.active + server.inactive >= server.upper;
            }
            _ => server.overloaded ^= true,
        }
        self.told(place);
        Change::None
    }

    fn changes(&mut self, event: usize) -> Change {
        let weight = self.random.weight(6) * self.scale;
        let change = match (event, self.any()) {
            (196 | 197, _) if self.pool.len() < self.largest => {
                self.added += 1;
                self.pool.0.insert(0, Server::new(endpoint(self.added), weight));
                Change::Added
            }
            (197, Some(place)) => {
                self.pool.0.remove(place);
                Change::Removed(place)
            }
            (_, Some(place)) => {
                let upper = self.random.weight(40);
                self.pool.0[place].edit(weight, upper);
                Change::Edited
            }
            _ => return Change::None,
        };
        self.scheduler = self.scheduler.rebuild(&self.pool);
        change
    }
}

fn slot(place: usize) -> Slot {
    Slot(u32::try_from(place).unwrap())
}

#[test]
fn a_server_without_weight_is_never_chosen() {
    let pools: [&[u32]; 8] =
        [&[], &[0], &[0, 0], &[0, 3], &[3, 0, 1], &[0, 0, 0, 1], &[5], &[0x7fff_ffff, 0, 1]];
    for kind in Kind::ALL {
        for weights in pools {
            let pool = Servers::weighing(weights);
            let scheduler = build(kind, &pool);
            for scheduler in [scheduler.rebuild(&pool), scheduler] {
                for client in 0..50 {
                    let picked = scheduler.pick(&pool, &flow([192, 0, 2, client], [10, 0, 0, client]));
                    let weight = picked.map(|slot| pool.weight(slot).get());
                    assert_ne!(weight, Some(0), "{kind} {weights:?}");
                    let somebody = weights.iter().any(|&weight| weight > 0);
                    if always_finds(kind) || kind == Kind::Ovf {
                        assert_eq!(weight.is_some(), somebody, "{kind} {weights:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_server_that_takes_no_connections_is_never_chosen() {
    for kind in Kind::ALL {
        for seed in [1, 2, 3] {
            let mut life = Life::new(kind, seed, 40, &[1, 2, 0, 3]);
            for event in 0..5_000 {
                life.happens();
                let before = life.pool.clone();
                let open = |place| before.accepts_new(slot(place));
                let picked = life.pick();
                let told = format!("{kind}, seed {seed}, event {event}, {picked:?} of {before:?}");
                match picked {
                    // An address stays with its server past the upper threshold, as with the kernel.
                    Some(slot) if kind == Kind::Lblc => assert!(!before.weight(slot).is_quiesced(), "{told}"),
                    Some(slot) => assert!(before.accepts_new(slot), "{told}"),
                    None if always_finds(kind) && !matches!(kind, Kind::Sh | Kind::Mh) => {
                        assert!(!(0..before.len()).any(open), "{told}");
                    }
                    None => {}
                }
            }
        }
    }
}

#[test]
fn the_tournament_chooses_as_a_scan_does() {
    for (kind, scan) in twins::SCANS {
        for (seed, largest) in [(11, 12), (12, 120)] {
            let mut life = Life::new(kind, seed, largest, &[]);
            for event in 0..100_000 {
                life.happens();
                let expected = scan(&life.pool);
                assert_eq!(life.pick(), expected, "{kind}, seed {seed}, event {event}");
            }
            assert!(life.pool.len() >= largest - 1, "{kind} grew to {} servers only", life.pool.len());
        }
    }
}

#[test]
fn the_laps_are_those_of_the_kernels_walk() {
    for seed in 1..60 {
        let mut life = Life::new(Kind::Wrr, seed, [3, 8, 30][life_of(seed)], &[]);
        life.scale = [1, 210, 12][life_of(seed / 3)];
        let mut walk = twins::GcdWalk::new(&life.pool);
        for event in 0..3000 {
            if life.happens() != Change::None {
                walk.changed(&life.pool);
            }
            let expected = walk.pick(&life.pool);
            assert_eq!(life.pick(), expected, "seed {seed}, event {event}, {:?}", life.pool);
        }
    }
}

#[test]
fn the_round_is_the_kernels() {
    for seed in 1..60 {
        let mut life = Life::new(Kind::Rr, seed, [3, 8, 300][life_of(seed)], &[]);
        let mut round = twins::Round::default();
        for event in 0..3000 {
            match life.happens() {
                Change::Added if round.0 > 0 => round.0 += 1,
                Change::Removed(place) if round.0 > place => round.0 -= 1,
                Change::None | Change::Edited | Change::Added | Change::Removed(_) => {}
            }
            let expected = round.pick(&life.pool);
            assert_eq!(life.pick(), expected, "seed {seed}, event {event}, {:?}", life.pool);
        }
    }
}

fn life_of(seed: u64) -> usize {
    usize::try_from(seed % 3).unwrap()
}

#[test]
fn a_cycle_of_laps_gives_each_server_its_weight() {
    for weights in [&[4, 3, 2][..], &[10, 20, 30], &[5, 1, 1], &[1000, 1, 0, 7], &[6; 5], &[2000; 300]] {
        let pool = Servers::weighing(weights);
        let scheduler = build(Kind::Wrr, &pool);
        let divisor =
            [10, 6, 2000].into_iter().find(|by| weights.iter().all(|weight| weight % by == 0)).unwrap_or(1);
        let expected: Vec<u32> = weights.iter().map(|weight| weight / divisor).collect();
        for cycle in 0..3 {
            let mut served = vec![0; weights.len()];
            for _ in 0..expected.iter().sum() {
                let flow = flow([192, 0, 2, 1], [10, 0, 0, 1]);
                served[scheduler.pick(&pool, &flow).unwrap().index()] += 1;
            }
            assert_eq!(served, expected, "{weights:?}, cycle {cycle}");
        }
    }
}

#[test]
fn servers_that_join_one_by_one_meet_the_walk_where_it_stands() {
    for (weights, expected) in [
        ([4, 3, 2], "CBAABACBACBAABACBACBAABA"),
        ([3, 2, 1], "CBAABACBAABACBAABA"),
        ([1, 1, 1], "CBACBACBACBA"),
        ([5, 1, 1], "CBAAAAACBAAAAACBAAAA"),
        ([10, 20, 30], "CBACCBCBACCBCBACCB"),
    ] {
        let mut pool = Servers::default();
        let mut scheduler = build(Kind::Wrr, &pool);
        for (number, weight) in (1..).zip(weights) {
            pool.0.insert(0, Server::new(endpoint(number), weight));
            scheduler = scheduler.rebuild(&pool);
        }
        let pick =
            |_| ['C', 'B', 'A'][scheduler.pick(&pool, &flow([192, 0, 2, 1], [10, 0, 0, 1])).unwrap().index()];
        let picked: String = (0..expected.len()).map(pick).collect();
        assert_eq!(picked, expected, "{weights:?}");
    }
}

#[test]
fn a_threshold_that_was_not_announced_is_seen_all_the_same() {
    for kind in [Kind::Lc, Kind::Wlc, Kind::Sed, Kind::Nq, Kind::Lblc, Kind::Lblcr] {
        let mut pool = Servers::weighing(&[1; 40]);
        let scheduler = build(kind, &pool);
        for server in &mut pool.0[..39] {
            server.overloaded = true;
        }
        assert_eq!(scheduler.pick(&pool, &flow([192, 0, 2, 1], [10, 0, 0, 1])), Some(Slot(39)), "{kind}");
        pool.0[39].overloaded = true;
        assert_eq!(scheduler.pick(&pool, &flow([192, 0, 2, 1], [10, 0, 0, 2])), None, "{kind}");
    }
}

#[test]
fn two_draws_fall_as_the_tickets_lie() {
    const DRAWS: u32 = 200_000;
    // Ten tickets of which the first server holds one more than its weight; equal loads keep the first draw.
    let mut pool = Servers::weighing(&[9, 2, 0, 3, 4]);
    pool.0[0].overloaded = true;
    let scheduler = build(Kind::Twos, &pool);
    let mut served = [0; 5];
    for _ in 0..DRAWS {
        served[scheduler.pick(&pool, &flow([192, 0, 2, 1], [10, 0, 0, 1])).unwrap().index()] += 1;
    }
    for (slot, tickets) in [0, 3, 0, 3, 4].into_iter().enumerate() {
        let expected = tickets * DRAWS / 10;
        assert!(expected.abs_diff(served[slot]) <= DRAWS / 200, "{served:?}");
    }
}

#[test]
fn the_better_of_two_draws_is_taken() {
    let mut pool = Servers::weighing(&[1, 1]);
    pool.0[0].active = 5;
    let scheduler = build(Kind::Twos, &pool);
    let mut served = [0_u32; 2];
    for _ in 0..90_000 {
        served[scheduler.pick(&pool, &flow([192, 0, 2, 1], [10, 0, 0, 1])).unwrap().index()] += 1;
    }
    // The loaded one is taken only where both draws fall on it: two tickets of three, twice.
    assert!(served[0].abs_diff(40_000) < 1000, "{served:?}");
}

#[test]
fn maglev_refuses_more_servers_than_its_table_holds() {
    let error = Kind::Mh.build(Flags::default(), 7, &Servers::weighing(&vec![1; 4094])).unwrap_err();
    assert_eq!(error, BuildError::TooManyServers { servers: 4094, limit: 4093 });
    let mut pool = Servers::weighing(&vec![1; 4093]);
    let scheduler = Kind::Mh.build(Flags::default(), 7, &pool).unwrap();
    let flow = flow([192, 0, 2, 1], [10, 0, 0, 1]);
    let kept = pool.endpoint(scheduler.pick(&pool, &flow).unwrap());
    pool.0.insert(0, Server::new(endpoint(5000), 1));
    let slot = scheduler.rebuild(&pool).pick(&pool, &flow).unwrap();
    assert_eq!(pool.endpoint(slot), kept, "a server too many leaves the table as it is");
}

#[test]
fn an_address_keeps_its_server_until_that_is_overloaded() {
    for kind in [Kind::Lblc, Kind::Lblcr] {
        let mut pool = Servers::weighing(&[4, 4]);
        let mut scheduler = build(kind, &pool);
        let flow = flow([192, 0, 2, 1], [10, 0, 0, 1]);
        let mut pick = |pool: &Servers| {
            scheduler = scheduler.rebuild(pool);
            scheduler.pick(pool, &flow).map(Slot::index)
        };
        assert_eq!(pick(&pool), Some(0), "{kind}");
        pool.0[0].active = 4;
        assert_eq!(pick(&pool), Some(0), "{kind}: at its weight it is not overloaded");
        pool.0[0].active = 5;
        pool.0[1].active = 2;
        assert_eq!(pick(&pool), Some(0), "{kind}: the other is at half its weight");
        pool.0[1].active = 1;
        assert_eq!(pick(&pool), Some(1), "{kind}: the other is below half its weight");
        pool.0[0].active = 1;
        assert_eq!(pick(&pool), Some(1), "{kind}: the newest of a set wins a draw");
        pool.0[0].active = 0;
        let back = usize::from(kind == Kind::Lblc);
        assert_eq!(pick(&pool), Some(back), "{kind}: lblcr has both by now");
        let gone = pool.0.remove(back);
        assert_eq!(pick(&pool), Some(0), "{kind}: the only one");
        pool.0.insert(back, gone);
        let expected = if kind == Kind::Lblc { 0 } else { back };
        assert_eq!(pick(&pool), Some(expected), "{kind}");
    }
}

#[test]
fn a_set_of_servers_shrinks_after_a_quiet_day_or_as_told() {
    for (told, quiet) in [(None, 24), (Some(2), 2), (Some(48), 48)] {
        let mut pool = Servers::weighing(&[4, 4]);
        let mut scheduler = build(Kind::Lblcr, &pool);
        if let Some(hours) = told {
            scheduler.expire_after(std::time::Duration::from_hours(hours));
            scheduler = scheduler.rebuild(&pool);
        }
        let pick = |pool: &Servers, hours: u64| {
            let mut flow = flow([192, 0, 2, 1], [10, 0, 0, 1]);
            flow.now += std::time::Duration::from_hours(hours);
            scheduler.pick(pool, &flow).map(Slot::index)
        };
        assert_eq!(pick(&pool, 0), Some(0));
        pool.0[0].active = 5;
        scheduler.load_changed(&pool, Slot(0));
        assert_eq!(pick(&pool, 1), Some(1), "the set grows");
        assert_eq!(pick(&pool, 1 + quiet), Some(1), "{quiet} hours have not passed");
        assert_eq!(pick(&pool, 2 + quiet), Some(1), "slot 0 leaves");
        pool.0[1].active = 3;
        scheduler.load_changed(&pool, Slot(1));
        pool.0[0].active = 0;
        scheduler.load_changed(&pool, Slot(0));
        assert_eq!(pick(&pool, 3 + quiet), Some(1), "slot 0 is in the set no more");
    }
}

/// A hundred servers of weight 1 whose counts several threads may change.
#[derive(Default)]
struct Shared(Vec<AtomicU32>);

impl Pool for Shared {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn endpoint(&self, slot: Slot) -> SocketAddr {
        endpoint(u16::try_from(slot.0).unwrap())
    }
    fn weight(&self, _slot: Slot) -> Weight {
        Weight(1)
    }
    fn active(&self, slot: Slot) -> u32 {
        self.0[slot.index()].load(Ordering::SeqCst)
    }
    fn inactive(&self, _slot: Slot) -> u32 {
        0
    }
    fn is_overloaded(&self, _slot: Slot) -> bool {
        false
    }
}

#[test]
fn several_threads_may_choose_and_tell_of_changes_at_once() {
    for kind in [Kind::Rr, Kind::Wrr, Kind::Lc, Kind::Wlc, Kind::Sed, Kind::Nq] {
        let pool = Shared((0..100).map(|_| AtomicU32::new(0)).collect());
        let scheduler = kind.build(WITH_FALLBACK, 7, &pool).unwrap();
        let is_round = matches!(kind, Kind::Rr | Kind::Wrr);
        let choices: u32 = if is_round { 200_000 } else { 10_000 };
        let start = Barrier::new(4);
        let choose = || {
            start.wait();
            for client in 0..choices {
                let [a, b, c, _] = client.to_le_bytes();
                let slot = scheduler.pick(&pool, &flow([192, a, b, c], [10, 0, 0, 1])).unwrap();
                pool.0[slot.index()].fetch_add(1, Ordering::SeqCst);
                scheduler.load_changed(&pool, slot);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(choose);
            }
        });
        let served: Vec<u32> = (0..100).map(|place| pool.active(slot(place))).collect();
        assert_eq!(served.iter().sum::<u32>(), 4 * choices, "{kind}");
        // Now that all is quiet, one choice is the scan's: no change told at the same time was lost.
        if is_round {
            assert!(served.iter().all(|&count| count == choices / 25), "{kind} {served:?}");
        } else {
            let least = (0..100).map(slot).min_by_key(|&slot| pool.active(slot));
            assert_eq!(
                scheduler.pick(&pool, &flow([192, 0, 2, 1], [10, 0, 0, 1])),
                least,
                "{kind} {served:?}"
            );
        }
    }
}
