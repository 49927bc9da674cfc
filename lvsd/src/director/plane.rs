//! What the workers share: connections, the current snapshot, counters, and the wish list of neighbours.

use std::collections::HashSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use lvs_conntrack::{Expired, Table, Tick};
use lvs_forward::headers::glance;
use lvs_forward::{DropReason, Drops, Verdict};
use parking_lot::Mutex;

use crate::cache::Cache;
use crate::destination::{Destination, DestinationId, Lease};
use crate::resolve::Ask;
use crate::snapshot::Snapshot;

use super::binding::{Binding, Method};
use super::path_mtu::PathMtus;
use super::probe::Probes;
use super::state::Connection;
use super::throttle::Throttle;

/// How many neighbours may be wanted at a time.
const ASKS: usize = 1024;

/// As many connections stay in a processor's second cache: 2 MiB, and 300 octets each.
const CACHED: usize = 7_000;

/// No destination's number.
const NOBODY: DestinationId = DestinationId(u32::MAX);

/// The shared half of the data plane.
pub struct Plane {
    table: Table<Binding, Lease>,
    snapshot: ArcSwap<Snapshot>,
    drops: Drops,
    tallies: Box<[Tally]>,
    throttle: Throttle,
    nobody: Arc<Destination>,
    asks: Mutex<HashSet<Ask>>,
    path_mtus: PathMtus,
    /// How many connections wait for a client whose port is not known (the kernel's `ip_vs_conn_no_cport_cnt`).
    unclaimed: Arc<AtomicU32>,
    cache: OnceLock<Cache>,
    probes: Probes,
}

impl Plane {
    /// A plane for `lanes` workers and at most `limit` connections. `seed` keys the connection table: to be
    /// drawn at random at each start.
    pub fn new(lanes: usize, limit: usize, seed: u64) -> Self {
        Self {
            table: Table::new(limit, seed).holding(Binding::is_held),
            snapshot: ArcSwap::default(),
            drops: Drops::default(),
            tallies: (0..lanes.max(1)).map(|_| Tally::default()).collect(),
            throttle: Throttle::default(),
            nobody: Arc::new(Destination::new(NOBODY, Ipv4Addr::UNSPECIFIED.into(), 0, 1)),
            asks: Mutex::default(),
            path_mtus: PathMtus::default(),
            unclaimed: Arc::default(),
            cache: OnceLock::new(),
            probes: Probes::default(),
        }
    }

    /// The connections and templates.
    pub const fn table(&self) -> &Table<Binding, Lease> {
        &self.table
    }

    /// True while there are more connections than a processor's caches hold: it is time to
    /// [`foresee`](Self::foresee).
    #[inline]
    pub fn is_foresighted(&self) -> bool {
        self.table.len() > CACHED
    }

    /// Fetches the connection that a received frame may belong to. To be called for each of a burst.
    ///
    /// All of it is to be inlined: a flow that is written to memory and read back in longer words waits there until
    /// what was fetched before has come, and then nothing is fetched at one time.
    #[inline]
    pub fn foresee(&self, frame: &[u8]) {
        if let Some(key) = glance(frame) {
            self.table.fetch(&key);
        }
    }

    pub(super) const fn unclaimed(&self) -> &Arc<AtomicU32> {
        &self.unclaimed
    }

    /// What the host itself says to services for the sake of its checks.
    pub const fn probes(&self) -> &Probes {
        &self.probes
    }

    /// How many workers there are counters for.
    pub fn lanes(&self) -> usize {
        self.tallies.len()
    }

    /// How many count packets of a service or a destination: the workers and, last, the flow cache.
    pub(crate) fn counting(&self) -> usize {
        self.lanes() + 1
    }

    /// Takes the flow cache; it stays as long as this does. A second one is not taken.
    pub fn set_cache(&self, cache: Cache) {
        if self.cache.set(cache).is_ok()
            && let Some(cache) = self.cache()
        {
            cache.follow(&self.snapshot());
        }
    }

    /// The flow cache, if there is one.
    pub fn cache(&self) -> Option<&Cache> {
        self.cache.get()
    }

    /// Lets the flow cache do what the workers noted for it.
    pub fn settle_cache(&self, now: Tick) {
        if let Some(cache) = self.cache() {
            cache.settle(self, now);
        }
    }

    /// Adds what the flow cache forwarded to the counters of servers and services.
    pub(crate) fn pull_counters(&self) {
        if let Some(cache) = self.cache() {
            cache.pull_counters(self.lanes());
        }
    }

    /// Has the flow cache leave connections alone that are idle for so long, and forget those that are gone.
    pub(crate) fn retire_flows(&self, now: Tick, idle: Duration) {
        if let Some(cache) = self.cache() {
            cache.retire(self, now, idle);
        }
    }

    /// Tells the connections when the flow cache saw their last packets.
    pub(crate) fn pull_times(&self, now: Tick) {
        if let Some(cache) = self.cache() {
            cache.pull_times(self, now);
        }
    }

