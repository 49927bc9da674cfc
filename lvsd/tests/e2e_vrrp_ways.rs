//! Routes and rules that come and go with a virtual router, and those that last: the same as keepalived sets by the same
//! file, put back where the kernel lost them, and gone with the daemon however it ended.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]
#![allow(dead_code, reason = "each test program uses its part of the routers")]

#[path = "vrrp/config.rs"]
mod config;
mod net;
#[path = "vrrp/pair.rs"]
mod pair;

use std::fs;
use std::time::Duration;

use config::{Router, way};
use net::process::Process;
use net::{LVSD, Net};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pair::{Kind, Pair};

const VIRTUAL: &str = "virtual_routes {
src 10.9.0.100 to 10.109.0.0/24 via 10.9.0.254 dev ens
10.110.0.0/24 via 10.9.0.254 metric 7 table 100 mtu 1400
default via 10.9.0.3 table 101
10.111.0.0/24 dev ins
10.113.0.1 via 10.88.0.1 dev ens onlink
unreachable 10.112.0.0/24
blackhole 10.114.0.0/24 scope link
fd0a::/64 via fd09::254 dev ens metric 20
}
virtual_rules {
from 10.2.0.0/24 table 100
from 10.3.0.0/24 to 10.4.0.0/24 table 100 iif ens fwmark 24/12 preference 39
from 10.5.0.0/24 blackhole
to fd0a::/64 table 100 preference 40 oif ins
}
";
const LASTING: &str = "static_ipaddress {
10.7.0.1/24 dev ins
}
static_routes {
10.50.0.0/16 dev ins src 10.7.0.1
prohibit 10.51.0.0/16 table 7
}
static_rules {
from 10.60.0.0/16 table 7
to fd0b::/64 fwmark 5 table 7 preference 41
}
";

fn router(priority: u8, routes: &str) -> Router {
    Router::new(priority).with(routes).serving(LASTING)
}

/// The routes and rules of a host, but those for its own addresses, and its addresses.
fn ways(net: &Net, host: &str) -> Vec<String> {
    let ask = |command: &str| net.run(host, &command.split_whitespace().collect::<Vec<_>>()).good();
    let lists = [
        "ip -d route show table all",
        "ip -d -6 route show table all",
        "ip rule",
        "ip -6 rule",
        "ip -o addr",
    ];
    let all = lists.map(ask).concat();
    let is_of_interest = |line: &&str| !line.contains("table local") && !line.contains("fe80:");
    all.lines().filter(is_of_interest).map(|line| line.trim().replace("       ", " ")).collect()
}

/// What is there now and was not before.
fn new(pair: &Pair, host: &str, before: &[String]) -> Vec<String> {
    let mut now = ways(&pair.net, host);
    now.retain(|line| !before.contains(line));
    now
}

fn count(pair: &Pair, host: &str, word: &str) -> usize {
    ways(&pair.net, host).iter().filter(|line| line.contains(word)).count()
}

/// The pair on a network of both families.
fn pair() -> Pair {
    let pair = Pair::new(way(3, false, false));
    for (host, number) in [("a", 1), ("b", 2)] {
        pair.net.ip(host, &format!("addr add fd09::{number}/64 dev ens nodad\n"));
    }
    pair
}

#[test]
#[ignore = "needs root"]
fn the_same_file_sets_the_routes_and_rules_that_keepalived_sets() {
    let mut pair = pair();
    let before = ways(&pair.net, "a");
    let mut told = Vec::new();
    for kind in [Kind::Keepalived, Kind::Lvsd] {
        pair.start_with("a", kind, &router(150, VIRTUAL));
        pair.wait_for_master("a", "alone");
        pair.wait("the last of them is there", || count(&pair, "a", "fd0a::/64 oif ins") == 1);
        told.push(new(&pair, "a", &before));
        pair.stop("a");
        assert_eq!(new(&pair, "a", &before), Vec::<String>::new(), "{kind:?} leaves nothing behind");
    }
    assert!(told[0].len() > 17, "{:#?}", told[0]);
    assert_eq!(told[1], told[0], "{:#?}\n{:#?}", told[1], told[0]);
}

