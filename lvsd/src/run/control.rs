//! The one writer: requests, the host's changes and time all pass through here, one after another.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use lvs_conntrack::Tick;
use lvs_forward::PortId;
use lvs_forward::io::xdp::{Egress, NoEgress, Prefix, Program, ProgramError};
use lvs_netcfg::{Diversion, Diverted, HostView};
use parking_lot::Mutex;

use super::claim::Claimed;
use super::clock::Clock;
use super::difference::{self, Difference};
use super::ledger::{self, Change, Ledger};
use super::memory;
use crate::cache::Cache;
use crate::config::Config;
use crate::director::Plane;
use crate::health::{self, Answering, Traffic};
use crate::mark::MarkError;
use crate::message::{
    InterfaceStatus, RealServer, Refusal, Request, Response, ServiceListing, Stop, VrrpListing,
};
use crate::resolve::{Ask, Fib};
use crate::services::{Registry, Sysctls};

/// How many connections are looked at for expiry in one go.
const SWEEP: usize = 4096;
/// How many goes one call makes: what is left is done by the next.
const GOES: usize = 64;
/// How often the host's memory is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What came of adding and changing services.
#[derive(Debug)]
pub(super) struct Gained {
    /// How many changes there are, what is to be lost among them.
    pub(super) changes: usize,
    /// What is no longer wanted.
    pub(super) losses: Vec<Request>,
}

/// The registry with all that must follow it.
#[derive(Debug)]
pub(super) struct Control {
    registry: Registry,
    clock: Clock,
    claimed: Claimed,
    /// The services, and who answers checks, that the XDP program knows all of.
    claimed_of: Option<(u64, Arc<BTreeSet<Answering>>)>,
    program: Option<Arc<Program>>,
    diversion: Option<Diversion>,
    /// How checks go the way of the traffic.
    traffic: Option<Traffic>,
    served: Vec<String>,
    interfaces: Vec<InterfaceStatus>,
    /// When the host's memory is looked at again.
    next_look: Tick,
    /// The checks of real servers, where there are any.
    health: Option<health::Handle>,
    /// How the virtual routers are, where there are any.
    vrrp: Option<Arc<ArcSwap<VrrpListing>>>,
    /// Where changes are written down for a successor.
    ledger: Option<Ledger>,
    /// What keeps the flows when this ends without a word.
    kept: String,
    /// How this is to end, once it is.
    stop: Option<Stop>,
}

impl Control {
    /// Nothing is served yet.
    ///
    /// # Errors
    /// A rule for marks that cannot be.
    pub(super) fn new(mut registry: Registry, clock: Clock, config: &Config) -> Result<Self, MarkError> {
        registry.set_served(config.interfaces.clone());
        registry.set_marks(config.marks.clone())?;
        Ok(Self {
            registry,
            clock,
            claimed: Claimed::default(),
            claimed_of: None,
            program: None,
            diversion: None,
            traffic: None,
            served: config.interfaces.clone(),
            interfaces: Vec::new(),
            next_look: Tick::ZERO,
            health: None,
            vrrp: None,
            ledger: None,
            kept: String::new(),
            stop: None,
        })
    }

    /// Loads the services of the configuration; servers that are checked come by the checks.
    ///
    /// # Errors
    /// The first that the registry refuses, by name.
    pub(super) fn load(&mut self, config: &Config) -> Result<(), (String, Refusal)> {
        if let Some(timeouts) = config.timeouts {
            self.applied(Request::SetTimeouts(timeouts), || "timeouts".to_owned())?;
        }
        self.look_at_memory();
        for (name, value) in &config.sysctls {
            self.registry.set_sysctl(name, value).map_err(|error| (format!("vs.{name}"), error))?;
        }
        let gained = self.gain(&Config::default(), config)?;
        self.lose(gained.losses);
        Ok(())
    }

    /// Makes the changes that a predecessor made while it ran, and writes down those to come.
    pub(super) fn resume(&mut self, ledger: Ledger) {
        let count = ledger.changes().len();
        for change in ledger.changes() {
            self.again(change.clone());
        }
        if count > 0 {
            tracing::info!(changes = count, "made again as a predecessor had made them");
        }
        self.ledger = Some(ledger);
    }

