//! What a packet does to its connection: the state, the server's counts, the timer.

use lvs_conntrack::{Activity, Conn, Direction, SctpEvent, TcpFlags, TcpTable, Tick};
use lvs_forward::{Headers, Transport};

use super::binding::Binding;
use crate::destination::Lease;
use crate::snapshot::Snapshot;

/// A connection as the director keeps it.
pub(crate) type Connection = Conn<Binding, Lease>;

/// The SCTP chunk that begins an association.
pub(super) const SCTP_INIT: u8 = 1;
/// The SCTP chunk that ends an association at once.
pub(super) const SCTP_ABORT: u8 = 6;

/// Brings the connection up to date (`ip_vs_set_state`) and arms its timer anew.
#[inline]
pub(super) fn advance(
    conn: &mut Connection,
    transport: Transport,
    direction: Direction,
    snapshot: &Snapshot,
    now: Tick,
) {
    let timeouts = &snapshot.timeouts;
    let transition = match transport {
        Transport::Tcp { flags, .. } => {
            // 2 is the automatic mode while memory is short.
            let table = if snapshot.sysctls.secure_tcp > 1 { TcpTable::Secure } else { TcpTable::Normal };
            Some(conn.on_tcp(TcpFlags(flags), direction, timeouts, table))
        }
        Transport::Udp { .. } => Some(conn.on_udp(direction, timeouts)),
        Transport::Sctp { chunk, next_chunk, .. } => {
            Some(conn.on_sctp(SctpEvent::of_chunks(chunk, next_chunk), direction, timeouts))
        }
        Transport::Icmp { .. } | Transport::Other | Transport::Later => None,
    };
    if let Some(activity) = transition.and_then(|transition| transition.activity) {
        conn.binding_mut().set_active(activity == Activity::Active);
    }
    conn.touch(now);
}

/// True for a packet that begins a connection (`is_new_conn`).
pub(super) const fn begins(headers: &Headers) -> bool {
    match headers.transport {
        Transport::Tcp { flags, .. } => flags & TcpFlags::SYN.0 != 0,
        Transport::Sctp { chunk, .. } => chunk == SCTP_INIT,
        Transport::Udp { .. } | Transport::Icmp { .. } | Transport::Other | Transport::Later => false,
    }
}
