//! Thresholds: when a server is given no more connections, and when again.

use std::time::Duration;

use lvs_forward::{DropReason, Verdict};

use super::frames::{ACK, FIN, SYN, tcp};
use super::scene::{OUTSIDE, Scene, at, client};

const VIP: &str = "203.0.113.1:80";

/// A service with the servers 11, without thresholds, and 12, with these.
fn two(thresholds: &str) -> Scene {
    Scene::new(&[
        &format!("-A -t {VIP} -s rr"),
        &format!("-a -t {VIP} -r 10.0.0.11"),
        &format!("-a -t {VIP} -r 10.0.0.12 {thresholds}"),
    ])
}

fn connects(scene: &mut Scene, port: u16) -> u8 {
    scene.client_sends(&tcp(client(7, port), at(VIP), SYN)).server()
}

#[test]
fn a_server_at_its_upper_threshold_is_passed_over() {
    let mut scene = two("-x 2");
    let servers: Vec<u8> = (1..=7).map(|port| connects(&mut scene, port)).collect();
    assert_eq!(servers, [12, 11, 12, 11, 11, 11, 11]);
    assert_eq!(scene.client_sends(&tcp(client(7, 1), at(VIP), ACK)).server(), 12, "its connections go on");
}

#[test]
fn without_any_other_server_the_client_is_told() {
    let mut scene = two("-x 1");
    scene.ipvsadm(&format!("-d -t {VIP} -r 10.0.0.11"));
    assert_eq!(connects(&mut scene, 1), 12);
    let refused = scene.client_sends(&tcp(client(7, 2), at(VIP), SYN));
    assert_eq!(refused.verdict, Verdict::Answer(OUTSIDE, DropReason::NoServer));
    assert_eq!(scene.counts(12), (1, 0, 0));
}

#[test]
fn it_is_chosen_again_below_the_lower_threshold_and_not_before() {
    let mut scene = two("-x 3 -y 2");
    scene.ipvsadm(&format!("-e -t {VIP} -r 10.0.0.11 -w 0"));
    for port in 1..=3 {
        assert_eq!(connects(&mut scene, port), 12);
    }
    scene.ipvsadm(&format!("-e -t {VIP} -r 10.0.0.11 -w 1"));
    // CLOSE_WAIT lasts a minute, what is established longer: one ends, two are left, which is not below two.
    for (port, ends) in [(1, true), (2, false), (3, false)] {
        scene.client_sends(&tcp(client(7, port), at(VIP), ACK));
        if ends {
            scene.client_sends(&tcp(client(7, port), at(VIP), FIN));
        }
    }
    scene.pass(Duration::from_secs(121));
    assert_eq!(scene.counts(12), (2, 0, 0));
    assert_eq!([4, 5].map(|port| connects(&mut scene, port)), [11, 11]);
    scene.client_sends(&tcp(client(7, 2), at(VIP), FIN));
    scene.pass(Duration::from_secs(121));
    assert_eq!(scene.counts(12), (1, 0, 0));
    assert!([6, 7].map(|port| connects(&mut scene, port)).contains(&12));
}

#[test]
fn a_threshold_that_is_raised_counts_at_once() {
    let mut scene = two("-x 1");
    scene.ipvsadm(&format!("-d -t {VIP} -r 10.0.0.11"));
    connects(&mut scene, 1);
    scene.ipvsadm(&format!("-e -t {VIP} -r 10.0.0.12 -x 2"));
    assert_eq!(connects(&mut scene, 2), 12);
    scene.ipvsadm(&format!("-e -t {VIP} -r 10.0.0.12"));
    assert_eq!([3, 4].map(|port| connects(&mut scene, port)), [12, 12]);
}
