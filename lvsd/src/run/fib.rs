//! The host as netlink tells of it, in the terms of the packet path.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lvs_forward::{Checksums, Mac, PortId};
use lvs_netcfg::{HostView, TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN};

use crate::resolve::{Fib, Interface, Neighbour, Route, RouteKind};

/// The forwarding table of a host, of which the director serves `served`, in the order of its ports.
pub(super) fn fib(view: &HostView, served: &[String]) -> Fib {
    let interfaces = view.interfaces().map(|known| interface(known, view, served)).collect();
    let neighbours: Vec<Neighbour> = view
        .neighbours()
        .filter_map(|known| {
            let mac = view.mac(known.ifindex, known.ip)?;
            Some(Neighbour { interface: known.ifindex, addr: known.ip, mac: Mac(mac) })
        })
        .collect();
    Fib::new(interfaces, routes(view), &neighbours)
}

/// The neighbours packets leave by: those of the real servers and the routers.
pub(super) fn neighbours_in_use(
    view: &HostView,
    servers: impl IntoIterator<Item = IpAddr>,
) -> BTreeSet<(u32, IpAddr)> {
    let hops = servers.into_iter().filter_map(|rip| view.lookup(rip)).filter(|hop| !hop.is_local);
    let routers = view.routes().into_iter().filter_map(|route| Some((route.oif?, route.via?)));
    hops.map(|hop| (hop.ifindex, hop.next_hop)).chain(routers).collect()
}

fn interface(known: &lvs_netcfg::Interface, view: &HostView, served: &[String]) -> Interface {
    let place = served.iter().position(|name| *name == known.name);
    Interface {
        name: known.name.clone(),
        index: known.index,
        // Nothing is sent into an interface that is down; what is for it is dropped by name.
        port: place.filter(|_| known.is_up).and_then(|place| u16::try_from(place).ok()).map(PortId),
        mac: known.mac.map(Mac).unwrap_or_default(),
        mtu: u16::try_from(known.mtu).unwrap_or(u16::MAX),
        // AF_XDP asks no device for a checksum.
        checksums: Checksums::Computed,
        addresses: view.addresses_of(known.index).map(|address| address.address).collect(),
    }
}

fn routes(view: &HostView) -> Vec<Route> {
    let is_up = |index: u32| view.interface(index).is_some_and(|interface| interface.is_up);
    let mut routes = Vec::new();
    for known in view.routes() {
        let kind = match (known.table, known.kind) {
            (TABLE_LOCAL, lvs_netcfg::RouteKind::Local | lvs_netcfg::RouteKind::Anycast) => RouteKind::Local,
            (TABLE_MAIN | TABLE_DEFAULT, lvs_netcfg::RouteKind::Unicast) => RouteKind::Unicast,
            (
                TABLE_MAIN | TABLE_DEFAULT,
                lvs_netcfg::RouteKind::Blackhole
                | lvs_netcfg::RouteKind::Unreachable
                | lvs_netcfg::RouteKind::Prohibit,
            ) => RouteKind::Blackhole,
            _ => continue,
        };
        let is_dead = known.is_dead || known.oif.is_some_and(|index| !is_up(index));
        if known.tos != 0 || (is_dead && kind == RouteKind::Unicast) {
            continue;
        }
        routes.push(Route {
            destination: known.prefix,
            kind,
            via: known.via,
            interface: known.oif.unwrap_or_default(),
            mtu: known.mtu.map(|mtu| u16::try_from(mtu).unwrap_or(u16::MAX)),
            source: known.prefsrc,
            metric: known.metric,
        });
    }
    routes
}
