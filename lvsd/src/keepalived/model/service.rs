//! `virtual_server`: the services it stands for, with their scheduler, persistence and real servers.

use std::collections::HashMap;
use std::net::IpAddr;

use lvs_health::declared::{Policy, Sorry, Timers, VirtualServer};

use super::super::reader::Word;
use super::super::source::{Found, Place};
use super::super::tree::Statement;
use super::Model;
use super::group::{Entry, What};
use super::server::Defaults;
use crate::config::{CheckedConfig, PERSISTENCE_ENGINES, SCHEDULER_FLAGS, ServiceConfig};
use crate::message::{Family, ForwardMethod, RealServer, ServiceId, Transport, VirtualService};

/// How long a client stays with its server when nothing is said, in seconds.
const PERSISTENCE: u32 = 360;

/// The services there are so far, and where they were declared.
#[derive(Debug, Default)]
pub(super) struct Seen {
    services: HashMap<ServiceId, Place>,
    names: HashMap<String, u32>,
}

/// What is written of a virtual server, before its real servers are known.
#[derive(Debug)]
struct Draft {
    scheduler: String,
    flags: Vec<(&'static str, u8, Option<&'static str>, Place)>,
    method: ForwardMethod,
    one_packet: Option<Place>,
    persistent: Option<u32>,
    granularity: Option<(u8, Place)>,
    engine: Option<(String, Place)>,
    transport: Option<Transport>,
    family: Option<Family>,
    sorry: Option<(IpAddr, Option<u16>, Place)>,
    sorry_method: Option<ForwardMethod>,
    sorry_inhibit: bool,
    policy: Policy,
    defaults: Defaults,
}

