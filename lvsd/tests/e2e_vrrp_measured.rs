//! How long an address is without a master, beside keepalived in the same run; and what lvsd must keep to.
//!
//! Prints the table of `vrrp/README.md`. The gap is what a client notices that asks every millisecond.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]
#![allow(clippy::print_stdout, reason = "what was measured is printed")]
#![allow(dead_code, reason = "each test program uses its part of the routers")]

#[path = "vrrp/config.rs"]
mod config;
#[path = "vrrp/forger.rs"]
mod forger;
mod net;
#[path = "vrrp/pair.rs"]
mod pair;
#[path = "vrrp/probe.rs"]
mod probe;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use config::{Router, Way, way};
use nix::sys::signal::Signal;
use pair::{Kind, Pair};
use probe::Probe;

const SECOND: Duration = Duration::from_secs(1);
/// What a machine with other things to do may add.
const SLACK: Duration = Duration::from_millis(600);

/// Two routers of the same kind, `a` master over `b`, and a client.
struct Twins {
    // It looks at the network, and goes before it.
    probe: Probe,
    pair: Pair,
    kind: Kind,
    is_signed: bool,
}

impl Twins {
    fn new(kind: Kind, interval: u64, is_signed: bool) -> Self {
        let mut pair = Pair::new(Way { interval, ..way(3, false, false) });
        pair.add_stranger();
        let host = |name| pair.net.host(name);
        let probe = Probe::start(host("c"), &[host("a"), host("b")], pair.way.vip().parse().unwrap());
        let mut twins = Self { probe, pair, kind, is_signed };
        twins.start("a");
        twins.start("b");
        twins.settle();
        twins
    }

    fn start(&mut self, host: &'static str) {
        let router = Router::new(if host == "a" { 150 } else { 100 });
        let router = if self.is_signed { router.signed() } else { router };
        self.pair.start_with(host, self.kind, &router);
    }

    /// Waits until `a` is master, `b` has heard a few of its adverts, and the client is answered.
    fn settle(&self) {
        self.pair.wait_for_master("a", "of two alike");
        thread::sleep(Duration::from_millis(self.pair.way.interval * 2) + SECOND);
        self.pair.wait("the client is answered", || self.probe.is_answered());
    }

    /// What the client notices of `event`, once `b` holds the address and the client is answered.
    fn gap(&mut self, event: impl FnOnce(&mut Self)) -> Duration {
        let began = Instant::now();
        event(self);
        self.pair.wait("b takes over", || self.pair.holds("b"));
        thread::sleep(Duration::from_millis(100));
        self.pair.wait("the client is answered", || self.probe.is_answered());
        self.probe.gap_since(began)
    }

    fn back(&mut self, event: impl FnOnce(&mut Self)) {
        event(self);
        self.settle();
    }

    /// What the client notices within a time, whoever is master.
    fn gap_within(&mut self, time: Duration, event: impl FnOnce(&mut Self)) -> Duration {
        let began = Instant::now();
        event(self);
        thread::sleep(time.saturating_sub(began.elapsed()));
        self.probe.gap_since(began)
    }

    /// Waits until half an interval after an advert of `a`: where in it a master ends decides how long the gap is.
    fn wait_between_adverts(&self) {
        forger::record(self.pair.net.host("c"), "10.9.0.1".parse().unwrap());
        thread::sleep(Duration::from_millis(self.pair.way.interval / 2));
    }

    /// How long the gap is at the end of a master that sent its last advert half an interval ago.
    fn down(&self) -> Duration {
        self.pair.way.down(100).saturating_sub(Duration::from_millis(self.pair.way.interval / 2))
    }
}

fn row(kind: Kind, interval: u64, what: &str, measured: &str) {
    let name = if kind == Kind::Lvsd { "lvsd" } else { "keepalived 2.2.7" };
    println!("| {what} | {interval} ms | {name} | {measured} |");
}

fn milliseconds(gaps: &[Duration]) -> String {
    let mut sorted: Vec<u128> = gaps.iter().map(Duration::as_millis).collect();
    sorted.sort_unstable();
    let all: Vec<String> = sorted.iter().map(u128::to_string).collect();
    format!("{} ms", all.join(", "))
}

