//! The declared services: applies requests by the kernel's rules and publishes what packets meet.
//!
//! ```text
//! Request -> Registry (one writer) -> Snapshot -> workers
//!                \-> Response
//! ```

mod change;
mod clock;
mod defence;
mod engine;
mod entries;
mod entry;
mod listing;
mod meter;
mod server;
mod service;
mod sysctl;
mod totals;
mod trash;

use std::net::IpAddr;
use std::sync::Arc;

use lvs_conntrack::{Tick, Timeouts};

pub use engine::Engine;
pub use service::{Member, Members, Persistence, Service};
pub use sysctl::Sysctls;

use crate::director::Plane;
use crate::mark::{MarkError, MarkRule, Marks};
use crate::message::{RealServer, Refusal, Request, Response, ServiceId, VirtualService};
use crate::resolve::{Fib, NextHop};
use crate::snapshot::{Hop, Snapshot};

use clock::Clock;
use defence::Defence;
use entries::Entries;
use entry::Entry;
use totals::Totals;
use trash::Trash;

/// The one writer of the configuration.
#[derive(Debug)]
pub struct Registry {
    plane: Arc<Plane>,
    entries: Entries,
    trash: Trash,
    totals: Totals,
    ids: Ids,
    clock: Clock,
    defence: Defence,
    sysctls: Sysctls,
    timeouts: Timeouts,
    fib: Arc<Fib>,
    marks: Arc<Marks>,
    /// The interfaces that `PortId`s count, for rules that name one.
    served: Vec<String>,
    claims_vips: bool,
    /// More changes follow at once: nothing is published between them.
    is_held: bool,
    /// Counts changes of which services and servers there are and how they are reached.
    generation: u64,
    seed: u64,
}

impl Registry {
    /// A registry without services that publishes to `plane`. `seed` feeds the scheduler that draws at random.
    pub fn new(plane: Arc<Plane>, seed: u64) -> Self {
        Self {
            plane,
            entries: Entries::default(),
            trash: Trash::default(),
            totals: Totals::default(),
            ids: Ids::default(),
            clock: Clock::default(),
            defence: Defence::new(!seed),
            sysctls: Sysctls::default(),
            timeouts: Timeouts::default(),
            fib: Arc::new(Fib::default()),
            marks: Arc::new(Marks::default()),
            served: Vec::new(),
            claims_vips: false,
            is_held: false,
            generation: 0,
            seed,
        }
    }

    /// What the workers share.
    pub const fn plane(&self) -> &Arc<Plane> {
        &self.plane
    }

    /// The services' addresses count as the host's own, whatever the interfaces carry.
    pub fn claim_vips(&mut self) {
        self.claims_vips = true;
        self.publish();
    }

    /// Takes the host's routes and neighbours as they are now.
    pub fn set_fib(&mut self, fib: Fib) {
        self.fib = Arc::new(fib);
        self.publish();
    }

    /// Takes the names of the interfaces, in the order of their `PortId`s.
    pub fn set_served(&mut self, served: Vec<String>) {
        self.served = served;
    }

    /// Takes other rules for marks.
    ///
    /// # Errors
    /// A rule that cannot be; the old ones stay.
    pub fn set_marks(&mut self, rules: Vec<MarkRule>) -> Result<(), MarkError> {
        self.marks = Arc::new(Marks::new(rules, &self.served)?);
        self.generation += 1;
        self.publish();
        Ok(())
    }

    /// The rules for marks.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Puts a changed list of rules in force, or says why it cannot be.
    fn change_marks(&mut self, changed: Result<Marks, MarkError>) -> Response {
        match changed {
            Ok(marks) => {
                self.marks = Arc::new(marks);
                self.generation += 1;
                self.publish();
                Response::Done
            }
            Err(error) => Response::Malformed { message: error.to_string() },
        }
    }

    /// The values of `net.ipv4.vs`.
    pub const fn sysctls(&self) -> &Sysctls {
        &self.sysctls
    }

    /// Sets a value of `net.ipv4.vs`.
    ///
    /// # Errors
    /// As [`Sysctls::set_text`].
    pub fn set_sysctl(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let mut changed = self.sysctls;
        changed.set_text(name, value)?;
        self.change_sysctls(changed);
        Ok(())
    }

    /// Carries out a request at the moment `now`: the one entry for control.
    pub fn apply(&mut self, request: Request, now: Tick) -> Response {
        self.pull_for(std::slice::from_ref(&request), now);
        self.answer(request, now).unwrap_or_else(|error| Response::Refused { error })
    }

    /// Carries out several requests, one after another; packets meet the outcome of all of them at once.
    pub fn apply_all(&mut self, requests: Vec<Request>, now: Tick) -> Vec<Response> {
        self.pull_for(&requests, now);
        self.is_held = true;
        let answer = |request| self.answer(request, now).unwrap_or_else(|error| Response::Refused { error });
        let answers = requests.into_iter().map(answer).collect();
        self.is_held = false;
        self.publish();
        self.expire_unavailable(now);
        answers
    }

