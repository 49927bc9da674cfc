//! Values of `net.ipv4.vs` told apart by what becomes of packets; those of the defence are in `shortage`.

use std::net::SocketAddr;
use std::time::Duration;

use lvs_conntrack::Proto;
use lvs_forward::{DropReason, Verdict};

use super::frames::{ACK, FIN, RST, SYN, ip, tcp, udp, with_df};
use super::scene::{INSIDE, OUTSIDE, Outcome, Scene, at, client, fib};
use crate::mark::{MarkRule, PortRange, network};
use crate::resolve::TakenIn;

const VIP: &str = "203.0.113.1:80";
const SECOND: Duration = Duration::from_secs(1);

/// A service of two servers, 11 and 12, round-robin.
fn two(protocol: &str, method: &str, more: &str) -> Scene {
    let service = format!("{protocol} {VIP}");
    Scene::new(&[
        &format!("-A {service} -s rr {more}"),
        &format!("-a {service} -r 10.0.0.11 {method}"),
        &format!("-a {service} -r 10.0.0.12 {method}"),
    ])
}

/// An SCTP packet with one chunk of this kind.
fn sctp(from: SocketAddr, kind: u8) -> Vec<u8> {
    let mut bytes = [from.port(), 80].map(u16::to_be_bytes).concat();
    bytes.extend([0; 8]);
    bytes.extend([kind, 0, 0, 4]);
    ip(from.ip(), at(VIP).ip(), Proto::SCTP, &bytes)
}

fn goes_on(outcome: &Outcome) -> bool {
    outcome.verdict == Verdict::Send(INSIDE)
}

#[test]
fn sloppy_tcp_lets_a_connection_be_picked_up_in_its_middle() {
    for (value, picked_up) in [("0", false), ("1", true)] {
        let mut scene = two("-t", "-g", "");
        scene.set("sloppy_tcp", value);
        let middle = scene.client_sends(&tcp(client(1, 1), at(VIP), ACK));
        assert_eq!(goes_on(&middle), picked_up, "sloppy_tcp {value}");
        let states: Vec<_> = scene.connections().into_iter().map(|conn| conn.state).collect();
        assert_eq!(states, if picked_up { vec!["ESTABLISHED"] } else { vec![] });
        let reset = scene.client_sends(&tcp(client(1, 2), at(VIP), RST));
        assert_eq!(reset.verdict, Verdict::ToHost, "a reset begins none with either");
        assert!(goes_on(&scene.client_sends(&tcp(client(1, 3), at(VIP), SYN))), "a SYN does with both");
    }
}

#[test]
fn sloppy_sctp_lets_an_association_be_picked_up_in_its_middle() {
    const INIT: u8 = 1;
    const DATA: u8 = 0;
    for (value, picked_up) in [("0", false), ("1", true)] {
        let mut scene = two("--sctp-service", "-g", "");
        scene.set("sloppy_sctp", value);
        scene.set("sloppy_tcp", if picked_up { "0" } else { "1" });
        assert_eq!(goes_on(&scene.client_sends(&sctp(client(1, 1), DATA))), picked_up, "sloppy_sctp {value}");
        assert_eq!(scene.connections().len(), usize::from(picked_up));
        assert!(goes_on(&scene.client_sends(&sctp(client(1, 3), INIT))), "an INIT does with both");
    }
}

#[test]
fn expire_nodest_conn_ends_what_a_quiesced_or_removed_server_had() {
    for (value, ends) in [("0", false), ("1", true)] {
        let mut scene = two("-t", "-g", "");
        scene.set("expire_nodest_conn", value);
        let first = scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server();
        scene.client_sends(&tcp(client(1, 1), at(VIP), ACK));
        scene.ipvsadm(&format!("-e -t {VIP} -r 10.0.0.{first}:80 -w 0"));
        assert_eq!(scene.client_sends(&tcp(client(1, 1), at(VIP), ACK)).server(), first, "not at an ACK");
        let again = scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server();
        assert_eq!(again != first, ends, "expire_nodest_conn {value}, at a SYN");
        scene.ipvsadm(&format!("-d -t {VIP} -r 10.0.0.{again}:80"));
        assert_eq!(scene.connections().is_empty(), ends, "expire_nodest_conn {value}, at the removal");
        let orphan = scene.client_sends(&tcp(client(1, 1), at(VIP), ACK)).verdict;
        let expected = if ends { Verdict::ToHost } else { Verdict::Drop(DropReason::ServerGone) };
        assert_eq!(orphan, expected, "expire_nodest_conn {value}");
    }
}

