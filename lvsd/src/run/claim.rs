//! Which packets the XDP program is to send to the director, given the services.

use std::collections::BTreeMap;

use lvs_conntrack::{Proto, Tick};
use lvs_forward::io::xdp::{Claims, Endpoint, Prefix};

use crate::config::MarkConfig;
use crate::message::{ForwardMethod, RealServer, ServiceId, ServiceListing, Transport, TunnelKind};

/// How long packets of a service or server that is gone still go to the director: its connections live on, and
/// a packet that turns out to be the host's is handed back.
const AFTERLIFE: std::time::Duration = std::time::Duration::from_mins(15);
const FTP: u16 = 21;
const IPIP: Proto = Proto(4);
const IPV6_IN_IP: Proto = Proto(41);
const GRE: Proto = Proto(47);

/// What one thing is claimed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    Service(Endpoint),
    Server(Endpoint),
    Tunnel(Endpoint),
    Prefix(Prefix),
}

/// The claims in force, those of things that are gone for a while longer.
#[derive(Debug, Default)]
pub(super) struct Claimed(BTreeMap<Claim, Option<Tick>>);

impl Claimed {
    /// Takes the services as they are now; returns what to claim.
    pub(super) fn follow(&mut self, services: &[ServiceListing], marks: &[MarkConfig], now: Tick) -> Claims {
        let wanted: Vec<Claim> = services.iter().flat_map(|service| of_service(service, marks)).collect();
        for (claim, until) in &mut self.0 {
            if wanted.contains(claim) {
                *until = None;
            } else if until.is_none() {
                *until = Some(now + AFTERLIFE);
            }
        }
        self.0.retain(|_, until| until.is_none_or(|until| until > now));
        self.0.extend(wanted.into_iter().map(|claim| (claim, None)));
        let mut claims = Claims::default();
        for &claim in self.0.keys() {
            match claim {
                Claim::Service(endpoint) => claims.services.insert(endpoint),
                Claim::Server(endpoint) => claims.servers.insert(endpoint),
                Claim::Tunnel(endpoint) => claims.tunnels.insert(endpoint),
                Claim::Prefix(prefix) => claims.prefixes.insert(prefix),
            };
        }
        claims
    }
}

fn of_service(listing: &ServiceListing, marks: &[MarkConfig]) -> Vec<Claim> {
    let id = listing.service.id;
    let protocols = match id {
        ServiceId::Address { transport, .. } => vec![number(transport)],
        ServiceId::Mark { .. } => vec![Proto::TCP, Proto::UDP, Proto::SCTP],
    };
    let mut claims = match id {
        ServiceId::Address { transport, vip, port } => {
            // The data connections of FTP go to ports of their own.
            let port = if port == FTP { 0 } else { port };
            vec![Claim::Service(Endpoint { address: vip, port, proto: number(transport) })]
        }
        ServiceId::Mark { mark, .. } => marks
            .iter()
            .filter(|rule| rule.mark == mark && id.family() == rule.family())
            .map(|rule| {
                let (address, length) = (rule.destination.addr(), rule.destination.prefix_len());
                Claim::Prefix(Prefix { address, length })
            })
            .collect(),
    };
    let is_ftp = matches!(id, ServiceId::Address { port: FTP, .. });
    for listing in &listing.servers {
        claims.extend(of_server(&listing.server, &protocols, is_ftp, vip_is_v4(&id)));
    }
    claims
}

const fn vip_is_v4(id: &ServiceId) -> bool {
    matches!(id.family(), crate::message::Family::Ipv4)
}

fn of_server(server: &RealServer, protocols: &[Proto], is_ftp: bool, inner_is_v4: bool) -> Vec<Claim> {
    let at = |port, proto| Endpoint { address: server.rip, port, proto };
    let ipip = if inner_is_v4 { IPIP } else { IPV6_IN_IP };
    match server.method {
        ForwardMethod::Masquerade => {
            let port = if is_ftp { 0 } else { server.port };
            protocols.iter().map(|&proto| Claim::Server(at(port, proto))).collect()
        }
        ForwardMethod::DirectRoute => Vec::new(),
        ForwardMethod::Tunnel(TunnelKind::Ipip) => vec![Claim::Tunnel(at(0, ipip))],
        ForwardMethod::Tunnel(TunnelKind::Gre { .. }) => vec![Claim::Tunnel(at(0, GRE))],
        ForwardMethod::Tunnel(TunnelKind::Gue { port, .. }) => vec![Claim::Tunnel(at(port, Proto::UDP))],
    }
}

const fn number(transport: Transport) -> Proto {
    match transport {
        Transport::Tcp => Proto::TCP,
        Transport::Udp => Proto::UDP,
        Transport::Sctp => Proto::SCTP,
    }
}