impl Model<'_> {
    pub(super) fn virtual_server(&mut self, statement: &Statement, seen: &mut Seen) {
        let draft = self.draft(statement);
        let Some((entries, label)) = self.entries(statement) else { return };
        let is_marked = entries.iter().all(|entry| matches!(entry.what, What::Mark(..)));
        let transport = draft.transport.unwrap_or_else(|| {
            if !is_marked {
                let found = Found::new(
                    statement.whole(),
                    "no protocol is named",
                    "UDP is meant then, as in keepalived",
                );
                self.findings.warn(found.help("write `protocol TCP` or `protocol UDP`"));
            }
            Transport::Udp
        });
        let family = family(&entries, &draft, statement);
        if draft.family.is_some_and(|written| written != family) {
            let place = place_of(statement, "ip_family");
            let title = "`ip_family` is not the family of the addresses";
            self.findings.warn(Found::new(place, title, "it is for marks; the addresses count"));
        }
        let ids: Vec<(ServiceId, Place)> =
            entries.iter().map(|entry| (entry.id(transport, family), entry.place)).collect();
        let port = ids.first().map_or(0, |(id, _)| port_of(id));
        let defaults = Defaults { method: draft.method, port, is_marked, family, ..draft.defaults.clone() };
        let servers = self.real_servers(statement, &defaults);
        let services = self.services(&draft, &ids, &servers.declared);
        let mut ids = Vec::new();
        for (service, place) in services {
            if let Some(&first) = seen.services.get(&service.service.id) {
                let found = Found::new(place, "this virtual server stands here twice", "again here");
                self.findings.mistake(found.also(first, "first here"));
                continue;
            }
            seen.services.insert(service.service.id, place);
            ids.push(service.service.id);
            self.declared.services.push(service);
        }
        let sorry = self.sorry(&draft, port, family);
        let name = seen.name(label.unwrap_or_else(|| name_of(ids.first())), transport);
        let policy = Policy {
            sorry: sorry
                .map(|sorry| Sorry { address: (sorry.rip, sorry.port).into(), inhibit: draft.sorry_inhibit }),
            ..draft.policy
        };
        let server = VirtualServer { name, policy, servers: servers.checked };
        self.declared.checked.push(CheckedConfig { server, services: ids, sorry });
    }

    fn draft(&mut self, statement: &Statement) -> Draft {
        let mut draft = Draft {
            scheduler: "wlc".to_owned(),
            flags: Vec::new(),
            method: ForwardMethod::Masquerade,
            one_packet: None,
            persistent: None,
            granularity: None,
            engine: None,
            transport: None,
            family: None,
            sorry: None,
            sorry_method: None,
            sorry_inhibit: false,
            policy: Policy::default(),
            defaults: Defaults::default(),
        };
        draft.defaults.timers =
            Timers { log_all_failures: self.globals.logs_all_failures, ..Timers::default() };
        for inner in statement.inside() {
            self.timer(inner, &mut draft.defaults.timers);
            self.of_service(inner, &mut draft);
            self.of_policy(inner, &mut draft);
        }
        self.settle(statement, &mut draft);
        draft
    }

    fn of_service(&mut self, inner: &Statement, draft: &mut Draft) {
        match inner.name() {
            "lvs_sched" => {
                let known: Vec<&str> = lvs_sched::Kind::ALL.into_iter().map(lvs_sched::Kind::name).collect();
                let named =
                    Self::name(inner).and_then(|word| self.findings.choice(word, "scheduler", &known));
                named.unwrap_or("wlc").clone_into(&mut draft.scheduler);
            }
            "lvs_method" => draft.method = self.method(inner).unwrap_or(draft.method),
            "ops" => draft.one_packet = Some(inner.place()),
            "persistence_engine" => {
                let named = Self::name(inner)
                    .and_then(|word| self.findings.choice(word, "engine", &PERSISTENCE_ENGINES));
                draft.engine = named.map(|name| (name.to_owned(), inner.whole()));
            }
            "persistence_timeout" => {
                let seconds = match Self::name(inner) {
                    Some(word) => self.findings.number(word, "seconds", 0..=31 * 86_400),
                    None => Some(PERSISTENCE),
                };
                draft.persistent = seconds.filter(|&seconds| seconds != 0);
            }
            "persistence_granularity" => {
                draft.granularity = Self::name(inner)
                    .and_then(|word| self.granularity(word))
                    .map(|length| (length, inner.whole()));
            }
            "protocol" => {
                let named = Self::name(inner)
                    .and_then(|word| self.findings.choice(word, "protocol", &["TCP", "UDP", "SCTP"]));
                draft.transport = named.map(|name| match name {
                    "TCP" => Transport::Tcp,
                    "UDP" => Transport::Udp,
                    _ => Transport::Sctp,
                });
            }
            "ip_family" => draft.family = Self::name(inner).and_then(|word| self.family(word)),
            name => {
                let flag = SCHEDULER_FLAGS.iter().find(|(flag, ..)| *flag == name);
                draft.flags.extend(flag.map(|&(name, bit, of)| (name, bit, of, inner.place())));
            }
        }
    }

    fn of_policy(&mut self, inner: &Statement, draft: &mut Draft) {
        let policy = &mut draft.policy;
        match inner.name() {
            "quorum" => policy.quorum = self.number(inner, "a weight", 1..=2_147_483_647).unwrap_or(1),
            "hysteresis" => {
                policy.hysteresis = self.number(inner, "a weight", 0..=2_147_483_647).unwrap_or(0);
            }
            "quorum_up" => policy.quorum_up = self.findings.program(inner).map(Into::into),
            "quorum_down" => policy.quorum_down = self.findings.program(inner).map(Into::into),
            "omega" => policy.omega = self.boolean(inner),
            "ha_suspend" => policy.ha_suspend = true,
            "inhibit_on_failure" => draft.defaults.inhibit_on_failure = self.boolean(inner),
            "virtualhost" => draft.defaults.virtualhost = Self::name(inner).map(|word| word.text.clone()),
            "sorry_server" => {
                let address = Self::name(inner).and_then(|word| self.findings.address(word));
                let port = inner.argument(1).map(|port| self.findings.number(port, "a port", 1..=65_535));
                draft.sorry = address.map(|address| (address, port.flatten(), inner.whole()));
            }
            "sorry_server_inhibit" => draft.sorry_inhibit = true,
            "sorry_server_lvs_method" => draft.sorry_method = self.method(inner),
            _ => {}
        }
    }

    /// What of it depends on several keywords.
    fn settle(&mut self, statement: &Statement, draft: &mut Draft) {
        if let Some((_, place)) = draft.granularity
            && draft.persistent.is_none()
        {
            let found =
                Found::new(place, "granularity without persistence", "a persistence of 360 seconds is meant");
            self.findings.warn(found.help("write `persistence_timeout 360`"));
            draft.persistent = Some(PERSISTENCE);
        }
        if let (Some((_, place)), None) = (&draft.engine, draft.persistent) {
            let title = "an engine without persistence";
            self.findings
                .warn(Found::new(*place, title, "it has no effect").help("write `persistence_timeout 360`"));
            draft.engine = None;
        }
        let others = draft.flags.iter().find(|(_, _, of, _)| of.is_some_and(|of| of != draft.scheduler));
        if let Some(&(name, _, Some(of), place)) = others {
            let title = format!("`{name}` belongs to the scheduler {of}");
            let label = format!("the scheduler here is {}", draft.scheduler);
            self.findings.mistake(Found::new(place, title, label));
        }
        if draft.policy.hysteresis >= draft.policy.quorum && draft.policy.hysteresis > 0 {
            let place = place_of(statement, "hysteresis");
            let label = format!("expected less than the quorum, {}", draft.policy.quorum);
            self.findings.mistake(Found::new(place, "a hysteresis as large as the quorum", label));
        }
        if let Some(place) = draft.one_packet
            && !matches!(draft.transport, None | Some(Transport::Udp))
        {
            let found = Found::new(place, "`ops` is for UDP", "it has no effect with another protocol");
            self.findings.warn(found.help("remove it, or write `protocol UDP`"));
            draft.one_packet = None;
        }
    }

    fn granularity(&mut self, word: &Word) -> Option<u8> {
        if word.text.contains('.') {
            let mask: std::net::Ipv4Addr = self.findings.parsed(word, "a netmask such as 255.255.255.0")?;
            let bits = mask.to_bits();
            if bits.leading_ones() + bits.trailing_zeros() >= 32 && bits != 0 {
                return u8::try_from(bits.leading_ones()).ok();
            }
            let title = format!("`{}` is no netmask", word.text);
            self.findings.mistake(Found::new(word.place, title, "expected one such as 255.255.255.0"));
            return None;
        }
        self.findings.number(word, "bits of the address", 1..=128)
    }

    /// What a virtual server stands for, and the name of its group.
    fn entries(&mut self, statement: &Statement) -> Option<(Vec<Entry>, Option<String>)> {
        let first = statement.argument(0)?;
        let place = statement.whole();
        match first.text.as_str() {
            "group" => {
                let name = self.second(statement, "expected the group's name")?;
                let Some(group) = self.groups.get_mut(&name.text) else {
                    let title = format!("there is no group `{}`", name.text);
                    let found = Found::new(name.place, title, "expected the name of a virtual_server_group");
                    let names: Vec<&str> = self.groups.keys().map(String::as_str).collect();
                    self.findings.mistake(found.suggesting(&name.text, names));
                    return None;
                };
                group.is_used = true;
                if group.entries.is_empty() {
                    let found = Found::new(name.place, "a group without addresses", "expected some in it");
                    self.findings.mistake(found);
                }
                Some((group.entries.clone(), Some(name.text.clone())))
            }
            "fwmark" => {
                let word = self.second(statement, "expected the mark's number")?;
                let mark = self.findings.number(word, "a mark", 1..=i64::from(u32::MAX))?;
                Some((vec![Entry { what: What::Mark(mark, None), place }], None))
            }
            _ => {
                let address = self.findings.address(first)?;
                let port = match statement.argument(1) {
                    Some(port) => self.findings.number(port, "a port", 1..=65_535)?,
                    None => 0,
                };
                Some((vec![Entry { what: What::Address(address, port), place }], None))
            }
        }
    }

    fn second<'s>(&mut self, statement: &'s Statement, expected: &str) -> Option<&'s Word> {
        let word = statement.argument(1);
        if word.is_none() {
            self.findings.mistake(Found::new(statement.whole(), "a virtual server without a name", expected));
        }
        word
    }

    /// The services, each with the servers; a server's port follows that of its service where nothing else is said.
    fn services(
        &mut self,
        draft: &Draft,
        ids: &[(ServiceId, Place)],
        servers: &[(RealServer, bool)],
    ) -> Vec<(ServiceConfig, Place)> {
        let flags = draft.flags.iter().fold(0, |bits, (_, bit, ..)| bits | bit);
        let mut done = Vec::new();
        for &(id, place) in ids {
            let most = if id.family() == Family::Ipv4 { 32 } else { 128 };
            if let Some((length, place)) = draft.granularity
                && length > most
            {
                let title = format!("a granularity of {length} bits");
                self.findings.mistake(Found::new(
                    place,
                    title,
                    format!("an address of this family has {most}"),
                ));
            }
            let is_address = matches!(id, ServiceId::Address { .. });
            if is_address && port_of(&id) == 0 && draft.persistent.is_none() {
                let found =
                    Found::new(place, "no port, and no persistence", "gathers every port of the address");
                self.findings.mistake(
                    found.help("name a port, or add `persistence_timeout 360` to the virtual server"),
                );
            }
            let service = VirtualService {
                id,
                scheduler: draft.scheduler.clone(),
                flags,
                persistent: draft.persistent,
                netmask: draft.granularity.map_or(most, |(length, _)| length.min(most)),
                persistence_engine: draft.engine.as_ref().map(|(name, _)| name.clone()),
                one_packet: draft.one_packet.is_some(),
            };
            let servers = servers.iter().map(|&(mut server, has_port)| {
                if is_address && (!has_port || server.method != ForwardMethod::Masquerade) {
                    server.port = port_of(&id);
                }
                server
            });
            done.push((ServiceConfig { service, servers: servers.collect() }, place));
        }
        done
    }

    fn sorry(&mut self, draft: &Draft, port: u16, family: Family) -> Option<RealServer> {
        let (rip, written, place) = draft.sorry?;
        let method = draft.sorry_method.unwrap_or(draft.method);
        self.same_family(rip, family, method, place);
        let port = if method == ForwardMethod::Masquerade { written.unwrap_or(port) } else { port };
        Some(RealServer { rip, port, method, weight: 1, upper_threshold: 0, lower_threshold: 0 })
    }
}

