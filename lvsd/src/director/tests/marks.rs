//! Services on marks: which packets they gather, and what a change of the rules leaves alone.

use lvs_forward::{DropReason, Verdict};

use super::frames::{ACK, SYN, tcp, udp};
use super::scene::{INSIDE, OUTSIDE, Scene, at, client, ip};
use crate::mark::{MarkRule, PortRange, network};
use crate::message::{MarkChoice, Request, Response};

fn rule(mark: u32, destination: &str, ports: &[u16]) -> MarkRule {
    MarkRule {
        mark,
        destination: network(destination),
        source: None,
        protocol: None,
        ports: ports.iter().copied().map(PortRange::single).collect(),
        source_ports: Vec::new(),
        interface: None,
    }
}

fn marked(rules: Vec<MarkRule>, commands: &[&str]) -> Scene {
    let mut scene = Scene::new(commands);
    scene.registry.set_served(vec!["outside".to_owned(), "inside".to_owned()]);
    for rule in rules {
        assert_eq!(add(&mut scene, rule), Response::Done);
    }
    scene
}

fn add(scene: &mut Scene, rule: MarkRule) -> Response {
    scene.registry.apply(Request::AddMark { rule, at: None }, scene.now)
}

const V4: [&str; 3] = ["-A -f 1 -s rr -p 300", "-a -f 1 -r 10.0.0.11 -m", "-a -f 1 -r 10.0.0.12 -m"];
const V6: [&str; 3] =
    ["-A -f 1 -6 -s rr -p 300", "-a -f 1 -6 -r 2001:db8:b::11 -m", "-a -f 1 -6 -r 2001:db8:b::12 -m"];

#[test]
fn a_mark_gathers_ports_and_persistence_keeps_a_client_on_one_server() {
    for (commands, vip, clients) in [
        (V4, "203.0.113.1", ["198.51.100.7", "198.51.100.8"]),
        (V6, "2001:db8::1", ["2001:db8:c::7", "2001:db8:c::8"]),
    ] {
        let mut scene = marked(vec![rule(1, vip, &[80, 443])], &commands);
        let mut servers = Vec::new();
        for cip in clients.map(ip) {
            let mut server = None;
            for (from, to) in [(4000, 80), (4001, 443), (4002, 80)] {
                let (from, to) = ((cip, from).into(), (ip(vip), to).into());
                let there = scene.client_sends(&tcp(from, to, SYN));
                assert_eq!(there.verdict, Verdict::Send(INSIDE), "{vip}");
                // Every port stays what it is.
                assert_eq!(there.headers().ports(), (from.port(), to.port()));
                let chosen = there.headers().dst;
                assert_eq!(*server.get_or_insert(chosen), chosen);
                let back = scene.server_sends(&tcp((there.headers().dst, to.port()).into(), from, SYN | ACK));
                assert_eq!(back.verdict, Verdict::Send(OUTSIDE));
                assert_eq!((back.headers().src, back.headers().ports()), (to.ip(), (to.port(), from.port())));
            }
            servers.extend(server);
        }
        servers.dedup();
        assert_eq!(servers.len(), 2, "two clients, two servers");
        assert_eq!(scene.connections().iter().filter(|conn| conn.state != "NONE").count(), 6);
        assert_eq!(scene.servers().iter().map(|server| server.persistent).sum::<u32>(), 2);
    }
}

#[test]
fn what_no_rule_marks_is_the_hosts_and_stays_as_it_is() {
    let mut scene = marked(vec![rule(1, "203.0.113.1", &[80, 443])], &V4);
    for frame in [
        tcp(client(7, 4000), at("203.0.113.1:22"), SYN),
        udp(client(7, 4000), at("203.0.113.1:81"), b"x"),
        tcp(client(7, 4000), at("192.0.2.2:80"), SYN),
    ] {
        let outcome = scene.client_sends(&frame);
        assert_eq!((outcome.verdict, outcome.frame), (Verdict::ToHost, frame));
    }
    assert_eq!(scene.account().to_host, 3);
    assert!(scene.connections().is_empty());
    // A service on the mark of the other family gathers nothing here.
    let mut other = marked(vec![rule(1, "203.0.113.1", &[])], &V6);
    let outcome = other.client_sends(&tcp(client(7, 4000), at("203.0.113.1:80"), SYN));
    assert_eq!(outcome.verdict, Verdict::ToHost);
}