#[test]
#[ignore = "needs root"]
fn they_go_with_the_mastership_and_what_lasts_stays() {
    let mut pair = pair();
    let before = ["a", "b"].map(|host| (pair.net.snapshot(host), ways(&pair.net, host)));
    pair.start_with("a", Kind::Lvsd, &router(150, VIRTUAL));
    pair.wait_for_master("a", "alone");
    let all = new(&pair, "a", &before[0].1);
    pair.start_with("b", Kind::Lvsd, &router(100, VIRTUAL));
    pair.wait_until_heard("b");
    let lasting = new(&pair, "b", &before[1].1);
    assert!(lasting.len() < 8 && lasting.len() > 4, "{lasting:#?}");
    assert!(
        lasting.iter().all(|line| !line.contains("10.109") && !line.contains("10.2.0.0")),
        "{lasting:#?}"
    );

    fs::write(pair.file("a-low"), "").unwrap();
    pair.wait_for_master("b", "a's script fails");
    pair.wait("its routes and rules go", || new(&pair, "a", &before[0].1) == lasting);
    fs::remove_file(pair.file("a-low")).unwrap();
    pair.wait_for_master("a", "a's script is well again");
    pair.wait("they come again", || new(&pair, "a", &before[0].1) == all);

    // The kernel drops the routes of an interface that goes down, and tells of nothing when it comes up.
    pair.net.ip("a", "link set ins down\n");
    assert_eq!(count(&pair, "a", "10.111.0.0/24") + count(&pair, "a", "10.50.0.0/16"), 0);
    pair.net.ip("a", "link set ins up\n");
    pair.wait("they are put back", || new(&pair, "a", &before[0].1) == all);

    pair.stop("a");
    pair.net.assert_unchanged("a", &before[0].0);
    pair.wait_for_master("b", "a resigned");
    pair.kill("b");
    pair.wait("all goes with the killed daemon", || new(&pair, "b", &before[1].1).is_empty());
    pair.net.assert_unchanged("b", &before[1].0);
}

#[test]
#[ignore = "needs root"]
fn a_reload_changes_only_what_differs() {
    let mut pair = pair();
    pair.start_with("a", Kind::Lvsd, &router(150, VIRTUAL));
    pair.wait_for_master("a", "alone");
    let log = pair.net.files.join("monitor.log");
    let mut monitor =
        Process::start(pair.net.host("a"), &["ip", "monitor", "route", "rule"], &[], log.clone());
    std::thread::sleep(Duration::from_millis(300));
    let changed = VIRTUAL
        .replace("10.110.0.0/24 via 10.9.0.254 metric 7", "10.120.0.0/24 via 10.9.0.254 metric 7")
        .replace("preference 39", "preference 38");
    fs::write(pair.file("a.conf"), router(150, &changed).text(pair.way, "a", &pair.net.files)).unwrap();
    pair.net.run("a", &[LVSD, "reload", "--socket", &pair.file("a-sock")]).good();
    std::thread::sleep(Duration::from_millis(300));
    monitor.kill();
    let told = fs::read_to_string(log).unwrap();
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told.len(), 4, "{told:#?}");
    for (deleted, what) in [(true, "10.110.0.0/24"), (false, "10.120.0.0/24"), (true, "39:"), (false, "38:")]
    {
        let is_it = |line: &&str| line.starts_with("Deleted") == deleted && line.contains(what);
        assert!(told.iter().any(is_it), "{what} {told:#?}");
    }
    assert_eq!(pair.listing("a").unwrap()["instances"][0]["became_master"], 1);
    // Static ones that are declared no more go as well.
    let text = Router::new(150).text(pair.way, "a", &pair.net.files);
    fs::write(pair.file("a.conf"), text).unwrap();
    pair.net.run("a", &[LVSD, "reload", "--socket", &pair.file("a-sock")]).good();
    assert_eq!(count(&pair, "a", "proto keepalived"), 0, "{:#?}", ways(&pair.net, "a"));
    assert_eq!(count(&pair, "a", "10.7.0.1"), 0);
}

