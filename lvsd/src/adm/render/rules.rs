//! The lines of `-S`: command lines that bring the table back.
//!
//! As with ipvsadm, thresholds, timeouts and synchronisation daemons are not among them. A mark above 2^31 - 1 is
//! written as it was given; ipvsadm writes a negative number there, which its own `-R` refuses.

use std::fmt::Write as _;

use super::{Writing, table};
use crate::adm::flags;
use crate::message::{
    Family, ForwardMethod, RealServer, ServiceId, ServiceListing, Transport, TunnelChecksum, TunnelKind,
    VirtualService,
};

/// The service's line, and one for each of its servers.
pub(super) fn service(text: &mut String, listing: &ServiceListing, writing: Writing) {
    let name = option(&listing.service.id, writing);
    let _ = writeln!(text, "-A {name} -s {}", arguments(&listing.service));
    for server in &listing.servers {
        let server = &server.server;
        let rip = writing.endpoint(server.rip, server.port, table::transport(&listing.service.id));
        let _ = writeln!(text, "-a {name} -r {rip} {}", method(server));
    }
}

fn option(id: &ServiceId, writing: Writing) -> String {
    match *id {
        ServiceId::Mark { mark, family: Family::Ipv4 } => format!("-f {mark}"),
        ServiceId::Mark { mark, family: Family::Ipv6 } => format!("-f {mark} -6"),
        ServiceId::Address { transport, vip, port } => {
            let option = match transport {
                Transport::Tcp => "-t",
                Transport::Udp => "-u",
                Transport::Sctp => "--sctp-service",
            };
            format!("{option} {}", writing.endpoint(vip, port, Some(transport)))
        }
    }
}

fn arguments(service: &VirtualService) -> String {
    let mut text = service.scheduler.clone();
    if let Some(seconds) = service.persistent {
        let _ = write!(text, " -p {seconds}");
        if let Some(mask) = table::mask(service) {
            let _ = write!(text, " -M {mask}");
        }
    }
    if let Some(engine) = &service.persistence_engine {
        let _ = write!(text, " --pe {engine}");
    }
    if service.one_packet {
        text.push_str(" -o");
    }
    let flags = flags::names(&service.scheduler, service.flags);
    if !flags.is_empty() {
        let _ = write!(text, " -b {flags}");
    }
    text
}

fn method(server: &RealServer) -> String {
    let weight = server.weight;
    match server.method {
        ForwardMethod::Masquerade => format!("-m -w {weight}"),
        ForwardMethod::DirectRoute => format!("-g -w {weight}"),
        ForwardMethod::Tunnel(TunnelKind::Ipip) => format!("-i -w {weight} --tun-type ipip"),
        ForwardMethod::Tunnel(TunnelKind::Gue { port, checksum }) => {
            format!("-i -w {weight} --tun-type gue --tun-port {port} {}", checksum_option(checksum))
        }
        ForwardMethod::Tunnel(TunnelKind::Gre { checksum }) => {
            format!("-i -w {weight} --tun-type gre {}", checksum_option(checksum))
        }
    }
}

const fn checksum_option(checksum: TunnelChecksum) -> &'static str {
    match checksum {
        TunnelChecksum::None => "--tun-nocsum",
        TunnelChecksum::Full => "--tun-csum",
        TunnelChecksum::Remote => "--tun-remcsum",
    }
}
