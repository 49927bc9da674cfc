//! The table as a whole.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::*;
use crate::{NewConn, Proto, TcpFlags, TcpTable, Timeouts};

fn key(client_port: u16) -> FlowKey {
    FlowKey {
        proto: Proto::TCP,
        src: [192, 0, 2, 1].into(),
        src_port: client_port,
        dst: [10, 9, 9, 9].into(),
        dst_port: 80,
    }
}

fn server() -> SocketAddr {
    ([10, 2, 0, 11], 8080).into()
}

fn conn(key: FlowKey, binding: u32, now: Tick) -> Conn<u32> {
    Conn::new(NewConn { key, server: server(), reply: true, no_output: false, binding, template: None }, now)
}

fn secs(secs: u64) -> Tick {
    Tick::from_millis(secs * 1000)
}

#[test]
fn both_directions_lead_to_the_connection() {
    let table = Table::new(10, 7);
    table.insert(conn(key(1000), 1, Tick::ZERO), Tick::ZERO).unwrap();
    let there = table.with(&key(1000), Tick::ZERO, |conn, direction| (*conn.binding(), direction));
    assert_eq!(there, Some((1, Direction::ToServer)));
    let reply = FlowKey { src: server().ip(), src_port: 8080, ..key(1000).reversed() };
    let back = table.with(&reply, Tick::ZERO, |conn, direction| (*conn.binding(), direction));
    assert_eq!(back, Some((1, Direction::ToClient)));
    assert!(table.with(&key(1000).reversed(), Tick::ZERO, |_, _| ()).is_none());
}

#[test]
fn a_connection_ends_three_seconds_after_its_birth_unless_a_packet_gives_it_a_state() {
    let table = Table::new(10, 7);
    for port in [1, 2] {
        table.insert(conn(key(port), 1, Tick::ZERO), Tick::ZERO).unwrap();
    }
    table.with(&key(2), Tick::ZERO, |conn, direction| {
        conn.on_tcp(TcpFlags::SYN, direction, &Timeouts::default(), TcpTable::Normal);
        conn.touch(Tick::ZERO);
    });
    let mut ended = Vec::new();
    let mut reap = |expired: Expired<u32>| match expired {
        Expired::Conn(conn) => ended.push(conn.key().src_port),
        Expired::Template(_) => {}
    };
    table.sweep(Tick::from_millis(2999), usize::MAX, &mut reap);
    table.sweep(secs(3), usize::MAX, &mut reap);
    table.sweep(Tick::from_millis(59_999), usize::MAX, &mut reap);
    assert_eq!(ended, [1]);
    assert_eq!(table.len(), 1);
}

/// A small generator, so that a failure can be run again from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// The table as plainly as it can be written.
#[derive(Default)]
struct Model {
    conns: BTreeMap<FlowKey, Plain>,
    /// Whose answers a flow may be, the newest last.
    replies: BTreeMap<FlowKey, Vec<FlowKey>>,
}

struct Plain {
    binding: u32,
    reply: FlowKey,
    timeout: Duration,
    expires: Tick,
}

impl Model {
    fn find(&self, key: &FlowKey, now: Tick) -> Option<(FlowKey, Direction)> {
        let alive = |flow: &&FlowKey| self.conns[flow].expires > now;
        if self.conns.contains_key(key) {
            return Some((*key, Direction::ToServer)).filter(|(flow, _)| alive(&flow));
        }
        let newest = self.replies.get(key)?.iter().rev().find(alive)?;
        Some((*newest, Direction::ToClient))
    }

    fn insert(&mut self, key: FlowKey, plain: Plain) {
        self.remove(&key);
        self.replies.entry(plain.reply).or_default().push(key);
        self.conns.insert(key, plain);
    }

    fn remove(&mut self, key: &FlowKey) -> Option<Plain> {
        let plain = self.conns.remove(key)?;
        let flows = self.replies.get_mut(&plain.reply).unwrap();
        flows.retain(|flow| flow != key);
        Some(plain)
    }
}

