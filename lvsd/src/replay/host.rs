//! The host behind the director in a replay: it routes on what is not for itself, as a host with `ip_forward` does.

use lvs_forward::{Headers, Packet, PortId, Rewrite};

use crate::snapshot::Snapshot;

/// Forwards a packet that the director left to the host; returns where it leaves. None where the host keeps it.
pub(super) fn forward(snapshot: &Snapshot, packet: &mut Packet<'_>) -> Option<PortId> {
    let headers = Headers::parse(packet.bytes()).ok()?;
    let next = snapshot.fib.lookup(headers.dst).ok()?;
    let path = next.path()?;
    Rewrite::Direct.apply(packet, &headers, path, 0).ok()?;
    Some(path.port)
}
