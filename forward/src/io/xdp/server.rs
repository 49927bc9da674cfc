//! A flow's server, the ways out, and how they lie in the program's maps: `struct server` and `struct path` of
//! `flow.h`.

use std::net::IpAddr;

use super::claim_maps::address_key;
use super::record::Record;
use crate::rewrite::{Encapsulation, Path, Tunnel};

/// `SERVERS` of `flow.h`: how many servers may have flows here.
pub const SERVERS: u16 = 16384;
/// `PATHS` of `flow.h`: how many next hops toward clients may have flows here.
pub const PATHS: u16 = 16384;
/// Octets by which a server is known again.
pub const IDENTITY: usize = 48;
/// Octets of `struct path`.
pub(super) const PATH: usize = 24;
/// Octets of `struct server`.
pub(super) const SERVER: usize = 128;
/// `TRANSMITS` of `flow.h`.
const TRANSMITS: u32 = 1 << 31;

/// A way out, as the program takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Egress {
    /// The interface's number.
    pub ifindex: u32,
    /// The interface's place in the program's map of them.
    pub device: u32,
    /// What came in there leaves by `XDP_TX`. A veth is redirected to even so: it wakes its peer for such frames only
    /// where the peer has an XDP program.
    pub transmits: bool,
}

/// A server, as the program needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowServer {
    /// The way to it, if the program can take it.
    pub way: Option<(Egress, Path)>,
    /// Its address: where NAT leads to.
    pub address: IpAddr,
    /// The tunnel to it, if the program can make it.
    pub tunnel: Option<Tunnel>,
    /// By what it is known again.
    pub identity: [u8; IDENTITY],
    /// It is a server of a service's now.
    pub is_there: bool,
}

/// The identity in a `struct server` that is one.
pub(super) fn identity_in(server: &[u8]) -> Option<[u8; IDENTITY]> {
    let is_there = server.get(PATH).is_some_and(|&octet| octet != 0);
    server.last_chunk().filter(|_| is_there).copied()
}

/// `struct path`
pub(super) fn encode_path(way: Option<(Egress, Path)>, tunnel_mtu: u16) -> Record<PATH> {
    let Some((egress, path)) = way else { return Record::new() };
    Record::new()
        .put(&path.dst_mac.0)
        .put(&path.src_mac.0)
        .u16(path.mtu)
        .u16(tunnel_mtu)
        .u32(egress.ifindex)
        .u32(egress.device | if egress.transmits { TRANSMITS } else { 0 })
}

/// `struct server`
pub(super) fn encode_server(server: &FlowServer) -> [u8; SERVER] {
    let mtu = server.way.map_or(0, |(_, path)| path.mtu);
    let tunnel = server.tunnel.filter(|tunnel| tunnel.local.is_ipv6() == tunnel.remote.is_ipv6());
    let tunnel_mtu = tunnel.and_then(|tunnel| tunnel.inner_mtu(mtu)).unwrap_or(0);
    let (kind, port) = match tunnel.map(|tunnel| tunnel.encapsulation) {
        // What has a checksum of its own is left to user space.
        Some(Encapsulation::Gue { port, checksum: false }) => (1, port),
        Some(Encapsulation::Gre { checksum: false }) => (2, 0),
        Some(Encapsulation::Ipip) | None => (0, 0),
        Some(Encapsulation::Gue { .. } | Encapsulation::Gre { .. }) => (u8::MAX, 0),
    };
    let tunnel_mtu = if kind == u8::MAX { 0 } else { tunnel_mtu };
    let ends = tunnel.map_or([[0; 16]; 2], |tunnel| [tunnel.local, tunnel.remote].map(address_key));
    let [local, remote] = ends;
    *Record::<SERVER>::new()
        .put(encode_path(server.way, tunnel_mtu).octets())
        .u8(u8::from(server.is_there))
        .u8(u8::from(tunnel.is_some_and(|tunnel| tunnel.remote.is_ipv6())))
        .u8(kind)
        .u8(u8::from(tunnel.is_some_and(|tunnel| tunnel.pmtu_disc)))
        .port(port)
        .u16(0)
        .put(&address_key(server.address))
        .put(&local)
        .put(&remote)
        .put(&server.identity)
        .octets()
}
