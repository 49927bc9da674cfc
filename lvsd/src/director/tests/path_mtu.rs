//! What the far end's ICMP says about a tunnel: told to the client, and remembered for whom it concerns.

use std::time::Duration;

use lvs_conntrack::Proto;
use lvs_forward::checksum::Sum;
use lvs_forward::headers::Headers;
use lvs_forward::{DropReason, Quoted, Verdict, icmp};

use super::frames::{ip as packet, udp, with_df};
use super::scene::{INSIDE, OUTSIDE, Outcome, Scene, at, client, ip};

const VIP: &str = "203.0.113.1:80";

fn scene(tunnel: &str) -> Scene {
    Scene::new(&[
        "-A -u 203.0.113.1:80 -s rr",
        &format!("-a -u 203.0.113.1:80 -r 10.0.0.11:80 -i {tunnel}"),
        "-A -u 203.0.113.1:81 -s rr",
        "-a -u 203.0.113.1:81 -r 10.0.0.11:80 -m",
        "-A -u 203.0.113.1:82 -s rr",
        "-a -u 203.0.113.1:82 -r 10.0.0.11:82 -g",
        "-A -u 203.0.113.1:83 -s rr",
        "-a -u 203.0.113.1:83 -r 10.0.0.12:83 -i",
    ])
}

/// A datagram from a client, `size` octets as an IP packet, not to be fragmented.
fn datagram(port: u16, service: &str, size: usize) -> Vec<u8> {
    with_df(udp(client(7, port), at(service), &vec![b'a'; size - 28]))
}

/// "Fragmentation needed" from a router on the way to the server, about a frame that left in a tunnel.
fn report(mtu: u16, about: &[u8]) -> Vec<u8> {
    let [high, low] = mtu.to_be_bytes();
    let mut message = [&[3, 4, 0, 0, 0, 0, high, low], &about[14..about.len().min(142)]].concat();
    let sum = Sum::ZERO.bytes(&message).checksum();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    packet(ip("10.0.0.77"), ip("10.0.0.1"), Proto::ICMP, &message)
}

/// The MTU a client is told.
fn told(outcome: &Outcome) -> u16 {
    let headers: Headers = outcome.headers();
    assert_eq!(headers.dst, ip("198.51.100.7"), "{:?}", outcome.verdict);
    let quoted = Quoted::parse(&outcome.frame, &headers).unwrap();
    assert_eq!((quoted.src, quoted.dst), (ip("198.51.100.7"), ip("203.0.113.1")));
    icmp::reported_mtu(&outcome.frame, &headers).unwrap()
}

#[test]
fn a_report_reaches_the_client_with_what_is_left_for_it() {
    let tunnels = [
        ("--tun-type ipip", 20),
        ("--tun-type gue --tun-port 6080", 32),
        ("--tun-type gue --tun-port 6080 --tun-csum", 32),
        ("--tun-type gre", 24),
        ("--tun-type gre --tun-csum", 28),
    ];
    for (tunnel, overhead) in tunnels {
        let mut scene = scene(tunnel);
        let outer = scene.client_sends(&datagram(9, VIP, 1400));
        assert_eq!(outer.verdict, Verdict::Send(INSIDE), "{tunnel}");
        let relayed = scene.server_sends(&report(1300, &outer.frame));
        assert_eq!(relayed.verdict, Verdict::Send(OUTSIDE), "{tunnel}");
        assert_eq!(told(&relayed), 1300 - overhead, "{tunnel}");

        scene.pass(Duration::from_millis(100));
        let refused = scene.client_sends(&datagram(9, VIP, 1400));
        assert_eq!(refused.verdict, Verdict::Answer(OUTSIDE, DropReason::TooBig), "{tunnel}");
        assert_eq!(told(&refused), 1300 - overhead, "{tunnel}");
        let fits = scene.client_sends(&datagram(9, VIP, usize::from(1300 - overhead)));
        assert_eq!(fits.verdict, Verdict::Send(INSIDE), "{tunnel}");
    }
}

