//! Persistence: a client's next connections go where its last ones went (`ip_vs_sched_persist`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lvs_conntrack::{FlowKey, InsertError, NewTemplate, Proto, TemplateKey, TemplateService};
use lvs_forward::{DropReason, Transport};

use super::call_id::call_id;
use super::lane::Arrival;
use super::plane::Plane;
use super::schedule::{Choice, Scheduled, flow};
use crate::destination::{Counted, Lease};
use crate::message::ServiceId;
use crate::services::{Engine, Persistence, Service};
use crate::snapshot::Snapshot;

const FTP: u16 = 21;
/// Octets of a UDP header.
const UDP_HEADER: usize = 8;

/// Follows the client's template, or has a server chosen and makes one.
pub(super) fn choose_persistent(
    plane: &Plane,
    snapshot: &Snapshot,
    arrival: &Arrival<'_, '_>,
    key: &FlowKey,
    service: &Service,
    persistence: &Persistence,
) -> Result<Choice, Scheduled> {
    let template_key = template_key(service, key, persistence);
    let data = found_by(service.engine, arrival).map_err(Scheduled::Drop)?;
    let expires_quiescent = snapshot.sysctls.expire_quiescent_template != 0;
    let usable = |lease: &Lease| {
        let hop = snapshot.hop(lease.destination().id());
        hop.is_some_and(|hop| !(expires_quiescent && hop.quiesced))
    };
    let template = match plane.table().lease(&template_key, data, arrival.now, usable) {
        Some(template) => template,
        None => make_template(plane, arrival, key, service, persistence, (template_key, data))?,
    };
    let destination = Arc::clone(template.binding().destination());
    // A mark gathers many ports, and each stays what it is: only the service's own port is translated.
    let server_port = match destination.port() {
        port if port != 0 && key.dst_port == service.port() => port,
        _ => key.dst_port,
    };
    Ok(Choice { destination, server_port, template: Some(template) })
}

fn make_template(
    plane: &Plane,
    arrival: &Arrival<'_, '_>,
    key: &FlowKey,
    service: &Service,
    persistence: &Persistence,
    (template_key, data): (TemplateKey, &[u8]),
) -> Result<lvs_conntrack::Lease<Lease>, Scheduled> {
    let member = service.schedule(&flow(key, arrival)).ok_or(Scheduled::Nobody)?;
    let destination = &member.destination;
    let whole_service = key.dst_port == service.port() && service.port() != FTP;
    let server_port = if whole_service { destination.port() } else { 0 };
    let new = NewTemplate {
        key: template_key,
        data,
        server: SocketAddr::new(destination.rip(), server_port),
        binding: Lease::take(destination, Counted::Persistent),
        timeout: seconds(persistence.timeout),
    };
    plane.table().insert_template(new, arrival.now).map_err(|error| match error {
        InsertError::Full(_) => Scheduled::Drop(DropReason::TableFull),
        // Another worker made it at this moment; the client's next packet follows it.
        InsertError::Exists(_) => Scheduled::Drop(DropReason::ConnectionReuse),
    })
}

/// What a service's engine goes by in this packet; nothing where the service has no engine.
pub(super) fn found_by<'a>(
    engine: Option<Engine>,
    arrival: &'a Arrival<'_, '_>,
) -> Result<&'a [u8], DropReason> {
    match (engine, arrival.headers.transport) {
        (None, _) => Ok(&[]),
        (Some(Engine::Sip), Transport::Udp { .. }) => {
            arrival.is_one_piece.set(true);
            let datagram = arrival.headers.transport_bytes(arrival.packet.bytes());
            datagram.get(UDP_HEADER..).and_then(call_id).ok_or(DropReason::NoCallId)
        }
        (Some(Engine::Sip), _) => Err(DropReason::NoCallId),
    }
}

pub(crate) fn seconds(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX)
}

/// Whom the template is for: the client's network, and the service with its port; no port where the service has
/// all of them or is FTP, whose data connections follow the control connection.
pub(crate) fn template_key(service: &Service, key: &FlowKey, persistence: &Persistence) -> TemplateKey {
    let client = masked(key.src, persistence.netmask);
    let own_port = key.dst_port == service.port();
    match service.id {
        ServiceId::Mark { mark, .. } if !own_port => {
            TemplateKey { proto: Proto::IP, client, service: TemplateService::Mark(mark) }
        }
        ServiceId::Mark { .. } | ServiceId::Address { .. } => {
            let port = if own_port && service.port() != FTP { key.dst_port } else { 0 };
            TemplateKey { proto: key.proto, client, service: TemplateService::Address(key.dst, port) }
        }
    }
}

/// The address with all but its first `netmask` bits cleared.
pub(super) fn masked(addr: IpAddr, netmask: u8) -> IpAddr {
    match addr {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(netmask.into())).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(netmask.into())).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}
