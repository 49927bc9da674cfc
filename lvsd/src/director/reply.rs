//! Packets for elsewhere that no NAT connection knows: answers of servers behind direct routing or a tunnel that
//! come this way all the same, and answers whose connection is forgotten.

use lvs_conntrack::FlowKey;
use lvs_forward::Verdict;

use super::binding::Method;
use super::lane::{Arrival, Lane};
use super::plane::Plane;
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
        plane.table().with(&key.reversed(), arrival.now, |conn, _| {
            if conn.binding().method() != Method::Masquerade && conn.key().reversed() == *key {
                self.count_reply(conn, snapshot, arrival);
            }
        });
        Verdict::ToHost
    }
}
