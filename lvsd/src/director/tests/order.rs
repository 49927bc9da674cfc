//! Which service a packet is for, when several would take it.

use lvs_forward::{DropReason, Verdict};

use super::frames::{ACK, SYN, tcp, udp};
use super::scene::{OUTSIDE, Scene, at, client};

/// The server that the first segment of a client of that number to that port of the VIP reaches.
fn asks(scene: &mut Scene, number: u8, service_port: u16) -> u8 {
    let vip = at(&format!("203.0.113.1:{service_port}"));
    scene.client_sends(&tcp(client(number, number.into()), vip, SYN)).server()
}

/// What becomes of a client's first segment to that port of the VIP.
fn tries(scene: &mut Scene, client_port: u16, service_port: u16) -> Verdict {
    let vip = at(&format!("203.0.113.1:{service_port}"));
    scene.client_sends(&tcp(client(7, client_port), vip, SYN)).verdict
}

#[test]
fn a_service_of_the_port_comes_before_that_of_all_ports() {
    let mut scene = Scene::new(&[
        "-A -t 203.0.113.1:0 -s rr -p",
        "-a -t 203.0.113.1:0 -r 10.0.0.11 -g",
        "-A -t 203.0.113.1:80 -s rr",
        "-a -t 203.0.113.1:80 -r 10.0.0.12 -g",
    ]);
    assert_eq!((asks(&mut scene, 1, 80), asks(&mut scene, 2, 81), asks(&mut scene, 3, 8080)), (12, 11, 11));
    assert_eq!((scene.counts(11), scene.counts(12)), ((2, 0, 2), (1, 0, 0)));
    scene.ipvsadm("-D -t 203.0.113.1:80");
    assert_eq!(asks(&mut scene, 4, 80), 11, "the service of all ports is left");
    let datagram = scene.client_sends(&udp(client(7, 5), at("203.0.113.1:80"), b""));
    assert_eq!(datagram.verdict, Verdict::ToHost, "all ports, but of TCP only");
}

#[test]
fn ftp_takes_the_unprivileged_ports_before_the_service_of_all_ports() {
    let mut scene = Scene::new(&[
        "-A -t 203.0.113.1:21 -s rr -p",
        "-a -t 203.0.113.1:21 -r 10.0.0.11 -g",
        "-A -t 203.0.113.1:0 -s rr -p",
        "-a -t 203.0.113.1:0 -r 10.0.0.12 -g",
    ]);
    assert_eq!(asks(&mut scene, 1, 21), 11);
    assert_eq!((asks(&mut scene, 2, 1024), asks(&mut scene, 3, 20)), (11, 11), "where its data may go");
    assert_eq!((asks(&mut scene, 4, 1023), asks(&mut scene, 5, 22)), (12, 12));
    scene.ipvsadm("-D -t 203.0.113.1:21");
    assert_eq!(asks(&mut scene, 6, 1024), 12);
}

#[test]
fn what_comes_by_the_rule_of_ftp_is_left_to_the_host_where_ftp_has_no_server_for_it() {
    let mut scene = Scene::new(&["-A -t 203.0.113.1:21 -s rr", "-a -t 203.0.113.1:21 -r 10.0.0.11 -g"]);
    assert_eq!(
        tries(&mut scene, 1, 2000),
        Verdict::ToHost,
        "without persistence nothing says whose data it is"
    );
    scene.ipvsadm("-E -t 203.0.113.1:21 -s rr -p");
    scene.ipvsadm("-e -t 203.0.113.1:21 -r 10.0.0.11 -g -w 0");
    assert_eq!(tries(&mut scene, 2, 2000), Verdict::ToHost);
    let control = tries(&mut scene, 3, 21);
    assert_eq!(control, Verdict::Answer(OUTSIDE, DropReason::NoServer), "its own port is its own to refuse");
    assert!(scene.connections().is_empty());
    assert_eq!(scene.counts(11), (0, 0, 0));
}

#[test]
fn nothing_begins_from_the_port_of_ftps_data() {
    let mut scene = Scene::new(&["-A -t 203.0.113.1:80 -s rr", "-a -t 203.0.113.1:80 -r 10.0.0.11 -g"]);
    assert_eq!(tries(&mut scene, 20, 80), Verdict::ToHost);
    assert!(scene.connections().is_empty());
    assert_eq!(asks(&mut scene, 19, 80), 11);
    assert_eq!(asks(&mut scene, 21, 80), 11);
}

#[test]
fn only_a_syn_begins_a_connection_of_tcp() {
    let mut scene = Scene::new(&["-A -t 203.0.113.1:80 -s rr", "-a -t 203.0.113.1:80 -r 10.0.0.11 -g"]);
    let stray = scene.client_sends(&tcp(client(7, 1), at("203.0.113.1:80"), ACK));
    assert_eq!(stray.verdict, Verdict::ToHost, "the host answers it with a reset");
    assert!(scene.connections().is_empty());
    assert_eq!(scene.servers()[0].stats.conns, 0);
}
