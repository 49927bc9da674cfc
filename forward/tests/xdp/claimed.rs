//! What the XDP program takes from the host, and what it leaves.

use std::net::Ipv6Addr;

use lvs_conntrack::Proto;
use lvs_forward::io::xdp::{Claims, Marked, Prefix};

use crate::director::{Director, ELSEWHERE, endpoint, vip6};
use crate::frames;
use crate::net::{CLIENT, DIRECTOR, Lab, SERVER, VIP};

#[test]
#[ignore = "needs root"]
fn only_what_is_a_services_leaves_the_host() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    assert!(lab.ping(VIP) && lab.ping(DIRECTOR), "the host answers for itself");
    assert!(lab.ping(vip6()), "neighbour discovery is the host's");

    let c = (CLIENT, 4000);
    let c6: (Ipv6Addr, u16) = ("fd01::2".parse().unwrap(), 4000);
    let cases = [
        ("a service", true, frames::udp(c, (VIP, 5000), b"x")),
        ("another port", false, frames::udp(c, (VIP, 5001), b"x")),
        ("the port of another protocol's service", true, frames::syn(c, (VIP, 5000))),
        ("every port", true, frames::syn(c, (VIP, 31337))),
        ("another address", false, frames::syn(c, (DIRECTOR, 31337))),
        ("a reply's port without its address", false, frames::udp((CLIENT, 8080), (CLIENT, 9), b"x")),
        ("one tag", true, frames::tagged(c, (VIP, 5000), false)),
        ("two tags", true, frames::tagged(c, (VIP, 5000), true)),
        ("a tag, not a service", false, frames::tagged(c, (VIP, 5001), false)),
        ("IPv6", true, frames::udp6(c6, (vip6(), 5000), b"x")),
        ("IPv6, another port", false, frames::udp6(c6, (vip6(), 5001), b"x")),
        ("extension headers", true, frames::extended6(c6, (vip6(), 5000), 5)),
        ("extension headers, another port", false, frames::extended6(c6, (vip6(), 5001), 5)),
        ("more extension headers than are followed", true, frames::extended6(c6, (vip6(), 5001), 9)),
        ("a first fragment", true, frames::fragment(CLIENT, VIP, 0, true)),
        ("a later fragment", true, frames::fragment(CLIENT, VIP, 3, false)),
        ("another's fragment", false, frames::fragment(CLIENT, DIRECTOR, 3, false)),
    ];
    director.gets(&lab.client.raw("c0"), &cases);

    let cases = [
        ("a reply", true, frames::udp((SERVER, 8080), c, b"x")),
        ("a server's other packets", false, frames::udp((SERVER, 8081), c, b"x")),
        ("a server's fragment", true, frames::fragment(SERVER, CLIENT, 3, false)),
    ];
    director.gets(&lab.server.raw("s0"), &cases);
    let counts = director.program.counts().unwrap();
    assert_eq!((counts.reply, counts.no_socket), (1, 0));
    assert_eq!((counts.service, counts.fragment), (7, 4), "{counts:?}");
}

#[test]
#[ignore = "needs root"]
fn icmp_errors_about_our_packets_are_ours_and_no_others() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    let c = (CLIENT, 4000);
    let c6: (Ipv6Addr, u16) = ("fd01::2".parse().unwrap(), 4000);
    let to_client = frames::udp((VIP, 5000), c, b"x");
    let to_server = frames::udp(c, (SERVER, 8080), b"x");
    let tunnelled = frames::tunnel(ELSEWHERE, SERVER, 4, &[], &frames::udp(c, (VIP, 5000), b"x"));
    let of_others = frames::udp(c, (SERVER, 9999), b"x");
    let unreachable = (3, 3);
    let cases = [
        ("an echo request", false, frames::icmp(CLIENT, VIP, (8, 0), &to_client)),
        ("an error to a VIP", true, frames::icmp(CLIENT, VIP, unreachable, &to_client)),
        ("time exceeded", true, frames::icmp(CLIENT, VIP, (11, 0), &to_client)),
        ("a redirect", false, frames::icmp(CLIENT, VIP, (5, 0), &to_client)),
        (
            "about a service, to another address",
            true,
            frames::icmp(CLIENT, DIRECTOR, unreachable, &to_client),
        ),
        ("about a packet to a NAT server", true, frames::icmp(SERVER, CLIENT, unreachable, &to_server)),
        ("about another port of a NAT server", false, frames::icmp(SERVER, CLIENT, unreachable, &of_others)),
        ("about a tunnel", true, frames::icmp(ELSEWHERE, DIRECTOR, (3, 4), &tunnelled)),
        ("about the host's own", false, frames::icmp(CLIENT, DIRECTOR, unreachable, &frames::syn(c, c))),
        ("quoting nothing", false, frames::icmp(CLIENT, DIRECTOR, unreachable, &[])),
        (
            "quoting a later fragment of ours",
            true,
            frames::icmp(CLIENT, DIRECTOR, unreachable, &frames::fragment(VIP, CLIENT, 9, true)),
        ),
        ("too big, IPv6", true, frames::icmp6(c6.0, vip6(), (2, 0), &frames::udp6((vip6(), 5000), c6, b"x"))),
        ("an echo request, IPv6", false, frames::icmp6(c6.0, vip6(), (128, 0), &[])),
    ];
    director.gets(&lab.client.raw("c0"), &cases);
}

