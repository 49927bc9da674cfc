//! The neighbours packets leave by, to be kept from ageing away.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lvs_netcfg::HostView;

/// The next hops to these servers, and every router a route leads through, each with its interface.
pub(super) fn in_use(view: &HostView, servers: impl IntoIterator<Item = IpAddr>) -> BTreeSet<(u32, IpAddr)> {
    let hops = servers.into_iter().filter_map(|rip| view.lookup(rip)).filter(|hop| !hop.is_local);
    let routers = view.routes().into_iter().filter_map(|route| Some((route.oif?, route.via?)));
    hops.map(|hop| (hop.ifindex, hop.next_hop)).chain(routers).collect()
}
