//! Which packets the XDP program is to send to the director, given the services.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lvs_conntrack::{Proto, Tick};
use lvs_forward::io::xdp::{Claims, Endpoint, Marked, Prefix};

use crate::health::Answering;
use crate::mark::{MarkRule, PortRange};
use crate::message::{Family, ForwardMethod, RealServer, ServiceId, Transport, TunnelKind, VirtualService};
use crate::snapshot::number;

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
    /// What answers a check.
    Answer(Endpoint),
    Tunnel(Endpoint),
    Marked(Marked),
}

/// The claims in force, those of things that are gone for a while longer.
#[derive(Debug, Default)]
pub(super) struct Claimed(BTreeMap<Claim, Option<Tick>>);

impl Claimed {
    /// Takes the services, the rules for marks and who answers checks as they are now; returns what to claim.
    /// `is_used` says whether connections to a prefix still live: their packets go on to the director whatever became
    /// of the rule.
    pub(super) fn follow<'a, S: Iterator<Item = &'a RealServer>>(
        &mut self,
        services: impl Iterator<Item = (&'a VirtualService, S)>,
        marks: &[MarkRule],
        answering: &BTreeSet<Answering>,
        now: Tick,
        is_used: impl Fn(Prefix) -> bool,
    ) -> Claims {
        let answer = |&(proto, from): &Answering| {
            Claim::Answer(Endpoint { address: from.ip(), port: from.port(), proto })
        };
        let of_services = services.flat_map(|(service, servers)| of_service(service, servers, marks));
        let wanted: BTreeSet<Claim> = of_services.chain(answering.iter().map(answer)).collect();
        for (claim, until) in &mut self.0 {
            if wanted.contains(claim) {
                *until = None;
            } else if until.is_none_or(|until| until <= now && claim.is_used(&is_used)) {
                *until = Some(now + AFTERLIFE);
            }
        }
        self.0.retain(|_, until| until.is_none_or(|until| until > now));
        self.0.extend(wanted.into_iter().map(|claim| (claim, None)));
        gathered(self.0.keys().copied())
    }

    /// What would be claimed, were there these services and rules from now on.
    pub(super) fn with<'a, S: Iterator<Item = &'a RealServer>>(
        &self,
        services: impl Iterator<Item = (&'a VirtualService, S)>,
        marks: &[MarkRule],
    ) -> Claims {
        let wanted = services.flat_map(|(service, servers)| of_service(service, servers, marks));
        gathered(self.0.keys().copied().chain(wanted))
    }

    /// True while nothing of it has come to its end.
    pub(super) fn is_settled(&self, now: Tick) -> bool {
        self.0.values().flatten().all(|until| *until > now)
    }

    /// The masquerading servers whose answers are claimed.
    pub(super) fn servers(&self) -> impl Iterator<Item = Endpoint> {
        self.0.keys().filter_map(|claim| match claim {
            Claim::Server(endpoint) => Some(*endpoint),
            Claim::Service(_) | Claim::Answer(_) | Claim::Tunnel(_) | Claim::Marked(_) => None,
        })
    }
}

fn gathered(all: impl Iterator<Item = Claim>) -> Claims {
    let mut claims = Claims::default();
    for claim in all {
        match claim {
            Claim::Service(endpoint) => claims.services.insert(endpoint),
            Claim::Server(endpoint) | Claim::Answer(endpoint) => claims.servers.insert(endpoint),
            Claim::Tunnel(endpoint) => claims.tunnels.insert(endpoint),
            Claim::Marked(marked) => claims.marked.insert(marked),
        };
    }
    claims
}

impl Claim {
    fn is_used(&self, is_used: impl Fn(Prefix) -> bool) -> bool {
        match self {
            Self::Marked(marked) => is_used(marked.prefix),
            Self::Service(_) | Self::Server(_) | Self::Answer(_) | Self::Tunnel(_) => false,
        }
    }
}

fn of_service<'a>(
    service: &VirtualService,
    servers: impl Iterator<Item = &'a RealServer>,
    marks: &[MarkRule],
) -> Vec<Claim> {
    let id = service.id;
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
        ServiceId::Mark { mark, family } => marks
            .iter()
            .filter(|rule| rule.mark == mark && rule.is_for(family))
            .flat_map(|rule| of_rule(rule, family))
            .collect(),
    };
    let is_ftp = matches!(id, ServiceId::Address { port: FTP, .. });
    // Behind FTP and behind the persistence of a mark a connection keeps the port it was for.
    let is_any_port = is_ftp || (matches!(id, ServiceId::Mark { .. }) && service.persistent.is_some());
    for server in servers {
        claims.extend(of_server(server, &protocols, is_any_port, vip_is_v4(&id)));
    }
    claims
}

const fn vip_is_v4(id: &ServiceId) -> bool {
    matches!(id.family(), Family::Ipv4)
}

fn of_server(server: &RealServer, protocols: &[Proto], is_any_port: bool, inner_is_v4: bool) -> Vec<Claim> {
    let at = |port, proto| Endpoint { address: server.rip, port, proto };
    let ipip = if inner_is_v4 { IPIP } else { IPV6_IN_IP };
    match server.method {
        ForwardMethod::Masquerade => {
            let port = if is_any_port { 0 } else { server.port };
            protocols.iter().map(|&proto| Claim::Server(at(port, proto))).collect()
        }
        ForwardMethod::DirectRoute => Vec::new(),
        ForwardMethod::Tunnel(TunnelKind::Ipip) => vec![Claim::Tunnel(at(0, ipip))],
        ForwardMethod::Tunnel(TunnelKind::Gre { .. }) => vec![Claim::Tunnel(at(0, GRE))],
        ForwardMethod::Tunnel(TunnelKind::Gue { port, .. }) => vec![Claim::Tunnel(at(port, Proto::UDP))],
    }
}

