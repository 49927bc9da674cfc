//! Persistence by Call-ID: whose calls go where, what servers say first, and engines that come and go.

use std::time::Duration;

use lvs_conntrack::Proto;
use lvs_forward::{DropReason, Verdict};

use super::frames::{SYN, fragmented, tcp, udp};
use super::scene::{OUTSIDE, Outcome, Scene, at, client};

const VIP: &str = "203.0.113.1:5060";

/// A service for calls with three masquerading servers, round-robin from 13 down, and more options.
fn exchange(options: &str) -> Scene {
    Scene::new(&[
        &format!("-A -u {VIP} -s rr {options}"),
        &format!("-a -u {VIP} -r 10.0.0.11:5060 -m"),
        &format!("-a -u {VIP} -r 10.0.0.12:5060 -m"),
        &format!("-a -u {VIP} -r 10.0.0.13:5060 -m"),
    ])
}

fn message(id: &str) -> Vec<u8> {
    format!("INVITE sip:bob@example.com SIP/2.0\r\nCall-ID: {id}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// A client's message of a call; says which server it goes to.
fn calls(scene: &mut Scene, last: u8, port: u16, id: &str) -> u8 {
    scene.client_sends(&udp(client(last, port), at(VIP), &message(id))).server()
}

fn server_says(scene: &mut Scene, server: &str, last: u8, port: u16, text: &[u8]) -> Outcome {
    scene.server_sends(&udp(at(server), client(last, port), text))
}

/// The templates: client, server's last octet, data.
fn templates(scene: &mut Scene) -> Vec<(String, String, String)> {
    let listed = scene.connections().into_iter().filter_map(|listed| {
        let (engine, data) = listed.persistence?;
        assert_eq!(engine, "sip");
        Some((listed.cip.to_string(), listed.rip.to_string(), data))
    });
    let mut listed: Vec<_> = listed.collect();
    listed.sort();
    listed
}

fn template(client: &str, server: &str, id: &str) -> (String, String, String) {
    (client.into(), server.into(), id.into())
}

#[test]
fn the_clients_of_a_network_that_share_a_call_share_its_server() {
    let mut scene = exchange("-p 60 -M 255.255.255.0 --pe sip");
    assert_eq!(calls(&mut scene, 7, 5060, "one@a"), 13);
    assert_eq!(calls(&mut scene, 8, 5060, "one@a"), 13, "another client of the network, the same call");
    assert_eq!(calls(&mut scene, 7, 5061, "two@a"), 12, "the same client, another call");
    assert_eq!(calls(&mut scene, 9, 5060, "two@a"), 12);
    let elsewhere = udp(at("192.88.99.7:5060"), at(VIP), &message("one@a"));
    assert_eq!(scene.client_sends(&elsewhere).server(), 11, "the same call, another network");
    let expected = [
        template("192.88.99.0", "10.0.0.11", "one@a"),
        template("198.51.100.0", "10.0.0.12", "two@a"),
        template("198.51.100.0", "10.0.0.13", "one@a"),
    ];
    assert_eq!(templates(&mut scene), expected);
    assert_eq!([11, 12, 13].map(|last| scene.counts(last)), [(0, 1, 1), (0, 2, 1), (0, 2, 1)]);
}

#[test]
fn a_connection_keeps_its_server_whatever_call_its_messages_are_of() {
    let mut scene = exchange("-p 60 --pe sip");
    assert_eq!(calls(&mut scene, 7, 5060, "one@a"), 13);
    assert_eq!(calls(&mut scene, 7, 5060, "two@a"), 13);
    assert_eq!(scene.client_sends(&udp(client(7, 5060), at(VIP), b"keep-alive")).server(), 13);
    assert_eq!(templates(&mut scene), [template("198.51.100.7", "10.0.0.13", "one@a")]);
}

#[test]
fn one_packet_at_a_time_every_message_goes_where_its_call_goes() {
    let mut scene = exchange("-p 60 -o --pe sip");
    for _ in 0..3 {
        assert_eq!(calls(&mut scene, 7, 5060, "one@a"), 13);
        assert_eq!(calls(&mut scene, 7, 5060, "two@a"), 12);
    }
    assert_eq!(templates(&mut scene).len(), 2);
    assert_eq!(scene.connections().len(), 2, "there are no connections, only templates");
    // The answer belongs to no connection, yet leaves with the service's address.
    let answer = server_says(&mut scene, "10.0.0.12:5060", 7, 5060, &message("two@a"));
    assert_eq!(answer.verdict, Verdict::Send(OUTSIDE));
    assert_eq!((answer.headers().src, answer.headers().ports().0), (at(VIP).ip(), 5060));
    assert_eq!(scene.connections().len(), 2);
    let stats = scene.servers().into_iter().find(|server| server.server.rip == at("10.0.0.12:0").ip());
    let stats = stats.unwrap().stats;
    assert_eq!((stats.conns, stats.in_packets, stats.out_packets), (4, 3, 1));
}

#[test]
fn a_message_without_a_call_id_begins_nothing() {
    let mut scene = exchange("-p 60 --pe sip");
    for text in [&b"hello"[..], b"", b"INVITE x\r\nCall-ID: cut off", &message(&"x".repeat(256))] {
        let outcome = scene.client_sends(&udp(client(7, 5060), at(VIP), text));
        assert_eq!(outcome.verdict, Verdict::Drop(DropReason::NoCallId), "{text:?}");
    }
    assert!(scene.connections().is_empty());
    assert_eq!([11, 12, 13].map(|last| scene.counts(last)), [(0, 0, 0); 3]);
    assert_eq!(calls(&mut scene, 7, 5060, &"x".repeat(255)), 13, "nobody's turn was used up");
}

#[test]
fn an_engine_for_datagrams_refuses_other_protocols() {
    let mut scene = Scene::new(&[
        &format!("-A -t {VIP} -s rr -p 60 --pe sip"),
        &format!("-a -t {VIP} -r 10.0.0.11:5060 -m"),
        &format!("-A -u {VIP} -s rr --pe sip"),
        &format!("-a -u {VIP} -r 10.0.0.12:5060 -m"),
    ]);
    let outcome = scene.client_sends(&tcp(client(7, 5060), at(VIP), SYN));
    assert_eq!(outcome.verdict, Verdict::Drop(DropReason::NoCallId));
    // Without persistence the engine is not asked.
    assert_eq!(scene.client_sends(&udp(client(7, 5060), at(VIP), b"hello")).server(), 12);
    assert!(templates(&mut scene).is_empty());
}

#[test]
fn a_call_that_a_server_begins_stays_with_it() {
    let mut scene = exchange("-p 60 --pe sip");
    let request = server_says(&mut scene, "10.0.0.11:5060", 7, 5062, &message("out@a"));
    assert_eq!(request.verdict, Verdict::Send(OUTSIDE));
    assert_eq!((request.headers().src, request.headers().ports()), (at(VIP).ip(), (5060, 5062)));
    assert_eq!(scene.counts(11), (0, 1, 1));
    // The client's answer finds the connection, and its next message the template.
    assert_eq!(calls(&mut scene, 7, 5062, "anything@a"), 11);
    assert_eq!(calls(&mut scene, 7, 5063, "out@a"), 11);
    assert_eq!(calls(&mut scene, 7, 5064, "other@a"), 13);
    assert_eq!([11, 12, 13].map(|last| scene.counts(last)), [(0, 2, 1), (0, 0, 0), (0, 1, 1)]);
    // The next message to the same end is the same connection's, whatever it says.
    let next = server_says(&mut scene, "10.0.0.11:5060", 7, 5062, b"keep-alive");
    assert_eq!(next.verdict, Verdict::Send(OUTSIDE));
    assert_eq!(scene.counts(11), (0, 2, 1));
}

#[test]
fn what_a_server_says_first_is_left_to_the_host_where_no_engine_takes_it() {
    let mut scene = exchange("-p 60 --pe sip");
    let untouched = |scene: &mut Scene, server: &str, text: &[u8]| {
        let outcome = server_says(scene, server, 7, 5062, text);
        outcome.verdict == Verdict::ToHost && outcome.headers().src == at(server).ip()
    };
    assert!(untouched(&mut scene, "10.0.0.11:5060", b"no call"));
    assert!(untouched(&mut scene, "10.0.0.11:5061", &message("out@a")), "another port");
    assert!(untouched(&mut scene, "10.0.0.19:5060", &message("out@a")), "no server");
    scene.ipvsadm(&format!("-e -u {VIP} -r 10.0.0.12:5060 -g"));
    assert!(untouched(&mut scene, "10.0.0.12:5060", &message("out@a")), "not a masquerading one");
    scene.ipvsadm(&format!("-d -u {VIP} -r 10.0.0.13:5060"));
    assert!(untouched(&mut scene, "10.0.0.13:5060", &message("out@a")), "not one any more");
    scene.ipvsadm(&format!("-E -u {VIP} -s rr -p 60"));
    assert!(untouched(&mut scene, "10.0.0.11:5060", &message("out@a")), "the engine was taken away");
    assert!(scene.connections().is_empty());
    scene.ipvsadm(&format!("-E -u {VIP} -s rr --pe sip"));
    let spoken = server_says(&mut scene, "10.0.0.11:5060", 7, 5062, b"no call");
    assert_eq!(spoken.verdict, Verdict::Send(OUTSIDE), "without persistence nothing need be found");
}

#[test]
fn the_last_server_that_spoke_to_a_client_hears_its_answers() {
    let mut scene = exchange("-p 60 -M 255.255.255.0 --pe sip");
    server_says(&mut scene, "10.0.0.11:5060", 7, 5062, &message("one@a"));
    server_says(&mut scene, "10.0.0.12:5060", 7, 5062, &message("two@a"));
    assert_eq!(calls(&mut scene, 7, 5062, "two@a"), 12);
    assert_eq!([11, 12, 13].map(|last| scene.counts(last)), [(0, 0, 1), (0, 1, 1), (0, 0, 0)]);
    // A call that goes on from another server is that server's from then on.
    server_says(&mut scene, "10.0.0.13:5060", 8, 5062, &message("one@a"));
    assert_eq!(calls(&mut scene, 9, 5060, "one@a"), 13);
}

#[test]
fn an_engine_may_come_and_go() {
    let mut scene = exchange("-p 60");
    assert_eq!(calls(&mut scene, 7, 6000, "one@a"), 13);
    scene.ipvsadm(&format!("-E -u {VIP} -s rr -p 60 --pe sip"));
    assert_eq!(calls(&mut scene, 7, 6001, "one@a"), 12, "the client's template is of another kind");
    assert_eq!(calls(&mut scene, 7, 6002, "one@a"), 12);
    scene.ipvsadm(&format!("-E -u {VIP} -s rr -p 60"));
    assert_eq!(calls(&mut scene, 7, 6003, "two@a"), 13, "the client's template is still there");
    scene.ipvsadm(&format!("-E -u {VIP} -s rr -p 60 --pe sip"));
    assert_eq!(calls(&mut scene, 7, 6004, "one@a"), 12, "and the call's");
}

#[test]
fn a_calls_template_ends_like_any_other() {
    let mut scene = exchange("-p 60 -o --pe sip");
    assert_eq!(calls(&mut scene, 7, 5060, "one@a"), 13);
    scene.pass(Duration::from_secs(59));
    assert_eq!(calls(&mut scene, 7, 5060, "one@a"), 13);
    scene.pass(Duration::from_secs(59));
    assert_eq!(templates(&mut scene).len(), 1);
    scene.pass(Duration::from_secs(2));
    assert!(templates(&mut scene).is_empty());
    assert_eq!(calls(&mut scene, 7, 5060, "one@a"), 12);
}

#[test]
fn a_call_id_in_the_second_fragment_is_found() {
    let mut scene = exchange("-p 60 -M 255.255.255.0 --pe sip");
    assert_eq!(calls(&mut scene, 7, 5060, "one@a"), 13);
    let text = [b"INVITE x\r\nSubject: ", "s".repeat(200).as_bytes(), b"\r\nCall-ID: one@a\r\n\r\n"].concat();
    let parts = fragmented(&udp(client(8, 5060), at(VIP), &text), 160);
    assert_eq!(parts.len(), 2);
    assert_eq!(scene.client_sends(&parts[0]).verdict, Verdict::Hold);
    let whole = scene.client_sends(&parts[1]);
    assert_eq!(whole.behind.len(), 2);
    assert_eq!(whole.behind[0].1[5], 13);
    assert_eq!(scene.counts(13), (0, 2, 1));
}

#[test]
fn the_table_bounds_the_calls_that_are_remembered() {
    let mut scene = Scene::with_limit(
        &[&format!("-A -u {VIP} -s rr -p 60 -o --pe sip"), &format!("-a -u {VIP} -r 10.0.0.11:5060 -m")],
        3,
    );
    for number in 0..3 {
        assert_eq!(calls(&mut scene, 7, 5060, &format!("{number}@a")), 11);
    }
    let beyond = scene.client_sends(&udp(client(7, 5060), at(VIP), &message("3@a")));
    assert_eq!(beyond.verdict, Verdict::Drop(DropReason::TableFull));
    assert_eq!(calls(&mut scene, 7, 5060, "2@a"), 11, "those that are known go on");
    assert_eq!(templates(&mut scene).len(), 3);
}

#[test]
fn calls_go_over_ipv6_too() {
    let (vip, rip) = ("[2001:db8::1]:5060", "[2001:db8:b::11]:5060");
    let mut scene = Scene::new(&[
        &format!("-A -u {vip} -s rr -p 60 -M 64 --pe sip"),
        &format!("-a -u {vip} -r {rip} -m"),
        &format!("-a -u {vip} -r [2001:db8:b::12]:5060 -m"),
    ]);
    let mut from = |cip: &str, id| scene.client_sends(&udp(at(cip), at(vip), &message(id))).server();
    assert_eq!(from("[2001:db8:c::1]:5060", "one@a"), 12);
    assert_eq!(from("[2001:db8:c::2]:5060", "two@a"), 11);
    assert_eq!(from("[2001:db8:c::3]:5060", "one@a"), 12);
    let request = scene.server_sends(&udp(at(rip), at("[2001:db8:c::9]:5070"), &message("out@a")));
    assert_eq!((request.verdict, request.headers().src), (Verdict::Send(OUTSIDE), at(vip).ip()));
    assert_eq!(request.headers().proto, Proto::UDP);
    let expected = [
        template("2001:db8:c::", "2001:db8:b::11", "out@a"),
        template("2001:db8:c::", "2001:db8:b::11", "two@a"),
        template("2001:db8:c::", "2001:db8:b::12", "one@a"),
    ];
    assert_eq!(templates(&mut scene), expected);
}
