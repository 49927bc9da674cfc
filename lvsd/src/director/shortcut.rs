//! The short way, which nearly every packet takes: a plain packet of a known connection, with nothing to it that asks
//! for more than counting, rewriting and sending.
//!
//! Where there is more to it, the short way leaves the packet and its connection alone, and the long one
//! ([`Lane::judge_at_length`]) does it all. What both do is the same to the octet, which a test holds.

use lvs_conntrack::{Direction, FlowKey, TcpFlags, Tick};
use lvs_forward::{End, Packet, Path, Plain, PortId, Rewrite, Transport, Verdict};

use super::binding::{Method, Role};
use super::lane::Lane;
use super::passage::Passage;
use super::plane::Plane;
use super::state::{Connection, advance};
use crate::resolve::NextHop;
use crate::snapshot::{Hop, Snapshot};

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
        // Compiled once for each family: where that is known, an address is a number.
        let passed = self.pass(plane, snapshot, packet, Plain::read_v4, now);
        passed.or_else(|| self.pass(plane, snapshot, packet, Plain::read_v6, now))
    }

    /// The same, of packets that `read` reads.
    #[inline]
    fn pass(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        packet: &mut Packet<'_>,
        read: impl Fn(&[u8]) -> Option<(Plain, FlowKey)>,
        now: Tick,
    ) -> Option<Verdict> {
        let (plain, flow) = read(packet.bytes())?;
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
                Direction::ToServer => self.pass_to_server(conn, snapshot, packet, (plain, &flow)),
                Direction::ToClient => self.pass_to_client(conn, snapshot, packet, plain),
            }?;
            // One that goes the long way after all takes its number there.
            self.next_ident();
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
        &self,
        conn: &mut Connection,
        snapshot: &Snapshot,
        packet: &mut Packet<'_>,
        (plain, flow): (Plain, &FlowKey),
    ) -> Option<PortId> {
        let destination = conn.binding().destination();
        let hop = snapshot.hop(destination.id())?;
        let Ok(NextHop::Ready(path)) = &hop.next else { return None };
        match conn.binding().method() {
            Method::Masquerade => {
                let server = conn.server();
                plain.translate(End::Destination, server.ip(), server.port(), packet, path)
            }
            Method::DirectRoute | Method::Bypass => plain.forward(packet, path),
            Method::Tunnel => self.pass_through_tunnel(conn, snapshot, (hop, path), packet, (plain, flow)),
        }?;
        let bytes = u64::try_from(plain.len()).unwrap_or(0);
        destination.stats().packet_in(self.number(), bytes);
        hop.service.packet_in(self.number(), bytes);
        conn.count_packet();
        Some(path.port)
    }

    #[inline]
    fn pass_through_tunnel(
        &self,
        conn: &Connection,
        snapshot: &Snapshot,
        (hop, path): (&Hop, &Path),
        packet: &mut Packet<'_>,
        (plain, flow): (Plain, &FlowKey),
    ) -> Option<()> {
        let method = conn.binding().method();
        let rewrite = Passage::rewrite(snapshot, hop.source, hop.method, method, conn.server());
        let Ok(Rewrite::Tunnel(tunnel)) = rewrite else { return None };
        plain.wrap(flow, tunnel, packet, path, self.coming_ident())
    }

    /// Rewrites and counts a server's packet; says where it leaves.
    #[inline]
    fn pass_to_client(
        &self,
        conn: &Connection,
        snapshot: &Snapshot,
        packet: &mut Packet<'_>,
        plain: Plain,
    ) -> Option<PortId> {
        let Ok(NextHop::Ready(path)) = snapshot.fib.lookup(conn.key().src) else { return None };
        plain.translate(End::Source, conn.key().dst, conn.key().dst_port, packet, &path)?;
        self.count_out(conn, snapshot, plain.len());
        Some(path.port)
    }
}

/// True for a packet that may begin a connection.
#[inline]
const fn begins(transport: Transport) -> bool {
    matches!(transport, Transport::Tcp { flags, .. } if flags & TcpFlags::SYN.0 != 0)
}
