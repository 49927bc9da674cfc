//! The address a host's own packet comes from when its route does not say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::Address;
use crate::view::HostView;

/// Addresses of this scope number or more stay on the host.
const SCOPE_HOST: u8 = 254;

/// Chooses the source of a packet to `destination` that leaves through `ifindex` towards `next_hop`.
pub(crate) fn select(view: &HostView, ifindex: u32, destination: IpAddr, next_hop: IpAddr) -> Option<IpAddr> {
    match (destination, next_hop) {
        (IpAddr::V4(_), IpAddr::V4(next_hop)) => select_v4(view, ifindex, next_hop).map(IpAddr::V4),
        (IpAddr::V4(_), IpAddr::V6(_)) => select_v4(view, ifindex, Ipv4Addr::UNSPECIFIED).map(IpAddr::V4),
        (IpAddr::V6(destination), _) => select_v6(view, ifindex, destination).map(IpAddr::V6),
    }
}

/// The first primary address in the next hop's network, else the interface's first (`inet_select_addr`);
/// an interface without one borrows another's.
fn select_v4(view: &HostView, ifindex: u32, next_hop: Ipv4Addr) -> Option<Ipv4Addr> {
    let primary = |address: &&Address| !address.is_secondary() && address.scope < SCOPE_HOST;
    let own = || view.addresses_of(ifindex).filter(primary).filter_map(v4);
    let others = || view.addresses().iter().filter(primary).filter_map(v4);
    let near = view
        .addresses_of(ifindex)
        .filter(primary)
        .find(|address| address.address.contains(&IpAddr::V4(next_hop)));
    near.and_then(v4).or_else(|| own().next()).or_else(|| others().next())
}

/// The best by the rules of RFC 6724 section 5 that an address list can decide: the same address (1),
/// a fitting scope (2), not deprecated (3), on the interface (5), the longest common prefix (8).
fn select_v6(view: &HostView, ifindex: u32, destination: Ipv6Addr) -> Option<Ipv6Addr> {
    let wanted = scope(destination);
    let candidates = view.addresses().iter().filter_map(|address| Some((address, v6(address)?)));
    // Link-local addresses are only of use on their own link.
    let candidates = candidates
        .filter(|(address, ip)| scope(*ip) > LINK_LOCAL || address.ifindex == ifindex)
        .filter(|(_, ip)| !ip.is_loopback() || destination.is_loopback());
    let best = candidates.max_by_key(|(address, ip)| {
        let has = scope(*ip);
        // Rule 2: the smallest scope that reaches; of those too small, the largest.
        let fits = if has >= wanted { (1, u8::MAX - has) } else { (0, has) };
        let on_interface = address.ifindex == ifindex;
        (*ip == destination, fits, address.is_preferred(), on_interface, common_prefix(*ip, destination))
    })?;
    Some(best.1)
}

fn v4(address: &Address) -> Option<Ipv4Addr> {
    match address.address.addr() {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: &Address) -> Option<Ipv6Addr> {
    match address.address.addr() {
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) => Some(ip),
    }
}

const LINK_LOCAL: u8 = 2;
const GLOBAL: u8 = 14;

/// The scope of an address in the numbers of RFC 4291 section 2.7.
fn scope(ip: Ipv6Addr) -> u8 {
    if ip.is_loopback() {
        LINK_LOCAL
    } else if ip.is_multicast() {
        ip.octets()[1] & 0xf
    } else if ip.is_unicast_link_local() {
        LINK_LOCAL
    } else {
        GLOBAL
    }
}

fn common_prefix(a: Ipv6Addr, b: Ipv6Addr) -> u32 {
    (u128::from(a) ^ u128::from(b)).leading_zeros()
}
