//! Where a packet leaves: routes, neighbours and interfaces of the host as one immutable value.

mod host;
mod prefix;

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use lvs_forward::{Checksums, DropReason, Mac, Path, PortId};

use prefix::PrefixMap;

/// An interface of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The kernel's number for it.
    pub index: u32,
    /// The director's port on it; none for an interface the director does not serve.
    pub port: Option<PortId>,
    /// Its link-layer address.
    pub mac: Mac,
    /// The largest IP packet it takes, in bytes.
    pub mtu: u16,
    /// Who computes the checksums of what the director makes for it.
    pub checksums: Checksums,
    /// Its addresses with their networks.
    pub addresses: Vec<IpNet>,
}

/// What a route does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    /// Sends it on.
    Unicast,
    /// Delivers it to the host itself.
    Local,
    /// Refuses it.
    Blackhole,
}

/// A route of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The destinations it is for.
    pub destination: IpNet,
    /// What it does.
    pub kind: RouteKind,
    /// The next router; none for a destination on the link.
    pub via: Option<IpAddr>,
    /// The interface's number.
    pub interface: u32,
    /// An MTU of the route's own.
    pub mtu: Option<u16>,
    /// The address packets of the host's own carry.
    pub source: Option<IpAddr>,
    /// Among routes for the same destinations the lowest counts.
    pub metric: u32,
}

/// A next hop's link-layer address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// The interface's number.
    pub interface: u32,
    /// Its address.
    pub addr: IpAddr,
    /// Its link-layer address.
    pub mac: Mac,
}

/// A neighbour whose link-layer address is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ask {
    /// The interface's number.
    pub interface: u32,
    /// The address to ask for.
    pub addr: IpAddr,
}

/// A way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextHop {
    /// Known to the last byte.
    Ready(Path),
    /// Known but for the neighbour's link-layer address, which is zero in the path.
    Awaiting(Path, Ask),
    /// The host itself.
    Local,
}

impl NextHop {
    /// The path, ready or not; none for the host itself.
    pub const fn path(&self) -> Option<&Path> {
        match self {
            Self::Ready(path) | Self::Awaiting(path, _) => Some(path),
            Self::Local => None,
        }
    }

    /// The same way, for packets of no more than `mtu` octets.
    #[must_use]
    pub const fn narrowed(mut self, mtu: u16) -> Self {
        match &mut self {
            Self::Ready(path) | Self::Awaiting(path, _) if path.mtu > mtu => path.mtu = mtu,
            Self::Ready(_) | Self::Awaiting(..) | Self::Local => {}
        }
        self
    }
}

/// What a rule of the host's routing takes in whoever's address it is: `ip rule add fwmark MARK lookup TABLE`, and a
/// local route in that table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenIn {
    /// The mark.
    pub mark: u32,
    /// Which of its bits count.
    pub mask: u32,
    /// The destinations.
    pub destination: IpNet,
}

/// The host's forwarding table.
#[derive(Debug, Default)]
pub struct Fib {
    interfaces: Vec<Interface>,
    local: PrefixMap<()>,
    routes: PrefixMap<Route>,
    neighbours: HashMap<(u32, IpAddr), Mac, foldhash::fast::RandomState>,
    broadcast: Vec<IpAddr>,
    taken_in: Vec<TakenIn>,
}

impl Fib {
    /// A table of these parts. The interfaces' addresses are local; the networks on their links are there only as
    /// routes. Among routes for the same destinations the one of the lowest metric counts, then the first.
    pub fn new(interfaces: Vec<Interface>, mut routes: Vec<Route>, neighbours: &[Neighbour]) -> Self {
        let mut fib = Self { interfaces, ..Self::default() };
        let (mut local, mut unicast) = (Vec::new(), Vec::new());
        for net in fib.interfaces.iter().flat_map(|interface| &interface.addresses) {
            local.push((IpNet::from(net.addr()), ()));
            if let IpNet::V4(v4) = net
                && v4.prefix_len() < 31
            {
                fib.broadcast.extend([IpAddr::V4(v4.broadcast()), IpAddr::V4(v4.network())]);
            }
        }
        routes.reverse();
        routes.sort_by_key(|route| std::cmp::Reverse(route.metric));
        for route in routes {
            match route.kind {
                RouteKind::Local => local.push((route.destination, ())),
                RouteKind::Unicast | RouteKind::Blackhole => unicast.push((route.destination, route)),
            }
        }
        (fib.local, fib.routes) = (PrefixMap::new(local), PrefixMap::new(unicast));
        fib.neighbours.extend(neighbours.iter().map(|n| ((n.interface, n.addr), n.mac)));
        fib
    }

    /// The interfaces.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// True for an address that is delivered to the host itself.
    pub fn is_local(&self, addr: IpAddr) -> bool {
        addr.is_loopback() || self.local.get(addr).is_some()
    }

    /// The same table, which also takes in these.
    #[must_use]
    pub fn taking_in(mut self, taken_in: Vec<TakenIn>) -> Self {
        self.taken_in = taken_in;
        self
    }

    /// True where there are rules that [`takes_in`](Self::takes_in) asks.
    pub const fn may_take_in(&self) -> bool {
        !self.taken_in.is_empty()
    }

