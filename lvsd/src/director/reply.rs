//! Packets for elsewhere that no NAT connection knows: answers of servers behind direct routing or a tunnel that
//! come this way all the same, what servers say first, and answers whose connection is forgotten.

use lvs_conntrack::FlowKey;
use lvs_forward::icmp::Error;
use lvs_forward::{DropReason, Rewrite, Transport, Verdict};

use super::binding::Method;
use super::lane::{Arrival, Lane};
use super::plane::Plane;
use super::state::SCTP_ABORT;
use crate::resolve::NextHop;
use crate::snapshot::Snapshot;

impl Lane {
    /// Leaves the packet to the host's own forwarding; a direct-routed connection is told that its server spoke
    /// (`ip_vs_conn_out_get`, `handle_response`).
    pub(super) fn stray(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        key: &FlowKey,
    ) -> Verdict {
        let is_half = plane.table().with(&key.reversed(), arrival.now, |conn, _| {
            if conn.binding().method() != Method::Masquerade && conn.key().reversed() == *key {
                self.count_reply(conn, snapshot, arrival);
                return true;
            }
            false
        });
        if is_half.is_none()
            && let Some(verdict) = self.originate(plane, snapshot, arrival, key)
        {
            return verdict;
        }
        let tells = snapshot.sysctls.nat_icmp_send != 0 && is_half != Some(true);
        if tells && !is_end(arrival) && snapshot.is_real_service(key.proto, key.src, key.src_port) {
            return self.tell_server(snapshot, arrival);
        }
        Verdict::ToHost
    }
}

impl Lane {
    /// Tells a server that nobody waits for its answer: once the host's forwarding has looked at the packet, which
    /// takes one from its TTL.
    fn tell_server(&mut self, snapshot: &Snapshot, arrival: &mut Arrival<'_, '_>) -> Verdict {
        let path = match snapshot.fib.lookup(arrival.headers.dst) {
            Ok(NextHop::Ready(path) | NextHop::Awaiting(path, _)) => path,
            Ok(NextHop::Local) => return Verdict::ToHost,
            Err(reason) => return Verdict::Drop(reason),
        };
        match Rewrite::Direct.apply(arrival.packet, &arrival.headers, &path, 0) {
            Ok(_) => self.answer(snapshot, arrival, Error::PortUnreachable, DropReason::NoConnection),
            Err(refused) => self.refuse(snapshot, arrival, refused),
        }
    }
}

/// A reset or an abort is no reason to speak.
const fn is_end(arrival: &Arrival<'_, '_>) -> bool {
    const TCP_RST: u8 = 0x04;
    match arrival.headers.transport {
        Transport::Tcp { flags, .. } => flags & TCP_RST != 0,
        Transport::Sctp { chunk, .. } => chunk == SCTP_ABORT,
        Transport::Udp { .. } | Transport::Icmp { .. } | Transport::Other | Transport::Later => false,
    }
}
