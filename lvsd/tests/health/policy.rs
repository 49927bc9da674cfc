//! What follows from the checks, by what is declared of a virtual server and its servers.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use lvs_health::declared::{Script, Sorry, Timing};
use lvsd::health::{self, Health, VirtualServer};
use lvsd::message::HealthListing;

use tempfile::TempDir;

use crate::table::{Table, declared, listener, real, timing, virtual_server, wait_for, weights};

/// What programs wrote down when they were told of something.
struct Diary(TempDir);

impl Diary {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("diary")
    }

    /// A program that writes this down.
    fn entry(&self, what: &str) -> Script {
        let text = format!("echo {what} >> {}", self.path().display());
        Script { command: ["/bin/sh", "-c", &text].map(str::to_owned).to_vec(), user: None }
    }

    fn read(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn start(server: VirtualServer) -> (Arc<Table>, Health) {
    let table = Arc::new(Table::default());
    let health = health::start(declared(vec![server]), Arc::<Table>::clone(&table), None).unwrap();
    (table, health)
}

fn listing(health: &Health) -> HealthListing {
    health.handle().listing().remove(0)
}

#[test]
fn the_sorry_server_serves_meanwhile() {
    let (listening, one) = listener();
    let sorry: SocketAddr = "10.0.0.9:80".parse().unwrap();
    let mut server = virtual_server(80, &[one], timing());
    server.sorry = Some(real(sorry));
    server.checked.policy.sorry = Some(Sorry { address: sorry, inhibit: false });
    let table = Arc::new(Table::default());
    let _health = health::start(declared(vec![server]), Arc::<Table>::clone(&table), None).unwrap();
    assert_eq!(weights(&table, 80), [(one, 1)]);
    drop(listening);
    wait_for("the sorry server serves", || weights(&table, 80) == [(sorry, 1)]);
    let _again = TcpListener::bind(one).unwrap();
    wait_for("it goes", || weights(&table, 80) == [(one, 1)]);
}

#[test]
fn what_is_suspended_is_checked_only_where_its_address_is() {
    let (listening, one) = listener();
    let mut server = virtual_server(80, &[one], timing());
    server.checked.policy.ha_suspend = true;
    let table = Arc::new(Table::default());
    let health = health::start(declared(vec![server]), Arc::<Table>::clone(&table), None).unwrap();
    health.handle().follow(vec![[10, 0, 0, 1].into()]);
    thread::sleep(Duration::from_millis(100));
    drop(listening);
    thread::sleep(Duration::from_millis(300));
    assert!(health.handle().listing()[0].is_suspended);
    assert_eq!(weights(&table, 80), [(one, 1)]);
    health.handle().follow(vec![[192, 0, 2, 10].into()]);
    wait_for("it is checked again", || weights(&table, 80).is_empty());
}

#[test]
fn those_that_asked_for_it_are_told_of_the_end() {
    let (_listening, one) = listener();
    let diary = Diary::new();
    let mut server = virtual_server(80, &[one], timing());
    server.checked.policy.omega = true;
    server.checked.policy.quorum_down = Some(diary.entry("quorum"));
    server.checked.servers[0].notify_down = Some(diary.entry("server"));
    let health = health::start(declared(vec![server]), Arc::new(Table::default()), None).unwrap();
    drop(health);
    let mut told = diary.read();
    told.sort_unstable();
    assert_eq!(told, ["quorum", "server"]);
}

#[test]
fn an_inhibited_server_keeps_its_place_with_weight_zero() {
    let (listening, one) = listener();
    let (_alive, two) = listener();
    let mut server = virtual_server(80, &[one, two], timing());
    server.checked.servers[0].inhibit_on_failure = true;
    let (table, _health) = start(server);
    let other = |weight| {
        let mut both = vec![(one, weight), (two, 1)];
        both.sort_unstable();
        both
    };
    assert_eq!(weights(&table, 80), other(1));
    drop(listening);
    wait_for("its weight is 0", || weights(&table, 80) == other(0));
    let _again = TcpListener::bind(one).unwrap();
    wait_for("it has its weight again", || weights(&table, 80) == other(1));
}

#[test]
fn a_pessimists_server_is_let_in_by_its_first_success() {
    let (listening, one) = listener();
    drop(listening);
    let diary = Diary::new();
    let mut server = virtual_server(80, &[one], Timing { alpha: true, ..timing() });
    server.checked.servers[0].notify_up = Some(diary.entry("up"));
    server.checked.servers[0].notify_down = Some(diary.entry("down"));
    let (table, health) = start(server);
    assert_eq!(weights(&table, 80), [], "it is out from the start");
    wait_for("its check has failed", || listing(&health).servers[0].checks[0].has_run);
    assert_eq!(weights(&table, 80), []);
    let _listening = TcpListener::bind(one).unwrap();
    wait_for("it is in", || weights(&table, 80) == [(one, 1)]);
    wait_for("it is told of", || diary.read().last().is_some_and(|last| last == "up"));
}

#[test]
fn the_quorum_comes_and_goes_on_either_side_of_its_hysteresis_and_is_told_of() {
    let three: Vec<(TcpListener, SocketAddr)> = (0..3).map(|_| listener()).collect();
    let addresses: Vec<SocketAddr> = three.iter().map(|(_, address)| *address).collect();
    let diary = Diary::new();
    let mut server = virtual_server(80, &addresses, timing());
    let policy = &mut server.checked.policy;
    (policy.quorum, policy.hysteresis) = (2, 1);
    (policy.quorum_up, policy.quorum_down) = (Some(diary.entry("up")), Some(diary.entry("down")));
    let (table, health) = start(server);
    let is_at = |weight: usize, has_quorum: bool| {
        wait_for("so many serve", || {
            weights(&table, 80).len() == weight && listing(&health).weight == weight as u64
        });
        assert_eq!(listing(&health).has_quorum, has_quorum, "with a weight of {weight}");
    };
    let told = |what: &[&str]| wait_for("it is told of", || diary.read() == what);
    is_at(3, true);
    told(&["up"]);
    let mut three = three.into_iter();
    drop(three.next());
    is_at(2, true);
    drop(three.next());
    is_at(1, true);
    drop(three.next());
    is_at(0, false);
    told(&["up", "down"]);
    let mut again = vec![TcpListener::bind(addresses[0]).unwrap()];
    is_at(1, false);
    again.push(TcpListener::bind(addresses[1]).unwrap());
    is_at(2, false);
    again.push(TcpListener::bind(addresses[2]).unwrap());
    is_at(3, true);
    told(&["up", "down", "up"]);
}

#[test]
fn who_goes_and_who_comes_is_told_of_once() {
    let (listening, one) = listener();
    let diary = Diary::new();
    let mut server = virtual_server(80, &[one], timing());
    server.checked.servers[0].notify_up = Some(diary.entry("up"));
    server.checked.servers[0].notify_down = Some(diary.entry("down"));
    let (table, health) = start(server);
    wait_for("it was checked", || listing(&health).servers[0].checks[0].has_run);
    assert_eq!(diary.read(), Vec::<String>::new(), "it was up before");
    drop(listening);
    wait_for("it is out", || weights(&table, 80).is_empty());
    wait_for("it is told of", || diary.read() == ["down"]);
    thread::sleep(4 * timing().delay_loop);
    let _again = TcpListener::bind(one).unwrap();
    wait_for("it is in", || weights(&table, 80) == [(one, 1)]);
    wait_for("it is told of", || diary.read() == ["down", "up"]);
}

#[test]
fn the_first_check_comes_within_the_warm_up_and_not_at_once() {
    let (_listening, one) = listener();
    let (_other, two) = listener();
    let mut server = virtual_server(80, &[one, two], Timing { warmup: Duration::ZERO, ..timing() });
    server.checked.servers[1].checks[0].timing.warmup = Duration::from_hours(2);
    let (_table, health) = start(server);
    let has_run = |place: usize| listing(&health).servers[place].checks[0].has_run;
    wait_for("the one without a warm-up was checked", || has_run(0));
    thread::sleep(Duration::from_millis(200));
    assert!(!has_run(1) && listing(&health).servers[1].is_up);
}

#[test]
fn one_check_is_made_for_all_that_ask_for_the_same() {
    let (listening, one) = listener();
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listening.incoming() {
            drop(stream);
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let began = Instant::now();
    let five = (80..85).map(|port| virtual_server(port, &[one], timing())).collect();
    let table = Arc::new(Table::default());
    let health = health::start(declared(five), Arc::<Table>::clone(&table), None).unwrap();
    thread::sleep(10 * timing().delay_loop);
    assert_eq!(listing(&health).servers[0].checks[0].users, 5);
    drop(health);
    let turns = began.elapsed().as_millis() / timing().delay_loop.as_millis() + 1;
    let made = count.load(std::sync::atomic::Ordering::Relaxed);
    assert!(made > 1 && made as u128 <= turns, "{made} connections in {turns} turns");
    assert!((80..85).all(|port| weights(&table, port) == [(one, 1)]));
}
