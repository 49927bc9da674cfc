//! What the kernel knows of the network around this host: interfaces, addresses, routes, neighbours.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::address::Address;
use crate::interface::Interface;
use crate::neighbour::Neighbour;
use crate::netlink::Netlink;
use crate::route::{Route, RouteKind, TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN};
use crate::rule::MarkRule;
use crate::{Error, source};

/// The first step of a packet's way from this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// The interface it leaves through; for a local address, the interface that holds it.
    pub ifindex: u32,
    /// Whose Ethernet address the frame needs: the gateway, or the destination itself on the link.
    pub next_hop: IpAddr,
    /// Whether `next_hop` is a gateway.
    pub is_gateway: bool,
    /// The address the host's own packets would come from (an outer header's source, for instance).
    pub source: Option<IpAddr>,
    /// Whether the destination is this host.
    pub is_local: bool,
    /// The largest IP packet in bytes: the route's MTU, else the interface's.
    pub mtu: u32,
}

/// Where the kernel's own rule for the main table stands.
const MAIN_PRIORITY: u32 = 32766;

/// A consistent picture of interfaces, addresses, routes and neighbours; kept up to date by a
/// [`Watcher`](crate::Watcher) or read once with [`HostView::read`].
#[derive(Debug, Clone, Default)]
pub struct HostView {
    interfaces: BTreeMap<u32, Interface>,
    addresses: Vec<Address>,
    /// By table and prefix; in the kernel's order of preference.
    routes: BTreeMap<(u32, IpNet), Vec<Route>>,
    neighbours: HashMap<(u32, IpAddr), Neighbour>,
    /// By priority.
    rules: Vec<MarkRule>,
}

impl HostView {
    /// Reads the host once.
    pub fn read() -> Result<Self, Error> {
        Self::dump(&mut Netlink::open()?)
    }

    /// Interfaces and addresses alone.
    pub(crate) fn dump_links(netlink: &mut Netlink) -> Result<Self, Error> {
        let mut view = Self::default();
        view.set_interfaces(Interface::dump(netlink)?);
        view.set_addresses(Address::dump(netlink)?);
        Ok(view)
    }

    pub(crate) fn dump(netlink: &mut Netlink) -> Result<Self, Error> {
        let mut view = Self::dump_links(netlink)?;
        view.set_routes(Route::dump(netlink)?);
        view.set_neighbours(Neighbour::dump(netlink)?);
        view.set_rules(MarkRule::dump(netlink)?);
        Ok(view)
    }

