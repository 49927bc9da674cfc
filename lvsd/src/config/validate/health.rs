//! What follows from checks, out of the file.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use lvs_health::declared as check;
use toml::Spanned;

use super::{Check, MAX_INT};
use crate::config::CheckedConfig;
use crate::config::mistake::Mistake;
use crate::config::schema::brief::{Brief, Program};
use crate::config::schema::health::{Health, Policy, Seconds, Sorry};
use crate::config::schema::{self, Text};
use crate::health;
use crate::message::{RealServer, ServiceId};

/// The longest pause: 30 days.
const LONGEST: f64 = 2_592_000.0;

impl Check {
    /// What holds for all checks.
    pub(super) fn globals(&mut self, health: Health) -> check::Globals {
        let path = |text: Option<Text>| text.map(|path| path.into_inner().into());
        if health.tls.certificate.is_some() != health.tls.key.is_some() {
            let given = health.tls.certificate.as_ref().or(health.tls.key.as_ref());
            let span = given.map(Spanned::span).unwrap_or_default();
            let title = "a certificate and its key belong together";
            self.mistakes.push(Mistake::new(span, title, "one without the other"));
        }
        let fifo = path(health.notify_fifo).map(|path| check::Fifo { path, script: None });
        let more = health.fifo.into_iter().map(|Brief(fifo)| check::Fifo {
            path: fifo.path.into(),
            script: fifo.reader.map(|Brief(reader)| script(&reader)),
        });
        check::Globals {
            rs_init_notifies: health.rs_init_notifies,
            fifos: fifo.into_iter().chain(more).collect(),
            tls: check::Tls {
                ca: path(health.tls.ca),
                certificate: path(health.tls.certificate),
                key: path(health.tls.key),
            },
            script_user: health.script_user.as_ref().map(|text| user(text.as_ref())),
            script_security: health.script_security,
        }
    }

    /// What is checked of a service, if anything is.
    pub(super) fn checked(
        &mut self,
        service: &schema::Service,
        id: &ServiceId,
        servers: &[(RealServer, &schema::Server)],
    ) -> Option<CheckedConfig> {
        let has_own = servers.iter().any(|(_, server)| server.check.is_some());
        if service.health.is_none() && service.check.is_empty() && !has_own {
            return None;
        }
        let default = Policy::default();
        let written = service.health.as_ref().unwrap_or(&default);
        let sorry = written.sorry_server.as_ref().and_then(|sorry| self.sorry(sorry, id));
        let policy = self.policy(written, sorry);
        let notify_up = self.told_program(written.notify_up.as_ref());
        let notify_down = self.told_program(written.notify_down.as_ref());
        let mut checked = Vec::new();
        for (real, server) in servers {
            let address = SocketAddr::new(real.rip, real.port);
            let checks = server.check.as_deref().unwrap_or(&service.check);
            let own_up = self.told_program(server.notify_up.as_ref());
            let own_down = self.told_program(server.notify_down.as_ref());
            checked.push(check::RealServer {
                address,
                weight: real.weight,
                inhibit_on_failure: server.inhibit_on_failure.unwrap_or(written.inhibit_on_failure),
                notify_up: own_up.or_else(|| notify_up.clone()),
                notify_down: own_down.or_else(|| notify_down.clone()),
                checks: checks.iter().filter_map(|check| self.check(check, id, address)).collect(),
            });
        }
        let name = written.name.as_ref().map_or_else(|| health::name(id), |name| name.as_ref().clone());
        let server = check::VirtualServer { name, policy, servers: checked };
        Some(CheckedConfig { server, services: vec![*id], sorry })
    }

    fn policy(&mut self, written: &Policy, sorry: Option<RealServer>) -> check::Policy {
        let quorum = self.optional(written.quorum.as_ref(), "a sum of weights", 1..=MAX_INT).unwrap_or(1);
        let most = i64::from(quorum) - 1;
        let hysteresis =
            self.optional(written.hysteresis.as_ref(), "a weight, less than the quorum", 0..=most);
        let inhibit = written.sorry_server.as_ref().is_some_and(|sorry| sorry.inhibit);
        check::Policy {
            quorum,
            hysteresis: hysteresis.unwrap_or_default(),
            omega: written.omega,
            ha_suspend: written.ha_suspend,
            sorry: sorry
                .map(|sorry| check::Sorry { address: SocketAddr::new(sorry.rip, sorry.port), inhibit }),
            quorum_up: self.told_program(written.quorum_up.as_ref()),
            quorum_down: self.told_program(written.quorum_down.as_ref()),
        }
    }

    fn sorry(&mut self, sorry: &Sorry, id: &ServiceId) -> Option<RealServer> {
        let method = self.method(sorry.method.as_ref(), sorry.tunnel.as_ref())?;
        let (rip, port) = self.server_address(&sorry.address)?;
        let service_port = match id {
            ServiceId::Address { port, .. } => *port,
            ServiceId::Mark { .. } => 0,
        };
        Some(RealServer {
            rip,
            port: port.unwrap_or(service_port),
            method,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
        })
    }

    /// A program with its arguments, in a list or in a table.
    fn told_program(&mut self, written: Option<&Spanned<Brief<Program>>>) -> Option<check::Script> {
        let written = written?;
        let Brief(program) = written.as_ref();
        self.names_program(&program.command, written.span()).then(|| script(program))
    }

    /// A program with its arguments.
    pub(super) fn command(&mut self, command: Option<&Spanned<Vec<String>>>) -> Option<check::Script> {
        let command = command?;
        let is_named = self.names_program(command.as_ref(), command.span());
        is_named.then(|| check::Script { command: command.as_ref().clone(), user: None })
    }

    fn names_program(&mut self, command: &[String], span: Range<usize>) -> bool {
        let is_named = command.first().is_some_and(|program| !program.is_empty());
        if !is_named {
            let expected = "expected a program with its arguments, such as [\"/usr/local/bin/tell\", \"up\"]";
            self.mistakes.push(Mistake::new(span, "no program is named", expected));
        }
        is_named
    }

    pub(super) fn seconds(
        &mut self,
        value: Option<&Spanned<Seconds>>,
        is_zero_allowed: bool,
    ) -> Option<Duration> {
        let value = value?;
        let Seconds(seconds) = *value.as_ref();
        let least = if is_zero_allowed { 0.0 } else { 0.000_001 };
        if (least..=LONGEST).contains(&seconds) {
            return Some(Duration::from_secs_f64(seconds));
        }
        let expected = format!("expected seconds, {least} to {LONGEST}");
        self.mistakes.push(Mistake::new(value.span(), format!("{seconds} is out of range"), expected));
        None
    }
}

fn script(program: &Program) -> check::Script {
    check::Script { command: program.command.clone(), user: program.user.as_deref().map(user) }
}

/// A user, with a group behind a colon or without.
pub(super) fn user(written: &str) -> check::User {
    match written.split_once(':') {
        Some((name, group)) => check::User { name: name.to_owned(), group: Some(group.to_owned()) },
        None => check::User { name: written.to_owned(), group: None },
    }
}