/// The link is cut, and the master ended, so often.
fn measure_ends(kind: Kind, interval: u64, times: usize) {
    let mut twins = Twins::new(kind, interval, false);
    let [mut cuts, mut ends] = [Vec::new(), Vec::new()];
    for _ in 0..times {
        twins.wait_between_adverts();
        cuts.push(twins.gap(|twins| twins.pair.cut("a", true)));
        twins.back(|twins| twins.pair.cut("a", false));
        twins.wait_between_adverts();
        ends.push(twins.gap(|twins| twins.pair.signal("a", Signal::SIGTERM)));
        twins.pair.stop("a");
        twins.back(|twins| twins.start("a"));
    }
    row(kind, interval, "link cut: gap", &milliseconds(&cuts));
    row(kind, interval, "SIGTERM: gap", &milliseconds(&ends));
    twins.wait_between_adverts();
    let began = Instant::now();
    let mut is_gone_after = None;
    let killed = twins.gap(|twins| {
        twins.pair.kill("a");
        while is_gone_after.is_none() && began.elapsed() < SECOND {
            is_gone_after = (!twins.pair.holds("a")).then(|| began.elapsed());
        }
    });
    row(kind, interval, "kill -9: gap", &milliseconds(&[killed]));
    let stays =
        is_gone_after.map_or_else(|| "stays".to_owned(), |after| format!("gone, {}", milliseconds(&[after])));
    row(kind, interval, "kill -9: the dead host's address", &stays);
    if kind == Kind::Lvsd {
        let down = twins.down();
        for cut in cuts.iter().chain([&killed]) {
            assert!(*cut <= down + SLACK && *cut + SLACK >= down, "{cut:?}");
        }
        let skew = twins.pair.way.down(100).saturating_sub(Duration::from_millis(interval * 3));
        assert!(ends.iter().all(|end| *end <= skew + SLACK), "{ends:?}");
        assert!(is_gone_after.is_some(), "the address stayed on the dead host");
    }
}

#[test]
#[ignore = "needs root"]
fn the_gap_at_the_end_of_a_master() {
    for kind in [Kind::Keepalived, Kind::Lvsd] {
        measure_ends(kind, 1000, 1);
        measure_ends(kind, 100, 3);
    }
}

#[test]
#[ignore = "needs root"]
fn a_file_with_a_mistake_is_reloaded() {
    for kind in [Kind::Keepalived, Kind::Lvsd] {
        let mut twins = Twins::new(kind, 1000, false);
        let file = twins.pair.file("a.conf");
        let mistaken = fs::read_to_string(&file).unwrap().replace("vrrp_instance", "vrp_instance");
        fs::write(&file, mistaken).unwrap();
        let gap = twins.gap_within(SECOND * 2, |twins| twins.pair.signal("a", Signal::SIGHUP));
        let is_kept = twins.pair.holds("a");
        let holder = if is_kept { "the master keeps its address" } else { "the master loses its address" };
        row(kind, 1000, "a bad reload", &format!("{holder}, gap {}", milliseconds(&[gap])));
        assert!(kind == Kind::Keepalived || (is_kept && gap < Duration::from_millis(200)), "{gap:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn an_advert_of_priority_255_is_forged() {
    for (kind, is_signed) in [(Kind::Keepalived, false), (Kind::Lvsd, false), (Kind::Lvsd, true)] {
        let mut twins = Twins::new(kind, 1000, is_signed);
        let gap = twins.gap_within(SECOND * 5, |twins| {
            forger::forge(twins.pair.net.host("c"), twins.pair.way, 51);
        });
        let what = if is_signed { "one forged advert, auth_hmac: gap" } else { "one forged advert: gap" };
        row(kind, 1000, what, &milliseconds(&[gap]));
        assert!(!is_signed || gap < Duration::from_millis(200), "{gap:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn a_dead_masters_advert_is_replayed_to_its_backup() {
    for (kind, is_signed) in [(Kind::Keepalived, false), (Kind::Lvsd, true)] {
        let mut twins = Twins::new(kind, 100, is_signed);
        let packet = forger::record(twins.pair.net.host("c"), "10.9.0.1".parse().unwrap());
        let gap = twins.gap(|twins| {
            twins.pair.cut("a", true);
            forger::replay(twins.pair.net.host("c"), &packet, Duration::from_millis(50), SECOND * 3);
        });
        let what =
            if is_signed { "cut, replayed for 3 s, auth_hmac: gap" } else { "cut, replayed for 3 s: gap" };
        row(kind, 100, what, &milliseconds(&[gap]));
        assert!(!is_signed || gap <= twins.pair.way.down(100) + SLACK, "{gap:?}");
    }
}
