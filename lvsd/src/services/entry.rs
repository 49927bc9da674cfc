//! A service as the registry keeps it: what was declared, and the generation that runs.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lvs_sched::{Flags, Kind, Pool, Scheduler, Weight};

use super::Sysctls;
use super::engine::Engine;
use super::meter::Meter;
use super::service::{Member, Members, Persistence, Service};
use crate::destination::{Destination, Stats, Watch};
use crate::message::{RealServer, Refusal, ServiceId, VirtualService};

/// A real server of a service, as declared and as it runs.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) declared: RealServer,
    pub(super) destination: Arc<Destination>,
    pub(super) last_weight: u32,
    pub(super) meter: Meter,
}

impl Server {
    /// Takes the declaration over (`__ip_vs_update_dest`); `added` when it joins a service.
    pub(super) fn update(&mut self, declared: RealServer, added: bool) {
        if added || declared.weight != 0 {
            self.last_weight = declared.weight;
        }
        self.destination.set_thresholds(declared.upper_threshold, declared.lower_threshold);
        self.declared = declared;
    }

    pub(super) fn endpoint(&self) -> SocketAddr {
        self.destination.endpoint()
    }
}

/// A service: declaration, counters, servers (the newest first) and the running generation.
#[derive(Debug)]
pub(super) struct Entry {
    declared: VirtualService,
    kind: Option<Kind>,
    stats: Arc<Stats>,
    pub(super) meter: Meter,
    servers: Vec<Server>,
    running: Arc<Service>,
}

impl Entry {
    /// A service without servers.
    pub(super) fn new(declared: VirtualService, lanes: usize, seed: u64) -> Result<Self, Refusal> {
        let kind = kind_of(&declared)?;
        let stats = Arc::new(Stats::new(lanes));
        let pool = Arc::new(Members::default());
        let scheduler = build(kind, declared.flags, seed, &pool)?;
        let running = running(&declared, &stats, pool, scheduler);
        Ok(Self { declared, kind, stats, meter: Meter::default(), servers: Vec::new(), running })
    }

    pub(super) const fn id(&self) -> ServiceId {
        self.declared.id
    }

    pub(super) const fn declared(&self) -> &VirtualService {
        &self.declared
    }

    pub(super) const fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    pub(super) const fn running(&self) -> &Arc<Service> {
        &self.running
    }

    pub(super) fn servers(&self) -> &[Server] {
        &self.servers
    }

    pub(super) fn servers_mut(&mut self) -> &mut [Server] {
        &mut self.servers
    }

    pub(super) fn server_mut(&mut self, rip: IpAddr, port: u16) -> Result<&mut Server, Refusal> {
        let wanted = SocketAddr::new(rip, port);
        self.servers.iter_mut().find(|server| server.endpoint() == wanted).ok_or(Refusal::NoEntry)
    }

    /// Takes another declaration over (`ip_vs_edit_service`). The scheduler keeps what it knows as long as it is
    /// of the same kind; its flags count from now on.
    pub(super) fn redeclare(&mut self, declared: VirtualService, seed: u64) -> Result<(), Refusal> {
        let kind = kind_of(&declared)?;
        let pool = Arc::clone(self.running.pool());
        let scheduler = if kind == self.kind && declared.flags == self.declared.flags {
            self.running.scheduler().map(Arc::clone)
        } else {
            build(kind, declared.flags, seed, &pool)?
        };
        self.kind = kind;
        self.declared = declared;
        self.run(pool, scheduler);
        Ok(())
    }

    /// Puts a server at the head of the list.
    pub(super) fn join(&mut self, server: Server) {
        self.servers.insert(0, server);
        self.regenerate();
    }

    /// Takes a server off the list.
    pub(super) fn leave(&mut self, rip: IpAddr, port: u16) -> Result<Server, Refusal> {
        let wanted = SocketAddr::new(rip, port);
        let at =
            self.servers.iter().position(|server| server.endpoint() == wanted).ok_or(Refusal::NoEntry)?;
        let server = self.servers.remove(at);
        server.destination.set_watch(None);
        self.regenerate();
        Ok(server)
    }

    /// Takes all servers off the list, the first one first.
    pub(super) fn disband(&mut self) -> Vec<Server> {
        for server in &self.servers {
            server.destination.set_watch(None);
        }
        std::mem::take(&mut self.servers)
    }

    /// Makes the next generation, after its servers changed; the scheduler is told.
    pub(super) fn regenerate(&mut self) {
        let pool = Arc::new(Members::new(self.servers.iter().map(|server| Member {
            destination: Arc::clone(&server.destination),
            weight: Weight(server.declared.weight),
            last_weight: Weight(server.last_weight),
        })));
        let scheduler = self.running.scheduler().map(|old| Arc::from(old.rebuild(pool.as_ref())));
        self.run(pool, scheduler);
    }

    /// Tells the schedulers that remember addresses for how many seconds they do.
    pub(super) fn expire_after(&self, sysctls: &Sysctls) {
        let seconds = match self.kind {
            Some(Kind::Lblc) => sysctls.lblc_expiration,
            Some(Kind::Lblcr) => sysctls.lblcr_expiration,
            _ => return,
        };
        if let Some(scheduler) = self.running.scheduler() {
            // What is over before it began is over at once.
            scheduler.expire_after(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
        }
    }

    fn run(&mut self, pool: Arc<Members>, scheduler: Option<Arc<dyn Scheduler>>) {
        self.running = running(&self.declared, &self.stats, pool, scheduler);
        let watches = self.kind.is_some_and(keeps_load_in_order);
        for (slot, member) in self.running.pool().iter() {
            let watch = watches.then(|| Watch { service: Arc::downgrade(&self.running), slot });
            member.destination.set_watch(watch);
            // A note that came while nobody was told is made good here.
            self.running.load_changed(slot);
        }
    }
}

fn running(
    declared: &VirtualService,
    stats: &Arc<Stats>,
    pool: Arc<Members>,
    scheduler: Option<Arc<dyn Scheduler>>,
) -> Arc<Service> {
    let persistence = declared.persistent.map(|seconds| Persistence {
        timeout: Duration::from_secs(u64::from(seconds)),
        netmask: declared.netmask,
    });
    // A name that is no engine's was refused before.
    let engine = Engine::of(declared).unwrap_or_default();
    let stats = Arc::clone(stats);
    Arc::new(Service::new(declared.id, persistence, engine, declared.one_packet, stats, pool, scheduler))
}

fn kind_of(declared: &VirtualService) -> Result<Option<Kind>, Refusal> {
    if declared.scheduler == "none" {
        return Ok(None);
    }
    declared.scheduler.parse().map(Some).map_err(|_| Refusal::NoEntry)
}

fn build(
    kind: Option<Kind>,
    flags: u8,
    seed: u64,
    pool: &Arc<Members>,
) -> Result<Option<Arc<dyn Scheduler>>, Refusal> {
    let pool: &dyn Pool = pool.as_ref();
    let Some(kind) = kind else { return Ok(None) };
    let scheduler = kind.build(Flags::from_bits(flags), seed, pool).map_err(|_| Refusal::Invalid)?;
    Ok(Some(Arc::from(scheduler)))
}

/// The schedulers that keep their servers in the order of their load, and must hear of each change.
const fn keeps_load_in_order(kind: Kind) -> bool {
    matches!(kind, Kind::Lc | Kind::Wlc | Kind::Sed | Kind::Nq | Kind::Lblc | Kind::Lblcr)
}
