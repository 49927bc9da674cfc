//! The short way, which nearly every packet takes: a whole TCP or UDP packet of a known connection, with nothing to it
//! that asks for more than counting, rewriting and sending.
//!
//! Where there is more to it, the short way leaves the packet and its connection alone, and the long one
//! ([`Lane::judge_at_length`]) does it all. What both do is the same to the octet, which a test holds.

use lvs_conntrack::{Direction, TcpFlags, Tick};
use lvs_forward::headers::Options;
use lvs_forward::{End, Headers, Nat, Packet, Path, PortId, Rewrite, Transport, Verdict};

use super::binding::Role;
use super::lane::Lane;
use super::passage::Passage;
use super::plane::Plane;
use super::state::{Connection, advance};
use crate::resolve::NextHop;
use crate::snapshot::Snapshot;

impl Lane {
    /// Forwards a packet from an interface, if it can go the short way.
    #[inline]
    pub(super) fn shortcut(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        packet: &mut Packet<'_>,
        headers: &Headers,
        now: Tick,
    ) -> Option<Verdict> {
        if !is_ordinary(headers) {
            return None;
        }
        let key = headers.flow();
        plane.table().with(&key, now, |conn, direction| {
            // FTP's talk is read.
            if conn.binding().role() == Role::Control {
                return None;
            }
            let port = match direction {
                Direction::ToServer => self.pass_to_server(conn, snapshot, packet, headers),
                Direction::ToClient => self.pass_to_client(conn, snapshot, packet, headers),
            }?;
            advance(conn, headers, direction, snapshot, now);
            if self.noted.concerns(conn, direction, headers) {
                self.noted.look(&key);
            }
            Some(Verdict::Send(port))
        })?
    }

    /// Rewrites and counts a client's packet; says where it leaves.
    #[inline]
    fn pass_to_server(
        &mut self,
        conn: &mut Connection,
        snapshot: &Snapshot,
        packet: &mut Packet<'_>,
        headers: &Headers,
    ) -> Option<PortId> {
        let (method, destination) = (conn.binding().method(), conn.binding().destination());
        let hop = snapshot.hop(destination.id())?;
        let Ok(NextHop::Ready(path)) = &hop.next else { return None };
        let rewrite = Passage::rewrite(snapshot, hop.source, hop.method, method, conn.server()).ok()?;
        self.pass(&rewrite, packet, headers, path)?;
        let bytes = u64::try_from(headers.len()).unwrap_or(0);
        destination.stats().packet_in(self.number(), bytes);
        hop.service.packet_in(self.number(), bytes);
        conn.count_packet();
        Some(path.port)
    }

    /// Rewrites and counts a server's packet; says where it leaves.
    #[inline]
    fn pass_to_client(
        &mut self,
        conn: &Connection,
        snapshot: &Snapshot,
        packet: &mut Packet<'_>,
        headers: &Headers,
    ) -> Option<PortId> {
        let Ok(NextHop::Ready(path)) = snapshot.fib.lookup(headers.dst) else { return None };
        let (addr, port) = (conn.key().dst, conn.key().dst_port);
        self.pass(&Rewrite::Nat(Nat { end: End::Source, addr, port }), packet, headers, &path)?;
        self.count_out(conn, snapshot, headers.len());
        Some(path.port)
    }

    /// Rewrites a packet that fits; one that does not, or that cannot be rewritten, stays as it is.
    #[inline]
    fn pass(
        &mut self,
        rewrite: &Rewrite,
        packet: &mut Packet<'_>,
        headers: &Headers,
        path: &Path,
    ) -> Option<()> {
        if headers.len() > usize::from(rewrite.inner_mtu(path).ok()?) {
            return None;
        }
        let ident = self.next_ident();
        rewrite.apply(packet, headers, path, ident).ok().map(|_| ())
    }
}

/// True for a whole packet of a protocol with ports that may be forwarded as it is and begins no connection.
#[inline]
fn is_ordinary(headers: &Headers) -> bool {
    let goes_on = match headers.transport {
        Transport::Tcp { flags, .. } => flags & TcpFlags::SYN.0 == 0,
        Transport::Udp { .. } => true,
        Transport::Sctp { .. } | Transport::Icmp { .. } | Transport::Other | Transport::Later => false,
    };
    goes_on && headers.ttl > 1 && headers.options == Options::None && headers.fragment.is_none()
}
