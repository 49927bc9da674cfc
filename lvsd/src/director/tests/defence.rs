//! What is refused, and how it is said.

use std::time::Duration;

use lvs_forward::{DropReason, Verdict};

use super::frames::{ACK, SYN, tcp, udp, with_df, with_ttl};
use super::scene::{INSIDE, OUTSIDE, Scene, at, client, fib, ip};
use crate::director::Exit;

const VIP: &str = "203.0.113.1:80";

fn one(method: &str) -> Scene {
    Scene::new(&["-A -t 203.0.113.1:80 -s rr", &format!("-a -t 203.0.113.1:80 -r 10.0.0.11 {method}")])
}

#[test]
fn a_service_without_servers_says_so_six_times_and_then_once_a_second() {
    let mut scene = Scene::new(&["-A -t 203.0.113.1:80 -s rr"]);
    let mut answered = 0;
    for port in 1..20 {
        let outcome = scene.client_sends(&tcp(client(1, port), at(VIP), SYN));
        if outcome.verdict == Verdict::Answer(OUTSIDE, DropReason::NoServer) {
            assert_eq!(outcome.headers().src, ip("203.0.113.1"));
            assert_eq!(outcome.frame[34..36], [3, 3]);
            answered += 1;
        } else {
            assert_eq!(outcome.verdict, Verdict::Drop(DropReason::NoServer));
        }
    }
    assert_eq!(answered, 6);
    scene.pass(Duration::from_millis(1001));
    let later = scene.client_sends(&tcp(client(1, 99), at(VIP), SYN));
    assert_eq!(later.verdict, Verdict::Answer(OUTSIDE, DropReason::NoServer));
    let other = scene.client_sends(&tcp(client(2, 1), at(VIP), SYN));
    assert_eq!(other.verdict, Verdict::Answer(OUTSIDE, DropReason::NoServer), "another client");
    assert_eq!(scene.account().originated, 8);
}

#[test]
fn a_used_up_ttl_is_told_to_who_sent_it() {
    let mut scene = one("-m");
    let there = scene.client_sends(&with_ttl(tcp(client(1, 1), at(VIP), SYN), 1));
    assert_eq!(there.verdict, Verdict::Answer(OUTSIDE, DropReason::TtlExceeded));
    assert_eq!(there.headers().src, ip("203.0.113.1"));
    scene.client_sends(&tcp(client(1, 1), at(VIP), SYN));
    let state = scene.connections()[0].state.clone();
    let back = scene.server_sends(&with_ttl(tcp(at("10.0.0.11:80"), client(1, 1), SYN | ACK), 1));
    assert_eq!(back.verdict, Verdict::Answer(INSIDE, DropReason::TtlExceeded));
    assert_eq!(back.headers().src, ip("10.0.0.1"));
    assert_eq!(scene.connections()[0].state, state, "the connection did not hear of it");
}

#[test]
fn what_is_too_large_is_told_or_leaves_in_pieces() {
    for (method, mtu) in [("-m", 1400), ("-g", 1400), ("-i", 1380)] {
        let mut scene = Scene::new(&[
            "-A -u 203.0.113.1:53 -s rr",
            &format!("-a -u 203.0.113.1:53 -r 10.0.0.11 {method}"),
        ]);
        scene.registry.set_fib(fib(1400, 11..20));
        let large = udp(client(1, 1), at("203.0.113.1:53"), &[7; 1450]);
        let told = scene.client_sends(&with_df(large.clone()));
        assert_eq!(told.verdict, Verdict::Answer(OUTSIDE, DropReason::TooBig), "{method}");
        assert_eq!(told.frame[34..36], [3, 4], "{method}");
        assert_eq!(u16::from_be_bytes([told.frame[40], told.frame[41]]), mtu, "{method}");
        let sent = scene.client_sends(&large);
        assert_eq!(sent.verdict, Verdict::Send(INSIDE), "{method}");
        assert_eq!(sent.behind.len(), 1, "{method}");
        assert!(sent.frame.len() <= 1414 && sent.behind[0].1.len() <= 1414);
        assert_eq!(sent.behind[0].0, Exit::Port(INSIDE));
        assert_eq!((scene.account().forwarded, scene.account().originated), (1, 2), "{method}");
    }
}

#[test]
fn a_full_table_refuses_by_name_and_gives_the_count_back() {
    let mut scene =
        Scene::with_limit(&["-A -t 203.0.113.1:80 -s rr", "-a -t 203.0.113.1:80 -r 10.0.0.11"], 2);
    for port in 1..3 {
        assert_eq!(scene.client_sends(&tcp(client(1, port), at(VIP), SYN)).server(), 11);
    }
    let third = scene.client_sends(&tcp(client(1, 3), at(VIP), SYN));
    assert_eq!(third.verdict, Verdict::Drop(DropReason::TableFull));
    assert_eq!(scene.counts(11), (2, 0, 0));
}

#[test]
fn a_backup_forwards_nothing() {
    let mut scene = one("-g");
    scene.set("backup_only", "1");
    assert_eq!(scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).verdict, Verdict::ToHost);
    scene.set("backup_only", "0");
    assert_eq!(scene.client_sends(&tcp(client(1, 1), at(VIP), SYN)).server(), 11);
}

#[test]
fn a_source_that_no_host_has_begins_no_connection() {
    let mut scene = one("-g");
    for source in ["127.0.0.1:9", "224.0.0.1:9", "0.0.0.1:9"] {
        let outcome = scene.client_sends(&tcp(at(source), at(VIP), SYN));
        assert_eq!(outcome.verdict, Verdict::Drop(DropReason::MartianSource), "{source}");
    }
    assert!(scene.connections().is_empty());
}