    /// True for packets of this mark that are delivered to the host itself, though `dst` is not its own.
    pub fn takes_in(&self, mark: u32, dst: IpAddr) -> bool {
        self.taken_in
            .iter()
            .any(|rule| (mark ^ rule.mark) & rule.mask == 0 && rule.destination.contains(&dst))
    }

    /// True for an address a real server may have: unicast, not the broadcast address of a network at hand.
    pub fn is_unicast(&self, addr: IpAddr) -> bool {
        let possible = match addr {
            IpAddr::V4(v4) => !v4.is_multicast() && !v4.is_broadcast() && v4.octets()[0] != 0,
            IpAddr::V6(v6) => {
                !v6.is_multicast()
                    && !v6.is_unspecified()
                    && (v6.segments()[0] & 0xffc0 != 0xfe80 || self.is_local(addr))
            }
        };
        possible && !self.broadcast.contains(&addr)
    }

    /// The way to `dst`.
    ///
    /// # Errors
    /// [`DropReason::NoRoute`] where no route leads there, [`DropReason::NoPort`] where it leaves through an
    /// interface the director does not serve.
    pub fn lookup(&self, dst: IpAddr) -> Result<NextHop, DropReason> {
        if self.is_local(dst) {
            return Ok(NextHop::Local);
        }
        let route = self.route(dst).ok_or(DropReason::NoRoute)?;
        let interface = self.interface(route.interface).ok_or(DropReason::NoPort)?;
        let port = interface.port.ok_or(DropReason::NoPort)?;
        let hop = route.via.unwrap_or(dst);
        let mac = self.neighbours.get(&(route.interface, hop));
        let path = Path {
            port,
            src_mac: interface.mac,
            dst_mac: mac.copied().unwrap_or_default(),
            mtu: route.mtu.unwrap_or(interface.mtu),
            checksums: interface.checksums,
        };
        Ok(match mac {
            Some(_) => NextHop::Ready(path),
            None => NextHop::Awaiting(path, Ask { interface: route.interface, addr: hop }),
        })
    }

    /// The neighbour that packets to `dst` go by, resolved or not; none for the host itself.
    pub fn neighbour(&self, dst: IpAddr) -> Option<Ask> {
        if self.is_local(dst) {
            return None;
        }
        let route = self.route(dst)?;
        Some(Ask { interface: route.interface, addr: route.via.unwrap_or(dst) })
    }

    /// A neighbour's link-layer address, where it is known.
    pub fn mac(&self, neighbour: Ask) -> Option<Mac> {
        self.neighbours.get(&(neighbour.interface, neighbour.addr)).copied()
    }

    /// True when `other` leads every packet the same way, but for the neighbours' link-layer addresses.
    pub fn leads_as(&self, other: &Self) -> bool {
        self.interfaces == other.interfaces && self.local == other.local && self.routes == other.routes
    }

    /// The host's own addresses of a family that a packet may come from: those of the interface that packets to `dst`
    /// leave by come first, then those of the others that the director serves.
    pub fn own_addresses(&self, dst: IpAddr, v4: bool) -> impl Iterator<Item = IpAddr> {
        let near = self.route(dst).and_then(|route| self.interface(route.interface));
        let served = self.interfaces.iter().filter(|interface| interface.port.is_some());
        let all = near.into_iter().chain(served).flat_map(|interface| &interface.addresses);
        all.map(IpNet::addr).filter(move |address| match address {
            IpAddr::V4(_) => v4,
            IpAddr::V6(address) => !v4 && address.segments()[0] & 0xffc0 != 0xfe80,
        })
    }

    /// The address a packet of the host's own to `dst` carries.
    pub fn source_for(&self, dst: IpAddr) -> Option<IpAddr> {
        let route = self.route(dst)?;
        let interface = self.interface(route.interface)?;
        let hop = route.via.unwrap_or(dst);
        let mut own = interface.addresses.iter().filter(|net| net.addr().is_ipv4() == dst.is_ipv4());
        let near = own.clone().find(|net| net.contains(&hop));
        route.source.or_else(|| near.or_else(|| own.next()).map(IpNet::addr))
    }

    /// The first address of this family on the interface of `port`, for what the director says itself there.
    pub fn address_of(&self, port: PortId, v4: bool) -> Option<IpAddr> {
        let interface = self.interfaces.iter().find(|interface| interface.port == Some(port))?;
        interface.addresses.iter().map(IpNet::addr).find(|addr| addr.is_ipv4() == v4)
    }

    /// How many bits of `dst` its route looks at; 0 where there is none.
    pub fn prefix_len(&self, dst: IpAddr) -> u8 {
        self.route(dst).map_or(0, |route| route.destination.prefix_len())
    }

    fn route(&self, dst: IpAddr) -> Option<&Route> {
        self.routes.get(dst).filter(|route| route.kind == RouteKind::Unicast)
    }

    fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.index == index)
    }
}

impl Interface {
    /// The routes to the networks on its link, as the kernel makes them with each address.
    pub fn connected(&self) -> impl Iterator<Item = Route> {
        let networks = self.addresses.iter().filter(|net| net.prefix_len() < net.max_prefix_len());
        networks.map(|net| Route {
            destination: net.trunc(),
            kind: RouteKind::Unicast,
            via: None,
            interface: self.index,
            mtu: None,
            source: Some(net.addr()),
            metric: 0,
        })
    }
}

#[cfg(test)]
mod tests;
