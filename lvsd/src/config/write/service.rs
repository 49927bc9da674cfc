//! Virtual services with their servers, and what is checked of them.

use std::collections::HashMap;
use std::net::SocketAddr;

use lvs_health::declared::{Policy, RealServer as Checked, Script};

use super::keys::{Either, Keys};
use super::{Page, check, user};
use crate::config::{CheckedConfig, ServiceConfig};
use crate::health;
use crate::message::{
    Family, ForwardMethod, RealServer, ServiceId, Transport, TunnelChecksum, TunnelKind, VirtualService,
};

pub(super) fn write(services: &[ServiceConfig], checked: &[CheckedConfig], page: &mut Page) {
    let leading: HashMap<ServiceId, &CheckedConfig> =
        checked.iter().filter_map(|checked| Some((*checked.services.first()?, checked))).collect();
    let mut leaders: HashMap<ServiceId, (&str, &ServiceConfig)> = HashMap::new();
    let by_id: HashMap<ServiceId, &ServiceConfig> =
        services.iter().map(|service| (service.service.id, service)).collect();
    for checked in checked {
        let Some(leader) = checked.services.first().and_then(|id| by_id.get(id)) else { continue };
        for id in checked.services.iter().skip(1) {
            leaders.insert(*id, (&checked.server.name, leader));
        }
    }
    for service in services {
        let id = service.service.id;
        match (leading.get(&id), leaders.get(&id)) {
            (Some(checked), _) => led(service, checked, page),
            (None, Some((name, leader))) => following(service, name, leader, page),
            (None, None) => {
                page.header("[[service]]", &declared(&service.service));
                for real in &service.servers {
                    page.header("[[service.server]]", &server(real, &id));
                }
            }
        }
    }
}

/// A service whose servers come and go with those of another.
fn following(service: &ServiceConfig, name: &str, leader: &ServiceConfig, page: &mut Page) {
    let keys = declared(&service.service).set("follows", name);
    page.header("[[service]]", &keys);
    if service.servers != crate::config::validate::follower_servers(leader, &service.service.id) {
        for real in &service.servers {
            page.header("[[service.server]]", &server(real, &service.service.id));
        }
    }
}

/// A service with its checks: once for all servers where they are asked the same.
fn led(service: &ServiceConfig, checked: &CheckedConfig, page: &mut Page) {
    let id = &service.service.id;
    page.header("[[service]]", &declared(&service.service));
    let all: Vec<Vec<Keys>> = checked.server.servers.iter().map(|server| checks(server, id)).collect();
    let common = all.first().filter(|first| all.iter().all(|other| other == *first));
    let policy = policy(checked, id);
    let defaults = Defaults::of(&checked.server.servers);
    page.header("[service.health]", &defaults.write(policy));
    for keys in common.into_iter().flatten() {
        page.header("[[service.check]]", keys);
    }
    for ((real, checked), checks) in service.servers.iter().zip(&checked.server.servers).zip(&all) {
        let keys = server(real, id);
        let keys = defaults.differing(keys, checked);
        let keys = if common.is_some() { keys } else { keys.list("check", checks) };
        page.header("[[service.server]]", &keys);
    }
}

fn checks(server: &Checked, id: &ServiceId) -> Vec<Keys> {
    server.checks.iter().map(|check| check::keys(check, server.address, id)).collect()
}

/// What is said once for all servers: what the first one has.
struct Defaults {
    inhibits: bool,
    notify_up: Option<Script>,
    notify_down: Option<Script>,
}

impl Defaults {
    fn of(servers: &[Checked]) -> Self {
        let all = |is_so: fn(&Checked) -> bool| !servers.is_empty() && servers.iter().all(is_so);
        let same = |script: fn(&Checked) -> &Option<Script>| {
            let first = servers.first().and_then(|server| script(server).clone());
            first.filter(|first| servers.iter().all(|server| script(server).as_ref() == Some(first)))
        };
        Self {
            inhibits: all(|server| server.inhibit_on_failure),
            notify_up: same(|server| &server.notify_up),
            notify_down: same(|server| &server.notify_down),
        }
    }

    fn write(&self, keys: Keys) -> Keys {
        keys.flag("inhibit-on-failure", self.inhibits)
            .some("notify-up", self.notify_up.as_ref().map(program))
            .some("notify-down", self.notify_down.as_ref().map(program))
    }

    /// What a server has that is not said for all.
    fn differing(&self, keys: Keys, server: &Checked) -> Keys {
        let own = |script: &'_ Option<Script>, all: &Option<Script>| {
            script.as_ref().filter(|_| all.is_none()).map(program)
        };
        keys.flag("inhibit-on-failure", server.inhibit_on_failure && !self.inhibits)
            .some("notify-up", own(&server.notify_up, &self.notify_up))
            .some("notify-down", own(&server.notify_down, &self.notify_down))
    }
}