/// Few enough flows that they meet: two services, two servers, some clients of both families.
fn random_conn(dice: &mut Dice, binding: u32, now: Tick) -> Conn<u32> {
    let client = u16::try_from(dice.roll(12)).unwrap();
    let mut key = key(1000 + client / 2);
    let mut server = server();
    key.dst_port = 80 + u16::try_from(dice.roll(2)).unwrap();
    if client % 2 == 1 {
        key.src = [0x2001, 0xdb8, 0, 0, 0, 0, 0, client].into();
        key.dst = [0xfd00, 0, 0, 0, 0, 0, 0, 9].into();
        server.set_ip([0xfd00, 0, 0, 0, 0, 0, 0, 11].into());
    }
    server.set_port(8080 + u16::try_from(dice.roll(2)).unwrap());
    Conn::new(NewConn { key, server, reply: true, no_output: false, binding, template: None }, now)
}

fn follow(conn: &mut Conn<u32>, direction: Direction, flags: TcpFlags, now: Tick) {
    conn.on_tcp(flags, direction, &Timeouts::default(), TcpTable::Normal);
    conn.touch(now);
}

fn play_against_the_model(seed: u64, steps: u32) {
    println!("seed {seed}");
    let (table, mut model, mut dice) = (Table::new(1000, seed), Model::default(), Dice(seed));
    let mut now = Tick::from_millis(dice.roll(1 << 40));
    for step in 0..steps {
        let sample = random_conn(&mut dice, step, now);
        let (key, reply) = (*sample.key(), sample.reply_key().unwrap());
        let wanted = if dice.roll(2) == 0 { key } else { reply };
        match dice.roll(8) {
            0 | 1 => {
                let free = model.conns.get(&key).is_none_or(|plain| plain.expires <= now);
                let (timeout, expires) = (sample.timeout(), sample.expires());
                assert_eq!(table.insert(sample, now).is_ok(), free, "step {step}");
                if free {
                    model.insert(key, Plain { binding: step, reply, timeout, expires });
                }
            }
            2..=4 => {
                let flags = [TcpFlags::SYN, TcpFlags::ACK, TcpFlags::FIN, TcpFlags::RST]
                    [usize::try_from(dice.roll(4)).unwrap()];
                let found = table.with(&wanted, now, |conn, direction| {
                    follow(conn, direction, flags, now);
                    (*conn.binding(), direction, conn.timeout())
                });
                let expected = model.find(&wanted, now);
                assert_eq!(found.map(|found| found.1), expected.map(|found| found.1), "step {step}");
                if let (Some((binding, _, timeout)), Some((key, _))) = (found, expected) {
                    let plain = model.conns.get_mut(&key).unwrap();
                    assert_eq!(binding, plain.binding);
                    (plain.timeout, plain.expires) = (timeout, now + timeout);
                }
            }
            5 => {
                let removed = table.remove(&wanted).map(Conn::into_binding);
                let newest = model.replies.get(&wanted).and_then(|flows| flows.last().copied());
                let flow = if wanted == key { Some(key) } else { newest };
                assert_eq!(removed, flow.and_then(|flow| model.remove(&flow)).map(|plain| plain.binding));
            }
            6 => {
                // Every so often an hour, otherwise up to a few seconds.
                let jump = if dice.roll(20) == 0 { 3_600_000 } else { dice.roll(5000) };
                now = now + Duration::from_millis(jump);
            }
            _ => sweep_both(&table, &mut model, now, &mut dice),
        }
        let alive = model.conns.values().filter(|plain| plain.expires > now).count();
        let mut listed = 0;
        table.for_each(now, |conn| {
            listed += 1;
            assert_eq!(conn.expires(), model.conns[conn.key()].expires);
        });
        assert_eq!(listed, alive, "step {step}");
    }
    sweep_both(&table, &mut model, now, &mut dice);
    table.clear();
    assert!(table.is_empty() && table.places.is_empty());
}

