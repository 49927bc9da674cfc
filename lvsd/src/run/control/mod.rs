//! The one writer: requests, the host's changes and time all pass through here, one after another.

mod addressed;
mod answer;
mod declared;
mod program;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use addressed::Addressed;
use arc_swap::ArcSwap;
use lvs_conntrack::Tick;
use lvs_forward::PortId;
use lvs_forward::io::xdp::Program;
use lvs_netcfg::{Diversion, HostView};

use crate::config::Config;
use crate::director::Plane;
use crate::health::{self, Answering, Traffic};
use crate::mark::MarkError;
use crate::message::{InterfaceStatus, RealServer, Request, Response, ServiceListing, Stop, VrrpListing};
use crate::resolve::{Ask, Fib};
use crate::run::claim::Claimed;
use crate::run::clock::Clock;
use crate::run::ledger::Ledger;
use crate::run::memory;
use crate::services::Registry;

/// How many connections are looked at for expiry in one go.
const SWEEP: usize = 4096;
/// How many goes one call makes: what is left is done by the next.
const GOES: usize = 64;
/// How often the host's memory is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The registry with all that must follow it.
#[derive(Debug)]
pub(in crate::run) struct Control {
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
    /// What the XDP program was told of their addresses.
    addressed: Addressed,
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
    pub(in crate::run) fn new(
        mut registry: Registry,
        clock: Clock,
        config: &Config,
    ) -> Result<Self, MarkError> {
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
            addressed: Addressed::new(),
            next_look: Tick::ZERO,
            health: None,
            vrrp: None,
            ledger: None,
            kept: String::new(),
            stop: None,
        })
    }

    /// What was written down for a successor, for whom there is nothing to take over.
    pub(in crate::run) fn forget(&mut self) {
        if let Some(ledger) = &mut self.ledger {
            ledger.remove();
        }
    }

    /// Takes what keeps the flows when this ends without a word, to be shown.
    pub(in crate::run) fn keep(&mut self, how: String) {
        self.kept = how;
    }

    /// How the daemon was asked to end.
    pub(in crate::run) const fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// Gives no server new connections any more.
    pub(in crate::run) fn quiesce(&mut self) {
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
    pub(in crate::run) fn active(&mut self) -> u64 {
        self.services()
            .iter()
            .flat_map(|service| &service.servers)
            .map(|server| u64::from(server.active))
            .sum()
    }

    /// The time.
    pub(in crate::run) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// What the workers share.
    pub(in crate::run) fn plane(&self) -> Arc<Plane> {
        Arc::clone(self.registry.plane())
    }

    pub(in crate::run) const fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(in crate::run) const fn claimed(&self) -> &Claimed {
        &self.claimed
    }

    pub(in crate::run) fn served(&self) -> &[String] {
        &self.served
    }

    /// Takes the checks of real servers, to be shown and to be told of the host's addresses.
    pub(in crate::run) fn look_after(&mut self, health: health::Handle, view: &HostView) {
        health.follow(view.addresses().iter().map(|address| address.address.addr()).collect());
        self.health = Some(health);
        if let Err(error) = self.claim() {
            tracing::error!(%error, "the XDP program was not told of what is checked; it will be");
        }
    }

    /// The way of the traffic, for checks.
    pub(in crate::run) fn traffic(&self) -> Option<Traffic> {
        self.traffic.clone()
    }

    /// Takes what is served, to be shown.
    pub(in crate::run) fn show(&mut self, interfaces: Vec<InterfaceStatus>) {
        self.interfaces = interfaces;
    }

    /// Takes where the virtual routers tell how they are.
    pub(in crate::run) fn show_vrrp(&mut self, listing: Arc<ArcSwap<VrrpListing>>) {
        self.vrrp = Some(listing);
    }

    /// Connections and templates there are.
    pub(in crate::run) fn connections(&self) -> usize {
        let table = self.registry.plane().table();
        table.len() + table.templates_len()
    }

    /// Takes the host as it is now.
    pub(in crate::run) fn follow(&mut self, view: &HostView) {
        let port = |index| {
            let interface = view.interface(index).filter(|interface| interface.is_up)?;
            let place = self.served.iter().position(|name| *name == interface.name)?;
            u16::try_from(place).ok().map(PortId)
        };
        self.registry.set_fib(Fib::of_host(view, port));
        if let Err(error) = self.address(view) {
            tracing::error!(%error, "the XDP program does not follow the host's Ethernet addresses");
        }
        if let Some(health) = &self.health {
            health.follow(view.addresses().iter().map(|address| address.address.addr()).collect());
        }
    }

    /// Lets time pass: connections expire, rates are estimated, schedulers age.
    pub(in crate::run) fn tick(&mut self) {
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

    /// The real servers there are.
    pub(in crate::run) fn servers(&self) -> Vec<IpAddr> {
        self.registry.declared().flat_map(|(_, servers)| servers).map(|server| server.rip).collect()
    }

    /// The neighbours that packets wait for.
    pub(in crate::run) fn take_asks(&self) -> Vec<Ask> {
        self.registry.plane().take_asks()
    }

    fn services(&mut self) -> Vec<ServiceListing> {
        let all = self.registry.apply(Request::List { id: None }, self.clock.now());
        if let Response::Services { services } = all { services } else { Vec::new() }
    }
}
