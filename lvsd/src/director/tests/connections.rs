//! Connections from their first packet to their last, and servers that come and go under them.

use std::time::Duration;

use lvs_conntrack::Proto;
use lvs_forward::{DropReason, Verdict};

use super::frames::{ACK, FIN, RST, SYN, other, tcp, udp};
use super::scene::{INSIDE, OUTSIDE, Scene, at, client, fib, ip};

const VIP: &str = "203.0.113.1:80";

/// A service with two direct-routed servers, 11 and 12, round-robin.
fn two() -> Scene {
    Scene::new(&[
        "-A -t 203.0.113.1:80 -s rr",
        "-a -t 203.0.113.1:80 -r 10.0.0.11",
        "-a -t 203.0.113.1:80 -r 10.0.0.12",
    ])
}

#[test]
fn nat_translates_both_ways() {
    for (vip, rip, cip) in [
        ("203.0.113.1:80", "10.0.0.11:8080", "198.51.100.7:4000"),
        ("[2001:db8::1]:80", "[2001:db8:b::11]:8080", "[2001:db8:c::7]:4000"),
    ] {
        let mut scene = Scene::new(&[&format!("-A -t {vip} -s rr"), &format!("-a -t {vip} -r {rip} -m")]);
        let there = scene.client_sends(&tcp(at(cip), at(vip), SYN));
        assert_eq!(there.verdict, Verdict::Send(INSIDE), "{vip}");
        assert_eq!((there.headers().dst, there.headers().ports()), (at(rip).ip(), (4000, 8080)));
        let back = scene.server_sends(&tcp(at(rip), at(cip), SYN | ACK));
        assert_eq!(back.verdict, Verdict::Send(OUTSIDE), "{vip}");
        assert_eq!((back.headers().src, back.headers().ports()), (at(vip).ip(), (80, 4000)));
        assert_eq!(scene.connections()[0].state, "SYN_RECV");
        scene.client_sends(&tcp(at(cip), at(vip), ACK));
        assert_eq!(scene.connections()[0].state, "ESTABLISHED");
        let stats = scene.servers()[0].stats;
        assert_eq!((stats.conns, stats.in_packets, stats.out_packets), (1, 2, 1));
        assert_eq!(scene.account().forwarded, 3);
    }
}

#[test]
fn an_answer_without_a_connection_is_the_hosts() {
    let mut scene = two();
    let outcome = scene.server_sends(&tcp(at("10.0.0.11:80"), client(7, 4000), ACK));
    assert_eq!(outcome.verdict, Verdict::ToHost);
    assert_eq!(outcome.headers().src, ip("10.0.0.11"), "it is as it came");
}

#[test]
fn an_answer_of_a_direct_routed_server_does_not_come_this_way() {
    let mut scene = two();
    scene.client_sends(&tcp(client(7, 4000), at(VIP), SYN));
    let answer = scene.server_sends(&tcp(at(VIP), client(7, 4000), RST));
    assert_eq!(answer.verdict, Verdict::Drop(DropReason::MartianSource), "the address is the director's own");
    assert_eq!(scene.connections()[0].state, "SYN_RECV");
}

#[test]
fn a_quiesced_server_keeps_its_connections_and_gets_no_new_ones() {
    let mut scene = two();
    let first = scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server();
    scene.ipvsadm(&format!("-e -t {VIP} -r 10.0.0.{first} -w 0"));
    assert_eq!(scene.client_sends(&tcp(client(1, 1), at(VIP), ACK)).server(), first);
    for port in 2..6 {
        assert_ne!(scene.client_sends(&tcp(client(1, port), at(VIP), SYN)).server(), first);
    }
    assert_eq!(scene.counts(first), (1, 0, 0));
}