#[test]
fn expire_quiescent_template_says_whether_a_client_stays_with_a_server_of_weight_0() {
    for (value, stays) in [("0", true), ("1", false)] {
        let mut scene = two("-t", "-g", "-p 100");
        scene.set("expire_quiescent_template", value);
        let first = scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server();
        assert_eq!(scene.client_sends(&tcp(client(1, 2), at(VIP), SYN)).server(), first);
        scene.ipvsadm(&format!("-e -t {VIP} -r 10.0.0.{first}:80 -w 0"));
        let next = scene.client_sends(&tcp(client(1, 3), at(VIP), SYN)).server();
        assert_eq!(next == first, stays, "expire_quiescent_template {value}");
        assert_eq!(
            scene.client_sends(&tcp(client(1, 1), at(VIP), ACK)).server(),
            first,
            "what is open stays"
        );
    }
}

#[test]
fn conn_reuse_mode_says_which_connections_a_new_syn_begins_anew() {
    // A connection after FIN, seen from both sides by NAT and from one side by direct routing.
    for (value, closed, half_closed) in
        [("0", false, false), ("1", true, false), ("2", true, true), ("3", true, true)]
    {
        let mut scene = two("-t", "-g", "");
        scene.set("conn_reuse_mode", value);
        let mut begins_anew = |port, flags: &[u8], state| {
            let first = scene.client_sends(&tcp(client(1, port), at(VIP), SYN)).server();
            for &flags in flags {
                scene.client_sends(&tcp(client(1, port), at(VIP), flags));
            }
            let conns = scene.connections();
            let found = conns.iter().find(|conn| conn.client_port == port).unwrap();
            assert_eq!(found.state, state);
            scene.client_sends(&tcp(client(1, port), at(VIP), SYN)).server() != first
        };
        assert!(!begins_anew(1, &[ACK], "ESTABLISHED"), "conn_reuse_mode {value}");
        assert_eq!(begins_anew(2, &[ACK, RST], "CLOSE"), closed, "conn_reuse_mode {value}");
        assert_eq!(begins_anew(3, &[FIN], "TIME_WAIT"), closed, "conn_reuse_mode {value}");
        assert_eq!(begins_anew(4, &[ACK, FIN], "FIN_WAIT"), half_closed, "conn_reuse_mode {value}");
    }
}

#[test]
fn pmtu_disc_says_whether_a_tunnel_heeds_dont_fragment() {
    for (value, heeds) in [("1", true), ("0", false)] {
        let mut scene = Scene::new(&["-A -u 203.0.113.1:53 -s rr", "-a -u 203.0.113.1:53 -r 10.0.0.11 -i"]);
        scene.registry.set_fib(fib(1400, 11..20));
        scene.set("pmtu_disc", value);
        let dns = at("203.0.113.1:53");
        let small = scene.client_sends(&with_df(udp(client(1, 1), dns, b"small")));
        assert!(goes_on(&small));
        assert_eq!(small.frame[20] & 0x40 != 0, heeds, "pmtu_disc {value}: the outer header's bit");
        let large = scene.client_sends(&with_df(udp(client(1, 1), dns, &[7; 1370])));
        if heeds {
            assert_eq!(large.verdict, Verdict::Answer(OUTSIDE, DropReason::TooBig));
            assert!(large.behind.is_empty());
        } else {
            assert!(goes_on(&large) && large.behind.len() == 1, "it leaves in two pieces");
        }
    }
}

#[test]
fn backup_only_leaves_everything_to_the_host() {
    for (value, serves) in [("0", true), ("1", false), ("0", true)] {
        let mut scene = two("-t", "-g", "");
        assert!(goes_on(&scene.client_sends(&tcp(client(1, 1), at(VIP), SYN))));
        scene.set("backup_only", value);
        for frame in [tcp(client(1, 1), at(VIP), ACK), tcp(client(1, 2), at(VIP), SYN)] {
            let verdict = scene.client_sends(&frame).verdict;
            assert_eq!(verdict == Verdict::Send(INSIDE), serves, "backup_only {value}");
            assert_eq!(verdict == Verdict::ToHost, !serves, "backup_only {value}");
        }
    }
}

/// A service of this scheduler whose address server 11 or 12 serves and, half an hour and a little later, a new
/// client with a connection of the first one's still open: says which it got first, and which then.
fn half_an_hour_apart(scheduler: &str, set: &str) -> (u8, u8) {
    let mut scene = two("-t", "-g", "");
    let (name, value) = set.split_once('=').unwrap();
    scene.set(name, value);
    scene.ipvsadm(&format!("-E -t {VIP} -s {scheduler}"));
    let first = scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server();
    for _ in 0..190 {
        scene.pass(SECOND * 10);
        assert_eq!(scene.client_sends(&tcp(client(1, 1), at(VIP), ACK)).server(), first);
    }
    (first, scene.client_sends(&tcp(client(1, 2), at(VIP), SYN)).server())
}