/// What a rule may mark of a family. Its other conditions are looked at by the director.
fn of_rule(rule: &MarkRule, family: Family) -> Vec<Claim> {
    let everywhere = match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let prefix = rule.destination.map_or(Prefix { address: everywhere, length: 0 }, |network| Prefix {
        address: network.addr(),
        length: network.prefix_len(),
    });
    let protocols = match rule.protocol {
        Some(protocol) => vec![protocol],
        None => vec![Transport::Tcp, Transport::Udp, Transport::Sctp],
    };
    let every = [PortRange { first: 0, last: u16::MAX }];
    let ranges = if rule.ports.is_empty() { &every[..] } else { &rule.ports };
    let claim = |protocol: Transport, range: &PortRange| {
        let (first_port, last_port) = (range.first, range.last);
        Claim::Marked(Marked { prefix, proto: number(protocol), first_port, last_port })
    };
    protocols.iter().flat_map(|&protocol| ranges.iter().map(move |range| claim(protocol, range))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::network;

    fn follow(
        claimed: &mut Claimed,
        services: &[(VirtualService, Vec<RealServer>)],
        marks: &[MarkRule],
        now: Tick,
        is_used: bool,
    ) -> Claims {
        let services = services.iter().map(|(service, servers)| (service, servers.iter()));
        claimed.follow(services, marks, &BTreeSet::new(), now, |_| is_used)
    }

    fn on_mark(family: Family, persistent: Option<u32>) -> (VirtualService, Vec<RealServer>) {
        let service = VirtualService {
            id: ServiceId::Mark { mark: 1, family },
            scheduler: "rr".to_owned(),
            flags: 0,
            persistent,
            netmask: 32,
            persistence_engine: None,
            one_packet: false,
        };
        let server = RealServer {
            rip: "10.0.0.11".parse().unwrap(),
            port: 8080,
            method: ForwardMethod::Masquerade,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
        };
        (service, vec![server])
    }

    fn rule(mark: u32, destination: Option<&str>) -> MarkRule {
        MarkRule {
            mark,
            destination: destination.and_then(network),
            source: network("198.51.100.0/24").filter(|_| destination.is_some()),
            protocol: None,
            ports: vec![PortRange::single(80), PortRange { first: 8000, last: 8100 }],
            source_ports: Vec::new(),
            interface: None,
        }
    }

    fn prefixes(claims: &Claims) -> Vec<String> {
        let text = |marked: &Marked| {
            let Marked { prefix, proto, first_port, last_port } = marked;
            format!("{}/{} {} {first_port}-{last_port}", prefix.address, prefix.length, proto.0)
        };
        claims.marked.iter().map(text).collect()
    }

    #[test]
    fn what_a_service_on_a_mark_may_get_is_claimed_and_nothing_else() {
        let rules = [rule(1, Some("192.0.2.10")), rule(2, Some("192.0.2.20")), rule(1, None)];
        let claims = |family| {
            let services = [on_mark(family, None)];
            prefixes(&follow(&mut Claimed::default(), &services, &rules, Tick::from_millis(0), false))
        };
        let each = |prefix: &str| {
            let ports =
                [6, 17, 132].map(|p| [format!("{prefix} {p} 80-80"), format!("{prefix} {p} 8000-8100")]);
            ports.concat()
        };
        assert_eq!(claims(Family::Ipv4), [each("0.0.0.0/0"), each("192.0.2.10/32")].concat());
        assert_eq!(claims(Family::Ipv6), each("::/0"));
        assert!(
            prefixes(&follow(&mut Claimed::default(), &[], &rules, Tick::from_millis(0), true)).is_empty()
        );
    }

    #[test]
    fn a_persistent_mark_keeps_every_port_so_the_server_answers_from_any() {
        let ports = |persistent| {
            let services = [on_mark(Family::Ipv4, persistent)];
            let claims = follow(&mut Claimed::default(), &services, &[], Tick::from_millis(0), false);
            claims.servers.iter().map(|server| server.port).collect::<BTreeSet<u16>>()
        };
        assert_eq!(ports(None), [8080].into());
        assert_eq!(ports(Some(300)), [0].into());
    }

    #[test]
    fn the_packets_of_a_removed_rule_are_claimed_while_connections_use_it() {
        let services = [on_mark(Family::Ipv4, None)];
        let mut claimed = Claimed::default();
        let start = Tick::from_millis(0);
        let count = |claims: Claims| claims.marked.len();
        assert_eq!(count(follow(&mut claimed, &services, &[rule(1, Some("192.0.2.10"))], start, false)), 6);
        assert_eq!(count(follow(&mut claimed, &services, &[], start, false)), 6);
        let later = start + AFTERLIFE;
        assert_eq!(count(follow(&mut claimed, &services, &[], later, true)), 6, "there are connections");
        assert_eq!(count(follow(&mut claimed, &services, &[], later, false)), 6, "renewed");
        assert_eq!(count(follow(&mut claimed, &services, &[], later + AFTERLIFE, false)), 0);
    }
}