#[test]
#[ignore = "needs root"]
fn what_is_claimed_follows_the_claims() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    let client = lab.client.raw("c0");
    let marked = frames::udp((CLIENT, 1), ("10.1.0.77".parse().unwrap(), 1), b"marked");
    let service = frames::udp((CLIENT, 1), (VIP, 5000), b"service");
    director.gets(&client, &[("before", false, marked.clone()), ("before", true, service.clone())]);

    let prefix = Prefix { address: "10.1.0.64".parse().unwrap(), length: 27 };
    let kept = endpoint(VIP, 6000, Proto::UDP);
    let ports = |proto| Marked { prefix, proto, first_port: 1, last_port: u16::MAX };
    let marks = [ports(Proto::TCP), ports(Proto::UDP)];
    let claims = Claims { marked: marks.into(), services: [kept].into(), ..Claims::default() };
    director.program.claim(&claims).unwrap();
    director.gets(&client, &[("a prefix", true, marked.clone()), ("removed", false, service.clone())]);

    director.program.claim(&Claims::default()).unwrap();
    director.gets(&client, &[("nothing is claimed", false, marked), ("still removed", false, service)]);
}

#[test]
#[ignore = "needs root"]
fn of_a_marked_prefix_only_what_may_be_marked_leaves_the_host() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0"], None);
    let client = lab.client.raw("c0");
    let marked = |address: &str, length, proto, first_port, last_port| {
        let prefix = Prefix { address: address.parse().unwrap(), length };
        Marked { prefix, proto, first_port, last_port }
    };
    let marks = [
        marked("10.1.0.0", 16, Proto::UDP, 53, 53),
        marked("10.1.0.64", 26, Proto::TCP, 80, 80),
        marked("10.1.0.64", 26, Proto::TCP, 8000, 8100),
        // What holds all of IPv6 does not hold IPv4.
        marked("::", 0, Proto::UDP, 7000, 7000),
    ];
    director.program.claim(&Claims { marked: marks.into(), ..Claims::default() }).unwrap();

    let c = (CLIENT, 4000);
    let c6: (Ipv6Addr, u16) = ("fd01::2".parse().unwrap(), 4000);
    let cases = [
        ("a marked port", true, frames::syn(c, (VIP, 80))),
        ("a range's first port", true, frames::syn(c, (VIP, 8000))),
        ("a range's last port", true, frames::syn(c, (VIP, 8100))),
        ("behind a range", false, frames::syn(c, (VIP, 8101))),
        ("another port", false, frames::syn(c, (VIP, 22))),
        ("the port of another protocol", false, frames::udp(c, (VIP, 80), b"x")),
        ("what the prefix around it says", true, frames::udp(c, (VIP, 53), b"x")),
        ("outside the inner prefix", false, frames::syn(c, (DIRECTOR, 80))),
        ("the outer prefix", true, frames::udp(c, (DIRECTOR, 53), b"x")),
        ("all of IPv6", true, frames::udp6(c6, (vip6(), 7000), b"x")),
        ("all of IPv6, another port", false, frames::udp6(c6, (vip6(), 7001), b"x")),
        ("IPv4 is not of IPv6", false, frames::udp(c, (VIP, 7000), b"x")),
    ];
    director.gets(&client, &cases);
    assert!(lab.ping(VIP) && lab.ping(vip6()), "a ping is never marked");
}
