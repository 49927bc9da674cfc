//! Persistence: which of a client's connections share a server, and for how long.

use std::time::Duration;

use super::frames::{ACK, FIN, SYN, tcp, udp};
use super::scene::{Scene, at, client};

const VIP: &str = "203.0.113.1:80";

/// A service with two direct-routed servers that take turns, 12 first, and these options.
fn two(options: &str) -> Scene {
    Scene::new(&[
        &format!("-A -t {VIP} -s rr {options}"),
        &format!("-a -t {VIP} -r 10.0.0.11"),
        &format!("-a -t {VIP} -r 10.0.0.12"),
    ])
}

fn connects(scene: &mut Scene, last: u8, port: u16) -> u8 {
    scene.client_sends(&tcp(client(last, port), at(VIP), SYN)).server()
}

/// Clients' networks and the ports of the service and the server, of the templates.
fn templates(scene: &mut Scene) -> Vec<(String, u16, u16)> {
    let listed = scene.connections().into_iter().filter(|listed| listed.client_port == 0);
    listed.map(|listed| (listed.cip.to_string(), listed.service_port, listed.server_port)).collect()
}

#[test]
fn a_client_stays_and_others_take_their_turns() {
    let mut scene = two("-p 60");
    assert_eq!([1, 2, 3].map(|port| connects(&mut scene, 7, port)), [12; 3]);
    assert_eq!((connects(&mut scene, 8, 1), connects(&mut scene, 9, 1)), (11, 12));
    assert_eq!((scene.counts(11), scene.counts(12)), ((1, 0, 1), (4, 0, 2)));
    assert_eq!(templates(&mut scene).len(), 3);
}

#[test]
fn a_network_stays_together_as_the_netmask_says() {
    let mut scene = two("-p 60 -M 255.255.255.0");
    assert_eq!([1, 7, 254].map(|last| connects(&mut scene, last, 1)), [12; 3]);
    let elsewhere = tcp(at("198.51.101.7:1"), at(VIP), SYN);
    assert_eq!(scene.client_sends(&elsewhere).server(), 11);
    let mut networks = templates(&mut scene);
    networks.sort();
    assert_eq!(networks, [("198.51.100.0".into(), 80, 80), ("198.51.101.0".into(), 80, 80)]);
}

#[test]
fn a_prefix_of_ipv6_stays_together() {
    let vip = "[2001:db8::1]:80";
    let mut scene = Scene::new(&[
        &format!("-A -t {vip} -s rr -p 60 -M 64"),
        &format!("-a -t {vip} -r [2001:db8:b::11]:80"),
        &format!("-a -t {vip} -r [2001:db8:b::12]:80"),
    ]);
    let mut connects = |cip: &str| scene.client_sends(&tcp(at(cip), at(vip), SYN)).server();
    assert_eq!((connects("[2001:db8:c::1]:1"), connects("[2001:db8:c:0:ffff::1]:1")), (12, 12));
    assert_eq!(connects("[2001:db8:c:1::1]:1"), 11);
}

#[test]
fn a_service_of_all_ports_keeps_a_client_on_one_server_at_all_of_them() {
    let mut scene = Scene::new(&[
        "-A -t 203.0.113.1:0 -s rr -p 60",
        "-a -t 203.0.113.1:0 -r 10.0.0.11 -m",
        "-a -t 203.0.113.1:0 -r 10.0.0.12 -m",
    ]);
    for port in [80, 443, 8080] {
        let outcome = scene.client_sends(&tcp(client(7, port), at(&format!("203.0.113.1:{port}")), SYN));
        assert_eq!((outcome.server(), outcome.headers().ports().1), (12, port));
    }
    assert_eq!(templates(&mut scene), [("198.51.100.7".into(), 0, 0)]);
    let other = scene.client_sends(&tcp(client(8, 1), at(VIP), SYN));
    assert_eq!(other.server(), 11);
}

#[test]
fn a_template_ends_its_time_after_the_last_connection_began() {
    let mut scene = two("-p 100");
    assert_eq!(connects(&mut scene, 7, 1), 12);
    // The connection ends at once as far as it can: CLOSE_WAIT lasts 60 s.
    scene.client_sends(&tcp(client(7, 1), at(VIP), ACK));
    scene.client_sends(&tcp(client(7, 1), at(VIP), FIN));
    scene.pass(Duration::from_secs(90));
    assert_eq!(connects(&mut scene, 8, 1), 11, "another takes its turn meanwhile");
    assert_eq!(connects(&mut scene, 7, 2), 12, "known for 90 s, and so for 100 more");
    scene.pass(Duration::from_secs(99));
    assert_eq!(connects(&mut scene, 7, 3), 12);
}

#[test]
fn a_template_outlives_its_time_by_a_minute_while_a_connection_hangs_on_it() {
    let mut scene = two("-p 10");
    scene.ipvsadm("--set 1000 0 0");
    connects(&mut scene, 7, 1);
    scene.client_sends(&tcp(client(7, 1), at(VIP), ACK));
    scene.pass(Duration::from_secs(11));
    assert_eq!(templates(&mut scene).len(), 1, "its time is over, its connection is not");
    assert_eq!(scene.counts(12), (1, 0, 1));
    assert_eq!(connects(&mut scene, 7, 2), 12);
    for _ in 0..17 {
        scene.pass(Duration::from_mins(1));
    }
    assert!(templates(&mut scene).is_empty());
    assert_eq!((scene.counts(11), scene.counts(12)), ((0, 0, 0), (0, 0, 0)));
}

#[test]
fn a_quiesced_server_keeps_its_persistent_clients_unless_told_otherwise() {
    for (expires, expected) in [("0", 12), ("1", 11)] {
        let mut scene = two("-p 60");
        scene.set("expire_quiescent_template", expires);
        assert_eq!(connects(&mut scene, 7, 1), 12);
        scene.ipvsadm(&format!("-e -t {VIP} -r 10.0.0.12 -w 0"));
        assert_eq!(connects(&mut scene, 7, 2), expected, "expire_quiescent_template={expires}");
        assert_eq!(scene.client_sends(&tcp(client(7, 1), at(VIP), ACK)).server(), 12, "what began stays");
        assert_eq!(connects(&mut scene, 8, 1), 11, "a new client does not come");
    }
}

#[test]
fn protocols_and_services_do_not_share_templates() {
    let mut scene = two("-p 60");
    scene.ipvsadm(&format!("-A -u {VIP} -s rr -p 60"));
    scene.ipvsadm(&format!("-a -u {VIP} -r 10.0.0.13"));
    assert_eq!(connects(&mut scene, 7, 1), 12);
    assert_eq!(scene.client_sends(&udp(client(7, 1), at(VIP), b"")).server(), 13);
    assert_eq!(templates(&mut scene).len(), 2);
}
