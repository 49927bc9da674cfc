//! The watcher hears of everything that changes the way of a packet.

use std::net::IpAddr;
use std::time::Duration;

use lvs_netcfg::{HostView, Reachability, Watcher};

use crate::namespace::{Namespace, eventually};

const PATIENCE: Duration = Duration::from_secs(3);

fn network() -> (Namespace, Namespace) {
    let peer = Namespace::new();
    let host = Namespace::joined(&peer, &[("eth0", "192.168.91.141/24", "192.168.91.146/24")]);
    (host, peer)
}

fn hears(watcher: &mut Watcher, condition: impl Fn(&HostView) -> bool) -> bool {
    eventually(PATIENCE, || {
        watcher.wait(Duration::from_millis(100)).unwrap();
        condition(watcher.view())
    })
}

/// Routes and addresses as a fresh look gives them.
fn assert_fresh(watcher: &Watcher) {
    let fresh = HostView::read().unwrap();
    assert_eq!(watcher.view().routes(), fresh.routes());
    assert_eq!(watcher.view().addresses(), fresh.addresses());
    let interfaces = |view: &HostView| view.interfaces().cloned().collect::<Vec<_>>();
    assert_eq!(interfaces(watcher.view()), interfaces(&fresh));
}

#[test]
#[ignore = "needs root"]
fn a_link_that_goes_down_takes_its_routes_along() {
    let (host, peer) = network();
    // Without IPv6: the loss of its link-local address would make the watcher look at the routes too.
    host.sh("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
         ip route add 10.0.0.0/8 via 192.168.91.146");
    host.run(|| {
        let mut watcher = Watcher::open().unwrap();
        let index = watcher.view().interface_named("eth0").unwrap().index;
        let target: IpAddr = "10.0.0.1".parse().unwrap();
        assert!(watcher.view().lookup(target).is_some());
        peer.sh("ip link set eth0 down");
        assert!(hears(&mut watcher, |view| !view.interface(index).unwrap().has_carrier));
        host.sh("ip link set eth0 down");
        assert!(hears(&mut watcher, |view| !view.interface(index).unwrap().is_up));
        assert!(watcher.view().lookup(target).is_none());
        assert_fresh(&watcher);
        host.sh("ip link set eth0 up");
        peer.sh("ip link set eth0 up");
        assert!(hears(&mut watcher, |view| view.lookup("192.168.91.9".parse().unwrap()).is_some()));
        host.sh("ip link set eth0 mtu 1400");
        assert!(hears(&mut watcher, |view| view.interface(index).unwrap().mtu == 1400));
        host.sh("ip link del eth0");
        assert!(hears(&mut watcher, |view| view.interface(index).is_none()));
        assert!(hears(&mut watcher, |view| view.lookup("192.168.91.9".parse().unwrap()).is_none()));
        assert_fresh(&watcher);
    });
}

#[test]
#[ignore = "needs root"]
fn addresses_and_routes_are_followed() {
    let (host, _peer) = network();
    host.run(|| {
        let mut watcher = Watcher::open().unwrap();
        let changes = [
            "ip addr add 192.168.91.150/24 dev eth0",
            "ip addr add 10.1.0.1/24 dev eth0 label eth0:7",
            "ip addr add fd91::1/64 dev eth0",
            "ip route add 10.0.0.0/8 via 192.168.91.146",
            "ip route append 10.0.0.0/8 via 192.168.91.147",
            "ip route replace 10.0.0.0/8 via 192.168.91.148",
            "ip route add 10.9.0.0/16 nexthop via 192.168.91.146 nexthop via 192.168.91.147",
            "ip route add 10.8.0.0/16 via 192.168.91.146 mtu 1300 metric 7",
            "ip route add 10.7.0.0/16 via 192.168.91.146 table 77",
            "ip -6 route add fd99::/64 via fd91::7",
            "ip -6 route append fd99::/64 via fd91::8",
            "ip -6 route del fd99::/64 via fd91::7",
            "ip route add 10.6.0.0/16 via 192.168.91.146 src 10.1.0.1",
            "ip addr del 10.1.0.1/24 dev eth0",
            "ip route del 10.9.0.0/16",
            "ip route del 10.0.0.0/8",
            "ip addr del fd91::1/64 dev eth0",
        ];
        for change in changes {
            host.sh(change);
            assert!(watcher.wait(PATIENCE).unwrap().any(), "{change}");
            // What came in pieces is whole a moment later.
            std::thread::sleep(Duration::from_millis(30));
            watcher.update().unwrap();
            assert_fresh(&watcher);
        }
        assert!(!watcher.wait(Duration::from_millis(50)).unwrap().any());
    });
}

#[test]
#[ignore = "needs root"]
fn what_a_rule_for_a_mark_takes_in_is_followed() {
    let (host, _peer) = network();
    host.run(|| {
        let mut watcher = Watcher::open().unwrap();
        let taken_in = |view: &HostView| {
            view.taken_in().map(|(rule, net)| (rule.mark, rule.mask, net.to_string())).collect::<Vec<_>>()
        };
        host.sh("ip route add local default dev lo table 100");
        assert!(hears(&mut watcher, |view| view.routes().iter().any(|route| route.table == 100)));
        assert!(taken_in(watcher.view()).is_empty(), "no rule leads there");
        host.sh("ip rule add fwmark 7 lookup 100");
        let first = (7, u32::MAX, "0.0.0.0/0".to_owned());
        assert!(hears(&mut watcher, |view| taken_in(view) == [first.clone()]));
        host.sh("ip -6 rule add fwmark 8/0xff lookup 300
             ip -6 route add local 2001:db8::/32 dev lo table 300");
        let second = (8, 0xff, "2001:db8::/32".to_owned());
        assert!(hears(&mut watcher, |view| taken_in(view).contains(&second)));
        assert!(taken_in(&HostView::read().unwrap()).contains(&first));
        host.sh("ip rule del fwmark 7");
        assert!(hears(&mut watcher, |view| taken_in(view) == [second.clone()]));
    });
}

#[test]
#[ignore = "needs root"]
fn a_neighbour_that_is_asked_for_is_found_and_followed() {
    let (host, peer) = network();
    host.sh("ip addr add fd91::141/64 dev eth0");
    peer.sh("ip addr add fd91::146/64 dev eth0");
    host.run(|| {
        let mut watcher = Watcher::open().unwrap();
        let index = watcher.view().interface_named("eth0").unwrap().index;
        for ip in ["192.168.91.146", "fd91::146"] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(watcher.view().mac(index, ip), None);
            watcher.ask_neighbour(index, ip).unwrap();
            assert!(hears(&mut watcher, |view| view.mac(index, ip) == Some([2, 0, 0, 0, 2, 0])), "{ip}");
        }
        host.sh("ip neigh replace 192.168.91.146 lladdr 02:00:00:00:02:99 dev eth0 nud stale");
        let ip: IpAddr = "192.168.91.146".parse().unwrap();
        assert!(hears(&mut watcher, |view| view.mac(index, ip) == Some([2, 0, 0, 0, 2, 0x99])));
        host.sh("ip neigh del 192.168.91.146 dev eth0");
        assert!(hears(&mut watcher, |view| view.mac(index, ip).is_none()));
    });
}

#[test]
#[ignore = "needs root"]
fn a_neighbour_nobody_answers_for_is_not_usable() {
    let (host, _peer) = network();
    host.sh("echo 20 > /proc/sys/net/ipv4/neigh/eth0/retrans_time_ms");
    host.run(|| {
        let mut watcher = Watcher::open().unwrap();
        let index = watcher.view().interface_named("eth0").unwrap().index;
        let ip: IpAddr = "192.168.91.99".parse().unwrap();
        watcher.ask_neighbour(index, ip).unwrap();
        assert!(hears(&mut watcher, |view| {
            view.neighbour(index, ip).is_some_and(|found| found.reachability == Reachability::Failed)
        }));
        assert_eq!(watcher.view().mac(index, ip), None);
    });
}

#[test]
#[ignore = "needs root"]
fn entries_in_use_are_confirmed_and_others_left_alone() {
    let (host, _peer) = network();
    host.sh("echo 0 > /proc/sys/net/ipv4/neigh/eth0/delay_first_probe_time
         ip neigh replace 192.168.91.146 lladdr 02:00:00:00:02:00 dev eth0 nud stale");
    host.run(|| {
        let mut watcher = Watcher::open().unwrap();
        let index = watcher.view().interface_named("eth0").unwrap().index;
        let ip: IpAddr = "192.168.91.146".parse().unwrap();
        // Stale entries are used, and asked for anew.
        assert!(watcher.view().mac(index, ip).is_some());
        assert_eq!(watcher.keep_neighbours([(index, ip)]).unwrap(), 1);
        assert!(hears(&mut watcher, |view| {
            view.neighbour(index, ip).is_some_and(|found| found.reachability == Reachability::Reachable)
        }));
        assert_eq!(watcher.keep_neighbours([(index, ip)]).unwrap(), 0);
        // An interface that is gone is no error.
        assert_eq!(watcher.keep_neighbours([(9999, ip)]).unwrap(), 0);
    });
}

#[test]
#[ignore = "needs root"]
fn when_announcements_are_lost_the_host_is_read_anew() {
    let (host, _peer) = network();
    host.run(|| {
        let mut watcher = Watcher::open().unwrap();
        let routes = "for a in {0..15}; do for b in {0..249}; do echo route add 10.$a.$b.0/24 via 192.168.91.146; done; done";
        host.sh(&format!("{routes} | ip -batch -"));
        host.sh("ip route flush proto boot");
        host.sh(&format!("{routes} | ip -batch -"));
        assert_eq!(watcher.update().unwrap(), lvs_netcfg::Changes::ALL);
        assert_fresh(&watcher);
        assert!(watcher.view().routes().len() > 4000);
        host.sh("ip route del 10.3.3.0/24");
        assert!(hears(&mut watcher, |view| view.lookup("10.3.3.1".parse().unwrap()).is_none()));
    });
}