    /// All interfaces, by index.
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.values()
    }

    /// The interface with this index.
    pub fn interface(&self, ifindex: u32) -> Option<&Interface> {
        self.interfaces.get(&ifindex)
    }

    /// The interface with this name.
    pub fn interface_named(&self, name: &str) -> Option<&Interface> {
        self.interfaces.values().find(|interface| interface.name == name)
    }

    /// The interfaces that frames may be for which come in at this one: those stacked on it, the one it is a port of,
    /// and so on from there. Not itself.
    pub fn above(&self, ifindex: u32) -> Vec<&Interface> {
        let mut above: Vec<&Interface> = Vec::new();
        let mut next = vec![ifindex];
        while let Some(below) = next.pop() {
            let master = self.interface(below).and_then(|interface| interface.master);
            for interface in self.interfaces.values() {
                let is_above = interface.lower == Some(below) || Some(interface.index) == master;
                let is_new =
                    interface.index != ifindex && above.iter().all(|known| known.index != interface.index);
                if is_above && is_new {
                    above.push(interface);
                    next.push(interface.index);
                }
            }
        }
        above
    }

    /// All addresses, in the kernel's order.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The addresses of one interface.
    pub fn addresses_of(&self, ifindex: u32) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(move |address| address.ifindex == ifindex)
    }

    /// Whether `ip` is an address of this host.
    pub fn is_own(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|address| address.address.addr() == ip)
    }

    /// All routes, by table, the longer prefixes first, then by metric.
    pub fn routes(&self) -> Vec<&Route> {
        let mut all: Vec<&Route> = self.routes.values().flatten().collect();
        all.sort_by_key(|route| (route.table, std::cmp::Reverse(route.prefix.prefix_len()), route.prefix));
        all
    }

    /// The routes of one table for exactly this prefix, the preferred first.
    pub fn routes_for(&self, table: u32, prefix: IpNet) -> &[Route] {
        self.routes.get(&(table, prefix)).map_or(&[], Vec::as_slice)
    }

    /// All neighbour entries.
    pub fn neighbours(&self) -> impl Iterator<Item = &Neighbour> {
        self.neighbours.values()
    }

    /// The neighbour entry for `ip` on the link of `ifindex`, whatever its state.
    pub fn neighbour(&self, ifindex: u32, ip: IpAddr) -> Option<&Neighbour> {
        self.neighbours.get(&(ifindex, ip))
    }

    /// The Ethernet address of `ip` on the link of `ifindex`, if it is known and may be used.
    pub fn mac(&self, ifindex: u32, ip: IpAddr) -> Option<[u8; 6]> {
        self.neighbour(ifindex, ip)?.usable_mac()
    }

    /// Where a packet to `ip` would go: the answer of `ip route get`, or none when the kernel would
    /// refuse or drop it, or has no way.
    ///
    /// Tables are asked in the order of the kernel's default rules (local, main, default). Policy
    /// rules beyond those, type of service and VRFs are not followed; of equal routes the first counts.
    pub fn lookup(&self, ip: IpAddr) -> Option<Hop> {
        let route = self.route_to(ip)?;
        let ifindex = route.oif?;
        let interface = self.interface(ifindex)?;
        let is_local = match route.kind {
            RouteKind::Unicast => false,
            RouteKind::Local | RouteKind::Anycast => true,
            RouteKind::Broadcast
            | RouteKind::Multicast
            | RouteKind::Blackhole
            | RouteKind::Unreachable
            | RouteKind::Prohibit
            | RouteKind::Throw
            | RouteKind::Other(_) => return None,
        };
        let next_hop = route.via.unwrap_or(ip);
        let source = route.prefsrc.or_else(|| source::select(self, ifindex, ip, next_hop));
        let mtu = route.mtu.unwrap_or(interface.mtu);
        Some(Hop { ifindex, next_hop, is_gateway: route.via.is_some(), source, is_local, mtu })
    }

    /// What the host takes in for a mark's sake, whoever's address it is: with `ip rule add fwmark 7 lookup 100` and
    /// `ip route add local default dev lo table 100`, the rule and `0.0.0.0/0`.
    ///
    /// Rules that come after the main table's own are not asked where that has a route.
    pub fn taken_in(&self) -> impl Iterator<Item = (MarkRule, IpNet)> {
        let before_main = self.rules.iter().filter(|rule| rule.priority < MAIN_PRIORITY);
        before_main.flat_map(|rule| {
            let tables = self.routes.range((rule.table, lowest())..);
            let of_table = tables.take_while(|((table, _), _)| *table == rule.table).flat_map(|(_, all)| all);
            let local = of_table.filter(|route| route.kind == RouteKind::Local && self.is_live(route));
            let fitting = local.filter(|route| matches!(route.prefix, IpNet::V6(_)) == rule.is_ipv6);
            fitting.map(|route| (*rule, route.prefix))
        })
    }

    /// The route the kernel would choose for `ip`.
    pub fn route_to(&self, ip: IpAddr) -> Option<&Route> {
        [TABLE_LOCAL, TABLE_MAIN, TABLE_DEFAULT].into_iter().find_map(|table| {
            let route = self.longest_match(table, ip)?;
            (route.kind != RouteKind::Throw).then_some(route)
        })
    }

    fn longest_match(&self, table: u32, ip: IpAddr) -> Option<&Route> {
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        (0..=longest).rev().find_map(|length| {
            let prefix = IpNet::new(ip, length).ok()?.trunc();
            self.routes.get(&(table, prefix))?.iter().find(|route| self.is_live(route))
        })
    }

    /// Whether the kernel would use the route; it forgets to tell when an interface goes down.
    fn is_live(&self, route: &Route) -> bool {
        let refuses = match route.kind {
            RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit | RouteKind::Throw => true,
            RouteKind::Unicast
            | RouteKind::Local
            | RouteKind::Broadcast
            | RouteKind::Anycast
            | RouteKind::Multicast
            | RouteKind::Other(_) => false,
        };
        let is_up = || route.oif.and_then(|index| self.interface(index)).is_some_and(|found| found.is_up);
        route.tos == 0 && !route.is_dead && (refuses || is_up())
    }

    pub(crate) fn set_interfaces(&mut self, all: Vec<Interface>) {
        self.interfaces = all.into_iter().map(|interface| (interface.index, interface)).collect();
    }

    /// Takes a whole dump; true when it differs from what was known.
    pub(crate) fn set_addresses(&mut self, all: Vec<Address>) -> bool {
        let is_new = self.addresses != all;
        self.addresses = all;
        is_new
    }

    /// Takes a whole dump; true when it differs from what was known.
    pub(crate) fn set_routes(&mut self, all: Vec<Route>) -> bool {
        let mut routes: BTreeMap<(u32, IpNet), Vec<Route>> = BTreeMap::new();
        for route in all {
            routes.entry((route.table, route.prefix)).or_default().push(route);
        }
        for same_prefix in routes.values_mut() {
            same_prefix.sort_by_key(|route| route.metric);
        }
        let is_new = routes != self.routes;
        self.routes = routes;
        is_new
    }

    /// Takes a whole dump; true when it differs from what was known.
    pub(crate) fn set_rules(&mut self, all: Vec<MarkRule>) -> bool {
        let is_new = self.rules != all;
        self.rules = all;
        is_new
    }

    pub(crate) fn set_neighbours(&mut self, all: Vec<Neighbour>) {
        self.neighbours =
            all.into_iter().map(|neighbour| ((neighbour.ifindex, neighbour.ip), neighbour)).collect();
    }

    /// Notes an interface; true when it is new or changed.
    pub(crate) fn put_interface(&mut self, interface: Interface) -> bool {
        let old = self.interfaces.insert(interface.index, interface.clone());
        old != Some(interface)
    }

    /// Forgets an interface and its neighbours; true when it was known.
    pub(crate) fn drop_interface(&mut self, ifindex: u32) -> bool {
        self.neighbours.retain(|(index, _), _| *index != ifindex);
        self.interfaces.remove(&ifindex).is_some()
    }

    /// Notes a new route; false when exactly this one was known.
    pub(crate) fn put_route(&mut self, route: Route) -> bool {
        let same_prefix = self.routes.entry((route.table, route.prefix)).or_default();
        if same_prefix.contains(&route) {
            return false;
        }
        let place = same_prefix.partition_point(|known| known.metric <= route.metric);
        same_prefix.insert(place, route);
        true
    }

    /// Forgets a route; false when exactly this one was not known.
    pub(crate) fn drop_route(&mut self, route: &Route) -> bool {
        let key = (route.table, route.prefix);
        let Some(same_prefix) = self.routes.get_mut(&key) else { return false };
        let Some(place) = same_prefix.iter().position(|known| known == route) else { return false };
        same_prefix.remove(place);
        if same_prefix.is_empty() {
            self.routes.remove(&key);
        }
        true
    }

    /// Notes a neighbour; true when the Ethernet address to use changed.
    pub(crate) fn put_neighbour(&mut self, neighbour: Neighbour) -> bool {
        let usable = neighbour.usable_mac();
        let old = self.neighbours.insert((neighbour.ifindex, neighbour.ip), neighbour);
        old.and_then(|old| old.usable_mac()) != usable
    }

    /// Forgets a neighbour; true when it had been usable.
    pub(crate) fn drop_neighbour(&mut self, neighbour: &Neighbour) -> bool {
        let old = self.neighbours.remove(&(neighbour.ifindex, neighbour.ip));
        old.and_then(|old| old.usable_mac()).is_some()
    }
}

/// What comes before every other prefix.
fn lowest() -> IpNet {
    IpNet::V4(ipnet::Ipv4Net::default())
}

#[cfg(test)]
mod tests;
