//! What is refused and given up while memory is short.

use std::time::Duration;

use lvs_conntrack::Proto;
use lvs_forward::{DropReason, Verdict};

use super::frames::{ACK, FIN, SYN, ip, tcp, udp};
use super::scene::{Scene, at, client};

const VIP: &str = "203.0.113.1:80";
const DNS: &str = "203.0.113.1:53";
const SECOND: Duration = Duration::from_secs(1);
const PLENTY: i32 = 1 << 20;

/// A direct-routed service, with so much memory left.
fn one(pages: i32) -> Scene {
    let mut scene = Scene::new(&["-A -t 203.0.113.1:80 -s rr", "-a -t 203.0.113.1:80 -r 10.0.0.11 -g"]);
    scene.registry.set_available_memory(pages);
    scene
}

/// Which of so many new packets, counted from 1, are dropped.
fn dropped(scene: &mut Scene, packets: u16) -> Vec<u16> {
    let is_dropped = |_: &u16| {
        let port = 1000 + u16::try_from(scene.account().received).unwrap();
        let verdict = scene.client_sends(&tcp(client(3, port), at(VIP), SYN)).verdict;
        verdict == Verdict::Drop(DropReason::Defence)
    };
    (1..=packets).filter(is_dropped).collect()
}

fn mode(scene: &Scene, name: &str) -> String {
    scene.registry.sysctls().text(name).unwrap()
}

#[test]
fn a_mode_shows_2_while_memory_is_short_and_1_while_it_is_not() {
    for name in ["drop_entry", "drop_packet", "secure_tcp"] {
        for (written, plenty, short) in [("0", "0", "0"), ("1", "1", "2"), ("2", "1", "2"), ("3", "3", "3")] {
            let mut scene = one(PLENTY);
            scene.set(name, written);
            assert_eq!(mode(&scene, name), plenty, "{name} {written}, judged when it is written");
            scene.registry.set_available_memory(1023);
            scene.pass(SECOND);
            assert_eq!(mode(&scene, name), short, "{name} {written}, a page too few");
            scene.registry.set_available_memory(1024);
            scene.pass(SECOND / 2);
            assert_eq!(mode(&scene, name), short, "{name} {written}, not yet looked at");
            scene.pass(SECOND);
            assert_eq!(mode(&scene, name), plenty, "{name} {written}, as many pages as amemthresh");
        }
    }
}

#[test]
fn amemthresh_says_which_memory_is_short_and_how_much_is_refused() {
    for (amemthresh, expected) in [
        ("0", vec![]),
        ("1000", vec![]),
        ("1200", vec![6, 12]),
        ("2000", vec![2, 4, 6, 8, 10, 12]),
        ("100000", (1..=12).collect()),
        ("-5", vec![]),
    ] {
        let mut scene = one(1000);
        scene.set("amemthresh", amemthresh);
        scene.set("drop_packet", "1");
        assert_eq!(dropped(&mut scene, 12), expected, "amemthresh {amemthresh}");
    }
}

#[test]
fn drop_packet_refuses_by_its_mode() {
    for (mode, plenty, short) in [("0", 0, 0), ("1", 0, 10), ("2", 0, 10), ("3", 4, 4)] {
        for (pages, expected) in [(PLENTY, plenty), (512, short)] {
            let mut scene = one(pages);
            scene.set("drop_packet", mode);
            scene.pass(SECOND);
            // With half of amemthresh's pages left, one in two.
            let found = if expected == 4 { dropped(&mut scene, 40) } else { dropped(&mut scene, 20) };
            assert_eq!(found.len(), expected, "drop_packet {mode}, {pages} pages: {found:?}");
        }
    }
}

#[test]
fn what_drop_packet_counts_begins_again_each_second_while_memory_is_short() {
    let mut scene = one(512);
    scene.set("drop_packet", "1");
    for _ in 0..5 {
        assert!(dropped(&mut scene, 1).is_empty(), "the second would be");
        scene.pass(SECOND);
    }
    assert_eq!(dropped(&mut scene, 3), [2]);
}