/// With all budget or in small steps, everything overdue comes out, and nothing else.
fn sweep_both(table: &Table<u32>, model: &mut Model, now: Tick, dice: &mut Dice) {
    let budget = if dice.roll(2) == 0 { usize::MAX } else { 3 };
    let mut gone = Vec::new();
    while table.sweep(now, budget, |expired| match expired {
        Expired::Conn(conn) => gone.push(conn.into_binding()),
        Expired::Template(_) => unreachable!(),
    }) == budget
    {}
    // What was displaced by a newer connection of its flow is handed out too, but the model forgot it.
    let overdue: Vec<FlowKey> =
        model.conns.iter().filter(|(_, plain)| plain.expires <= now).map(|(key, _)| *key).collect();
    for key in overdue {
        let plain = model.remove(&key).unwrap();
        assert!(gone.contains(&plain.binding), "{key} was not handed out");
    }
    assert_eq!(table.len(), model.conns.len());
}

#[test]
fn the_table_does_what_a_plain_map_does() {
    for seed in 1..=40 {
        play_against_the_model(seed, 1500);
    }
}

#[test]
fn connections_whose_hashes_are_the_same_are_never_confused() {
    for seed in 1..=5 {
        println!("seed {seed}");
        let table = Table::with_hash(1000, Keyed::with_mask(seed, 0xe000_0000_0000_0003));
        let (mut dice, mut inside) = (Dice(seed), BTreeMap::new());
        let mut crowded = 0;
        for step in 0..3000 {
            let sample = random_conn(&mut dice, step, Tick::ZERO);
            let key = *sample.key();
            if dice.roll(4) == 0 {
                assert_eq!(table.remove(&key).map(Conn::into_binding), inside.remove(&key));
            } else {
                assert_eq!(table.insert(sample, Tick::ZERO).is_ok(), !inside.contains_key(&key));
                inside.entry(key).or_insert(step);
            }
            for (key, binding) in &inside {
                assert_eq!(table.with(key, Tick::ZERO, |conn, _| *conn.binding()), Some(*binding));
            }
            assert_eq!(table.len(), inside.len());
            crowded = crowded.max(table.len() - table.places.len());
        }
        assert!(crowded > 3, "{crowded}");
    }
}

/// A connection of client port 1000 to a service on `service_port`, all on the one server.
fn to_service(service_port: u16, binding: u32, now: Tick) -> Conn<u32> {
    conn(FlowKey { dst_port: service_port, ..key(1000) }, binding, now)
}

fn answered(table: &Table<u32>, now: Tick) -> Option<(u32, Direction)> {
    let answer = FlowKey { src: server().ip(), src_port: 8080, ..key(1000).reversed() };
    table.with(&answer, now, |conn, direction| (*conn.binding(), direction))
}

#[test]
fn answers_go_to_the_newest_connection_and_back_to_the_older_one_when_it_ends() {
    let table = Table::new(10, 7);
    let answered = |now| answered(&table, now).map(|(binding, _)| binding);
    for service in 1..=3 {
        let now = secs(u64::from(service) - 1);
        table.insert(to_service(service, u32::from(service), now), now).unwrap();
        assert_eq!(answered(now), Some(u32::from(service)));
    }
    // Removed, ended by its time, and at last the first one.
    assert_eq!(table.remove(&FlowKey { dst_port: 3, ..key(1000) }).map(Conn::into_binding), Some(3));
    assert_eq!(answered(secs(2)), Some(2));
    let touched = table.with(&FlowKey { dst_port: 1, ..key(1000) }, secs(2), |conn, _| conn.touch(secs(2)));
    assert!(touched.is_some());
    assert_eq!(answered(Tick::from_millis(3999)), Some(2));
    assert_eq!(answered(secs(4)), Some(1));
    let mut gone = Vec::new();
    table.sweep(secs(4), usize::MAX, |ended| {
        if let Expired::Conn(conn) = ended {
            gone.push(conn.into_binding());
        }
    });
    assert_eq!((gone, table.len()), (vec![2], 1));
    assert_eq!(answered(secs(4)), Some(1));
    assert_eq!(answered(secs(5)), None);
}

