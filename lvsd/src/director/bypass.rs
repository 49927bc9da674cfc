//! Packets of a firewall mark whose service has no server: with `cache_bypass` they go where they were going, past
//! the caches that should have had them (`ip_vs_leave`, `ip_vs_bypass_xmit`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lvs_conntrack::{Conn, Direction, FlowKey, InsertError, NewConn, Proto};
use lvs_forward::{DropReason, Rewrite};

use super::binding::Binding;
use super::lane::{Arrival, Lane};
use super::passage::Passage;
use super::plane::Plane;
use super::schedule::Scheduled;
use super::state::advance;
use crate::resolve::NextHop;
use crate::services::Service;
use crate::snapshot::Snapshot;

impl Lane {
    /// True where a packet nobody serves is not refused: it is for another host's own address
    /// (`ip_vs_addr_is_unicast`, which takes any unicast address of IPv6; one of this host's then leads nowhere).
    pub(super) fn may_bypass(snapshot: &Snapshot, key: &FlowKey, service: &Service) -> bool {
        snapshot.sysctls.cache_bypass != 0
            && service.is_marked()
            && (key.dst.is_ipv6() || !snapshot.is_local(key.dst))
            && snapshot.fib.is_unicast(key.dst)
    }

    /// Makes a connection without a server and lets its first packet through. It counts for nobody.
    pub(super) fn bypass(
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &Arrival<'_, '_>,
        key: &FlowKey,
        service: &Service,
    ) -> Scheduled {
        let server = SocketAddr::new(unspecified(key.dst), 0);
        let binding = Binding::bypass(plane.nobody());
        let new = NewConn { key: *key, server, reply: false, no_output: false, binding, template: None };
        let mut conn = Conn::new(new, arrival.now);
        if !(service.one_packet && key.proto == Proto::UDP) {
            advance(&mut conn, arrival.headers.transport, Direction::ToServer, snapshot, arrival.now);
            conn.count_packet();
            match plane.table().insert(conn, arrival.now) {
                Ok(()) => {}
                Err(InsertError::Exists(_)) => return Scheduled::Raced,
                Err(InsertError::Full(_)) => return Scheduled::Drop(DropReason::TableFull),
            }
        }
        match Passage::onward(snapshot, key.dst) {
            Ok(passage) => Scheduled::To(passage),
            Err(reason) => Scheduled::Drop(reason),
        }
    }
}

impl Passage {
    /// The passage of a packet to where it was going, which is not this host.
    pub(super) fn onward(snapshot: &Snapshot, dst: IpAddr) -> Result<Self, DropReason> {
        match snapshot.fib.lookup(dst)? {
            NextHop::Local => Err(DropReason::NoRoute),
            next @ (NextHop::Ready(_) | NextHop::Awaiting(..)) => Ok(Self { rewrite: Rewrite::Direct, next }),
        }
    }
}

const fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}