#[test]
fn am_droprate_is_how_much_mode_3_refuses_from_the_next_second_on() {
    for (rate, expected) in
        [("0", vec![]), ("1", vec![1, 2, 3, 4, 5, 6]), ("3", vec![1, 4]), ("5", vec![1, 6])]
    {
        let mut scene = one(PLENTY);
        scene.set("am_droprate", rate);
        scene.set("drop_packet", "3");
        assert_eq!(dropped(&mut scene, 6), expected, "am_droprate {rate}");
        scene.set("am_droprate", "2");
        assert_eq!(dropped(&mut scene, 6).is_empty(), rate == "0", "not yet");
        scene.pass(SECOND);
        let found = dropped(&mut scene, 20);
        assert!((9..=10).contains(&found.len()), "one in two, once the old count ran out: {found:?}");
    }
}

#[test]
fn known_connections_are_not_refused() {
    let mut scene = one(PLENTY);
    assert_eq!(scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server(), 11);
    scene.set("am_droprate", "1");
    scene.set("drop_packet", "3");
    assert_eq!(scene.client_sends(&tcp(client(1, 1), at(VIP), ACK)).server(), 11);
    let new = scene.client_sends(&tcp(client(1, 2), at(VIP), SYN));
    assert_eq!(new.verdict, Verdict::Drop(DropReason::Defence));
    let none = scene.client_sends(&tcp(client(1, 3), at("203.0.113.1:99"), SYN));
    assert_eq!(none.verdict, Verdict::ToHost, "what is no service's is not counted");
}

#[test]
fn secure_tcp_keeps_half_open_connections_apart_by_its_mode() {
    for (mode, plenty, short) in [
        ("0", "SYN_RECV", "SYN_RECV"),
        ("1", "SYN_RECV", "SYNACK"),
        ("2", "SYN_RECV", "SYNACK"),
        ("3", "SYNACK", "SYNACK"),
    ] {
        for (pages, expected) in [(PLENTY, plenty), (0, short)] {
            let mut scene = one(pages);
            scene.set("secure_tcp", mode);
            scene.client_sends(&tcp(client(1, 1), at(VIP), SYN));
            assert_eq!(scene.connections()[0].state, expected, "secure_tcp {mode}, {pages} pages");
        }
    }
}

/// Connections of every kind: each has its client's last octet, and 200 of it.
fn crowd(scene: &mut Scene) {
    let chunk = |kind: u8, from: std::net::SocketAddr| {
        let mut bytes = [from.port(), 80].map(u16::to_be_bytes).concat();
        bytes.extend([0; 8]);
        bytes.extend([kind, 0, 0, 4]);
        ip(from.ip(), at(VIP).ip(), Proto::SCTP, &bytes)
    };
    for port in 1001..=1200 {
        scene.client_sends(&tcp(client(1, port), at(VIP), SYN));
        for last in [2, 3] {
            for flags in [SYN, ACK, FIN].into_iter().take(usize::from(last)) {
                scene.client_sends(&tcp(client(last, port), at(VIP), flags));
            }
        }
        scene.client_sends(&udp(client(4, port), at(DNS), b"one"));
        (0..9).for_each(|_| drop(scene.client_sends(&udp(client(5, port), at(DNS), b"nine"))));
        (0..2).for_each(|_| drop(scene.client_sends(&udp(client(6, port), at(DNS), b"two"))));
        scene.client_sends(&chunk(1, client(7, port)));
    }
}

/// How many connections of each of [`crowd`]'s kinds there are.
fn census(scene: &mut Scene) -> [usize; 7] {
    let mut found = [0; 7];
    for conn in scene.connections() {
        let std::net::IpAddr::V4(cip) = conn.cip else { panic!("{}", conn.cip) };
        found[usize::from(cip.octets()[3]) - 1] += 1;
    }
    found
}

fn crowded(mode: &str, pages: i32) -> Scene {
    let mut scene = Scene::with_limit(
        &[
            "-A -t 203.0.113.1:80 -s rr",
            "-a -t 203.0.113.1:80 -r 10.0.0.11 -g",
            "-A -u 203.0.113.1:53 -s rr",
            "-a -u 203.0.113.1:53 -r 10.0.0.11 -g",
            "-A --sctp-service 203.0.113.1:80 -s rr",
            "-a --sctp-service 203.0.113.1:80 -r 10.0.0.11 -g",
        ],
        10_000,
    );
    scene.registry.set_available_memory(pages);
    crowd(&mut scene);
    assert_eq!(census(&mut scene), [200; 7]);
    scene.set("drop_entry", mode);
    scene
}

