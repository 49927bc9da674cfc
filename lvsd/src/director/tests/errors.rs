//! ICMP errors about connections, and what a server is told about answers that nobody waits for.

use lvs_conntrack::Proto;
use lvs_forward::checksum::Sum;
use lvs_forward::{DropReason, Quoted, Verdict};

use super::frames::{ACK, RST, SYN, ip as packet, tcp, udp};
use super::scene::{INSIDE, OUTSIDE, Scene, at, client, ip};

const VIP: &str = "203.0.113.1:80";

fn scene(method: &str) -> Scene {
    Scene::new(&["-A -t 203.0.113.1:80 -s rr", &format!("-a -t 203.0.113.1:80 -r 10.0.0.11:80 {method}")])
}

/// "Fragmentation needed" from a router, about a frame.
pub(super) fn error(from: &str, to: &str, about: &[u8]) -> Vec<u8> {
    let mut message = [&[3, 4, 0, 0, 0, 0, 5, 0], &about[14..42]].concat();
    let sum = Sum::ZERO.bytes(&message).checksum();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    packet(ip(from), ip(to), Proto::ICMP, &message)
}

#[test]
fn an_error_about_an_answer_reaches_the_server_as_about_its_own() {
    let mut scene = scene("-m");
    scene.client_sends(&tcp(client(7, 9), at(VIP), SYN));
    let about = tcp(at(VIP), client(7, 9), SYN | ACK);
    let outcome = scene.client_sends(&error("192.0.2.1", "203.0.113.1", &about));
    assert_eq!(outcome.verdict, Verdict::Send(INSIDE));
    assert_eq!(outcome.headers().dst, ip("10.0.0.11"));
    let quoted = Quoted::parse(&outcome.frame, &outcome.headers()).unwrap();
    assert_eq!((quoted.src, quoted.dst), (ip("10.0.0.11"), ip("198.51.100.7")));
    assert_eq!(scene.servers()[0].stats.in_packets, 2);
}

#[test]
fn an_error_about_a_request_reaches_the_client_as_about_its_own() {
    let mut scene = scene("-m");
    scene.client_sends(&tcp(client(7, 9), at(VIP), SYN));
    let about = tcp(client(7, 9), at("10.0.0.11:80"), SYN);
    let outcome = scene.server_sends(&error("10.0.0.11", "198.51.100.7", &about));
    assert_eq!(outcome.verdict, Verdict::Send(OUTSIDE));
    assert_eq!(outcome.headers().src, ip("203.0.113.1"));
    let quoted = Quoted::parse(&outcome.frame, &outcome.headers()).unwrap();
    assert_eq!(quoted.dst, ip("203.0.113.1"));
    assert_eq!(scene.servers()[0].stats.out_packets, 1);
}

#[test]
fn an_error_with_a_wrong_checksum_is_dropped() {
    let mut scene = scene("-m");
    scene.client_sends(&tcp(client(7, 9), at(VIP), SYN));
    let mut wrong = error("192.0.2.1", "203.0.113.1", &tcp(at(VIP), client(7, 9), ACK));
    wrong[36] ^= 1;
    assert_eq!(scene.client_sends(&wrong).verdict, Verdict::Drop(DropReason::BadL4Checksum));
}

#[test]
fn an_error_about_no_connection_begins_one_only_with_schedule_icmp() {
    let mut scene = scene("-g");
    let unknown = error("192.0.2.1", "203.0.113.1", &tcp(at(VIP), client(7, 9), ACK));
    assert_eq!(scene.client_sends(&unknown).verdict, Verdict::ToHost);
    assert!(scene.connections().is_empty());
    scene.set("schedule_icmp", "1");
    assert_eq!(scene.client_sends(&unknown).server(), 11);
    let connections = scene.connections();
    assert_eq!(
        (connections.len(), connections[0].client_port, connections[0].state.as_str()),
        (1, 9, "NONE")
    );
    scene.ipvsadm("-e -t 203.0.113.1:80 -r 10.0.0.11:80 -w 0");
    let another = error("192.0.2.1", "203.0.113.1", &tcp(at(VIP), client(8, 9), ACK));
    assert_eq!(
        scene.client_sends(&another).verdict,
        Verdict::Drop(DropReason::NoServer),
        "without an answer"
    );
}

#[test]
fn a_server_is_told_of_an_answer_nobody_waits_for_only_with_nat_icmp_send() {
    let mut scene = scene("-m");
    let stray = tcp(at("10.0.0.11:80"), client(7, 9), ACK);
    assert_eq!(scene.server_sends(&stray).verdict, Verdict::ToHost);
    scene.set("nat_icmp_send", "1");
    let told = scene.server_sends(&stray);
    assert_eq!(told.verdict, Verdict::Answer(INSIDE, DropReason::NoConnection));
    assert_eq!((told.headers().src, told.headers().dst), (ip("10.0.0.1"), ip("10.0.0.11")));
    assert_eq!(told.frame[42 + 8], 63, "the quoted packet is as the host's forwarding left it");
    for other in [
        tcp(at("10.0.0.11:80"), client(7, 9), RST),
        tcp(at("10.0.0.11:81"), client(7, 9), ACK),
        udp(at("10.0.0.11:80"), client(7, 9), b"x"),
    ] {
        assert_eq!(scene.server_sends(&other).verdict, Verdict::ToHost);
    }
}
