//! What is listed: services with their servers, connections, timeouts, drops and the accounts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lvs_conntrack::{Template, TemplateService, Tick};

use super::Registry;
use super::engine::Engine;
use super::entry::{Entry, Server};
use crate::destination::Lease;
use crate::director::Binding;
use crate::message::{
    CacheListing, ConnectionListing, DropListing, Refusal, Response, ServerListing, ServiceId,
    ServiceListing, Status, Timeouts, Totals,
};
use crate::resolve::Fib;

/// The ports of a template that matches nobody any more (`ip_vs_check_template`).
const NO_PORT: u16 = 0xffff;

impl Registry {
    pub(super) fn list(&self, id: Option<ServiceId>) -> Result<Response, Refusal> {
        let services = match id {
            Some(id) => vec![listed(self.entry(id)?, &self.fib)],
            None => self.entries.iter().map(|entry| listed(entry, &self.fib)).collect(),
        };
        Ok(Response::Services { services })
    }

    pub(super) fn list_connections(&self, now: Tick) -> Response {
        let mut connections = Vec::new();
        let table = self.plane.table();
        table.for_each(now, |conn| connections.push(listed_connection(conn, now)));
        table.for_each_template(now, |template| connections.push(listed_template(template, now)));
        Response::Connections { connections }
    }

    pub(super) const fn shown_timeouts(&self) -> Timeouts {
        Timeouts { tcp: self.timeouts.tcp(), tcp_fin: self.timeouts.tcp_fin(), udp: self.timeouts.udp() }
    }

    pub(super) fn list_totals(&self) -> Totals {
        self.totals.read(&self.entries, self.plane.lanes())
    }

    pub(super) fn list_drops(&self) -> Response {
        let listed = |(reason, packets): (lvs_forward::DropReason, u64)| DropListing {
            reason: reason.label().into(),
            meaning: reason.meaning().into(),
            packets,
        };
        Response::Drops { drops: self.plane.drops().iter().map(listed).collect() }
    }

    /// The accounts; what only the daemon knows (its process, interfaces) is left for it to fill in.
    pub(super) fn status(&self) -> Response {
        let account = self.plane.account();
        let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        Response::Status(Status {
            received: account.received,
            forwarded: account.forwarded,
            to_host: account.to_host,
            dropped: account.dropped,
            held: account.held,
            originated: account.originated,
            connections: count(self.plane.table().len()),
            templates: count(self.plane.table().templates_len()),
            cache: self.plane.cache().and_then(|cache| cache.status().ok()).map(|status| CacheListing {
                flows: count(status.flows),
                size: status.size.v4.into(),
                size_ipv6: status.size.v6.into(),
                forwarded: status.outcomes.forwarded,
                left: status.outcomes.missed().map(|(reason, count)| (reason.to_owned(), count)).into(),
                kept: String::new(),
            }),
            ..Status::default()
        })
    }
}

fn listed(entry: &Entry, fib: &Fib) -> ServiceListing {
    ServiceListing {
        service: entry.declared().clone(),
        stats: entry.meter.read(entry.stats().sum()),
        servers: entry.servers().iter().map(|server| listed_server(server, fib)).collect(),
    }
}

fn listed_server(server: &Server, fib: &Fib) -> ServerListing {
    let destination = &server.destination;
    ServerListing {
        server: server.declared,
        local: fib.is_local(server.declared.rip),
        active: destination.active(),
        inactive: destination.inactive(),
        persistent: destination.persistent(),
        stats: server.meter.read(destination.stats().sum()),
    }
}

fn listed_connection(conn: &lvs_conntrack::Conn<Binding, Lease>, now: Tick) -> ConnectionListing {
    let (key, server) = (conn.key(), conn.server());
    ConnectionListing {
        proto: key.proto.0,
        expires: seconds(conn.remaining(now)),
        state: conn.state().name().into(),
        cip: key.src,
        client_port: key.src_port,
        vip: key.dst,
        service_port: key.dst_port,
        rip: server.ip(),
        server_port: server.port(),
        persistence: None,
    }
}

fn listed_template(template: &Template<Lease>, now: Tick) -> ConnectionListing {
    let (key, server) = (template.key(), template.server());
    let (vip, service_port) = match key.service {
        TemplateService::Address(vip, port) => (vip, port),
        TemplateService::Mark(mark) => (mark_as_address(mark, key.client), 0),
    };
    let ports = if template.is_valid() { (service_port, server.port()) } else { (NO_PORT, NO_PORT) };
    ConnectionListing {
        proto: key.proto.0,
        expires: seconds(template.remaining(now)),
        state: template.state_name().into(),
        cip: key.client,
        client_port: 0,
        vip,
        service_port: ports.0,
        rip: server.ip(),
        server_port: ports.1,
        persistence: engine_data(template.data()),
    }
}

/// The engine's name and what it found; there is but one engine, whose data is text.
fn engine_data(data: &[u8]) -> Option<(String, String)> {
    (!data.is_empty()).then(|| (Engine::Sip.name().into(), String::from_utf8_lossy(data).into_owned()))
}

/// The mark in the first four octets of an address of the client's family, where the kernel keeps it.
fn mark_as_address(mark: u32, client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => Ipv4Addr::from_bits(mark).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(u128::from(mark) << 96).into(),
    }
}

fn seconds(duration: std::time::Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