#[test]
fn one_client_port_may_have_thousands_of_connections() {
    let table = Table::new(usize::MAX, 7);
    for service in 1..=5000 {
        table.insert(to_service(service, u32::from(service), Tick::ZERO), Tick::ZERO).unwrap();
    }
    assert_eq!((table.len(), table.places.len()), (5000, 1));
    for service in (1..=5000).rev() {
        assert_eq!(answered(&table, Tick::ZERO), Some((u32::from(service), Direction::ToClient)));
        let key = FlowKey { dst_port: service, ..key(1000) };
        let found = table.with(&key, Tick::ZERO, |conn, direction| (*conn.binding(), direction));
        assert_eq!(found, Some((u32::from(service), Direction::ToServer)));
        assert!(table.remove(&key).is_some());
    }
    assert!(table.is_empty() && table.places.is_empty());
}

#[test]
fn a_flow_that_is_a_servers_answer_and_a_clients_own_is_the_answer_first() {
    let table = Table::new(10, 7);
    table.insert(conn(key(1000), 1, Tick::ZERO), Tick::ZERO).unwrap();
    let answer = FlowKey { src: server().ip(), src_port: 8080, ..key(1000).reversed() };
    table.insert(conn(answer, 2, Tick::ZERO), Tick::ZERO).unwrap();
    let seen = |table: &Table<u32>| table.with(&answer, Tick::ZERO, |conn, _| *conn.binding());
    assert_eq!(seen(&table), Some(1));
    // To be removed, it is the client's own first, as a listing names it.
    assert_eq!(table.remove(&answer).map(Conn::into_binding), Some(2));
    assert_eq!(seen(&table), Some(1));
    assert_eq!(table.remove(&answer).map(Conn::into_binding), Some(1));
}

#[test]
fn a_full_table_refuses_and_gives_the_binding_back() {
    let table = Table::new(2, 7);
    table.insert(conn(key(1), 1, Tick::ZERO), Tick::ZERO).unwrap();
    table.insert(conn(key(2), 2, Tick::ZERO), Tick::ZERO).unwrap();
    let refused = table.insert(conn(key(3), 3, Tick::ZERO), Tick::ZERO).unwrap_err();
    assert!(matches!(refused, InsertError::Full(3)), "{refused:?}");
    table.remove(&key(1)).unwrap();
    table.insert(conn(key(3), 3, Tick::ZERO), Tick::ZERO).unwrap();
    let refused = table.insert(conn(key(1), 1, Tick::ZERO), Tick::ZERO).unwrap_err();
    assert_eq!(refused.into_binding(), 1);
}

#[test]
fn an_overdue_connection_is_not_found_and_makes_room() {
    let table = Table::new(10, 7);
    table.insert(conn(key(1), 1, Tick::ZERO), Tick::ZERO).unwrap();
    assert!(table.insert(conn(key(1), 2, Tick::ZERO), Tick::from_millis(2999)).is_err());
    assert_eq!(table.with(&key(1), secs(3), |conn, _| *conn.binding()), None);
    table.insert(conn(key(1), 2, secs(3)), secs(3)).unwrap();
    assert_eq!(table.with(&key(1), secs(3), |conn, _| *conn.binding()), Some(2));
    assert_eq!(table.len(), 1);
    let mut gone = Vec::new();
    table.sweep(secs(3), usize::MAX, |expired| {
        if let Expired::Conn(conn) = expired {
            gone.push(conn.into_binding());
        }
    });
    assert_eq!(gone, [1]);
}

