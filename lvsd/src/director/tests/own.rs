//! Servers that are the director's own host: what it takes and what it sends as one.

use lvs_forward::{DropReason, PortId, Quoted, Verdict};

use super::errors::error;
use super::frames::{ACK, SYN, fragmented, tcp, udp};
use super::scene::{INSIDE, OUTSIDE, Outcome, Scene, at, client, ip};
use crate::director::Exit;

const VIP: &str = "203.0.113.1:80";
/// A server of the host's own: another address than the service's, and another port.
const OWN: &str = "10.0.0.1:8080";

fn host_sends(scene: &mut Scene, frame: &[u8]) -> Outcome {
    scene.receive(PortId::HOST, frame)
}

fn ttl(outcome: &Outcome) -> u8 {
    outcome.headers().ttl
}

#[test]
fn a_masquerading_server_of_the_hosts_own_is_translated_both_ways() {
    for (vip, own, cip) in [
        (VIP, OWN, "198.51.100.7:4000"),
        ("[2001:db8::1]:80", "[2001:db8:b::1]:8080", "[2001:db8:c::7]:4000"),
    ] {
        let mut scene = Scene::new(&[&format!("-A -t {vip} -s rr"), &format!("-a -t {vip} -r {own} -m")]);
        let there = scene.client_sends(&tcp(at(cip), at(vip), SYN));
        assert_eq!(there.verdict, Verdict::ToHost, "{vip}");
        assert_eq!((there.headers().dst, there.headers().ports()), (at(own).ip(), (4000, 8080)));
        assert_eq!((there.headers().src, ttl(&there)), (at(cip).ip(), 64), "nothing else changes");
        let back = host_sends(&mut scene, &tcp(at(own), at(cip), SYN | ACK));
        assert_eq!(back.verdict, Verdict::Send(OUTSIDE), "{vip}");
        assert_eq!((back.headers().src, back.headers().ports()), (at(vip).ip(), (80, 4000)));
        assert_eq!((back.headers().dst, ttl(&back)), (at(cip).ip(), 64));
        assert_eq!(
            (&back.frame[..6], &back.frame[6..12]),
            (&[6, 0, 0, 0, 0, 1][..], &[2, 0, 0, 0, 0, 1][..])
        );
        scene.client_sends(&tcp(at(cip), at(vip), ACK));
        assert_eq!(scene.connections()[0].state, "ESTABLISHED");
        let stats = scene.servers()[0].stats;
        assert_eq!((stats.conns, stats.in_packets, stats.out_packets), (1, 2, 1));
        let account = scene.account();
        assert_eq!((account.received, account.to_host, account.forwarded), (3, 2, 1));
    }
}