#[test]
fn a_removed_server_comes_back_with_its_connections_and_counters() {
    let mut scene = two();
    let first = scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server();
    scene.ipvsadm(&format!("-d -t {VIP} -r 10.0.0.{first}"));
    let meanwhile = scene.client_sends(&tcp(client(1, 1), at(VIP), ACK));
    assert_eq!(meanwhile.verdict, Verdict::Drop(DropReason::ServerGone));
    scene.ipvsadm(&format!("-a -t {VIP} -r 10.0.0.{first}"));
    assert_eq!(scene.counts(first), (1, 0, 0));
    assert_eq!(scene.servers().iter().map(|server| server.stats.conns).sum::<u64>(), 1);
    assert_eq!(scene.client_sends(&tcp(client(1, 1), at(VIP), ACK)).server(), first);
}

#[test]
fn a_server_that_stays_away_is_forgotten() {
    let mut scene = two();
    let first = scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server();
    scene.ipvsadm(&format!("-d -t {VIP} -r 10.0.0.{first}"));
    // The connection ends after 60 s; then the server is idle for two minutes, looked at once a minute.
    for _ in 0..6 {
        scene.pass(Duration::from_mins(1));
    }
    scene.ipvsadm(&format!("-a -t {VIP} -r 10.0.0.{first}"));
    assert_eq!(scene.servers().iter().map(|server| server.stats.conns).sum::<u64>(), 0);
}

#[test]
fn a_service_made_anew_finds_its_servers_with_their_connections_and_counters() {
    let mut scene = two();
    scene.ipvsadm("-A -t 203.0.113.1:81 -s rr");
    let first = scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server();
    scene.ipvsadm(&format!("-D -t {VIP}"));
    let meanwhile = scene.client_sends(&tcp(client(1, 1), at(VIP), ACK));
    assert_eq!(meanwhile.verdict, Verdict::Drop(DropReason::ServerGone));
    scene.ipvsadm(&format!("-A -t {VIP} -s rr"));
    scene.ipvsadm(&format!("-a -t {VIP} -r 10.0.0.{first}"));
    assert_eq!((scene.counts(first), scene.servers()[0].stats.conns), ((1, 0, 0), 1));
    assert_eq!(scene.client_sends(&tcp(client(1, 1), at(VIP), ACK)).server(), first);
}

#[test]
fn without_a_service_of_its_family_every_packet_is_the_hosts() {
    let mut scene = two();
    let first = scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server();
    scene.ipvsadm("-A -t [2001:db8::1]:80 -s rr");
    scene.ipvsadm(&format!("-D -t {VIP}"));
    assert_eq!(scene.client_sends(&tcp(client(1, 1), at(VIP), ACK)).verdict, Verdict::ToHost);
    scene.ipvsadm(&format!("-A -t {VIP} -s rr"));
    scene.ipvsadm(&format!("-a -t {VIP} -r 10.0.0.{first}"));
    assert_eq!(scene.client_sends(&tcp(client(1, 1), at(VIP), ACK)).server(), first);
}

#[test]
fn with_expire_nodest_conn_a_removed_servers_connections_and_templates_end() {
    let mut scene = Scene::new(&[
        "-A -t 203.0.113.1:80 -s rr -p 300",
        "-a -t 203.0.113.1:80 -r 10.0.0.11",
        "-a -t 203.0.113.1:80 -r 10.0.0.12",
    ]);
    scene.set("expire_nodest_conn", "1");
    let first = scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server();
    scene.client_sends(&tcp(client(1, 1), at(VIP), ACK));
    let second = scene.client_sends(&tcp(client(2, 1), at(VIP), SYN)).server();
    assert_ne!(first, second);
    scene.ipvsadm(&format!("-d -t {VIP} -r 10.0.0.{first}"));
    let left = scene.connections();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.iter().all(|row| row.cip == ip("198.51.100.2")), "{left:?}");
    assert_eq!(scene.client_sends(&tcp(client(1, 1), at(VIP), ACK)).verdict, Verdict::ToHost);
    assert_eq!(scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server(), second);
}

#[test]
fn expire_nodest_conn_counts_only_where_it_is_set_when_a_server_goes() {
    let mut scene = two();
    let first = scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server();
    scene.ipvsadm(&format!("-d -t {VIP} -r 10.0.0.{first}"));
    scene.set("expire_nodest_conn", "1");
    scene.ipvsadm("-A -t 203.0.113.1:81 -s rr");
    assert_eq!(scene.connections().len(), 1, "an unrelated command ends nothing");
}