#[test]
fn a_shortened_timeout_takes_effect_in_time() {
    let table = Table::new(10, 7);
    table.insert(conn(key(1), 1, Tick::ZERO), Tick::ZERO).unwrap();
    let packet = |flags, now| {
        table.with(&key(1), now, |conn, direction| follow(conn, direction, flags, now)).unwrap();
    };
    packet(TcpFlags::SYN, Tick::ZERO);
    packet(TcpFlags::ACK, Tick::ZERO);
    table.sweep(secs(100), usize::MAX, |_| panic!("too early"));
    packet(TcpFlags::RST, secs(100));
    table.sweep(Tick::from_millis(109_999), usize::MAX, |_| panic!("too early"));
    let mut gone = 0;
    table.sweep(secs(110), usize::MAX, |_| gone += 1);
    assert_eq!(gone, 1);
}

#[test]
fn an_expired_connection_leaves_with_a_sweep_of_the_same_moment() {
    let table = Table::new(10, 7);
    table.insert(conn(key(1), 1, Tick::ZERO), Tick::ZERO).unwrap();
    table.sweep(secs(1), usize::MAX, |_| panic!("too early"));
    table.with(&key(1), secs(1), |conn, _| conn.expire(secs(1))).unwrap();
    assert!(table.with(&key(1), secs(1), |_, _| ()).is_none());
    let mut gone = 0;
    table.sweep(secs(1), usize::MAX, |_| gone += 1);
    assert_eq!((gone, table.len()), (1, 0));
}

#[test]
fn a_sweep_looks_at_no_more_than_its_budget_and_goes_on_where_it_stopped() {
    let table = Table::new(1000, 7);
    for port in 0..100 {
        table.insert(conn(key(port), 1, Tick::ZERO), Tick::ZERO).unwrap();
    }
    let mut gone = 0;
    for _ in 0..10 {
        assert_eq!(table.sweep(secs(10), 10, |_| gone += 1), 10);
    }
    assert_eq!((gone, table.len()), (100, 0));
    assert_eq!(table.sweep(secs(10), 10, |_| ()), 0);
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind_in_the_wheels() {
    let table = Table::new(10, 7);
    let nodes = || -> usize { table.wheels.iter().map(|wheel| wheel.lock().size()).sum() };
    let empty = nodes();
    for round in 0..1000 {
        let now = secs(round);
        table.insert(conn(key(1), 1, now), now).unwrap();
        table.with(&key(1), now, |conn, direction| follow(conn, direction, TcpFlags::SYN, now)).unwrap();
        assert!(table.remove(&key(1)).is_some());
    }
    assert_eq!(nodes(), empty + 1);
}

#[test]
fn a_listing_visits_what_stays_exactly_once_while_other_connections_come_and_go() {
    let table = Table::new(usize::MAX, 7);
    for port in 0..2000 {
        table.insert(conn(key(port), u32::from(port), Tick::ZERO), Tick::ZERO).unwrap();
    }
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            for round in 0..20_000_u16 {
                // The odd ones leave and come back.
                let key = key(round * 2 % 2000 + 1);
                let _ = table.remove(&key);
                table.insert(conn(key, u32::from(key.src_port), Tick::ZERO), Tick::ZERO).unwrap();
            }
        });
        while !other.is_finished() {
            let mut seen = [0; 2000];
            table.for_each(Tick::ZERO, |conn| seen[usize::from(conn.key().src_port)] += 1);
            assert!(seen.iter().step_by(2).all(|&times| times == 1));
        }
    });
    assert_eq!(table.len(), 2000);
}