#[test]
fn lblc_expiration_says_when_an_address_forgets_its_server() {
    for (set, forgets) in [
        ("lblc_expiration=86400", false),
        ("lblc_expiration=1900", false),
        ("lblc_expiration=1700", true),
        ("lblc_expiration=0", true),
        ("lblc_expiration=-1", true),
        ("lblcr_expiration=0", false),
    ] {
        let (first, then) = half_an_hour_apart("lblc", set);
        assert_eq!(first != then, forgets, "{set}");
    }
}

#[test]
fn lblcr_expiration_says_when_an_address_forgets_its_servers() {
    for (set, forgets) in [
        ("lblcr_expiration=86400", false),
        ("lblcr_expiration=1900", false),
        ("lblcr_expiration=1700", true),
        ("lblc_expiration=0", false),
    ] {
        let (first, then) = half_an_hour_apart("lblcr", set);
        assert_eq!(first != then, forgets, "{set}");
    }
}

#[test]
fn lblcr_expiration_says_when_a_set_of_servers_shrinks() {
    for (value, shrinks) in [("60", false), ("20", true), ("-5", true)] {
        let mut scene = two("-t", "-g", "");
        scene.ipvsadm(&format!("-E -t {VIP} -s lblcr"));
        // Two open connections on a weight of 1 while the other server has none of its 3: it joins the set.
        scene.ipvsadm(&format!("-e -t {VIP} -r 10.0.0.11:80 -w 0"));
        for port in [1, 2] {
            assert_eq!(scene.client_sends(&tcp(client(1, port), at(VIP), SYN)).server(), 12);
            scene.client_sends(&tcp(client(1, port), at(VIP), ACK));
        }
        scene.ipvsadm(&format!("-e -t {VIP} -r 10.0.0.11:80 -w 3"));
        assert_eq!(scene.client_sends(&tcp(client(1, 3), at(VIP), SYN)).server(), 11);
        scene.pass(SECOND * 30);
        scene.set("lblcr_expiration", value);
        // This one has the more loaded server leave, where it is time; the next shows whether it did.
        scene.client_sends(&tcp(client(1, 4), at(VIP), SYN));
        for port in 1..=2 {
            scene.client_sends(&tcp(client(1, port), at(VIP), FIN));
        }
        scene.ipvsadm(&format!("-e -t {VIP} -r 10.0.0.12:80 -w 300"));
        let next = scene.client_sends(&tcp(client(1, 5), at(VIP), SYN)).server();
        assert_eq!(next, if shrinks { 11 } else { 12 }, "lblcr_expiration {value}");
    }
}

/// A service on mark 7 without servers; the mark is of packets for two networks behind this host's inside, which it
/// takes in by a rule of its routing, and of its own port 8080.
fn caches() -> Scene {
    let mut scene = Scene::new(&["-A -f 7 -s rr", "-A -f 7 -6 -s rr"]);
    let to = |destination: &str, ports: &[u16]| MarkRule {
        mark: 7,
        destination: network(destination),
        source: None,
        protocol: None,
        ports: ports.iter().copied().map(PortRange::single).collect(),
        source_ports: Vec::new(),
        interface: None,
    };
    let rules = [
        to("10.0.0.0/24", &[]),
        to("2001:db8:b::/64", &[]),
        to("2001:db8::1/128", &[8080]),
        to("203.0.113.1/32", &[8080]),
        to("224.0.0.0/4", &[]),
    ];
    scene.registry.set_marks(rules.to_vec()).unwrap();
    let all =
        |destination: &str| TakenIn { mark: 7, mask: u32::MAX, destination: network(destination).unwrap() };
    scene.registry.set_fib(fib(1400, 11..20).taking_in(vec![all("0.0.0.0/0"), all("::/0")]));
    scene
}

#[test]
fn cache_bypass_lets_packets_nobody_serves_go_where_they_were_going() {
    for (value, bypasses) in [("0", false), ("1", true), ("-1", true)] {
        for (origin, cip, nobody) in [
            ("10.0.0.15:80", "198.51.100.7:4000", "0.0.0.0:0"),
            ("[2001:db8:b::15]:80", "[2001:db8:c::7]:4000", "[::]:0"),
        ] {
            let mut scene = caches();
            scene.set("cache_bypass", value);
            let first = scene.client_sends(&tcp(at(cip), at(origin), SYN));
            if !bypasses {
                // The kernel cannot answer from an IPv4 address that is another host's, and does not.
                let expected = match at(origin) {
                    SocketAddr::V4(_) => Verdict::Drop(DropReason::NoServer),
                    SocketAddr::V6(_) => Verdict::Answer(OUTSIDE, DropReason::NoServer),
                };
                assert_eq!(first.verdict, expected, "{origin}");
                assert!(scene.connections().is_empty());
                continue;
            }
            assert_eq!((first.server(), first.headers().dst), (15, at(origin).ip()));
            assert_eq!(first.headers().ttl, 63);
            assert_eq!(scene.client_sends(&tcp(at(cip), at(origin), ACK)).server(), 15);
            let conns = scene.connections();
            assert_eq!(conns.len(), 1);
            assert_eq!((conns[0].state.as_str(), conns[0].vip), ("ESTABLISHED", at(origin).ip()));
            assert_eq!((conns[0].rip, conns[0].server_port), (at(nobody).ip(), at(nobody).port()));
        }
    }
}