    /// The configuration as it is now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub(crate) fn current(&self) -> &ArcSwap<Snapshot> {
        &self.snapshot
    }

    pub(crate) fn publish(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
        if let Some(cache) = self.cache() {
            cache.follow(&self.snapshot());
        }
    }

    /// What was dropped, by reason, by all workers.
    pub const fn drops(&self) -> &Drops {
        &self.drops
    }

    /// How many new packets are dropped.
    pub(crate) const fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// What connections are bound to that have no server.
    pub(super) const fn nobody(&self) -> &Arc<Destination> {
        &self.nobody
    }

    /// One worker's counters.
    pub(crate) fn tally(&self, lane: usize) -> Option<&Tally> {
        self.tallies.get(lane)
    }

    /// The accounting of all workers. `received = forwarded + to_host + dropped + held`, always.
    pub fn account(&self) -> Account {
        let sum =
            |counter: fn(&Tally) -> &AtomicU64| self.tallies.iter().map(|t| counter(t).load(Relaxed)).sum();
        let status = self.cache().and_then(|cache| cache.status().ok()).unwrap_or_default();
        let by_kernel = status.outcomes.forwarded;
        Account {
            received: sum(|tally| &tally.received) + by_kernel,
            forwarded: sum(|tally| &tally.forwarded) + by_kernel,
            by_kernel,
            to_host: sum(|tally| &tally.to_host),
            dropped: self.drops.total(),
            held: sum(|tally| &tally.held),
            originated: sum(|tally| &tally.originated),
        }
    }

    /// Lets connections and templates expire, looking at no more than `budget`; says how many it looked at.
    pub fn sweep(&self, now: Tick, budget: usize) -> usize {
        // What is handed out gives its counts back as it is dropped.
        let Some(cache) = self.cache() else { return self.table.sweep(now, budget, drop) };
        let snapshot = self.snapshot();
        let ask = |conn: &mut Connection| cache.ask(conn, &snapshot.timeouts, now);
        self.table.sweep_asking(now, budget, ask, |ended| {
            if let Expired::Conn(conn) = ended {
                self.release(&conn);
            }
        })
    }

    /// Ends the connections and templates of destinations that belong to no service.
    pub(crate) fn expire_unavailable(&self, now: Tick) {
        let snapshot = self.snapshot();
        let mut gone = Vec::new();
        self.table.for_each(now, |conn| {
            let binding = conn.binding();
            if binding.method() != Method::Bypass && snapshot.hop(binding.destination().id()).is_none() {
                gone.push(*conn.key());
            }
        });
        for key in &gone {
            if let Some(conn) = self.table.evict(key) {
                self.release(&conn);
            }
        }
        self.table.evict_templates(|template| snapshot.hop(template.binding().destination().id()).is_none());
        self.sweep(now, usize::MAX);
    }

    /// What is known of the ways to tunnelled servers.
    pub(crate) const fn path_mtus(&self) -> &PathMtus {
        &self.path_mtus
    }

    /// Takes the flows of a connection that has ended out of the cache.
    pub(crate) fn release(&self, conn: &Connection) {
        if let Some(cache) = self.cache().filter(|_| conn.is_held()) {
            cache.forget(conn.key(), conn.reply_key().as_ref());
        }
    }

    /// Puts a neighbour on the list of those to be asked for.
    pub(crate) fn ask(&self, ask: Ask) {
        let mut asks = self.asks.lock();
        if asks.len() < ASKS {
            asks.insert(ask);
        }
    }

    /// Takes the neighbours that are wanted, each once, for the control thread to ask the kernel for.
    pub fn take_asks(&self) -> Vec<Ask> {
        self.asks.lock().drain().collect()
    }
}

impl fmt::Debug for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plane")
            .field("table", &self.table)
            .field("account", &self.account())
            .finish_non_exhaustive()
    }
}

/// Where the packets went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Packets taken from the interfaces.
    pub received: u64,
    /// Packets that left as the director forwarded them.
    pub forwarded: u64,
    /// Of these, those that the flow cache forwarded: no worker saw them.
    pub by_kernel: u64,
    /// Packets handed to the host.
    pub to_host: u64,
    /// Packets dropped, all reasons together.
    pub dropped: u64,
    /// Packets that wait.
    pub held: u64,
    /// Packets of the director's own making.
    pub originated: u64,
}

impl Account {
    /// True when every received packet went somewhere.
    pub const fn balances(&self) -> bool {
        self.received == self.forwarded + self.to_host + self.dropped + self.held
    }
}

/// One worker's counters; written by that worker only.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Tally {
    received: AtomicU64,
    forwarded: AtomicU64,
    to_host: AtomicU64,
    held: AtomicU64,
    originated: AtomicU64,
}

impl Tally {
    /// Counts a received packet and what became of it; `extra` more frames left with it.
    pub(crate) fn count(&self, verdict: Verdict, drops: &Drops) {
        add(&self.received, 1);
        match verdict {
            Verdict::Send(_) => add(&self.forwarded, 1),
            Verdict::ToHost => add(&self.to_host, 1),
            Verdict::Hold => add(&self.held, 1),
            Verdict::Drop(reason) => drops.count(reason),
            Verdict::Answer(_, reason) => {
                drops.count(reason);
                add(&self.originated, 1);
            }
        }
    }

    /// A packet that waited was sent.
    pub(crate) fn released(&self) {
        subtract(&self.held, 1);
        add(&self.forwarded, 1);
    }

    /// A packet that waited was handed to the host.
    pub(crate) fn released_to_host(&self) {
        subtract(&self.held, 1);
        add(&self.to_host, 1);
    }

    /// A packet that waited was dropped.
    pub(crate) fn given_up(&self, reason: DropReason, drops: &Drops) {
        subtract(&self.held, 1);
        drops.count(reason);
    }

    /// The director made `frames` more frames.
    pub(crate) fn originated(&self, frames: u64) {
        add(&self.originated, frames);
    }

    /// A verdict could not be carried out by the device.
    pub(crate) fn undone(&self, verdict: Verdict, reason: DropReason, drops: &Drops) {
        match verdict {
            Verdict::Send(_) => subtract(&self.forwarded, 1),
            Verdict::ToHost => subtract(&self.to_host, 1),
            Verdict::Answer(..) => {
                subtract(&self.originated, 1);
                return;
            }
            Verdict::Drop(_) | Verdict::Hold => return,
        }
        drops.count(reason);
    }
}

/// A tally has one writer, so a load and a store are enough.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}

fn subtract(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_sub(amount), Relaxed);
}