#[test]
fn what_is_known_of_a_server_counts_for_each_of_its_services_and_for_no_other_server() {
    let mut scene = scene("");
    let outer = scene.client_sends(&datagram(9, VIP, 1400));
    scene.server_sends(&report(1300, &outer.frame));
    scene.pass(Duration::from_millis(100));
    for service in ["203.0.113.1:81", "203.0.113.1:82"] {
        let refused = scene.client_sends(&datagram(10, service, 1400));
        assert_eq!(told(&refused), 1300, "{service}: its whole way is for the packet");
    }
    assert_eq!(scene.client_sends(&datagram(10, "203.0.113.1:83", 1480)).verdict, Verdict::Send(INSIDE));

    scene.ipvsadm("-C");
    scene.ipvsadm("-A -u 203.0.113.1:80 -s rr");
    scene.ipvsadm("-a -u 203.0.113.1:80 -r 10.0.0.11:80 -i");
    assert_eq!(
        told(&scene.client_sends(&datagram(11, VIP, 1400))),
        1280,
        "it is the way's, not the service's"
    );
}

#[test]
fn what_is_known_is_forgotten_after_ten_minutes() {
    let mut scene = scene("");
    let outer = scene.client_sends(&datagram(9, VIP, 1400));
    scene.server_sends(&report(1300, &outer.frame));
    scene.pass(Duration::from_secs(599));
    assert_eq!(told(&scene.client_sends(&datagram(10, VIP, 1400))), 1280);
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.client_sends(&datagram(11, VIP, 1400)).verdict, Verdict::Send(INSIDE));
}

#[test]
fn a_report_about_nobodys_packet_changes_nothing() {
    let mut scene = scene("");
    let outer = scene.client_sends(&datagram(9, VIP, 1400));
    let (mut other_client, mut other_server) = (outer.frame.clone(), outer.frame.clone());
    other_client[34 + 15] ^= 1;
    other_server[14 + 19] ^= 1;
    for about in [&other_client, &other_server, &outer.frame[..42].to_vec()] {
        assert_eq!(scene.server_sends(&report(1000, about)).verdict, Verdict::ToHost);
    }
    let mut broken = report(1000, &outer.frame);
    broken[95] ^= 1;
    assert_eq!(scene.server_sends(&broken).verdict, Verdict::Drop(DropReason::BadL4Checksum));
    scene.pass(Duration::from_millis(100));
    assert_eq!(scene.client_sends(&datagram(9, VIP, 1400)).verdict, Verdict::Send(INSIDE));
}

#[test]
fn a_client_whose_packets_may_be_fragmented_is_not_told_but_its_packets_are_cut() {
    let mut scene = scene("");
    let plain = |size: usize| udp(client(7, 9), at(VIP), &vec![b'a'; size - 28]);
    let outer = scene.client_sends(&plain(1400));
    let heard = scene.server_sends(&report(1300, &outer.frame));
    assert_eq!(heard.verdict, Verdict::Drop(DropReason::TooBig));
    scene.pass(Duration::from_millis(100));
    let cut = scene.client_sends(&plain(1400));
    assert_eq!(cut.verdict, Verdict::Send(INSIDE));
    let behind: Vec<usize> = cut.behind.iter().map(|(_, frame)| frame.len() - 14).collect();
    assert_eq!((cut.frame.len() - 14, behind), (1300, vec![140]));
}

/// Nothing else need go to a client of direct-routed or tunnelled servers from here.
#[test]
fn the_way_to_a_client_that_could_not_be_told_is_asked_for() {
    let mut scene = scene("");
    let near = at("192.0.2.77:9");
    let large = with_df(udp(near, at(VIP), &[b'a'; 1490 - 28]));
    assert_eq!(scene.client_sends(&large).verdict, Verdict::Drop(DropReason::TooBig));
    let asked: Vec<_> = scene.registry.plane().take_asks().into_iter().map(|ask| ask.addr).collect();
    assert_eq!(asked, [near.ip()]);

    let outer = scene.client_sends(&with_df(udp(near, at(VIP), &[b'a'; 1000])));
    assert_eq!(scene.server_sends(&report(1000, &outer.frame)).verdict, Verdict::Drop(DropReason::NoRoute));
    assert_eq!(scene.registry.plane().take_asks().len(), 1);
}