    fn again(&mut self, change: Change) {
        let now = self.clock.now();
        let request = match change {
            Change::Marks(rules) => {
                if let Err(error) = self.registry.set_marks(rules) {
                    tracing::warn!(%error, "the rules for marks are those of the files");
                }
                return;
            }
            Change::Request(request) => request,
        };
        let edit = if let Request::AddService(service) = &request {
            Some(Request::EditService(service.clone()))
        } else if let Request::AddServer { id, server } = &request {
            Some(Request::EditServer { id: *id, server: *server })
        } else {
            None
        };
        let mut response = self.registry.apply(request, now);
        // The files may have it by now.
        if let (Response::Refused { error: Refusal::Exists }, Some(edit)) = (&response, edit) {
            response = self.registry.apply(edit, now);
        }
        if let Response::Refused { error } = response {
            // What it was about may be gone from the files.
            tracing::debug!(%error, "a change of a predecessor's has nothing to change");
        }
    }

    /// What was written down for a successor, for whom there is nothing to take over.
    pub(super) fn forget(&mut self) {
        if let Some(ledger) = &mut self.ledger {
            ledger.remove();
        }
    }

    /// Takes what keeps the flows when this ends without a word, to be shown.
    pub(super) fn keep(&mut self, how: String) {
        self.kept = how;
    }

    /// How the daemon was asked to end.
    pub(super) const fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// Gives no server new connections any more.
    pub(super) fn quiesce(&mut self) {
        // The checks would give servers their weights back.
        self.health = None;
        let all = self.services();
        let quiet = all.iter().flat_map(|listing| {
            let id = listing.service.id;
            let one = move |server: RealServer| Request::EditServer {
                id,
                server: RealServer { weight: 0, ..server },
            };
            listing.servers.iter().map(move |listing| one(listing.server))
        });
        self.registry.apply_all(quiet.collect(), self.clock.now());
    }

    /// TCP connections that are established.
    pub(super) fn active(&mut self) -> u64 {
        self.services()
            .iter()
            .flat_map(|service| &service.servers)
            .map(|server| u64::from(server.active))
            .sum()
    }

    /// The time.
    pub(super) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// What the workers share.
    pub(super) fn plane(&self) -> Arc<Plane> {
        Arc::clone(self.registry.plane())
    }

    /// Adds and changes services so that they are as `new` declares, where `old` was declared before. What is no
    /// longer wanted is left for [`lose`](Self::lose); servers that are checked come by the checks.
    ///
    /// # Errors
    /// The first that the registry refuses, by name; then nothing was changed.
    pub(super) fn gain(&mut self, old: &Config, new: &Config) -> Result<Gained, (String, Refusal)> {
        let Difference { gains, losses } = Difference::between(&self.services(), old, new);
        let changes = gains.len() + losses.len();
        if gains.is_empty() {
            return Ok(Gained { changes, losses });
        }
        let (requests, undo): (Vec<Request>, Vec<Request>) = gains.into_iter().unzip();
        let answers = self.registry.apply_all(requests.clone(), self.clock.now());
        let refused = answers.iter().zip(requests).find_map(|(answer, request)| {
            let Response::Refused { error } = answer else { return None };
            Some((difference::name(&request), *error))
        });
        let Some(refused) = refused else { return Ok(Gained { changes, losses }) };
        let done = answers.iter().zip(undo).filter(|(answer, _)| **answer == Response::Done);
        let undo: Vec<Request> = done.map(|(_, undo)| undo).collect();
        self.registry.apply_all(undo.into_iter().rev().collect(), self.clock.now());
        Err(refused)
    }

    /// Removes what is no longer wanted, and lets the XDP program know of all changes.
    pub(super) fn lose(&mut self, losses: Vec<Request>) {
        if !losses.is_empty() {
            self.registry.apply_all(losses, self.clock.now());
        }
        if let Err(error) = self.claim() {
            tracing::error!(%error, "the XDP program was not told of a change; it will be again");
        }
    }

