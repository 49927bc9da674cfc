use super::*;
use crate::neighbour::Reachability::{Failed, Incomplete, Reachable, Stale};

const ETH0: u32 = 2;
const ETH1: u32 = 3;

fn interface(index: u32, name: &str) -> Interface {
    Interface {
        index,
        name: name.to_owned(),
        mac: Some([2, 0, 0, 0, 0, u8::try_from(index).unwrap()]),
        mtu: 1500,
        is_up: true,
        has_carrier: true,
        is_loopback: index == 1,
        lower: None,
        master: None,
    }
}

fn route(prefix: &str, via: Option<&str>, oif: u32) -> Route {
    Route {
        prefix: prefix.parse().unwrap(),
        via: via.map(|ip| ip.parse().unwrap()),
        prefsrc: None,
        ..Route::to_host("0.0.0.0".parse().unwrap(), oif)
    }
}

fn view(routes: Vec<Route>) -> HostView {
    let mut view = HostView::default();
    view.set_interfaces(vec![interface(1, "lo"), interface(ETH0, "eth0"), interface(ETH1, "eth1")]);
    view.set_addresses(vec![
        Address::new(ETH0, "192.168.91.141/24".parse().unwrap()),
        Address::new(ETH1, "192.168.81.141/24".parse().unwrap()),
    ]);
    view.set_routes(routes);
    view
}

fn hop(view: &HostView, ip: &str) -> Option<(u32, String)> {
    view.lookup(ip.parse().unwrap()).map(|hop| (hop.ifindex, hop.next_hop.to_string()))
}

#[test]
fn the_longest_prefix_wins() {
    let view = view(vec![
        route("0.0.0.0/0", Some("192.168.91.1"), ETH0),
        route("10.0.0.0/8", Some("192.168.81.1"), ETH1),
        route("10.1.0.0/16", None, ETH0),
    ]);
    assert_eq!(hop(&view, "10.1.2.3"), Some((ETH0, "10.1.2.3".into())));
    assert_eq!(hop(&view, "10.2.2.3"), Some((ETH1, "192.168.81.1".into())));
    assert_eq!(hop(&view, "8.8.8.8"), Some((ETH0, "192.168.91.1".into())));
    assert_eq!(hop(&view, "fd00::1"), None);
}

#[test]
fn the_smallest_metric_wins_among_equal_prefixes() {
    let worse = Route { metric: 100, ..route("10.0.0.0/8", Some("192.168.81.1"), ETH1) };
    let better = Route { metric: 10, ..route("10.0.0.0/8", Some("192.168.91.1"), ETH0) };
    let mut view = view(vec![worse.clone(), better.clone()]);
    assert_eq!(hop(&view, "10.0.0.1"), Some((ETH0, "192.168.91.1".into())));
    assert!(view.drop_route(&better));
    assert_eq!(hop(&view, "10.0.0.1"), Some((ETH1, "192.168.81.1".into())));
    assert!(view.put_route(better.clone()));
    assert!(!view.put_route(better));
    assert_eq!(hop(&view, "10.0.0.1"), Some((ETH0, "192.168.91.1".into())));
}

#[test]
fn a_local_address_comes_before_all_else() {
    let local =
        Route { table: TABLE_LOCAL, kind: RouteKind::Local, ..route("192.168.91.141/32", None, ETH0) };
    let view = view(vec![route("192.168.91.0/24", None, ETH0), local]);
    assert!(view.lookup("192.168.91.141".parse().unwrap()).unwrap().is_local);
    assert!(!view.lookup("192.168.91.142".parse().unwrap()).unwrap().is_local);
}

#[test]
fn a_refusing_route_ends_the_search_and_a_throw_goes_on() {
    let kind = |kind, table| Route { kind, table, oif: None, ..route("10.0.0.0/8", None, ETH0) };
    let default = || route("0.0.0.0/0", Some("192.168.91.1"), ETH0);
    for refusing in [RouteKind::Blackhole, RouteKind::Unreachable, RouteKind::Prohibit] {
        let view = view(vec![default(), kind(refusing, TABLE_MAIN)]);
        assert_eq!(hop(&view, "10.0.0.1"), None, "{refusing:?}");
    }
    let view = view(vec![default(), kind(RouteKind::Throw, TABLE_LOCAL)]);
    assert_eq!(hop(&view, "10.0.0.1"), Some((ETH0, "192.168.91.1".into())));
}

