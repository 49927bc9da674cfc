//! Accept mode: a master without it takes nothing that is sent to its addresses, and yet answers its neighbours and
//! forwards for its virtual servers; and no rule is left on the host once it is no master, however that came.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]
#![allow(dead_code, reason = "each test program uses its part of the routers")]

#[path = "vrrp/config.rs"]
mod config;
mod net;
#[path = "vrrp/pair.rs"]
mod pair;

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use config::{Router, Way, way};
use net::LVSD;
use net::client::ask_udp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pair::{Kind, Pair};

/// How long an answer is waited for that is not to come.
const SILENCE: Duration = Duration::from_secs(1);

/// The pair with a client, which has an address in the network of the virtual one.
fn with_client(way: Way) -> Pair {
    let mut pair = Pair::new(way);
    pair.add_stranger();
    if way.is_ipv6 {
        for (host, number) in [("a", 1), ("b", 2), ("c", 3)] {
            pair.net.ip(host, &format!("addr add fd09::{number}/64 dev ens nodad\n"));
        }
    }
    pair
}

/// What the client's connection to the address comes to, and its ping.
fn ask(pair: &Pair) -> (ErrorKind, bool) {
    let service = SocketAddr::new(pair.way.vip().parse().unwrap(), 4711);
    let connect = || TcpStream::connect_timeout(&service, SILENCE).unwrap_err().kind();
    let told = pair.net.host("c").inside(connect).unwrap();
    (told, pair.net.run("c", &["ping", "-c1", "-W1", pair.way.vip()]).status == Some(0))
}

/// Nobody listens there: where packets are taken the host refuses, where they are not it says nothing.
const TAKEN: (ErrorKind, bool) = (ErrorKind::ConnectionRefused, true);
const CLOSED: (ErrorKind, bool) = (ErrorKind::TimedOut, false);

fn rules(pair: &Pair, host: &str) -> String {
    pair.net.run(host, &["nft", "list", "ruleset"]).good()
}

/// The neighbour's MAC address that the client has for the virtual one.
fn neighbour(pair: &Pair) -> String {
    pair.net.run("c", &["ip", "neigh", "show", pair.way.vip()]).good()
}

fn closes_and_opens(way: Way) {
    let mut pair = with_client(way);
    let before = ["a", "b"].map(|host| pair.net.snapshot(host));
    pair.start_with("a", Kind::Lvsd, &Router::new(150).with("no_accept\n"));
    pair.wait_for_master("a", "alone");
    pair.start_with("b", Kind::Lvsd, &Router::new(100).with("no_accept\n"));
    pair.wait_until_heard("b");
    assert_eq!(ask(&pair), CLOSED, "{}", rules(&pair, "a"));
    assert!(neighbour(&pair).contains("lladdr"), "{}", neighbour(&pair));
    assert!(rules(&pair, "a").contains(way.vip()), "{}", rules(&pair, "a"));
    assert_eq!(rules(&pair, "b"), "", "a backup has no rules");
    // Its own address is as it was.
    if !way.is_ipv6 {
        pair.net.run("c", &["ping", "-c1", "-W2", "10.9.0.1"]).good();
    }

    // A master that becomes a backup, and one again.
    fs::write(pair.file("a-low"), "").unwrap();
    pair.wait_for_master("b", "a's script fails");
    pair.wait("the rules go with the address", || rules(&pair, "a").is_empty());
    assert!(rules(&pair, "b").contains(way.vip()), "{}", rules(&pair, "b"));
    assert_eq!(ask(&pair), CLOSED, "{}", rules(&pair, "b"));
    fs::remove_file(pair.file("a-low")).unwrap();
    pair.wait_for_master("a", "a's script is well again");
    assert_eq!(ask(&pair), CLOSED, "{}", rules(&pair, "a"));

    // A new file opens the address, and closes it again, while it stays where it is.
    for (kind, expected) in [("", TAKEN), ("no_accept\n", CLOSED)] {
        let text = Router::new(150).with(kind).text(way, "a", &pair.net.files);
        fs::write(pair.file("a.conf"), text).unwrap();
        pair.net.run("a", &[LVSD, "reload", "--socket", &pair.file("a-sock")]).good();
        assert_eq!(ask(&pair), expected, "{}", rules(&pair, "a"));
        assert_eq!(rules(&pair, "a").is_empty(), expected == TAKEN);
    }
    assert_eq!(pair.listing("a").unwrap()["instances"][0]["became_master"], 2);

    // Ended, and killed: both hosts are as they were found.
    pair.stop("a");
    pair.wait_for_master("b", "a resigned");
    pair.net.assert_unchanged("a", &before[0]);
    pair.kill("b");
    // A script that is just being started has the daemon's sockets until it runs.
    pair.wait("the address goes with the killed daemon", || !pair.holds("b") && rules(&pair, "b").is_empty());

    // What begins after a crash finds nothing in its way.
    pair.start_with("b", Kind::Lvsd, &Router::new(100).with("no_accept\n"));
    pair.wait_for_master("b", "again");
    assert_eq!(ask(&pair), CLOSED, "{}", rules(&pair, "b"));
}

