//! Virtual routers beside real keepalived, each on a host of its own on a bridge, by the same file: who is master,
//! through elections, ends, deaths, cuts and changes of priority.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]
#![allow(dead_code, reason = "each test program uses its part of the routers")]

#[path = "vrrp/config.rs"]
mod config;
#[path = "vrrp/forger.rs"]
mod forger;
mod net;
#[path = "vrrp/pair.rs"]
mod pair;

use std::fs;
use std::time::{Duration, Instant};

use config::{Router, WAYS, Way, way};
use pair::{Kind, Pair};

/// lvsd on one host with the higher priority or the lower, keepalived on the other.
fn meet(way: Way, lvsd_is_high: bool) {
    let mut pair = Pair::new(way);
    let [high, low] =
        if lvsd_is_high { [Kind::Lvsd, Kind::Keepalived] } else { [Kind::Keepalived, Kind::Lvsd] };
    pair.start("b", low, 100);
    pair.wait_for_master("b", "alone");
    pair.start("a", high, 150);
    pair.wait_for_master("a", "preemption");

    fs::write(pair.file("a-low"), "").unwrap();
    pair.wait_for_master("b", "a's script fails: its priority sinks");
    fs::remove_file(pair.file("a-low")).unwrap();
    pair.wait_for_master("a", "a's script is well again");

    pair.stop("a");
    let gap = pair.wait_for_master("b", "a resigns");
    assert!(gap < Duration::from_millis(way.interval + 1000), "a resigned: {gap:?}");
    pair.start("a", high, 150);
    pair.wait_for_master("a", "a returns");

    pair.cut("a", true);
    // Each notices at its own end that the link is down.
    pair.wait_for_master("b", "the link is cut");
    pair.cut("a", false);
    pair.wait_for_master("a", "the link is whole again");

    let killed = Instant::now();
    pair.kill("a");
    if lvsd_is_high {
        pair.wait("the address goes with the killed daemon", || !pair.holds("a"));
        assert!(killed.elapsed() < Duration::from_secs(1), "the address stayed on the dead host");
    } else {
        // keepalived leaves the address behind.
        let length = if way.is_ipv6 { 128 } else { 32 };
        pair.net.run("a", &["ip", "addr", "del", &format!("{}/{length}", way.vip()), "dev", "ens"]);
    }
    pair.wait_for_master("b", "a was killed");
    if low == Kind::Lvsd {
        let listing = pair.listing("b").unwrap();
        assert_eq!(listing["instances"][0]["rejects"], serde_json::json!([]), "{listing}");
    }
}

#[test]
#[ignore = "needs root"]
fn version_2_with_a_password_by_multicast() {
    meet(way(2, false, false), true);
    meet(way(2, false, false), false);
}

#[test]
#[ignore = "needs root"]
fn version_2_with_a_password_by_unicast() {
    meet(way(2, false, true), true);
    meet(way(2, false, true), false);
}

#[test]
#[ignore = "needs root"]
fn version_3_with_ipv4_by_multicast() {
    meet(way(3, false, false), true);
    meet(way(3, false, false), false);
}

#[test]
#[ignore = "needs root"]
fn version_3_with_ipv4_by_unicast() {
    meet(way(3, false, true), true);
    meet(way(3, false, true), false);
}

#[test]
#[ignore = "needs root"]
fn version_3_with_ipv6_by_multicast() {
    meet(way(3, true, false), true);
    meet(way(3, true, false), false);
}

#[test]
#[ignore = "needs root"]
fn version_3_with_ipv6_by_unicast() {
    meet(way(3, true, true), true);
    meet(way(3, true, true), false);
}

#[test]
#[ignore = "needs root"]
fn of_equal_priorities_the_higher_address_wins() {
    for way in WAYS {
        for [a, b] in [[Kind::Lvsd, Kind::Keepalived], [Kind::Keepalived, Kind::Lvsd]] {
            let mut pair = Pair::new(way);
            pair.start("a", a, 100);
            pair.start("b", b, 100);
            pair.wait_for_one("of equal priority");
            // Cut off from each other, each takes the other for dead.
            pair.part(true);
            pair.wait("both are master", || pair.holds("a") && pair.holds("b"));
            pair.part(false);
            pair.wait_for_master("b", "it has the higher address");
        }
    }
}

#[test]
#[ignore = "needs root"]
fn the_checksum_of_the_rfc_is_read_and_that_of_keepalived_is_sent() {
    // keepalived 2.2.7 sends and wants the pseudo-header under the checksum.
    let mut pair = Pair::new(way(3, false, false));
    pair.start("a", Kind::Keepalived, 150);
    pair.wait_for_master("a", "alone");
    pair.start("b", Kind::Lvsd, 100);
    pair.wait_until_heard("b");
    let instance = pair.listing("b").unwrap()["instances"][0].clone();
    assert_eq!(instance["checksum_without"], 0, "{instance}");
    assert!(instance["checksum_with_pseudo_header"].as_u64() > Some(0), "{instance}");
    pair.stop("a");
    pair.wait_for_master("b", "a resigned");

    // Another lvsd sends as RFC 9568 says: both are one virtual router all the same.
    pair.start_with("a", Kind::Lvsd, &Router::new(150).with("v3_checksum_as_v2\n"));
    pair.wait_for_master("a", "the RFC's checksum is believed");
    let seen = |listing: serde_json::Value| listing["instances"][0]["checksum_without"].as_u64() > Some(0);
    pair.wait("it is counted", || pair.listing("b").is_some_and(seen));

    // keepalived refuses exactly that: both would be masters, which is why it is not what lvsd sends.
    pair.stop("b");
    pair.start("b", Kind::Keepalived, 100);
    pair.wait("keepalived hears no master", || pair.holds("a") && pair.holds("b"));
}