    /// Changes what else may change while the daemon runs: marks, timeouts and sysctls. Each was found good.
    pub(super) fn settle(&mut self, old: &Config, new: &Config) {
        if old.marks != new.marks
            && let Err(error) = self.registry.set_marks(new.marks.clone())
        {
            tracing::error!(%error, "the rules for marks stay as they were");
        }
        if let Some(timeouts) = new.timeouts.filter(|_| old.timeouts != new.timeouts) {
            self.registry.apply(Request::SetTimeouts(timeouts), self.clock.now());
        }
        let defaults = Sysctls::default();
        let gone = old.sysctls.iter().filter(|(name, _)| new.sysctls.iter().all(|(other, _)| other != name));
        let back = gone.filter_map(|(name, _)| Some((*name, defaults.text(name)?)));
        let changed = new.sysctls.iter().filter(|setting| !old.sysctls.contains(setting)).cloned();
        for (name, value) in back.chain(changed).collect::<Vec<_>>() {
            if let Err(error) = self.registry.set_sysctl(name, &value) {
                tracing::error!(%error, "net.ipv4.vs.{name} stays as it was");
            }
        }
    }

    pub(super) const fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(super) const fn claimed(&self) -> &Claimed {
        &self.claimed
    }

    pub(super) fn served(&self) -> &[String] {
        &self.served
    }

    fn applied(&mut self, request: Request, what: impl FnOnce() -> String) -> Result<(), (String, Refusal)> {
        if let Response::Refused { error } = self.registry.apply(request, self.clock.now()) {
            return Err((what(), error));
        }
        Ok(())
    }

    /// Takes the program that is to know what the director's packets are.
    pub(super) fn direct(&mut self, program: Arc<Program>) -> Result<(), ProgramError> {
        self.program = Some(program);
        self.claim()
    }

    /// Takes the checks of real servers, to be shown and to be told of the host's addresses.
    pub(super) fn look_after(&mut self, health: health::Handle, view: &HostView) {
        health.follow(view.addresses().iter().map(|address| address.address.addr()).collect());
        self.health = Some(health);
        if let Err(error) = self.claim() {
            tracing::error!(%error, "the XDP program was not told of what is checked; it will be");
        }
    }

    /// The way of the traffic, for checks.
    pub(super) fn traffic(&self) -> Option<Traffic> {
        self.traffic.clone()
    }

    /// Takes the diversion by which the director gets what its host sends as a masquerading server.
    pub(super) fn divert(&mut self, diversion: Diversion) {
        self.traffic = Some(Traffic::new(Arc::clone(self.registry.plane()), diversion.name()));
        self.diversion = Some(diversion);
        self.follow_own_servers();
    }

    /// Diverts what the host sends as a masquerading server, while it is one and for as long as its connections may
    /// live.
    fn follow_own_servers(&mut self) {
        let Some(diversion) = &mut self.diversion else { return };
        let snapshot = self.registry.plane().snapshot();
        let own = self.claimed.servers().filter(|server| snapshot.fib.is_local(server.address));
        let own = own.map(|server| Diverted {
            address: server.address,
            protocol: server.proto.0,
            port: server.port,
        });
        let leads_bound = self.traffic.as_ref().is_some_and(|traffic| !traffic.answering().is_empty());
        if let Err(error) = diversion.divert(own, leads_bound) {
            tracing::error!(%error, "answers of servers on this host do not come through the director");
        }
    }

    /// Takes what is served, to be shown.
    pub(super) fn show(&mut self, interfaces: Vec<InterfaceStatus>) {
        self.interfaces = interfaces;
    }

    /// Looks through which interfaces the XDP program can send by itself, and has the flow cache do so there. One
    /// interface in the general path keeps it closed: what comes in there is a packet of the kernel's already.
    pub(super) fn look_at_ways(&mut self) {
        let ways = self.ways();
        match (self.registry.plane().cache(), ways) {
            (Some(cache), Some(ways)) => cache.open(ways),
            (Some(cache), None) => cache.close(),
            (None, _) => {}
        }
    }