#[test]
fn a_client_port_that_comes_back_begins_anew_only_as_conn_reuse_mode_says() {
    for (mode, anew) in [("0", false), ("1", true)] {
        let mut scene = two();
        scene.set("conn_reuse_mode", mode);
        let first = scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server();
        scene.client_sends(&tcp(client(1, 1), at(VIP), FIN));
        assert_eq!(scene.connections()[0].state, "TIME_WAIT");
        let second = scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server();
        assert_eq!(first != second, anew, "mode {mode}");
        assert_eq!(scene.connections().len(), 1);
        assert_eq!(scene.counts(second), (1, 0, 0));
    }
}

#[test]
fn counts_go_back_when_connections_expire() {
    let mut scene = two();
    scene.ipvsadm("--set 900 2 2");
    let server = scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server();
    assert_eq!(scene.counts(server), (1, 0, 0));
    scene.client_sends(&tcp(client(1, 1), at(VIP), FIN));
    assert_eq!(scene.counts(server), (0, 1, 0));
    scene.pass(Duration::from_secs(121));
    assert_eq!(scene.counts(server), (0, 0, 0));
    assert!(scene.connections().is_empty());
}

#[test]
fn ipsec_goes_where_its_keys_were_exchanged() {
    let mut scene = Scene::new(&[
        "-A -u 203.0.113.1:500 -s rr",
        "-a -u 203.0.113.1:500 -r 10.0.0.11",
        "-a -u 203.0.113.1:500 -r 10.0.0.12",
    ]);
    let esp = other(ip("198.51.100.9"), ip("203.0.113.1"), Proto::ESP);
    assert_eq!(scene.client_sends(&esp).verdict, Verdict::ToHost, "it begins nothing");
    let server = scene.client_sends(&udp(at("198.51.100.9:500"), at("203.0.113.1:500"), b"keys")).server();
    assert_eq!(scene.client_sends(&esp).server(), server);
    assert_eq!(scene.connections().len(), 1);
}

#[test]
fn packets_wait_for_an_unknown_neighbour_and_leave_in_order() {
    let mut scene = two();
    scene.registry.set_fib(fib(1500, 30..31));
    let [first, second] = [SYN, ACK].map(|flags| scene.client_sends(&tcp(client(1, 1), at(VIP), flags)));
    assert_eq!((first.verdict, second.verdict), (Verdict::Hold, Verdict::Hold));
    assert!(first.behind.is_empty() && second.behind.is_empty());
    let asks = scene.registry.plane().take_asks();
    assert_eq!(asks.len(), 1, "asked for once: {asks:?}");
    scene.registry.set_fib(fib(1500, 11..20));
    let left = scene.release();
    let flags: Vec<u8> = left.iter().map(|(_, frame)| frame[47]).collect();
    assert_eq!(flags, [SYN, ACK]);
    assert!(left.iter().all(|(_, frame)| IpLast(frame) == IpLast(&left[0].1)));
    assert_eq!((scene.account().held, scene.account().forwarded), (0, 2));
}

/// Two frames to one neighbour.
#[derive(Debug)]
struct IpLast<'a>(&'a [u8]);

impl PartialEq for IpLast<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0[..6] == other.0[..6] && self.0[0] == 6
    }
}

#[test]
fn packets_that_waited_too_long_are_dropped_by_name() {
    let mut scene = two();
    scene.registry.set_fib(fib(1500, 30..31));
    scene.client_sends(&tcp(client(1, 1), at(VIP), SYN));
    scene.pass(Duration::from_secs(4));
    assert!(scene.release().is_empty());
    let account = scene.account();
    assert_eq!((account.held, account.dropped), (0, 1));
    let unresolved = scene.registry.plane().drops().iter().find(|(_, count)| *count > 0);
    assert_eq!(unresolved, Some((DropReason::NeighbourUnresolved, 1)));
}
