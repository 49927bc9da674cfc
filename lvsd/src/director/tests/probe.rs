//! What the host says to a service for one of its servers, for the sake of a check.

use lvs_conntrack::{FlowKey, Proto};
use lvs_forward::{DropReason, PortId, Verdict};

use super::errors::error;
use super::frames::{ACK, SYN, tcp, udp};
use super::scene::{INSIDE, OUTSIDE, Scene, at, client};
use crate::message::{ForwardMethod, TunnelChecksum, TunnelKind};

const VIP: &str = "203.0.113.1:80";
/// The check's socket.
const OWN: &str = "10.0.0.1:4000";

/// A service of one server, and a probe to another.
fn scene(server: &str, method: ForwardMethod) -> (Scene, FlowKey, u64) {
    let scene = Scene::new(&[&format!("-A -t {VIP} -s rr"), &format!("-a -t {VIP} -r 10.0.0.12 -g")]);
    let (own, vip) = (at(OWN), at(VIP));
    let (src, src_port, dst, dst_port) = (own.ip(), own.port(), vip.ip(), vip.port());
    let flow = FlowKey { proto: Proto::TCP, src, src_port, dst, dst_port };
    let serial = scene.registry.plane().probes().lead(flow, at(server), method);
    (scene, flow, serial)
}

#[test]
fn a_probe_reaches_its_server_and_no_other_and_the_host_hears_the_answer() {
    let checksum = TunnelChecksum::None;
    let tunnels = [
        (TunnelKind::Ipip, 20),
        (TunnelKind::Gue { port: 6080, checksum }, 32),
        (TunnelKind::Gre { checksum }, 24),
    ];
    let tunnels = tunnels.map(|(kind, grown)| (ForwardMethod::Tunnel(kind), grown));
    for (method, grown) in [(ForwardMethod::DirectRoute, 0)].into_iter().chain(tunnels) {
        let (mut scene, ..) = scene("10.0.0.11:80", method);
        let request = tcp(at(OWN), at(VIP), SYN);
        let sent = scene.receive(PortId::HOST, &request);
        assert_eq!((sent.server(), sent.frame.len()), (11, request.len() + grown), "{method:?}");
        let answer = tcp(at(VIP), at(OWN), SYN | ACK);
        let heard = scene.server_sends(&answer);
        assert_eq!((heard.verdict, &heard.frame), (Verdict::ToHost, &answer));
        let account = scene.account();
        assert_eq!((account.received, account.forwarded, account.to_host), (2, 1, 1));
        assert!(scene.connections().is_empty(), "no connection, no counters");
        assert_eq!(scene.servers()[0].stats.conns, 0);
    }
}

#[test]
fn behind_nat_a_probe_is_translated_both_ways_and_so_is_an_error_about_it() {
    let (mut scene, ..) = scene("10.0.0.11:8080", ForwardMethod::Masquerade);
    let sent = scene.receive(PortId::HOST, &tcp(at(OWN), at(VIP), SYN));
    assert_eq!(sent.server(), 11);
    assert_eq!((sent.headers().src, sent.headers().ports()), (at(OWN).ip(), (4000, 8080)));
    assert_eq!(sent.headers().dst, at("10.0.0.11:8080").ip());
    let heard = scene.server_sends(&tcp(at("10.0.0.11:8080"), at(OWN), SYN | ACK));
    assert_eq!(heard.verdict, Verdict::ToHost);
    assert_eq!((heard.headers().src, heard.headers().ports()), (at(VIP).ip(), (80, 4000)));
    let refused = error("10.0.0.11", "10.0.0.1", &sent.frame);
    let heard = scene.server_sends(&refused);
    assert_eq!(heard.verdict, Verdict::ToHost);
    let quoted = lvs_forward::Quoted::parse(&heard.frame, &heard.headers()).unwrap();
    assert_eq!((quoted.src, quoted.dst, quoted.dst_port), (at(OWN).ip(), at(VIP).ip(), 80));
}

#[test]
fn what_answers_no_probe_is_a_stranger_with_our_address() {
    let (mut scene, ..) = scene("10.0.0.11:80", ForwardMethod::DirectRoute);
    for frame in [
        tcp(at(VIP), at("10.0.0.1:4001"), SYN | ACK),
        tcp(at("203.0.113.1:81"), at(OWN), SYN | ACK),
        udp(at(VIP), at(OWN), b"?"),
    ] {
        assert_eq!(scene.server_sends(&frame).verdict, Verdict::Drop(DropReason::MartianSource));
    }
    // Nor does a client's connection go where the probe does.
    assert_eq!(scene.client_sends(&tcp(client(7, 4000), at(VIP), SYN)).server(), 12);
    let forged = scene.receive(OUTSIDE, &tcp(at(OWN), at(VIP), SYN));
    assert_eq!(forged.verdict, Verdict::Drop(DropReason::MartianSource));
}

#[test]
fn a_probe_that_is_over_is_led_on_for_a_moment_and_not_longer() {
    let (mut scene, flow, serial) = scene("10.0.0.11:80", ForwardMethod::DirectRoute);
    let last = tcp(at(OWN), at(VIP), ACK);
    let plane = std::sync::Arc::clone(scene.registry.plane());
    plane.probes().end(flow, serial);
    let mut sent = || scene.receive(PortId::HOST, &last).verdict;
    assert_eq!(sent(), Verdict::Send(INSIDE), "a reset is under way");
    std::thread::sleep(super::super::probe::LINGER);
    let other = FlowKey { src_port: 1, ..flow };
    plane.probes().lead(other, at("10.0.0.12:80"), ForwardMethod::DirectRoute);
    assert_eq!(sent(), Verdict::ToHost);
}