#[test]
#[ignore = "needs root"]
fn without_accept_mode_nothing_is_taken_and_neighbours_are_answered() {
    closes_and_opens(way(3, false, false));
    closes_and_opens(way(3, true, false));
}

#[test]
#[ignore = "needs root"]
fn no_rule_is_left_where_the_guard_was_killed_too() {
    let mut pair = with_client(way(3, false, false));
    pair.start_with("a", Kind::Lvsd, &Router::new(150).with("no_accept\n"));
    pair.wait_for_master("a", "alone");
    let daemon = pair.running["a"].pid();
    pair.signal("a", Signal::SIGSTOP);
    let guards = pair.net.run("a", &["pgrep", "-P", &daemon.to_string(), "-f", "vrrp-guard"]).good();
    for guard in guards.split_whitespace() {
        kill(Pid::from_raw(guard.parse().unwrap()), Signal::SIGKILL).unwrap();
    }
    pair.kill("a");
    assert!(pair.holds("a"), "nobody was there to take it back");
    pair.wait("the table goes with the daemon", || rules(&pair, "a").is_empty());
    assert_eq!(ask(&pair), TAKEN);
}

#[test]
#[ignore = "needs root"]
fn the_owner_of_the_addresses_takes_what_is_sent_to_them() {
    let mut pair = with_client(way(3, false, false));
    pair.start_with("a", Kind::Lvsd, &Router::new(255).with("no_accept\n"));
    pair.wait_for_master("a", "alone");
    assert_eq!(ask(&pair), TAKEN);
    assert_eq!(rules(&pair, "a"), "");
    pair.stop("a");
    // Others are strict by not taking anything, and say so where they do.
    for (strict, expected) in [("strict_mode\n", CLOSED), ("strict_mode\naccept\n", TAKEN)] {
        pair.start_with("a", Kind::Lvsd, &Router::new(150).with(strict));
        pair.wait_for_master("a", "alone");
        assert_eq!(ask(&pair), expected, "{}", rules(&pair, "a"));
        pair.stop("a");
    }
}

#[test]
#[ignore = "needs root"]
fn a_virtual_server_on_a_closed_address_forwards() {
    let mut pair = with_client(way(3, false, false));
    pair.net.add(&["s"]);
    pair.net.plug("s", "ens", ("switch", "br0"), &["10.9.0.4/24"]);
    let vip: IpAddr = pair.way.vip().parse().unwrap();
    for (key, value) in [("ipv4/conf/all/arp_ignore", "1"), ("ipv4/conf/all/arp_announce", "2")] {
        pair.net.host("s").sysctl(key, value).unwrap();
    }
    pair.net.ip("s", &format!("addr add {vip}/32 dev lo\n"));
    pair.net.echo("s", vip, 7777);
    let served = format!(
        "virtual_server {vip} 7777 {{\nlb_algo rr\nlb_kind DR\nprotocol UDP\nreal_server 10.9.0.4 7777 {{\nweight 1\n}}\n}}\n"
    );
    pair.start_with("a", Kind::Lvsd, &Router::new(150).with("no_accept\n").serving(&served));
    pair.wait_for_master("a", "alone");
    assert_eq!(ask(&pair), CLOSED, "{}", rules(&pair, "a"));
    for number in 0..10 {
        let answer = ask_udp(pair.net.host("c"), (vip, 7777).into(), &format!("question {number}"));
        assert_eq!(answer.unwrap(), "s", "{}", pair.log("a"));
    }
}