#[test]
fn a_connection_that_others_hang_on_outlives_its_time_by_minutes() {
    let table = Table::new(10, 7).holding(|held: &Arc<AtomicBool>| held.load(Ordering::Relaxed));
    let held = Arc::new(AtomicBool::new(true));
    for port in [1, 2] {
        let binding = if port == 1 { Arc::clone(&held) } else { Arc::default() };
        let new = NewConn {
            key: key(port),
            server: server(),
            reply: true,
            no_output: false,
            binding,
            template: None,
        };
        table.insert(Conn::<_>::new(new, Tick::ZERO), Tick::ZERO).unwrap();
    }
    let lives = |now: Tick, port| table.with(&key(port), now, |_, _| ()).is_some();
    assert!(lives(secs(3), 1) && !lives(secs(3), 2), "before any sweep came by, too");
    let mut expiry = 0;
    table.sweep(secs(4), usize::MAX, drop);
    table.for_each(secs(4), |conn| expiry = conn.expires().as_millis());
    assert_eq!((table.len(), expiry), (1, 63_000));
    held.store(false, Ordering::Relaxed);
    table.sweep(Tick::from_millis(62_999), usize::MAX, drop);
    assert_eq!(table.len(), 1);
    table.sweep(secs(63), usize::MAX, drop);
    assert!(table.is_empty());
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "must not call the table")]
fn a_function_that_the_table_runs_must_not_call_it() {
    let table = Table::new(10, 7);
    table.insert(conn(key(1), 1, Tick::ZERO), Tick::ZERO).unwrap();
    table.with(&key(1), Tick::ZERO, |_, _| table.remove(&key(2)));
}

#[test]
fn threads_share_the_table_and_nothing_is_lost() {
    let table = Table::new(100_000, 7);
    let binding = Arc::new(());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (table, binding) = (&table, &binding);
            scope.spawn(move || {
                let mut dice = Dice(thread);
                for step in 0..20_000 {
                    let now = Tick::from_millis(step / 4);
                    let key = key(u16::try_from(dice.roll(50)).unwrap());
                    match dice.roll(6) {
                        0 | 1 => {
                            let (server, binding) = (server(), Arc::clone(binding));
                            let new = NewConn {
                                key,
                                server,
                                reply: true,
                                no_output: false,
                                binding,
                                template: None,
                            };
                            let _ = table.insert(Conn::<_>::new(new, now), now);
                        }
                        2 => drop(table.remove(&key)),
                        3 => {
                            table.sweep(now, 16, drop);
                        }
                        4 => {
                            table.with(&key, now, |conn, _| conn.expire(now + Duration::from_millis(1)));
                        }
                        _ => {
                            table.with(&key, now, |conn, _| conn.touch(now));
                        }
                    }
                }
            });
        }
    });
    assert!(table.len() <= 50);
    table.sweep(Tick::from_millis(u64::MAX / 2), usize::MAX, drop);
    assert_eq!((table.len(), table.places.len()), (0, 0));
    assert_eq!(Arc::strong_count(&binding), 1);
}

#[test]
fn a_held_connection_lives_on_as_long_as_it_is_heard_of_elsewhere() {
    let (table, timeouts) = (Table::new(10, 7), Timeouts::default());
    let mut established = conn(key(1), 1, Tick::ZERO);
    established.on_tcp(TcpFlags::SYN, Direction::ToServer, &timeouts, TcpTable::Normal);
    established.on_tcp(TcpFlags::ACK, Direction::ToServer, &timeouts, TcpTable::Normal);
    established.touch(Tick::ZERO);
    established.hold(true);
    table.insert(established, Tick::ZERO).unwrap();

    assert!(table.with(&key(1), secs(900), |_, _| ()).is_some(), "time alone does not end it");
    let mut asked = 0;
    let mut sweep = |at: u64, heard: u64| {
        let mut ended = 0;
        let ask = |conn: &mut Conn<u32>| {
            asked += 1;
            conn.hear(secs(heard), &timeouts);
        };
        table.sweep_asking(secs(at), usize::MAX, ask, |_| ended += 1);
        ended
    };
    assert_eq!(sweep(899, 0), 0);
    assert_eq!(sweep(900, 500), 0);
    assert_eq!(sweep(1399, 0), 0, "asked again only when its time is over");
    assert_eq!(sweep(1400, 400), 1, "nothing newer was heard");
    assert_eq!(asked, 2);
    assert!(table.is_empty());
}
