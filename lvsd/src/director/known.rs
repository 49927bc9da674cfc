//! A packet of a connection that is known: the connection is brought up to date and says where the packet goes.

use std::net::SocketAddr;

use lvs_conntrack::{Direction, FlowKey, SctpState, State, TcpState};
use lvs_forward::{DropReason, Refused};

use super::binding::{Method, Role};
use super::ftp::{self, Turn};
use super::lane::{Arrival, Lane};
use super::passage::Passage;
use super::plane::Plane;
use super::state::{Connection, advance, begins};
use crate::resolve::NextHop;
use crate::snapshot::Snapshot;

/// What a known connection makes of a packet.
pub(super) enum Known {
    /// It goes on.
    Forward(Passage),
    /// It goes on, changed as FTP has it.
    Talk(Passage, Box<Turn>),
    /// It is refused, as a reply that the host's own forwarding would refuse.
    Refused(Refused),
    /// It is dropped.
    Drop(DropReason),
    /// The connection is at its end; the packet begins another.
    Anew,
}

impl Lane {
    /// Looks the packet's connection up and brings it up to date.
    pub(super) fn known(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &Arrival<'_, '_>,
        key: &FlowKey,
    ) -> Option<Known> {
        let (known, is_noted) = plane.table().with(key, arrival.now, |conn, direction| {
            let known = match direction {
                Direction::ToServer => self.inbound(conn, plane, snapshot, arrival),
                Direction::ToClient => self.outbound(conn, snapshot, arrival),
            };
            (known, self.noted.concerns(conn, direction, arrival.headers.transport))
        })?;
        if is_noted {
            self.noted.look(*key);
        }
        Some(known)
    }

    /// A client's packet of a known connection (`ip_vs_in_hook`).
    fn inbound(
        &self,
        conn: &mut Connection,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &Arrival<'_, '_>,
    ) -> Known {
        let headers = &arrival.headers;
        let destination = conn.binding().destination();
        let hop = snapshot.hop(destination.id());
        let expires_nodest = snapshot.sysctls.expire_nodest_conn != 0;
        if begins(headers) {
            let quiesced = hop.is_some_and(|hop| hop.quiesced);
            if (expires_nodest && quiesced) || is_at_its_end(conn, snapshot.sysctls.conn_reuse_mode) {
                return Known::Anew;
            }
        }
        let Some(hop) = hop else { return Self::without_server(conn, snapshot, arrival) };
        let bytes = u64::try_from(headers.len()).unwrap_or(0);
        destination.stats().packet_in(self.number(), bytes);
        hop.service.packet_in(self.number(), bytes);
        advance(conn, headers.transport, Direction::ToServer, snapshot, arrival.now);
        conn.count_packet();
        match Passage::to_server(snapshot, hop, conn.binding().method(), conn.server()) {
            Ok(passage) if conn.binding().role() == Role::Control => {
                let turn = ftp::hear_client(conn, arrival, plane.unclaimed());
                turn.map_or(Known::Forward(passage), |turn| Known::Talk(passage, turn))
            }
            Ok(passage) => Known::Forward(passage),
            Err(reason) => Known::Drop(reason),
        }
    }

    /// A client's packet of a connection whose server is gone, or that never had one.
    fn without_server(conn: &mut Connection, snapshot: &Snapshot, arrival: &Arrival<'_, '_>) -> Known {
        if conn.binding().method() != Method::Bypass {
            let expires = snapshot.sysctls.expire_nodest_conn != 0;
            return if expires { Known::Anew } else { Known::Drop(DropReason::ServerGone) };
        }
        advance(conn, arrival.headers.transport, Direction::ToServer, snapshot, arrival.now);
        conn.count_packet();
        match Passage::onward(snapshot, conn.key().dst) {
            Ok(passage) => Known::Forward(passage),
            Err(reason) => Known::Drop(reason),
        }
    }

    /// A server's packet of a known connection (`ip_vs_out_hook`). What the host's forwarding would refuse before
    /// IPVS saw it does not reach the connection.
    fn outbound(&self, conn: &mut Connection, snapshot: &Snapshot, arrival: &Arrival<'_, '_>) -> Known {
        let vip = SocketAddr::new(conn.key().dst, conn.key().dst_port);
        let back = way_back(snapshot, arrival, vip);
        let Known::Forward(passage) = back else { return back };
        if conn.binding().role() == Role::Control
            && let Some(turn) = ftp::hear_server(conn, arrival)
        {
            // What is counted is what leaves.
            let len = arrival.headers.len().saturating_add_signed(turn.growth());
            self.count_out(conn, snapshot, len);
            advance(conn, arrival.headers.transport, Direction::ToClient, snapshot, arrival.now);
            return Known::Talk(passage, turn);
        }
        self.count_reply(conn, snapshot, arrival);
        Known::Forward(passage)
    }

    /// Counts a server's packet and brings its connection up to date.
    pub(super) fn count_reply(&self, conn: &mut Connection, snapshot: &Snapshot, arrival: &Arrival<'_, '_>) {
        self.count_out(conn, snapshot, arrival.headers.len());
        advance(conn, arrival.headers.transport, Direction::ToClient, snapshot, arrival.now);
    }

    /// Counts a packet of so many octets from a server that belongs to a service (`ip_vs_out_stats`).
    #[inline]
    pub(super) fn count_out(&self, conn: &Connection, snapshot: &Snapshot, len: usize) {
        let bytes = u64::try_from(len).unwrap_or(0);
        let destination = conn.binding().destination();
        if let Some(hop) = snapshot.hop(destination.id()) {
            destination.stats().packet_out(self.number(), bytes);
            hop.service.packet_out(self.number(), bytes);
        }
    }
}

/// How a server's packet gets to its client, if the host's forwarding would let it.
pub(super) fn way_back(snapshot: &Snapshot, arrival: &Arrival<'_, '_>, vip: SocketAddr) -> Known {
    let headers = &arrival.headers;
    let next = match snapshot.fib.lookup(headers.dst) {
        Ok(next) => next,
        Err(reason) => return Known::Drop(reason),
    };
    if headers.ttl <= 1 && next != NextHop::Local {
        return Known::Refused(Refused::TtlExceeded);
    }
    if let Some(path) = next.path()
        && arrival.datagram.map_or(headers.len(), |datagram| datagram.largest().into())
            > usize::from(path.mtu)
        && (headers.is_ipv6() || headers.dont_fragment)
    {
        return Known::Refused(Refused::TooBig(path.mtu));
    }
    Known::Forward(Passage::to_client(next, vip.ip(), vip.port()))
}

/// True for a connection that a new SYN or INIT may begin anew (`is_new_conn_expected`).
fn is_at_its_end(conn: &Connection, reuse_mode: i32) -> bool {
    if reuse_mode == 0 || conn.template().is_some() || conn.binding().is_controlled() {
        return false;
    }
    match conn.state() {
        State::Tcp(TcpState::TimeWait | TcpState::Close) | State::Sctp(SctpState::Closed) => true,
        State::Tcp(TcpState::FinWait) => reuse_mode & 2 != 0 && conn.is_no_output(),
        State::Tcp(_) | State::Sctp(_) | State::Udp | State::Other => false,
    }
}
