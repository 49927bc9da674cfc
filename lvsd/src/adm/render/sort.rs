//! The order of a sorted listing.
//!
//! ipvsadm compares unsigned numbers by the sign of their 32-bit difference, which is no order once they lie more
//! than 2^31 apart (224.0.0.1 may stand before 10.0.0.1). What is printed then depends on which pairs are compared,
//! so both the comparison and the C library's way to sort (top-down merging) are kept here.

use std::net::IpAddr;

use crate::message::{Family, ServerListing, ServiceId, ServiceListing, Transport};

/// Sorts services by mark, family, protocol, address and port.
pub(super) fn services(services: &mut [ServiceListing]) {
    merge_sort(services, &|a, b| service_key(&a.service.id).difference(&service_key(&b.service.id)));
}

/// Sorts real servers by address and port.
pub(super) fn servers(servers: &mut [ServerListing]) {
    merge_sort(servers, &|a, b| {
        let (a, b) = (a.server, b.server);
        let address = words_difference(a.rip.is_ipv6(), words(a.rip), words(b.rip));
        or(address, difference(u32::from(a.port), u32::from(b.port)))
    });
}

struct ServiceKey {
    mark: u32,
    family: u32,
    protocol: u32,
    address: [u32; 4],
    port: u32,
}

impl ServiceKey {
    fn difference(&self, other: &Self) -> i32 {
        let heads = [
            difference(self.mark, other.mark),
            difference(self.family, other.family),
            difference(self.protocol, other.protocol),
            words_difference(self.family == IPV6, self.address, other.address),
        ];
        heads.into_iter().rev().fold(difference(self.port, other.port), |later, first| or(first, later))
    }
}

const IPV4: u32 = 2;
const IPV6: u32 = 10;

fn service_key(id: &ServiceId) -> ServiceKey {
    let family = if id.family() == Family::Ipv6 { IPV6 } else { IPV4 };
    match *id {
        ServiceId::Mark { mark, .. } => ServiceKey { mark, family, protocol: 0, address: [0; 4], port: 0 },
        ServiceId::Address { transport, vip, port } => {
            let protocol = match transport {
                Transport::Tcp => 6,
                Transport::Udp => 17,
                Transport::Sctp => 132,
            };
            ServiceKey { mark: 0, family, protocol, address: words(vip), port: u32::from(port) }
        }
    }
}

/// The address in four words, as both families share their place in the kernel's records.
fn words(addr: IpAddr) -> [u32; 4] {
    match addr {
        IpAddr::V4(addr) => [addr.to_bits(), 0, 0, 0],
        IpAddr::V6(addr) => {
            let s = addr.segments().map(u32::from);
            [s[0] << 16 | s[1], s[2] << 16 | s[3], s[4] << 16 | s[5], s[6] << 16 | s[7]]
        }
    }
}

/// Compares all four words when the left one is IPv6, one otherwise.
fn words_difference(is_ipv6: bool, a: [u32; 4], b: [u32; 4]) -> i32 {
    let count = if is_ipv6 { 4 } else { 1 };
    a.iter().zip(b).take(count).map(|(a, b)| difference(*a, b)).find(|d| *d != 0).unwrap_or(0)
}

const fn difference(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

const fn or(first: i32, later: i32) -> i32 {
    if first == 0 { later } else { first }
}

fn merge_sort<T: Clone>(items: &mut [T], difference: &impl Fn(&T, &T) -> i32) {
    if items.len() <= 1 {
        return;
    }
    let (left, right) = items.split_at_mut(items.len() / 2);
    merge_sort(left, difference);
    merge_sort(right, difference);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut lefts, mut rights) = (left.iter().peekable(), right.iter().peekable());
    while let (Some(a), Some(b)) = (lefts.peek(), rights.peek()) {
        let next = if difference(a, b) <= 0 { lefts.next() } else { rights.next() };
        merged.extend(next.cloned());
    }
    merged.extend(lefts.chain(rights).cloned());
    items.clone_from_slice(&merged);
}