impl Entry {
    fn id(&self, transport: Transport, family: Family) -> ServiceId {
        match self.what {
            What::Address(vip, port) => ServiceId::Address { transport, vip, port },
            What::Mark(mark, own) => ServiceId::Mark { mark, family: own.unwrap_or(family) },
        }
    }
}

impl Seen {
    /// A name that no other virtual server has.
    fn name(&mut self, name: String, transport: Transport) -> String {
        let count = self.names.entry(name.clone()).or_default();
        *count += 1;
        match *count {
            1 => name,
            2 => format!("{name}:{transport}"),
            more => format!("{name}:{transport}:{more}"),
        }
    }
}

/// How keepalived calls a service in what it tells.
fn name_of(id: Option<&ServiceId>) -> String {
    match id {
        Some(ServiceId::Address { transport, vip, port }) => format!("[{vip}]:{transport}:{port}"),
        Some(ServiceId::Mark { mark, .. }) => format!("FWM {mark}"),
        None => String::new(),
    }
}

pub(super) const fn port_of(id: &ServiceId) -> u16 {
    match id {
        ServiceId::Address { port, .. } => *port,
        ServiceId::Mark { .. } => 0,
    }
}

/// The family of a virtual server: its first address's, else what is written, else its real servers'.
fn family(entries: &[Entry], draft: &Draft, statement: &Statement) -> Family {
    let first = entries.iter().find_map(|entry| match entry.what {
        What::Address(address, _) => Some(Family::of(address)),
        What::Mark(_, family) => family,
    });
    let servers = || {
        let servers = statement.inside().iter().filter(|inner| inner.name() == "real_server");
        let mut servers = servers;
        servers.find_map(|server| server.argument(0)?.text.parse().ok().map(Family::of))
    };
    first.or(draft.family).or_else(servers).unwrap_or(Family::Ipv4)
}

fn place_of(statement: &Statement, name: &str) -> Place {
    let inner = statement.inside().iter().rev().find(|inner| inner.name() == name);
    inner.map_or_else(|| statement.whole(), Statement::whole)
}
