//! Virtual services out of the file.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use toml::Spanned;

use super::Check;
use crate::config::mistake::Mistake;
use crate::config::schema::{self, Number, Text};
use crate::config::{CheckedConfig, PERSISTENCE_ENGINES, SCHEDULER_FLAGS, ServiceConfig, schedulers};
use crate::message::{Family, RealServer, ServiceId, Transport, VirtualService};

/// The longest persistence the kernel takes: 31 days, in seconds.
const MAX_TIMEOUT: i64 = 31 * 86400;
const TRANSPORTS: [&str; 3] = ["tcp", "udp", "sctp"];
const FAMILIES: [&str; 2] = ["ipv4", "ipv6"];

impl Check {
    /// The services, and what is checked of them.
    pub(super) fn services(
        &mut self,
        services: &[Spanned<schema::Service>],
    ) -> (Vec<ServiceConfig>, Vec<CheckedConfig>) {
        let mut seen: Vec<(ServiceId, Range<usize>)> = Vec::new();
        let mut done = Vec::new();
        let mut checked = Vec::new();
        for service in services {
            let Some((config, check)) = self.service(service) else { continue };
            let span = name_span(service);
            if let Some((_, first)) = seen.iter().find(|(id, _)| *id == config.service.id) {
                self.mistakes.push(
                    Mistake::new(span, "this virtual service stands here twice", "again here")
                        .with_also(first.clone(), "first here"),
                );
                continue;
            }
            seen.push((config.service.id, span));
            done.push(config);
            checked.extend(check);
            if let Some(leader) = &service.as_ref().follows {
                self.follow(leader, &mut done, &mut checked);
            }
        }
        (done, checked)
    }

    /// Has the last service's servers come and go with those of the one it follows; it has the same where it names
    /// none.
    fn follow(&mut self, leader: &Text, done: &mut [ServiceConfig], checked: &mut [CheckedConfig]) {
        let Some((last, before)) = done.split_last_mut() else { return };
        let Some(lead) = checked.iter_mut().find(|checked| checked.server.name == *leader.as_ref()) else {
            let known: Vec<&str> = checked.iter().map(|checked| checked.server.name.as_str()).collect();
            let title = format!("no service before this one is called `{}`", leader.as_ref());
            let expected = "expected the name of one with checks";
            self.mistakes
                .push(Mistake::new(leader.span(), title, expected).suggesting(leader.as_ref(), known));
            return;
        };
        let first = lead.services.first().and_then(|id| before.iter().find(|other| other.service.id == *id));
        if let Some(first) = first {
            if last.servers.is_empty() {
                last.servers = follower_servers(first, &last.service.id);
            } else if last.servers.len() != first.servers.len() {
                let title = "a service that follows another has as many servers, in the same order";
                let label = format!("`{}` has {}", leader.as_ref(), first.servers.len());
                self.mistakes.push(Mistake::new(leader.span(), title, label));
            }
        }
        lead.services.push(last.service.id);
    }

    fn service(
        &mut self,
        spanned: &Spanned<schema::Service>,
    ) -> Option<(ServiceConfig, Option<CheckedConfig>)> {
        let service = spanned.as_ref();
        let id = self.service_id(spanned)?;
        let scheduler = self.scheduler(service.scheduler.as_ref());
        let flags = self.flags(&service.scheduler_flags, scheduler);
        let persistent =
            self.optional(service.persistent.as_ref(), "seconds, up to 31 days", 1..=MAX_TIMEOUT);
        let netmask = self.netmask(service, id.family());
        self.only_with_persistence(service);
        if let ServiceId::Address { port: 0, .. } = id
            && service.persistent.is_none()
        {
            self.mistakes.push(
                Mistake::new(
                    name_span(spanned),
                    "port 0 without persistence",
                    "gathers every port of the address",
                )
                .with_help("add `persistent = 300`, or name a port"),
            );
        }
        let persistence_engine = service
            .persistence_engine
            .as_ref()
            .and_then(|name| self.one_of(name, "persistence engine", &PERSISTENCE_ENGINES));
        let servers = self.servers(&service.server, &id);
        let checked = self.checked(service, &id, &servers);
        if let (Some(leader), true) = (&service.follows, checked.is_some()) {
            let title = "a service that follows another has no checks of its own";
            self.mistakes.push(Mistake::new(leader.span(), title, "what is checked is said there"));
        }
        let config = ServiceConfig {
            service: VirtualService {
                id,
                scheduler: scheduler.to_owned(),
                flags,
                persistent,
                netmask,
                persistence_engine: persistence_engine.map(str::to_owned),
                one_packet: service.one_packet,
            },
            servers: servers.into_iter().map(|(server, _)| server).collect(),
        };
        Some((config, checked))
    }

    fn service_id(&mut self, spanned: &Spanned<schema::Service>) -> Option<ServiceId> {
        let service = spanned.as_ref();
        match (&service.address, &service.mark) {
            (Some(address), None) => self.address_id(service, address),
            (None, Some(mark)) => self.mark_id(service, mark),
            (Some(address), Some(mark)) => {
                self.mistakes.push(
                    Mistake::new(mark.span(), "a service has an address or a mark, not both", "a mark here")
                        .with_also(address.span(), "an address here"),
                );
                None
            }
            (None, None) => {
                self.mistakes.push(
                    Mistake::new(spanned.span(), "a service without a name", "expected `address` or `mark`")
                        .with_help("write `address = \"192.0.2.10:80\"` or `mark = 1`"),
                );
                None
            }
        }
    }