#[test]
fn the_hosts_own_server_takes_its_turn_beside_others() {
    let mut scene = Scene::new(&[
        "-A -t 203.0.113.1:80 -s rr",
        "-a -t 203.0.113.1:80 -r 10.0.0.1:8080 -m",
        "-a -t 203.0.113.1:80 -r 10.0.0.11:8080 -m",
    ]);
    let mut sent = |port| scene.client_sends(&tcp(client(7, port), at(VIP), SYN)).verdict;
    assert_eq!([1, 2, 3].map(&mut sent), [Verdict::Send(INSIDE), Verdict::ToHost, Verdict::Send(INSIDE)]);
    assert_eq!(scene.servers().iter().map(|server| server.local).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_server_that_keeps_the_services_address_gets_packets_as_they_came() {
    for server in ["10.0.0.1 -g", "10.0.0.1 -i", "203.0.113.1 -g", "203.0.113.1 -m"] {
        let mut scene =
            Scene::new(&["-A -t 203.0.113.1:80 -s rr", &format!("-a -t 203.0.113.1:80 -r {server}")]);
        let frame = tcp(client(7, 9), at(VIP), SYN);
        let outcome = scene.client_sends(&frame);
        assert_eq!((outcome.verdict, &outcome.frame), (Verdict::ToHost, &frame), "{server}");
        assert_eq!(scene.servers()[0].stats.conns, 1);
    }
}

#[test]
fn what_the_host_sends_otherwise_leaves_as_it_is() {
    let mut scene = Scene::new(&["-A -t 203.0.113.1:80 -s rr", "-a -t 203.0.113.1:80 -r 10.0.0.1:8080 -m"]);
    let outcome = host_sends(&mut scene, &tcp(at(OWN), client(7, 4000), SYN | ACK));
    assert_eq!(outcome.verdict, Verdict::Send(OUTSIDE));
    assert_eq!((outcome.headers().src, ttl(&outcome)), (ip("10.0.0.1"), 64));
    let outcome = host_sends(&mut scene, &udp(at("10.0.0.1:53"), at("10.0.0.11:53"), b"?"));
    assert_eq!((outcome.verdict, ttl(&outcome)), (Verdict::Send(INSIDE), 64));
    let local = host_sends(&mut scene, &udp(at("10.0.0.1:53"), at("203.0.113.1:53"), b"?"));
    assert_eq!(local.verdict, Verdict::ToHost);
    assert!(scene.connections().is_empty());
    // The same from outside is nobody's.
    let forged = scene.client_sends(&tcp(at(OWN), client(7, 4000), SYN | ACK));
    assert_eq!(forged.verdict, Verdict::Drop(DropReason::MartianSource));
}

#[test]
fn a_datagram_in_fragments_reaches_the_hosts_own_server_as_a_whole() {
    let mut scene = Scene::new(&["-A -u 203.0.113.1:80 -s rr", "-a -u 203.0.113.1:80 -r 10.0.0.1:8080 -m"]);
    let whole = udp(client(7, 9), at(VIP), &[7; 1000]);
    let parts = fragmented(&whole, 400);
    for part in &parts[..2] {
        assert_eq!(scene.client_sends(part).verdict, Verdict::Hold);
    }
    let last = scene.client_sends(&parts[2]);
    let [(Exit::Host, frame)] = last.behind.as_slice() else { panic!("{:?}", last.behind) };
    assert_eq!(frame[42..], whole[42..]);
    let headers = lvs_forward::Headers::parse(frame).unwrap();
    assert_eq!((headers.dst, headers.ports()), (ip("10.0.0.1"), (9, 8080)));
    assert_eq!((scene.account().to_host, scene.account().held), (3, 0));
    // Its answer comes in fragments, too.
    let answer = fragmented(&udp(at(OWN), client(7, 9), &[8; 1000]), 400);
    let answers: Vec<_> = answer.iter().flat_map(|part| host_sends(&mut scene, part).behind).collect();
    assert_eq!(answers.len(), 3);
    for (exit, frame) in &answers {
        assert_eq!((*exit, &frame[26..30]), (Exit::Port(OUTSIDE), &[203, 0, 113, 1][..]));
    }
    assert_eq!(scene.account().forwarded, 3);
}

#[test]
fn errors_find_the_hosts_own_server_and_the_host_may_send_some() {
    let mut scene = Scene::new(&["-A -u 203.0.113.1:80 -s rr", "-a -u 203.0.113.1:80 -r 10.0.0.1:8080 -m"]);
    scene.client_sends(&udp(client(7, 9), at(VIP), b"?"));
    let about = udp(at(VIP), client(7, 9), b"!");
    let told = scene.client_sends(&error("192.0.2.1", "203.0.113.1", &about));
    assert_eq!((told.verdict, told.headers().dst), (Verdict::ToHost, ip("10.0.0.1")));
    let quoted = Quoted::parse(&told.frame, &told.headers()).unwrap();
    assert_eq!((quoted.src, quoted.src_port), (ip("10.0.0.1"), 8080));
    let about = udp(client(7, 9), at(OWN), b"?");
    let says = host_sends(&mut scene, &error("10.0.0.1", "198.51.100.7", &about));
    assert_eq!((says.verdict, says.headers().src), (Verdict::Send(OUTSIDE), ip("203.0.113.1")));
    let quoted = Quoted::parse(&says.frame, &says.headers()).unwrap();
    assert_eq!((quoted.dst, quoted.dst_port), (ip("203.0.113.1"), 80));
    // About nothing of the director's it leaves as it is.
    let about = udp(client(7, 9), at("10.0.0.1:99"), b"?");
    let says = host_sends(&mut scene, &error("10.0.0.1", "198.51.100.7", &about));
    assert_eq!((says.verdict, says.headers().src), (Verdict::Send(OUTSIDE), ip("10.0.0.1")));
}

#[test]
fn the_hosts_own_server_may_speak_first() {
    let mut scene =
        Scene::new(&["-A -u 203.0.113.1:80 -s rr --pe sip", "-a -u 203.0.113.1:80 -r 10.0.0.1:8080 -m"]);
    let request = host_sends(&mut scene, &udp(at(OWN), client(7, 5060), b"INVITE"));
    assert_eq!((request.verdict, request.headers().src), (Verdict::Send(OUTSIDE), ip("203.0.113.1")));
    let answer = scene.client_sends(&udp(client(7, 5060), at(VIP), b"OK"));
    assert_eq!((answer.verdict, answer.headers().dst), (Verdict::ToHost, ip("10.0.0.1")));
}