    fn answer(&mut self, request: Request, now: Tick) -> Result<Response, Refusal> {
        let changes_ways = self.changes_ways(&request);
        let removes =
            matches!(request, Request::DeleteServer { .. } | Request::DeleteService { .. } | Request::Flush);
        match request {
            Request::AddService(service) => self.add_service(service)?,
            Request::EditService(service) => self.edit_service(service)?,
            Request::DeleteService { id } => self.delete_service(id, now)?,
            Request::Flush => self.flush(now),
            Request::AddServer { id, server } => self.add_server(id, server)?,
            Request::EditServer { id, server } => self.edit_server(id, server)?,
            Request::DeleteServer { id, rip, port } => self.delete_server(id, rip, port, now)?,
            Request::Zero { id } => return self.zero(id).map(|()| Response::Done),
            Request::SetTimeouts(timeouts) => self.set_timeouts(timeouts)?,
            Request::Timeouts => return Ok(Response::Timeouts(self.shown_timeouts())),
            Request::List { id } => return self.list(id),
            Request::Connections => return Ok(self.list_connections(now)),
            // Files are no part of the services: whoever read them answers.
            Request::StartDaemon(_) | Request::Reload | Request::Stop(_) => {
                return Err(Refusal::NotAvailable);
            }
            Request::StopDaemon { .. } => return Err(Refusal::NoService),
            Request::Daemons => return Ok(Response::Daemons { daemons: Vec::new() }),
            Request::Sysctls { settings } => return self.apply_sysctls(&settings),
            Request::Drops => return Ok(self.list_drops()),
            Request::Status => return Ok(self.status()),
            Request::AddMark { rule, at } => {
                return Ok(self.change_marks(self.marks.with(rule, at, &self.served)));
            }
            Request::DeleteMark { which } => {
                return Ok(self.change_marks(self.marks.without(&which, &self.served)));
            }
            // Checks are no part of the services: whoever runs them answers.
            Request::Health => return Ok(Response::Health { virtual_servers: Vec::new() }),
            // The virtual routers are no part of the services: whoever runs them answers.
            Request::Vrrp => return Ok(Response::Vrrp(crate::message::VrrpListing::default())),
            Request::Marks => return Ok(Response::Marks { rules: self.marks.rules().to_vec() }),
            Request::Totals => return Ok(Response::Totals(self.list_totals())),
        }
        if changes_ways {
            self.generation += 1;
        }
        self.publish();
        if removes && !self.is_held {
            self.expire_unavailable(now);
        }
        Ok(Response::Done)
    }

    /// Fetches what the flow cache counted, as far as the requests look at it or change how it counts.
    fn pull_for(&self, requests: &[Request], now: Tick) {
        self.plane.pull_counters();
        let wants_times = |request: &Request| {
            matches!(request, Request::Connections | Request::SetTimeouts(_) | Request::Sysctls { .. })
        };
        if requests.iter().any(wants_times) {
            self.plane.pull_times(now);
            self.plane.sweep(now, usize::MAX);
        }
    }

    /// True unless a server's weight or thresholds are all that may change.
    fn changes_ways(&self, request: &Request) -> bool {
        let Request::EditServer { id, server } = request else { return true };
        let servers = self.entry(*id).map(Entry::servers).unwrap_or_default();
        let before = servers.iter().map(|server| server.declared);
        !before.into_iter().any(|before| {
            RealServer {
                weight: server.weight,
                upper_threshold: server.upper_threshold,
                lower_threshold: server.lower_threshold,
                ..before
            } == *server
        })
    }

    /// The services with their servers, as declared, in the order they were added; the servers the newest first.
    pub fn declared(&self) -> impl Iterator<Item = (&VirtualService, impl Iterator<Item = &RealServer>)> {
        self.entries.iter().map(|entry| {
            let servers = entry.servers().iter().map(|server| &server.declared);
            (entry.declared(), servers)
        })
    }

    /// Another number after each change of services and servers: while it stays, so does [`declared`](Self::declared).
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    fn entry(&self, id: ServiceId) -> Result<&Entry, Refusal> {
        self.entries.find(id).ok_or(Refusal::NoService)
    }

    fn entry_mut(&mut self, id: ServiceId) -> Result<&mut Entry, Refusal> {
        self.entries.find_mut(id).ok_or(Refusal::NoService)
    }

    /// Gives the workers the configuration as it is now.
    fn publish(&self) {
        if self.is_held {
            return;
        }
        self.entries.iter().for_each(|entry| entry.expire_after(&self.sysctls));
        let mut hops: Vec<Option<Hop>> = Vec::new();
        hops.resize_with(self.ids.next as usize, || None);
        for (entry, server) in self.entries.iter().flat_map(|e| e.servers().iter().map(move |s| (e, s))) {
            if let Some(hop) = hops.get_mut(server.destination.id().index()) {
                *hop = Some(Hop {
                    method: server.declared.method,
                    quiesced: server.declared.weight == 0,
                    next: self.next_hop(server.declared.rip),
                    source: self.fib.source_for(server.declared.rip),
                    service: Arc::clone(entry.stats()),
                });
            }
        }
        let mut snapshot = Snapshot::new(self.entries.iter().map(|entry| Arc::clone(entry.running())), hops);
        snapshot.sysctls = self.sysctls;
        snapshot.timeouts = self.timeouts.clone();
        snapshot.marks = Arc::clone(&self.marks);
        snapshot.fib = Arc::clone(&self.fib);
        if self.claims_vips {
            snapshot.claim_vips();
        }
        self.plane.publish(snapshot);
    }

    fn next_hop(&self, rip: IpAddr) -> Result<NextHop, lvs_forward::DropReason> {
        let next = self.fib.lookup(rip)?;
        Ok(match self.plane.path_mtus().of(rip) {
            Some(mtu) => next.narrowed(mtu),
            None => next,
        })
    }
}

/// Gives out the numbers of destinations, the freed ones first.
#[derive(Debug, Default)]
struct Ids {
    next: u32,
    free: Vec<u32>,
}

impl Ids {
    fn take(&mut self) -> crate::destination::DestinationId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        crate::destination::DestinationId(id)
    }

    fn give_back(&mut self, id: crate::destination::DestinationId) {
        self.free.push(id.0);
    }
}

#[cfg(test)]
mod tests;