#[test]
fn a_route_through_an_interface_that_is_down_is_not_used() {
    let mut view = view(vec![
        route("0.0.0.0/0", Some("192.168.91.1"), ETH0),
        route("10.0.0.0/8", Some("192.168.81.1"), ETH1),
    ]);
    view.put_interface(Interface { is_up: false, ..interface(ETH1, "eth1") });
    assert_eq!(hop(&view, "10.0.0.1"), Some((ETH0, "192.168.91.1".into())));
}

#[test]
fn the_route_s_mtu_and_source_come_before_the_interface_s() {
    let source = "192.168.81.7".parse().unwrap();
    let special = Route { mtu: Some(1400), prefsrc: Some(source), ..route("10.0.0.0/8", None, ETH1) };
    let view = view(vec![special, route("0.0.0.0/0", Some("192.168.81.1"), ETH1)]);
    let hop = view.lookup("10.0.0.1".parse().unwrap()).unwrap();
    assert_eq!((hop.mtu, hop.source), (1400, Some(source)));
    let hop = view.lookup("11.0.0.1".parse().unwrap()).unwrap();
    assert_eq!((hop.mtu, hop.source), (1500, Some("192.168.81.141".parse().unwrap())));
}

#[test]
fn only_a_change_of_the_usable_mac_counts_as_one() {
    let mut view = view(Vec::new());
    let ip = "192.168.91.146".parse().unwrap();
    let entry = |mac, reachability| Neighbour { ifindex: ETH0, ip, mac, reachability };
    let mac = Some([2, 0, 0, 0, 0, 9]);
    assert!(!view.put_neighbour(entry(None, Incomplete)));
    assert_eq!(view.mac(ETH0, ip), None);
    assert!(view.put_neighbour(entry(mac, Reachable)));
    assert_eq!(view.mac(ETH0, ip), mac);
    assert!(!view.put_neighbour(entry(mac, Stale)));
    assert_eq!(view.mac(ETH0, ip), mac);
    assert!(view.put_neighbour(entry(mac, Failed)));
    assert_eq!(view.mac(ETH0, ip), None);
    assert!(!view.drop_neighbour(&entry(None, Failed)));
}

#[test]
fn what_a_mark_takes_in_is_what_its_table_has_local_routes_for() {
    let local = |table, prefix: &str| Route { table, kind: RouteKind::Local, ..route(prefix, None, 1) };
    let mut view = view(vec![
        local(99, "198.51.100.0/24"),
        local(100, "0.0.0.0/0"),
        local(100, "2001:db8::/32"),
        Route { table: 100, ..route("10.0.0.0/8", None, ETH0) },
        local(101, "198.18.0.0/15"),
    ]);
    let rule = MarkRule { is_ipv6: false, mark: 7, mask: u32::MAX, table: 100, priority: 32765 };
    let late = MarkRule { table: 101, priority: 32767, ..rule };
    assert!(view.set_rules(vec![rule, late]) && !view.set_rules(vec![rule, late]));
    let taken_in = |view: &HostView| view.taken_in().map(|(_, net)| net.to_string()).collect::<Vec<_>>();
    assert_eq!(taken_in(&view), ["0.0.0.0/0"]);
    view.set_rules(vec![MarkRule { is_ipv6: true, ..rule }]);
    assert_eq!(taken_in(&view), ["2001:db8::/32"]);
}

#[test]
fn what_comes_in_may_be_for_all_that_is_stacked_on_it() {
    let mut view = HostView::default();
    let on = |index, name, lower, master| Interface { lower, master, ..interface(index, name) };
    view.set_interfaces(vec![
        on(2, "eth0", None, Some(9)),
        on(3, "eth1", None, None),
        on(4, "vrrp.51", Some(2), None),
        on(5, "eth1.7", Some(3), None),
        on(6, "vlan-of-the-bridge", Some(9), None),
        on(7, "macvlan-of-the-vlan", Some(6), None),
        on(8, "another-port", None, Some(9)),
        on(9, "bridge", None, None),
    ]);
    let above = |index| {
        let mut found: Vec<u32> = view.above(index).iter().map(|interface| interface.index).collect();
        found.sort_unstable();
        found
    };
    assert_eq!(above(2), [4, 6, 7, 9]);
    assert_eq!(above(3), [5]);
    assert_eq!(above(9), [6, 7]);
    assert!(above(4).is_empty());
}
