//! The first packet of a connection: which service it is for, and which server it is given.

use std::net::SocketAddr;
use std::sync::Arc;

use lvs_conntrack::{Conn, Direction, FlowKey, InsertError, NewConn, Proto};
use lvs_forward::{DropReason, Headers, Transport};
use lvs_sched::Flow;

use super::binding::{Binding, Method};
use super::ftp;
use super::lane::{Arrival, Lane};
use super::passage::Passage;
use super::persist::choose_persistent;
use super::plane::Plane;
use super::state::{SCTP_ABORT, SCTP_INIT, advance};
use crate::destination::{Destination, Lease};
use crate::mark::Candidate;
use crate::services::Service;
use crate::snapshot::Snapshot;

const TCP_SYN: u8 = 0x02;
const TCP_RST: u8 = 0x04;
/// The port FTP's active data connections come from.
const FTP_DATA: u16 = 20;

/// What became of a packet that belongs to no connection yet.
pub(super) enum Scheduled {
    /// It goes to a server.
    To(Passage),
    /// It is no service's.
    NotOurs,
    /// Its service has no server for it.
    Nobody,
    /// It is dropped.
    Drop(DropReason),
    /// Another worker began the same connection at this moment.
    Raced,
}

/// Where a new connection is to go.
pub(super) struct Choice {
    pub(super) destination: Arc<Destination>,
    pub(super) server_port: u16,
    pub(super) template: Option<lvs_conntrack::Lease<Lease>>,
}

impl Lane {
    /// Finds the packet's service and gives it a server (`tcp_conn_schedule` and its likes, `ip_vs_schedule`).
    pub(super) fn schedule(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &Arrival<'_, '_>,
        key: &FlowKey,
    ) -> Scheduled {
        if !may_begin(&arrival.headers, snapshot) {
            return Scheduled::NotOurs;
        }
        let mark = snapshot.mark(Candidate { key, ingress: arrival.ingress });
        let Some(service) = snapshot.service(mark, key.proto, key.dst, key.dst_port) else {
            return Scheduled::NotOurs;
        };
        if arrival.headers.has_martian_source() {
            return Scheduled::Drop(DropReason::MartianSource);
        }
        if self.countdown.is_over(plane.throttle()) {
            return Scheduled::Drop(DropReason::Defence);
        }
        if key.src_port == FTP_DATA {
            return Scheduled::NotOurs;
        }
        let choice = match &service.persistence {
            Some(persistence) => choose_persistent(plane, snapshot, arrival, key, service, persistence),
            None if !service.is_marked() && key.dst_port != service.port() => Err(Scheduled::Nobody),
            None => choose(service, key, arrival),
        };
        match choice {
            Ok(choice) => self.open(plane, snapshot, arrival, key, service, choice),
            // The packet of another port that came here by FTP's rule is not for IPVS to refuse (`ip_vs_leave`).
            Err(Scheduled::Nobody) if service.port() == ftp::PORT && key.dst_port != ftp::PORT => {
                Scheduled::NotOurs
            }
            Err(Scheduled::Nobody)
                if !arrival.headers.is_icmp_error() && Self::may_bypass(snapshot, key, service) =>
            {
                Self::bypass(plane, snapshot, arrival, key, service)
            }
            Err(refused) => refused,
        }
    }

    /// Makes the connection and counts its first packet.
    fn open(
        &self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &Arrival<'_, '_>,
        key: &FlowKey,
        service: &Service,
        choice: Choice,
    ) -> Scheduled {
        let Choice { destination, server_port, template } = choice;
        let Some(hop) = snapshot.hop(destination.id()) else {
            return Scheduled::Drop(DropReason::ServerGone);
        };
        let method = Method::from(hop.method);
        let server = SocketAddr::new(destination.rip(), server_port);
        let bytes = u64::try_from(arrival.headers.len()).unwrap_or(0);
        for stats in [destination.stats(), service.stats.as_ref()] {
            stats.conn(self.number());
            stats.packet_in(self.number(), bytes);
        }
        let mut conn = Conn::new(
            NewConn {
                key: *key,
                server,
                reply: method == Method::Masquerade,
                no_output: method != Method::Masquerade,
                binding: bind(destination, method, key),
                template,
            },
            arrival.now,
        );
        let passage = Passage::to_server(snapshot, hop, method, server);
        if service.one_packet && key.proto == Proto::UDP {
            if let Some(template) = conn.template() {
                template.count_packet();
            }
            // The connection ends with its packet; dropping it gives the counts back.
            drop(conn);
        } else {
            advance(&mut conn, arrival.headers.transport, Direction::ToServer, snapshot, arrival.now);
            conn.count_packet();
            match plane.table().insert(conn, arrival.now) {
                Ok(()) => {}
                Err(InsertError::Exists(_)) => return Scheduled::Raced,
                Err(InsertError::Full(_)) => return Scheduled::Drop(DropReason::TableFull),
            }
        }
        match passage {
            Ok(passage) => Scheduled::To(passage),
            Err(reason) => Scheduled::Drop(reason),
        }
    }
}

/// The bond of a new connection. FTP through NAT is read (`tcp_app_conn_bind`).
fn bind(destination: Arc<Destination>, method: Method, key: &FlowKey) -> Binding {
    let binding = Binding::new(destination, method);
    let is_control = method == Method::Masquerade && key.proto == Proto::TCP && key.dst_port == ftp::PORT;
    if is_control { binding.of_control() } else { binding }
}

/// Asks the scheduler of a service without persistence.
fn choose(service: &Service, key: &FlowKey, arrival: &Arrival<'_, '_>) -> Result<Choice, Scheduled> {
    let member = service.schedule(&flow(key, arrival)).ok_or(Scheduled::Nobody)?;
    let destination = Arc::clone(&member.destination);
    let server_port = match destination.port() {
        0 => key.dst_port,
        port => port,
    };
    Ok(Choice { destination, server_port, template: None })
}

/// The connection as a scheduler sees it.
pub(super) fn flow(key: &FlowKey, arrival: &Arrival<'_, '_>) -> Flow {
    Flow {
        client: key.src,
        client_port: key.src_port,
        vip: key.dst,
        service_port: key.dst_port,
        now: arrival.now.since_zero(),
    }
}

/// True for a packet that may begin a connection of its protocol.
fn may_begin(headers: &Headers, snapshot: &Snapshot) -> bool {
    match headers.transport {
        Transport::Tcp { flags, .. } => {
            flags & TCP_RST == 0 && (flags & TCP_SYN != 0 || snapshot.sysctls.sloppy_tcp != 0)
        }
        Transport::Sctp { chunk, .. } => {
            chunk != SCTP_ABORT && (chunk == SCTP_INIT || snapshot.sysctls.sloppy_sctp != 0)
        }
        Transport::Udp { .. } => true,
        // An error about a connection that is not known (`schedule_icmp`).
        Transport::Icmp { .. } => snapshot.sysctls.schedule_icmp != 0,
        Transport::Other | Transport::Later => false,
    }
}
