//! Connections that a real server begins: requests of its own to a client, and the answers of one-packet scheduling
//! (`__ip_vs_rs_conn_out`, `ip_vs_new_conn_out`). They leave with the service's address, and what the client says to
//! that comes to the same server.

use std::net::SocketAddr;
use std::sync::Arc;

use lvs_conntrack::{
    Conn, Direction, FlowKey, InsertError, NewConn, NewTemplate, Proto, TemplateKey, TemplateService,
};
use lvs_forward::{DropReason, Verdict};

use super::binding::{Binding, Method};
use super::known::{Known, way_back};
use super::lane::{Arrival, Lane};
use super::persist::{found_by, masked, seconds};
use super::plane::Plane;
use crate::destination::{Counted, Lease};
use crate::services::Persistence;
use crate::snapshot::{Originator, Snapshot};

impl Lane {
    /// Carries a server's packet that belongs to no connection, where its service's engine begins one for it.
    pub(super) fn originate(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        key: &FlowKey,
    ) -> Option<Verdict> {
        if key.proto != Proto::UDP {
            return None;
        }
        let originator = snapshot.originator(key.src, key.src_port)?;
        match way_back(snapshot, arrival, originator.vip) {
            Known::Forward(passage) => {
                let begun = self.begin_outbound(plane, snapshot, arrival, key, originator)?;
                Some(match begun {
                    Ok(()) => self.carry(plane, snapshot, arrival, &passage),
                    Err(reason) => Verdict::Drop(reason),
                })
            }
            Known::Refused(refused) => Some(self.refuse(snapshot, arrival, refused)),
            Known::Drop(reason) => Some(Verdict::Drop(reason)),
            Known::Talk(..) | Known::Anew => None,
        }
    }

    /// Makes the connection, and the template it hangs on, and counts the packet; `None` where the service is
    /// persistent and its engine finds nothing in the packet.
    fn begin_outbound(
        &self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &Arrival<'_, '_>,
        key: &FlowKey,
        originator: &Originator,
    ) -> Option<Result<(), DropReason>> {
        let Originator { service, destination, vip } = originator;
        let template = match &service.persistence {
            None => None,
            Some(persistence) => {
                let data = found_by(service.engine, arrival).ok()?;
                match lease(plane, snapshot, arrival, key, originator, persistence, data) {
                    Ok(lease) => Some(lease),
                    Err(reason) => return Some(Err(reason)),
                }
            }
        };
        let (src, src_port) = (key.dst, key.dst_port);
        let own = FlowKey { proto: key.proto, src, src_port, dst: vip.ip(), dst_port: vip.port() };
        let new = NewConn {
            key: own,
            server: SocketAddr::new(key.src, key.src_port),
            reply: true,
            no_output: false,
            binding: Binding::new(Arc::clone(destination), Method::Masquerade),
            template,
        };
        let mut conn = Conn::new(new, arrival.now);
        for stats in [destination.stats(), service.stats.as_ref()] {
            stats.conn(self.number());
        }
        self.count_reply(&mut conn, snapshot, arrival);
        if service.one_packet {
            // The connection ends with its packet; dropping it gives the counts back.
            return Some(Ok(()));
        }
        // Where another server spoke to this end of the client's, the client's answers are for the last one now.
        let is_taken = plane.table().with(&own, arrival.now, |_, direction| direction == Direction::ToServer);
        if is_taken == Some(true) {
            drop(plane.table().remove(&own));
        }
        Some(match plane.table().insert(conn, arrival.now) {
            Ok(()) => Ok(()),
            Err(InsertError::Exists(_)) => Err(DropReason::ConnectionReuse),
            Err(InsertError::Full(_)) => Err(DropReason::TableFull),
        })
    }
}

/// Follows the template that leads to this very server, or makes one.
fn lease(
    plane: &Plane,
    snapshot: &Snapshot,
    arrival: &Arrival<'_, '_>,
    key: &FlowKey,
    originator: &Originator,
    persistence: &Persistence,
    data: &[u8],
) -> Result<lvs_conntrack::Lease<Lease>, DropReason> {
    let (destination, vip) = (&originator.destination, originator.vip);
    let template_key = TemplateKey {
        proto: key.proto,
        client: masked(key.dst, persistence.netmask),
        service: TemplateService::Address(vip.ip(), vip.port()),
    };
    let expires_quiescent = snapshot.sysctls.expire_quiescent_template != 0;
    let usable = |lease: &Lease| {
        let hop = snapshot.hop(destination.id());
        lease.destination().id() == destination.id()
            && hop.is_some_and(|hop| !(expires_quiescent && hop.quiesced))
    };
    if let Some(lease) = plane.table().lease(&template_key, data, arrival.now, usable) {
        return Ok(lease);
    }
    let new = NewTemplate {
        key: template_key,
        data,
        server: SocketAddr::new(key.src, key.src_port),
        binding: Lease::take(destination, Counted::Persistent),
        timeout: seconds(persistence.timeout),
    };
    plane.table().insert_template(new, arrival.now).map_err(|error| match error {
        InsertError::Full(_) => DropReason::TableFull,
        InsertError::Exists(_) => DropReason::ConnectionReuse,
    })
}