    /// Begins to forward by the XDP program, which may be doing so since a predecessor's time.
    pub(super) fn begin_cache(&mut self, cache: Cache) {
        let has_taken_over = self.program.as_ref().is_some_and(|program| program.has_taken_over());
        if let (true, Some(ways)) = (has_taken_over, self.ways()) {
            let count = cache.adopt(self.registry.plane(), ways, self.clock.now());
            tracing::info!(connections = count, "taken over from a predecessor");
        }
        self.registry.plane().set_cache(cache);
        self.look_at_ways();
    }

    /// The ways out of the interfaces; none at all where one of them is in the general path.
    fn ways(&mut self) -> Option<Vec<Option<Egress>>> {
        let program = self.program.as_ref()?;
        let mut ways = Vec::new();
        let mut is_generic = false;
        for interface in &mut self.interfaces {
            let way = match program.egress(&interface.name) {
                Ok(Ok(egress)) => Ok(egress),
                Ok(Err(why)) => {
                    is_generic |= why == NoEgress::Generic;
                    Err(why.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
            interface.not_cached = way.as_ref().err().cloned();
            ways.push(way.ok());
        }
        (!is_generic).then_some(ways)
    }

    /// Takes where the virtual routers tell how they are.
    pub(super) fn show_vrrp(&mut self, listing: Arc<ArcSwap<VrrpListing>>) {
        self.vrrp = Some(listing);
    }

    /// Answers a request from the control socket.
    pub(super) fn answer(&mut self, request: Request) -> Response {
        if let Request::Health = request {
            let virtual_servers = self.health.as_ref().map(health::Handle::listing);
            return Response::Health { virtual_servers: virtual_servers.unwrap_or_default() };
        }
        if let Request::Stop(how) = request {
            self.stop = Some(how);
            return Response::Done;
        }
        let is_change = changes_services(&request);
        if let Request::Sysctls { .. } = request {
            self.look_at_memory();
        }
        if matches!(request, Request::Vrrp) {
            let listing = self.vrrp.as_ref().map(|listing| VrrpListing::clone(&listing.load()));
            return Response::Vrrp(listing.unwrap_or_default());
        }
        let noted = self.ledger.is_some().then(|| request.clone());
        let mut response = self.registry.apply(request, self.clock.now());
        if let Some(request) =
            noted.filter(|_| !matches!(response, Response::Refused { .. } | Response::Malformed { .. }))
        {
            self.note(request);
        }
        if is_change && let Err(error) = self.claim() {
            tracing::error!(%error, "the XDP program was not told of a change; it will be again");
        }
        if let Response::Status(status) = &mut response {
            status.pid = std::process::id();
            status.uptime = self.clock.now().since_zero().as_secs();
            status.interfaces.clone_from(&self.interfaces);
            if let Some(cache) = &mut status.cache {
                cache.kept.clone_from(&self.kept);
            }
        }
        response
    }

    /// Writes a request down that was carried out, if it changed something that is to last.
    fn note(&mut self, request: Request) {
        let Some(ledger) = &mut self.ledger else { return };
        if matches!(request, Request::AddMark { .. } | Request::DeleteMark { .. }) {
            ledger.note(Change::Marks(self.registry.marks().rules().to_vec()));
        } else if ledger::lasting(&request) {
            ledger.note(Change::Request(request));
        }
    }

    /// Carries out several changes at once.
    pub(super) fn answer_all(&mut self, requests: Vec<Request>) -> Vec<Response> {
        let answers = self.registry.apply_all(requests, self.clock.now());
        if let Err(error) = self.claim() {
            tracing::error!(%error, "the XDP program was not told of a change; it will be again");
        }
        answers
    }

    /// Connections and templates there are.
    pub(super) fn connections(&self) -> usize {
        let table = self.registry.plane().table();
        table.len() + table.templates_len()
    }

    /// Takes the host as it is now.
    pub(super) fn follow(&mut self, view: &HostView) {
        let port = |index| {
            let interface = view.interface(index).filter(|interface| interface.is_up)?;
            let place = self.served.iter().position(|name| *name == interface.name)?;
            u16::try_from(place).ok().map(PortId)
        };
        self.registry.set_fib(Fib::of_host(view, port));
        if let Some(health) = &self.health {
            health.follow(view.addresses().iter().map(|address| address.address.addr()).collect());
        }
    }

    /// Lets time pass: connections expire, rates are estimated, schedulers age.
    pub(super) fn tick(&mut self) {
        let now = self.clock.now();
        if now >= self.next_look && self.registry.watches_memory() {
            self.look_at_memory();
        }
        self.registry.plane().settle_cache(now);
        self.registry.tick(now);
        for _ in 0..GOES {
            if self.registry.plane().sweep(now, SWEEP) < SWEEP {
                break;
            }
        }
    }

    /// Tells the registry how much memory the host has left.
    fn look_at_memory(&mut self) {
        self.next_look = self.clock.now() + LOOK;
        match memory::available() {
            Ok(pages) => self.registry.set_available_memory(pages),
            Err(error) => tracing::warn!(%error, "how much memory is left is not known"),
        }
    }

    /// Makes the XDP program's maps follow the services.
    pub(super) fn claim(&mut self) -> Result<(), ProgramError> {
        let (now, generation) = (self.clock.now(), self.registry.generation());
        let answering = self.traffic.as_ref().map(Traffic::answering).unwrap_or_default();
        let known = Some((generation, Arc::clone(&answering)));
        if self.claimed_of == known && self.claimed.is_settled(now) {
            self.follow_own_servers();
            return Ok(());
        }
        let plane = Arc::clone(self.registry.plane());
        let is_used = |prefix| is_used(&plane, prefix, now);
        let marks = self.registry.marks().rules();
        let claims = self.claimed.follow(self.registry.declared(), marks, &answering, now, is_used);
        self.follow_own_servers();
        let Some(program) = &self.program else { return Ok(()) };
        self.claimed_of = None;
        program.claim(&claims)?;
        self.claimed_of = known;
        Ok(())
    }

    /// The real servers there are.
    pub(super) fn servers(&self) -> Vec<IpAddr> {
        self.registry.declared().flat_map(|(_, servers)| servers).map(|server| server.rip).collect()
    }

    /// The neighbours that packets wait for.
    pub(super) fn take_asks(&self) -> Vec<Ask> {
        self.registry.plane().take_asks()
    }

    fn services(&mut self) -> Vec<ServiceListing> {
        let all = self.registry.apply(Request::List { id: None }, self.clock.now());
        if let Response::Services { services } = all { services } else { Vec::new() }
    }
}

impl health::Services for Mutex<Control> {
    fn with(&self, work: &mut dyn FnMut(&mut health::Apply<'_>)) {
        let mut control = self.lock();
        work(&mut |requests| control.answer_all(requests));
    }
}

/// Whether a connection lives whose client spoke to this prefix.
fn is_used(plane: &Plane, prefix: Prefix, now: Tick) -> bool {
    let Ok(network) = IpNet::new(prefix.address, prefix.length) else { return false };
    let mut is_used = false;
    plane.table().for_each(now, |conn| is_used |= network.contains(&conn.key().dst));
    is_used
}

const fn changes_services(request: &Request) -> bool {
    match request {
        Request::AddService(_)
        | Request::EditService(_)
        | Request::DeleteService { .. }
        | Request::Flush
        | Request::AddServer { .. }
        | Request::EditServer { .. }
        | Request::DeleteServer { .. }
        | Request::AddMark { .. }
        | Request::DeleteMark { .. } => true,
        Request::Zero { .. }
        | Request::SetTimeouts(_)
        | Request::Timeouts
        | Request::List { .. }
        | Request::Connections
        | Request::StartDaemon(_)
        | Request::StopDaemon { .. }
        | Request::Daemons
        | Request::Sysctls { .. }
        | Request::Drops
        | Request::Status
        | Request::Marks
        | Request::Health
        | Request::Vrrp
        | Request::Reload
        | Request::Stop(_)
        | Request::Totals => false,
    }
}