#[test]
fn a_rule_looks_at_protocol_client_port_and_interface() {
    let narrow = MarkRule {
        source: network("198.51.100.0/24"),
        source_ports: vec!["4000-4099".parse().unwrap()],
        protocol: Some(crate::message::Transport::Tcp),
        interface: Some("outside".to_owned()),
        ..rule(1, "203.0.113.1", &[80])
    };
    let mut scene = marked(vec![narrow], &V4);
    let vip = at("203.0.113.1:80");
    let fitting = tcp(client(7, 4000), vip, SYN);
    assert_eq!(scene.server_sends(&fitting).verdict, Verdict::ToHost, "another interface");
    assert_eq!(scene.client_sends(&udp(client(7, 4000), vip, b"x")).verdict, Verdict::ToHost);
    assert_eq!(scene.client_sends(&tcp(client(7, 4100), vip, SYN)).verdict, Verdict::ToHost);
    assert_eq!(scene.client_sends(&tcp(at("192.0.2.9:4000"), vip, SYN)).verdict, Verdict::ToHost);
    assert_eq!(scene.connections().len(), 0);
    assert_eq!(scene.client_sends(&fitting).verdict, Verdict::Send(INSIDE));
}

#[test]
fn a_marks_service_comes_before_that_of_the_address() {
    let commands = [
        "-A -t 203.0.113.1:80 -s rr",
        "-a -t 203.0.113.1:80 -r 10.0.0.13",
        "-A -f 5 -s rr",
        "-a -f 5 -r 10.0.0.14",
    ];
    let mut scene =
        marked(vec![MarkRule { source: network("198.51.100.8"), ..rule(5, "203.0.113.1", &[]) }], &commands);
    assert_eq!(scene.client_sends(&tcp(client(7, 1), at("203.0.113.1:80"), SYN)).server(), 13);
    assert_eq!(scene.client_sends(&tcp(client(8, 1), at("203.0.113.1:80"), SYN)).server(), 14);
    // A mark that no service is on leaves the packet to the address's.
    scene.ipvsadm("-D -f 5");
    assert_eq!(scene.client_sends(&tcp(client(8, 2), at("203.0.113.1:80"), SYN)).server(), 13);
}

#[test]
fn removing_a_rule_keeps_the_connections_it_began() {
    let mut scene = marked(vec![rule(1, "203.0.113.1", &[80, 443])], &V4);
    let (cip, vip) = (client(7, 4000), at("203.0.113.1:80"));
    let server = scene.client_sends(&tcp(cip, vip, SYN)).headers().dst;
    let removed = scene.registry.apply(Request::DeleteMark { which: MarkChoice::Number(1) }, scene.now);
    assert_eq!(removed, Response::Done);

    let there = scene.client_sends(&tcp(cip, vip, ACK));
    assert_eq!((there.verdict, there.headers().dst), (Verdict::Send(INSIDE), server));
    let back = scene.server_sends(&tcp((server, 80).into(), cip, ACK));
    assert_eq!((back.verdict, back.headers().src), (Verdict::Send(OUTSIDE), vip.ip()));
    // New ones are nobody's any more.
    assert_eq!(scene.client_sends(&tcp(client(7, 4001), vip, SYN)).verdict, Verdict::ToHost);
    let live = scene.connections();
    assert!(live.iter().any(|conn| conn.state == "ESTABLISHED"), "{live:?}");
}

#[test]
fn a_marked_packet_without_a_server_is_answered() {
    let mut scene = marked(vec![rule(1, "203.0.113.1", &[80])], &["-A -f 1 -s rr"]);
    let outcome = scene.client_sends(&tcp(client(7, 4000), at("203.0.113.1:80"), SYN));
    assert_eq!(outcome.verdict, Verdict::Answer(OUTSIDE, DropReason::NoServer));
}

#[test]
fn a_refused_rule_changes_nothing_and_says_why() {
    let mut scene = marked(vec![rule(1, "203.0.113.1", &[80])], &V4);
    let before = scene.registry.apply(Request::Marks, scene.now);
    for (wrong, why) in [
        (rule(1, "203.0.113.1", &[80]), "rule 1 says the same already"),
        (rule(0, "203.0.113.1", &[81]), "a mark is a number from 1 to 4294967295"),
        (
            MarkRule { interface: Some("eth9".to_owned()), ..rule(2, "203.0.113.1", &[]) },
            "interface eth9 is not served; these are: outside, inside",
        ),
    ] {
        assert_eq!(add(&mut scene, wrong), Response::Malformed { message: why.to_owned() });
    }
    let gone = scene.registry.apply(Request::DeleteMark { which: MarkChoice::Number(2) }, scene.now);
    assert_eq!(gone, Response::Malformed { message: "there is no place 2; the list has 1 rules".to_owned() });
    assert_eq!(scene.registry.apply(Request::Marks, scene.now), before);
}
