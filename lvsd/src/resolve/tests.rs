use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn path(port: u16, src: [u8; 6], dst: [u8; 6], mtu: u16) -> Path {
    Path { port: PortId(port), src_mac: Mac(src), dst_mac: Mac(dst), mtu, checksums: Checksums::Computed }
}

fn fib() -> Fib {
    let interface = |name: &str, index, port, net: &str| Interface {
        name: name.into(),
        index,
        port,
        mac: Mac([2, 0, 0, 0, 0, u8::try_from(index).unwrap()]),
        mtu: 1500,
        checksums: Checksums::Computed,
        addresses: vec![net.parse().unwrap()],
    };
    let route = Route {
        destination: "0.0.0.0/0".parse().unwrap(),
        kind: RouteKind::Unicast,
        via: Some(ip("192.0.2.1")),
        interface: 1,
        mtu: Some(1400),
        source: None,
        metric: 0,
    };
    let interfaces = vec![
        interface("outside", 1, Some(PortId(0)), "192.0.2.2/24"),
        interface("inside", 2, Some(PortId(1)), "10.0.0.1/24"),
        interface("aside", 3, None, "10.9.0.1/24"),
    ];
    let routes = interfaces.iter().flat_map(Interface::connected).chain([route]).collect();
    Fib::new(
        interfaces,
        routes,
        &[
            Neighbour { interface: 1, addr: ip("192.0.2.1"), mac: Mac([6; 6]) },
            Neighbour { interface: 2, addr: ip("10.0.0.5"), mac: Mac([5; 6]) },
        ],
    )
}

#[test]
fn a_neighbour_on_the_link_is_reached_directly() {
    let hop = fib().lookup(ip("10.0.0.5"));
    let expected = path(1, [2, 0, 0, 0, 0, 2], [5; 6], 1500);
    assert_eq!(hop, Ok(NextHop::Ready(expected)));
}

#[test]
fn what_is_far_goes_to_the_router_with_the_routes_mtu() {
    let expected = path(0, [2, 0, 0, 0, 0, 1], [6; 6], 1400);
    assert_eq!(fib().lookup(ip("203.0.113.9")), Ok(NextHop::Ready(expected)));
}

#[test]
fn an_unknown_neighbour_is_asked_for() {
    let hop = fib().lookup(ip("10.0.0.6")).unwrap();
    let NextHop::Awaiting(path, ask) = hop else { panic!("{hop:?}") };
    assert_eq!(ask, Ask { interface: 2, addr: ip("10.0.0.6") });
    assert_eq!(path.dst_mac, Mac::default());
}

#[test]
fn what_cannot_leave_says_why() {
    assert_eq!(fib().lookup(ip("10.9.0.7")), Err(DropReason::NoPort));
    assert_eq!(fib().lookup(ip("2001:db8::1")), Err(DropReason::NoRoute));
    assert_eq!(fib().lookup(ip("10.0.0.1")), Ok(NextHop::Local));
}

#[test]
fn the_hosts_own_packets_carry_the_address_of_the_way_out() {
    assert_eq!(fib().source_for(ip("10.0.0.5")), Some(ip("10.0.0.1")));
    assert_eq!(fib().source_for(ip("203.0.113.9")), Some(ip("192.0.2.2")));
    assert_eq!(fib().address_of(PortId(1), true), Some(ip("10.0.0.1")));
}

#[test]
fn a_real_server_has_a_unicast_address() {
    for (addr, unicast) in [
        ("10.0.0.5", true),
        ("203.0.113.9", true),
        ("10.0.0.255", false),
        ("224.0.0.1", false),
        ("255.255.255.255", false),
        ("0.0.0.0", false),
        ("fe80::1", false),
        ("2001:db8::1", true),
        ("ff02::1", false),
    ] {
        assert_eq!(fib().is_unicast(ip(addr)), unicast, "{addr}");
    }
}