fn declared(service: &VirtualService) -> Keys {
    let keys = match service.id {
        ServiceId::Address { transport: Transport::Tcp, vip, port } => {
            Keys::default().set("address", SocketAddr::new(vip, port))
        }
        ServiceId::Address { transport: other, vip, port } => {
            Keys::default().set("protocol", transport(other)).set("address", SocketAddr::new(vip, port))
        }
        ServiceId::Mark { mark, family: Family::Ipv4 } => Keys::default().set("mark", mark),
        ServiceId::Mark { mark, family: Family::Ipv6 } => {
            Keys::default().set("mark", mark).set("family", "ipv6")
        }
    };
    let whole = if service.id.family() == Family::Ipv4 { 32 } else { 128 };
    let netmask = Some(service.netmask).filter(|length| service.persistent.is_some() && *length != whole);
    keys.other("scheduler", service.scheduler.as_str(), "wlc")
        .list("scheduler-flags", &flags(service))
        .some("persistent", service.persistent)
        .some("persistent-netmask", netmask)
        .some("persistence-engine", service.persistence_engine.as_ref())
        .flag("one-packet", service.one_packet)
}

fn flags(service: &VirtualService) -> Vec<&'static str> {
    let names = match service.scheduler.as_str() {
        "sh" => ["sh-fallback", "sh-port", "flag-3"],
        "mh" => ["mh-fallback", "mh-port", "flag-3"],
        _ => ["flag-1", "flag-2", "flag-3"],
    };
    let is_set = |&(bit, _): &(i32, &str)| service.flags & (1 << bit) != 0;
    (0..).zip(names).filter(is_set).map(|(_, name)| name).collect()
}

pub(super) const fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
        Transport::Sctp => "sctp",
    }
}

fn server(server: &RealServer, id: &ServiceId) -> Keys {
    reached(Keys::default(), server, id)
        .other("weight", server.weight, 1)
        .other("upper-threshold", server.upper_threshold, 0)
        .other("lower-threshold", server.lower_threshold, 0)
}

/// A server's address, and the way there.
fn reached(keys: Keys, server: &RealServer, id: &ServiceId) -> Keys {
    let service_port = match id {
        ServiceId::Address { port, .. } => *port,
        ServiceId::Mark { .. } => 0,
    };
    let keys = if server.port == service_port {
        keys.set("address", server.rip)
    } else {
        keys.set("address", SocketAddr::new(server.rip, server.port))
    };
    match server.method {
        ForwardMethod::Masquerade => keys.set("method", "nat"),
        ForwardMethod::DirectRoute => keys.set("method", "dr"),
        ForwardMethod::Tunnel(TunnelKind::Ipip) => keys.set("method", "tun"),
        ForwardMethod::Tunnel(TunnelKind::Gue { port, checksum }) => {
            let tunnel = Keys::default().set("type", "gue").set("port", port);
            keys.set("method", "tun").set("tunnel", with_checksum(tunnel, checksum))
        }
        ForwardMethod::Tunnel(TunnelKind::Gre { checksum }) => {
            let tunnel = Keys::default().set("type", "gre");
            keys.set("method", "tun").set("tunnel", with_checksum(tunnel, checksum))
        }
    }
}

fn with_checksum(keys: Keys, checksum: TunnelChecksum) -> Keys {
    match checksum {
        TunnelChecksum::None => keys,
        TunnelChecksum::Full => keys.set("checksum", "full"),
        TunnelChecksum::Remote => keys.set("checksum", "remote"),
    }
}

fn policy(checked: &CheckedConfig, id: &ServiceId) -> Keys {
    let default = Policy::default();
    let policy = &checked.server.policy;
    let name = Some(&checked.server.name).filter(|name| **name != health::name(id));
    let sorry = checked.sorry.map(|sorry| {
        let is_inhibited = policy.sorry.is_some_and(|sorry| sorry.inhibit);
        reached(Keys::default(), &sorry, id).flag("inhibit", is_inhibited)
    });
    Keys::default()
        .some("name", name)
        .other("quorum", policy.quorum, default.quorum)
        .other("hysteresis", policy.hysteresis, default.hysteresis)
        .flag("omega", policy.omega)
        .flag("ha-suspend", policy.ha_suspend)
        .some("sorry-server", sorry)
        .some("quorum-up", policy.quorum_up.as_ref().map(program))
        .some("quorum-down", policy.quorum_down.as_ref().map(program))
}

/// A program: a list where nothing is said of who it runs as.
pub(super) fn program(script: &Script) -> Either<Vec<String>, Keys> {
    match &script.user {
        None => Either::Short(script.command.clone()),
        Some(runs_as) => {
            Either::Table(Keys::default().set("command", &script.command).set("user", user(runs_as)))
        }
    }
}
