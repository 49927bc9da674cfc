//! The forwarding table of the host as netlink shows it.

use lvs_forward::{Checksums, Mac, PortId};
use lvs_netcfg::{HostView, TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN};

use super::{Fib, Interface, Neighbour, Route, RouteKind, TakenIn};

impl Fib {
    /// The table of the host. `port_of` tells the director's port on the interface with this number, where it has
    /// one.
    pub fn of_host(view: &HostView, port_of: impl Fn(u32) -> Option<PortId>) -> Self {
        let interfaces = view.interfaces().map(|interface| Interface {
            name: interface.name.clone(),
            index: interface.index,
            port: port_of(interface.index),
            mac: Mac(interface.mac.unwrap_or_default()),
            mtu: u16::try_from(interface.mtu).unwrap_or(u16::MAX),
            checksums: Checksums::Computed,
            addresses: view.addresses_of(interface.index).map(|address| address.address).collect(),
        });
        let known = [TABLE_LOCAL, TABLE_MAIN, TABLE_DEFAULT];
        let routes = view.routes().into_iter().filter(|route| known.contains(&route.table) && !route.is_dead);
        let neighbours: Vec<Neighbour> = view.neighbours().filter_map(neighbour).collect();
        let taken_in = view.taken_in().map(|(rule, destination)| TakenIn {
            mark: rule.mark,
            mask: rule.mask,
            destination,
        });
        Self::new(interfaces.collect(), routes.filter_map(route).collect(), &neighbours)
            .taking_in(taken_in.collect())
    }
}

fn route(route: &lvs_netcfg::Route) -> Option<Route> {
    use lvs_netcfg::RouteKind as Kind;
    let kind = match route.kind {
        Kind::Unicast => RouteKind::Unicast,
        Kind::Local | Kind::Anycast => RouteKind::Local,
        Kind::Blackhole | Kind::Unreachable | Kind::Prohibit => RouteKind::Blackhole,
        Kind::Broadcast | Kind::Multicast | Kind::Throw | Kind::Other(_) => return None,
    };
    // The main table is asked before the default one, whatever the metrics.
    let behind = u32::from(route.table == TABLE_DEFAULT) * (u32::MAX / 2);
    Some(Route {
        destination: route.prefix,
        kind,
        via: route.via,
        interface: route.oif.unwrap_or(0),
        mtu: route.mtu.map(|mtu| u16::try_from(mtu).unwrap_or(u16::MAX)),
        source: route.prefsrc,
        metric: route.metric.saturating_add(behind),
    })
}

fn neighbour(neighbour: &lvs_netcfg::Neighbour) -> Option<Neighbour> {
    let mac = Mac(neighbour.usable_mac()?);
    Some(Neighbour { interface: neighbour.ifindex, addr: neighbour.ip, mac })
}