#[test]
fn drop_entry_gives_up_half_open_connections_by_its_mode() {
    for (mode, plenty, short) in
        [("0", false, false), ("1", false, true), ("2", false, true), ("3", true, true)]
    {
        for (pages, gives_up) in [(PLENTY, plenty), (0, short)] {
            let mut scene = crowded(mode, pages);
            (0..3).for_each(|_| scene.pass(SECOND));
            let [half_open, open, closing, udp, busy, udp_two, init] = census(&mut scene);
            assert_eq!([open, closing, udp, busy, udp_two], [200; 5], "drop_entry {mode}, {pages} pages");
            let gone = 400 - half_open - init;
            // Three times one in 32 of 400 is 37.
            assert_eq!((15..=60).contains(&gone), gives_up, "drop_entry {mode}, {pages} pages: {gone}");
            assert_eq!(gone == 0, !gives_up, "drop_entry {mode}, {pages} pages: {gone}");
            let (active, inactive, _) = scene.counts(11);
            assert_eq!((active + inactive) as usize % 200, half_open % 200, "the server's counts follow");
        }
    }
}

#[test]
fn drop_entry_gives_up_idle_connections_with_few_packets_every_nth_that_is_looked_at() {
    let mut scene = crowded("3", PLENTY);
    (0..59).for_each(|_| scene.pass(SECOND));
    let [_, open, closing, udp, busy, udp_two, _] = census(&mut scene);
    assert_eq!([open, closing, udp, busy, udp_two], [200; 5], "none of them was idle for a minute");
    (0..60).for_each(|_| scene.pass(SECOND));
    assert_eq!(census(&mut scene)[2], 200, "the closing ones end by themselves");
    (0..40).for_each(|_| scene.pass(SECOND));
    let [half_open, open, _, udp, busy, udp_two, _] = census(&mut scene);
    assert_eq!((half_open, busy), (0, 200), "nine packets are too many");
    // One in 32 a second: after 100 s 4 in 100 are left where each goes, 21 in 100 where every second one does.
    assert!(udp < 25, "{udp}");
    assert!((25..65).contains(&udp_two) && (25..65).contains(&open), "{udp_two} {open}");
}

#[test]
fn drop_entry_gives_up_templates_nobody_made_good_use_of() {
    let mut scene = Scene::with_limit(
        &[
            "-A -u 203.0.113.1:53 -s rr -p 5000",
            "-a -u 203.0.113.1:53 -r 10.0.0.11 -g",
            "-A -t 203.0.113.1:80 -s rr -p 5000",
            "-a -t 203.0.113.1:80 -r 10.0.0.11 -g",
        ],
        1000,
    );
    scene.ipvsadm("--set 1 1 1");
    for last in 1..=100 {
        // Asked but never answered; and opened, which assures.
        scene.client_sends(&udp(client(last, 1), at(DNS), b"?"));
        scene.client_sends(&tcp(client(last, 1), at(VIP), SYN));
        scene.client_sends(&tcp(client(last, 1), at(VIP), ACK));
    }
    let templates = |scene: &mut Scene| {
        let all = scene.connections();
        let of = |state: &str| all.iter().filter(|conn| conn.client_port == 0 && conn.state == state).count();
        (of("NONE"), of("ASSURED"))
    };
    assert_eq!(templates(&mut scene), (100, 100));
    scene.set("drop_entry", "3");
    scene.pass(SECOND / 2);
    assert_eq!(templates(&mut scene), (100, 100), "connections hang on them");
    (0..150).for_each(|_| scene.pass(SECOND));
    let (none, assured) = templates(&mut scene);
    assert!(none < 15 && assured == 100, "{none} {assured}");
}

#[test]
fn drop_entry_leaves_templates_of_one_packet_scheduling_alone_for_a_minute() {
    let mut scene =
        Scene::new(&["-A -u 203.0.113.1:53 -s rr -o -p 5000", "-a -u 203.0.113.1:53 -r 10.0.0.11 -g"]);
    for last in 1..=100 {
        let packets = if last > 50 { 9 } else { 1 };
        (0..packets).for_each(|_| drop(scene.client_sends(&udp(client(last, 1), at(DNS), b"?"))));
    }
    scene.set("drop_entry", "3");
    (0..59).for_each(|_| scene.pass(SECOND));
    assert_eq!(scene.connections().len(), 100);
    (0..200).for_each(|_| scene.pass(SECOND));
    let left = scene.connections().len();
    assert!((50..54).contains(&left), "{left}: those with nine packets stay");
}
