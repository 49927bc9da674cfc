//! The short way, which nearly every packet takes: a plain packet of a known connection, with nothing to it that asks
//! for more than counting, rewriting and sending.
//!
//! Where there is more to it, the short way leaves the packet and its connection alone, and the long one
//! ([`Lane::judge_at_length`]) does it all. What both do is the same to the octet, which a test holds.

use lvs_conntrack::{Direction, TcpFlags, Tick};
use lvs_forward::{End, Nat, Packet, Path, Plain, PortId, Rewrite, Transport, Verdict};

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
        now: Tick,
    ) -> Option<Verdict> {
        let (plain, flow) = Plain::read(packet.bytes())?;
        let transport = plain.transport(&flow);
        if begins(transport) || !snapshot.forwards(plain.is_ipv6()) {
            return None;
        }
        plane.table().with(&flow, now, |conn, direction| {
            // FTP's talk is read.
            if conn.binding().role() == Role::Control {
                return None;
            }
            let port = match direction {
                Direction::ToServer => self.pass_to_server(conn, snapshot, packet, plain),
                Direction::ToClient => self.pass_to_client(conn, snapshot, packet, plain),
            }?;
            advance(conn, transport, direction, snapshot, now);
            if self.noted.concerns(conn, direction, transport) {
                self.noted.look(flow);
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
        plain: Plain,
    ) -> Option<PortId> {
        let (method, destination) = (conn.binding().method(), conn.binding().destination());
        let hop = snapshot.hop(destination.id())?;
        let Ok(NextHop::Ready(path)) = &hop.next else { return None };
        let rewrite = Passage::rewrite(snapshot, hop.source, hop.method, method, conn.server()).ok()?;
        self.pass(&rewrite, packet, plain, path)?;
        let bytes = u64::try_from(plain.len()).unwrap_or(0);
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
        plain: Plain,
    ) -> Option<PortId> {
        let Ok(NextHop::Ready(path)) = snapshot.fib.lookup(conn.key().src) else { return None };
        let (addr, port) = (conn.key().dst, conn.key().dst_port);
        self.pass(&Rewrite::Nat(Nat { end: End::Source, addr, port }), packet, plain, &path)?;
        self.count_out(conn, snapshot, plain.len());
        Some(path.port)
    }

    /// Rewrites a packet that fits; one that does not, or that cannot be rewritten, stays as it is.
    #[inline]
    fn pass(&mut self, rewrite: &Rewrite, packet: &mut Packet<'_>, plain: Plain, path: &Path) -> Option<()> {
        // One that goes the long way after all takes its number there.
        plain.apply(rewrite, packet, path, self.coming_ident())?;
        self.next_ident();
        Some(())
    }
}

/// True for a packet that may begin a connection.
#[inline]
const fn begins(transport: Transport) -> bool {
    matches!(transport, Transport::Tcp { flags, .. } if flags & TcpFlags::SYN.0 != 0)
}