#[test]
#[ignore = "needs root"]
fn what_a_crash_left_behind_confuses_nobody() {
    let mut pair = pair();
    let before = ways(&pair.net, "a");
    pair.start_with("a", Kind::Lvsd, &router(150, VIRTUAL));
    pair.wait_for_master("a", "alone");
    let all = new(&pair, "a", &before);
    // The guard dies first: nobody takes anything back.
    let daemon = pair.running["a"].pid();
    pair.signal("a", Signal::SIGSTOP);
    let guards = pair.net.run("a", &["pgrep", "-P", &daemon.to_string(), "-f", "vrrp-guard"]).good();
    for guard in guards.split_whitespace() {
        kill(Pid::from_raw(guard.parse().unwrap()), Signal::SIGKILL).unwrap();
    }
    pair.kill("a");
    assert_eq!(new(&pair, "a", &before), all);
    pair.start_with("a", Kind::Lvsd, &router(100, VIRTUAL));
    pair.wait("a master again", || {
        pair.listing("a").is_some_and(|listing| listing["instances"][0]["state"] == "MASTER")
    });
    assert_eq!(new(&pair, "a", &before), all);
    pair.stop("a");
    // An address that is there already is not the daemon's to take away.
    let left = new(&pair, "a", &before);
    assert!(left.iter().all(|line| line.contains("10.7.0")), "{left:#?}");
}

#[test]
#[ignore = "needs root"]
fn what_lasts_needs_no_virtual_router() {
    let pair = pair();
    let before = pair.net.snapshot("a");
    let file = pair.file("lasting.conf");
    fs::write(&file, LASTING).unwrap();
    let socket = pair.file("a-sock");
    let log = pair.net.files.join("lasting.log");
    let command = [LVSD, "run", "-i", "ens", "--keepalived", &file, "--socket", &socket];
    let mut process = Process::start(pair.net.host("a"), &command, &[], log);
    pair.wait("it is there", || {
        count(&pair, "a", "10.51.0.0/16") == 1 && count(&pair, "a", "fwmark 0x5") == 1
    });
    assert!(process.stop(), "{}", process.said());
    pair.net.assert_unchanged("a", &before);
}

#[test]
#[ignore = "needs root"]
fn secondary_addresses_are_promoted_as_long_as_it_is_declared() {
    let mut pair = pair();
    let promotes = |pair: &Pair, interface: &str| {
        let path = format!("/proc/sys/net/ipv4/conf/{interface}/promote_secondaries");
        pair.net.run("a", &["cat", &path]).good().trim() == "1"
    };
    for interface in ["default", "ens"] {
        pair.net.host("a").sysctl(&format!("ipv4/conf/{interface}/promote_secondaries"), "0").unwrap();
    }
    let before = pair.net.snapshot("a");
    for (lines, interface) in
        [("promote_secondaries\n", "ens"), ("promote_secondaries\nuse_vmac\n", "vrrp.51")]
    {
        pair.start_with("a", Kind::Lvsd, &Router::new(150).with(lines));
        pair.wait_for_master("a", "alone");
        assert!(promotes(&pair, interface));
        assert_eq!(promotes(&pair, "ens"), interface == "ens");
        // A new file takes it back, and sets it again.
        for (inside, expected) in
            [(lines.replace("promote_secondaries\n", ""), false), (lines.to_owned(), true)]
        {
            let text = Router::new(150).with(&inside).text(pair.way, "a", &pair.net.files);
            fs::write(pair.file("a.conf"), text).unwrap();
            pair.net.run("a", &[LVSD, "reload", "--socket", &pair.file("a-sock")]).good();
            assert_eq!(promotes(&pair, interface), expected);
        }
        pair.stop("a");
        pair.net.assert_unchanged("a", &before);
        pair.start_with("a", Kind::Lvsd, &Router::new(150).with(lines));
        pair.wait_for_master("a", "alone");
        pair.kill("a");
        pair.wait("it goes with the killed daemon", || !pair.holds("a") && !promotes(&pair, "ens"));
        pair.wait("all of it does", || before.0.difference(&pair.net.snapshot("a").0).is_empty());
    }
}
