//! One-packet scheduling: every datagram is a connection of its own.

use lvs_forward::Verdict;

use super::frames::udp;
use super::scene::{Scene, at, client};

const VIP: &str = "203.0.113.1:53";

fn two(options: &str, method: &str) -> Scene {
    Scene::new(&[
        &format!("-A -u {VIP} -s rr {options}"),
        &format!("-a -u {VIP} -r 10.0.0.11 {method}"),
        &format!("-a -u {VIP} -r 10.0.0.12 {method}"),
    ])
}

fn asks(scene: &mut Scene, port: u16) -> u8 {
    scene.client_sends(&udp(client(7, port), at(VIP), b"who is")).server()
}

#[test]
fn each_datagram_has_a_server_chosen_and_none_is_remembered() {
    let mut scene = two("-o", "-g");
    assert_eq!([1, 1, 1, 1].map(|port| asks(&mut scene, port)), [12, 11, 12, 11]);
    assert!(scene.connections().is_empty());
    assert_eq!((scene.counts(11), scene.counts(12)), ((0, 0, 0), (0, 0, 0)));
    let stats: Vec<_> =
        scene.servers().iter().map(|server| (server.stats.conns, server.stats.in_packets)).collect();
    assert_eq!(stats, [(2, 2), (2, 2)]);
}

#[test]
fn without_it_a_client_port_stays_with_its_server() {
    let mut scene = two("", "-g");
    assert_eq!([1, 1, 1, 1].map(|port| asks(&mut scene, port)), [12; 4]);
    assert_eq!(scene.counts(12), (0, 1, 0));
}

#[test]
fn with_persistence_the_client_stays_with_its_server() {
    let mut scene = two("-o -p 60", "-g");
    assert_eq!([1, 2, 3].map(|port| asks(&mut scene, port)), [12; 3]);
    assert_eq!(scene.counts(12), (0, 0, 1), "a template, and no connection");
}

#[test]
fn an_answer_finds_no_connection_to_be_translated_by() {
    let mut scene = two("-o", "-m");
    assert_eq!(asks(&mut scene, 1), 12);
    let answer = scene.server_sends(&udp(at("10.0.0.12:53"), client(7, 1), b"it is"));
    assert_eq!((answer.verdict, answer.headers().src), (Verdict::ToHost, at("10.0.0.12:53").ip()));
}
