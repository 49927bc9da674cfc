//! Tunnels: what the outer header says, and that the inner packet is only a hop older.

use lvs_conntrack::Proto;
use lvs_forward::Verdict;
use lvs_forward::checksum::Sum;

use super::frames::{SYN, seal, tcp, udp, with_df};
use super::scene::{INSIDE, Scene, at, client};

const V4: &str = "203.0.113.1:53";
const V6: &str = "[2001:db8::1]:53";
const ETHERNET: usize = 14;

/// The frame that a client's datagram becomes on its way to a server behind such a tunnel.
fn tunnelled(vip: &str, rip: &str, kind: &str, frame: &[u8]) -> Vec<u8> {
    let mut scene =
        Scene::new(&[&format!("-A -u {vip} -s rr"), &format!("-a -u {vip} -r {rip}:53 -i {kind}")]);
    let outcome = scene.client_sends(frame);
    assert_eq!(outcome.verdict, Verdict::Send(INSIDE), "{vip} {rip} {kind}");
    assert_eq!(outcome.headers().dst, at(&format!("{rip}:0")).ip());
    outcome.frame
}

fn from_v4() -> Vec<u8> {
    udp(client(7, 4000), at(V4), b"a question")
}

fn from_v6() -> Vec<u8> {
    udp(at("[2001:db8:c::7]:4000"), at(V6), b"a question")
}

/// The packet within, as it must arrive: one hop older.
fn older(mut frame: Vec<u8>) -> Vec<u8> {
    if frame[ETHERNET] >> 4 == 4 {
        frame[ETHERNET + 8] -= 1;
        seal(&mut frame[ETHERNET..ETHERNET + 20]);
    } else {
        frame[ETHERNET + 7] -= 1;
    }
    frame.split_off(ETHERNET)
}

#[test]
fn any_family_goes_through_either() {
    for (vip, rip, frame, outer, proto) in [
        (V4, "10.0.0.11", from_v4(), 20, 4),
        (V6, "[2001:db8:b::11]", from_v6(), 40, 41),
        (V4, "[2001:db8:b::11]", from_v4(), 40, 4),
        (V6, "10.0.0.11", from_v6(), 20, 41),
    ] {
        let sent = tunnelled(vip, rip, "", &frame);
        let at = ETHERNET + if outer == 20 { 9 } else { 6 };
        assert_eq!(sent[at], proto, "{vip} in {rip}");
        assert_eq!(sent[ETHERNET + outer..], older(frame), "{vip} in {rip}");
    }
}

#[test]
fn gre_names_what_it_carries_and_sums_it_when_asked() {
    for (vip, frame, kind) in [(V4, from_v4(), 0x0800_u16), (V6, from_v6(), 0x86dd)] {
        let plain = tunnelled(vip, "10.0.0.11", "--tun-type gre", &frame);
        assert_eq!((plain[23], &plain[34..36], &plain[36..38]), (47, &[0, 0][..], &kind.to_be_bytes()[..]));
        assert_eq!(plain[38..], older(frame.clone()));
        let summed = tunnelled(vip, "10.0.0.11", "--tun-type gre --tun-csum", &frame);
        assert_eq!((&summed[34..36], &summed[36..38]), (&[0x80, 0][..], &kind.to_be_bytes()[..]));
        assert_eq!(Sum::ZERO.bytes(&summed[34..]).checksum(), 0, "over GRE's header and all that follows");
        assert_eq!(summed[42..], older(frame));
    }
}

#[test]
fn gue_goes_to_its_port_from_one_that_tells_flows_apart() {
    let gue = |kind: &str, frame: &[u8]| {
        tunnelled(V4, "10.0.0.11", &format!("--tun-type gue --tun-port 6080 {kind}"), frame)
    };
    let plain = gue("", &from_v4());
    assert_eq!((plain[23], &plain[36..38]), (17, &6080_u16.to_be_bytes()[..]));
    assert_eq!(
        (&plain[40..42], &plain[42..46]),
        (&[0, 0][..], &[0, 4, 0, 0][..]),
        "no checksum; IPv4 within"
    );
    assert_eq!(plain[46..], older(from_v4()));
    let again = gue("", &from_v4());
    assert_eq!(plain[34..36], again[34..36], "a flow has one source port");
    let others = (1025..1075).map(|port| gue("", &udp(client(7, port), at(V4), b""))[34..36].to_vec());
    assert!(others.collect::<std::collections::BTreeSet<_>>().len() > 10);
    let summed = gue("--tun-csum", &from_v4());
    let pseudo = Sum::ZERO.bytes(&summed[26..34]).bytes(&[0, 17]).bytes(&summed[38..40]);
    assert_eq!(pseudo.bytes(&summed[34..]).checksum(), 0, "the outer datagram's checksum is right");
}

#[test]
fn the_outer_header_takes_over_tos_ttl_and_dont_fragment() {
    let mut frame = with_df(from_v4());
    frame[ETHERNET + 1] = 0xb9;
    frame[ETHERNET + 8] = 33;
    seal(&mut frame[ETHERNET..ETHERNET + 20]);
    let sent = tunnelled(V4, "10.0.0.11", "", &frame);
    assert_eq!((sent[15], sent[20] & 0x40, sent[22]), (0xb9, 0x40, 32));
    let clear = tunnelled(V4, "10.0.0.11", "", &from_v4());
    assert_eq!(clear[20] & 0x40, 0);
}

#[test]
fn a_tunnels_connection_is_listed_as_what_it_carries() {
    let vip = "203.0.113.1:80";
    let mut scene = Scene::new(&[&format!("-A -t {vip} -s rr"), &format!("-a -t {vip} -r 10.0.0.11 -i")]);
    scene.client_sends(&tcp(client(7, 1), at(vip), SYN));
    let listed = &scene.connections()[0];
    assert_eq!((listed.proto, listed.vip, listed.server_port), (Proto::TCP.0, at(vip).ip(), 80));
    assert_eq!(scene.counts(11), (1, 0, 0));
}