    fn address_id(&mut self, service: &schema::Service, address: &Text) -> Option<ServiceId> {
        if let Some(family) = &service.family {
            self.mistakes.push(Mistake::new(
                family.span(),
                "`family` belongs to a service on a mark",
                "an address has its family",
            ));
        }
        let transport = service.protocol.as_ref().map_or(Some(Transport::Tcp), |name| self.transport(name));
        let socket = self.socket_address(address)?;
        Some(ServiceId::Address { transport: transport?, vip: socket.ip(), port: socket.port() })
    }

    pub(super) fn transport(&mut self, name: &Text) -> Option<Transport> {
        Some(match self.one_of(name, "protocol", &TRANSPORTS)? {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            _ => Transport::Sctp,
        })
    }

    fn mark_id(&mut self, service: &schema::Service, mark: &Number) -> Option<ServiceId> {
        if let Some(protocol) = &service.protocol {
            self.mistakes.push(Mistake::new(
                protocol.span(),
                "`protocol` belongs to a service on an address",
                "a mark gathers every protocol",
            ));
        }
        let mark = self.number(mark, "a mark", 1..=i64::from(u32::MAX))?;
        let family = match &service.family {
            Some(name) => match self.one_of(name, "address family", &FAMILIES)? {
                "ipv4" => Family::Ipv4,
                _ => Family::Ipv6,
            },
            None => Family::Ipv4,
        };
        Some(ServiceId::Mark { mark, family })
    }

    fn scheduler(&mut self, name: Option<&Text>) -> &'static str {
        let known = schedulers();
        name.and_then(|name| self.one_of(name, "scheduler", &known)).unwrap_or("wlc")
    }

    fn flags(&mut self, names: &[Text], scheduler: &str) -> u8 {
        let known = SCHEDULER_FLAGS.map(|(name, _, _)| name);
        let mut flags = 0;
        for name in names {
            let Some(written) = self.one_of(name, "scheduler flag", &known) else { continue };
            for (_, bit, owner) in SCHEDULER_FLAGS.iter().filter(|(flag, _, _)| *flag == written) {
                flags |= bit;
                if owner.is_some_and(|owner| owner != scheduler) {
                    self.mistakes.push(Mistake::new(
                        name.span(),
                        format!("`{written}` is no flag of the scheduler {scheduler}"),
                        "expected a flag of this scheduler",
                    ));
                }
            }
        }
        flags
    }

    fn netmask(&mut self, service: &schema::Service, family: Family) -> u8 {
        let bits = match family {
            Family::Ipv4 => 32,
            Family::Ipv6 => 128,
        };
        self.optional(service.persistent_netmask.as_ref(), "a prefix length", 1..=i64::from(bits))
            .unwrap_or(bits)
    }

    fn only_with_persistence(&mut self, service: &schema::Service) {
        if service.persistent.is_some() {
            return;
        }
        let spans = [
            service.persistent_netmask.as_ref().map(|value| (value.span(), "persistent-netmask")),
            service.persistence_engine.as_ref().map(|value| (value.span(), "persistence-engine")),
        ];
        for (span, key) in spans.into_iter().flatten() {
            self.mistakes.push(
                Mistake::new(span, format!("`{key}` without persistence"), "has no effect")
                    .with_help("add `persistent = 300`, or take this away"),
            );
        }
    }

    fn socket_address(&mut self, text: &Text) -> Option<SocketAddr> {
        let written = text.as_ref();
        if let Ok(address) = written.parse::<IpAddr>() {
            let port = SocketAddr::new(address, 80);
            self.mistakes.push(
                Mistake::new(
                    text.span(),
                    format!("`{written}` has no port"),
                    "expected an address and a port",
                )
                .with_help(format!("write `{port}`, or port 0 for every port (with persistence)")),
            );
            return None;
        }
        self.parsed(text, "an address and a port, such as 192.0.2.10:80 or [2001:db8::10]:80")
    }
}

/// The servers of a service that follows `leader` and names none: the same, at its own port where theirs is the
/// leader's.
pub(in crate::config) fn follower_servers(leader: &ServiceConfig, id: &ServiceId) -> Vec<RealServer> {
    let port_of = |id: &ServiceId| match id {
        ServiceId::Address { port, .. } => Some(*port),
        ServiceId::Mark { .. } => None,
    };
    let (led, own) = (port_of(&leader.service.id), port_of(id));
    let at = |server: &RealServer| match own {
        Some(own) if led == Some(server.port) => RealServer { port: own, ..*server },
        Some(_) | None => *server,
    };
    leader.servers.iter().map(at).collect()
}

/// Where the service's name stands: the place a message about the service points at.
fn name_span(service: &Spanned<schema::Service>) -> Range<usize> {
    let inner = service.as_ref();
    let address = inner.address.as_ref().map(Spanned::span);
    address.or_else(|| inner.mark.as_ref().map(Spanned::span)).unwrap_or_else(|| service.span())
}