#[test]
fn cache_bypass_is_for_marks_and_for_other_hosts_addresses() {
    let mut scene = caches();
    scene.set("cache_bypass", "1");
    scene.ipvsadm("-A -t 203.0.113.1:80 -s rr");
    for vip in ["203.0.113.1:80", "203.0.113.1:8080"] {
        let own = scene.client_sends(&tcp(client(1, 1), at(vip), SYN));
        assert_eq!(own.verdict, Verdict::Answer(OUTSIDE, DropReason::NoServer), "{vip}");
    }
    let many = scene.client_sends(&udp(client(1, 1), at("224.0.0.5:9"), b"x"));
    assert_ne!(many.verdict, Verdict::Send(INSIDE));
    let middle = scene.client_sends(&tcp(client(1, 1), at("10.0.0.15:80"), ACK));
    assert_eq!(middle.verdict, Verdict::ToHost, "no connection begins in its middle");
    assert!(scene.connections().is_empty());
    let own = scene.client_sends(&tcp(at("[2001:db8:c::7]:1"), at("[2001:db8::1]:8080"), SYN));
    assert_eq!(own.verdict, Verdict::Drop(DropReason::NoRoute), "in IPv6 it is bypassed, to nowhere");
    assert_eq!(scene.connections().len(), 1);
}

#[test]
fn a_bypassed_connection_outlives_changes_of_the_service() {
    let mut scene = caches();
    for (name, value) in [("cache_bypass", "1"), ("expire_nodest_conn", "1")] {
        scene.set(name, value);
    }
    let origin = at("10.0.0.15:80");
    assert_eq!(scene.client_sends(&tcp(client(1, 1), origin, SYN)).server(), 15);
    scene.ipvsadm("-a -f 7 -r 10.0.0.11 -g");
    scene.ipvsadm("-a -f 7 -r 10.0.0.12 -g");
    scene.ipvsadm("-d -f 7 -r 10.0.0.12");
    assert_eq!(scene.client_sends(&tcp(client(1, 1), origin, ACK)).server(), 15);
    assert_eq!(scene.client_sends(&tcp(client(1, 2), origin, SYN)).server(), 11, "a new one has a server");
    assert_eq!(scene.counts(11), (1, 0, 0));
    scene.set("cache_bypass", "0");
    scene.ipvsadm("-d -f 7 -r 10.0.0.11");
    assert_eq!(scene.connections().len(), 1);
    assert_eq!(scene.client_sends(&tcp(client(1, 1), origin, ACK)).server(), 15);
    scene.pass(SECOND * 901);
    assert!(scene.connections().is_empty());
}

#[test]
fn what_no_rule_takes_in_is_the_hosts_to_forward() {
    let mut scene = caches();
    scene.set("cache_bypass", "1");
    scene.registry.set_fib(fib(1400, 11..20));
    let frame = tcp(client(1, 1), at("10.0.0.15:80"), SYN);
    let outcome = scene.client_sends(&frame);
    assert_eq!((outcome.verdict, outcome.frame), (Verdict::ToHost, frame));
}

#[test]
fn a_bypassed_datagram_too_large_for_its_way_is_refused_or_leaves_in_pieces() {
    let mut scene = caches();
    scene.set("cache_bypass", "1");
    let large = udp(client(1, 1), at("10.0.0.15:53"), &[7; 1450]);
    let told = scene.client_sends(&with_df(large.clone()));
    assert_eq!(told.verdict, Verdict::Drop(DropReason::TooBig), "as the other host the kernel cannot speak");
    let sent = scene.client_sends(&large);
    assert!(goes_on(&sent) && sent.behind.len() == 1);
    scene.ipvsadm("-E -f 7 -s rr -o");
    assert!(goes_on(&scene.client_sends(&udp(client(1, 2), at("10.0.0.15:53"), b"x"))));
    assert_eq!(scene.connections().len(), 1, "one packet makes no connection");
}