#[test]
#[ignore = "needs root"]
fn a_forged_advert_of_the_highest_priority_moves_nothing_where_adverts_are_signed() {
    let mut pair = Pair::new(way(3, false, false));
    pair.add_stranger();
    pair.start_with("a", Kind::Lvsd, &Router::new(150).signed());
    pair.wait_for_master("a", "alone");
    pair.start_with("b", Kind::Lvsd, &Router::new(100).signed());
    pair.wait_until_heard("b");
    forger::forge(pair.net.host("c"), pair.way, 51);
    for host in ["a", "b"] {
        pair.wait("the forged advert is counted", || {
            let listing = pair.listing(host).unwrap();
            let rejects = listing["instances"][0]["rejects"].as_array().unwrap().clone();
            rejects.iter().any(|reject| reject["reason"] == "no-hmac" && reject["adverts"] == 1)
        });
    }
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        assert!(pair.holds("a") && !pair.holds("b"), "{}", pair.log("a"));
        std::thread::sleep(Duration::from_millis(5));
    }
    let listing = pair.listing("a").unwrap();
    assert_eq!(listing["instances"][0]["became_master"], 1, "{listing}");
}

#[test]
#[ignore = "needs root"]
fn a_sent_advert_has_a_ttl_of_255_and_comes_from_the_primary_address() {
    let mut pair = Pair::new(way(3, false, false));
    pair.add_stranger();
    pair.start("a", Kind::Lvsd, 150);
    let packet = forger::record(pair.net.host("c"), "10.9.0.1".parse().unwrap());
    assert_eq!((packet[8], packet[9]), (255, 112), "{packet:?}");
    assert_eq!(packet[16..20], [224, 0, 0, 18], "{packet:?}");
}

#[test]
#[ignore = "needs root"]
fn a_router_of_another_interface_is_a_stranger() {
    let mut pair = Pair::new(way(3, false, false));
    pair.add_stranger();
    // Number 51 is on `ens`, number 52 on `ins`.
    pair.start_with("a", Kind::Lvsd, &Router::new(150).grouped());
    pair.wait_for_master("a", "alone");
    forger::forge(pair.net.host("c"), pair.way, 52);
    pair.wait("the stranger is counted", || {
        let listing = pair.listing("a").unwrap();
        let strangers = listing["strangers"].as_array().unwrap().clone();
        strangers.iter().any(|reject| reject["reason"] == "unknown-router" && reject["adverts"] == 1)
    });
    let listing = pair.listing("a").unwrap();
    for instance in listing["instances"].as_array().unwrap() {
        assert_eq!((&instance["state"], &instance["received"]), (&"MASTER".into(), &0.into()), "{listing}");
    }
}

#[test]
#[ignore = "needs root"]
fn the_virtual_mac_answers_for_the_address_and_goes_with_the_daemon() {
    let mut pair = Pair::new(way(3, false, false));
    pair.start_with("a", Kind::Lvsd, &Router::new(150).with("use_vmac\n"));
    pair.wait_for_master("a", "alone");
    pair.start_with("b", Kind::Lvsd, &Router::new(100).with("use_vmac\n"));
    pair.wait_until_heard("b");
    pair.add_stranger();
    pair.net.run("c", &["ping", "-c1", "-W2", pair.way.vip()]).good();
    let neighbours = pair.net.run("c", &["ip", "neigh", "show", pair.way.vip()]).good();
    assert!(neighbours.contains("00:00:5e:00:01:33"), "{neighbours}");
    pair.kill("a");
    let killed = Instant::now();
    let links = || pair.net.run("a", &["ip", "-o", "link"]).good();
    while links().contains("vrrp.51") {
        assert!(killed.elapsed() < Duration::from_secs(1), "{}", links());
    }
    pair.wait_for_master("b", "a was killed");
    pair.net.run("c", &["ping", "-c1", "-W2", pair.way.vip()]).good();
}

#[test]
#[ignore = "needs root"]
fn the_daemon_shows_its_virtual_routers() {
    let mut pair = Pair::new(way(3, false, false));
    pair.start("a", Kind::Lvsd, 150);
    pair.wait_for_master("a", "alone");
    let said = pair.net.run("a", &[net::LVSD, "vrrp", "--socket", &pair.file("a-sock")]).good();
    assert!(said.contains("MASTER") && said.contains("VI_1"), "{said}");
    pair.stop("a");
    assert!(!pair.holds("a"));
}
