//! Health checks at work: a thread that makes them, away from the packets, and what they say put into the services.
//!
//! ```text
//! health thread: attempts -> Judge -> actions --\
//!                                                 +--> Services (the one writer, locked) -> requests
//! reload:        declared -> Judge -> actions --/
//! ```
//!
//! Actions are taken out of the judge only while the services are locked, so they reach them in the judge's order.
//! Whoever holds the services may lock the judge; never the other way round.

mod apply;
mod declared;
mod listing;
mod notify;
mod thread;
mod traffic;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fmt, io};

use lvs_health::checker::{self, Checkers, DataPath};
use lvs_health::declared::Fifo;
use lvs_health::judge::{Judge, Moment, Notice};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub use declared::{Declared, VirtualServer, name};
pub use listing::{CheckListing, HealthListing, ServerHealth};
pub use traffic::{Answering, Traffic};

use crate::message::{Request, Response, ServiceId};
use apply::Applier;

/// Carries out requests, in their order.
pub type Apply<'a> = dyn FnMut(Vec<Request>) -> Vec<Response> + 'a;

/// The services, with their one writer.
pub trait Services: Send + Sync {
    /// Runs `work` while nobody else can change them.
    fn with(&self, work: &mut dyn FnMut(&mut Apply<'_>));
}

/// Health checks at work. Dropping it ends them: those that asked for it are told, and the services stay as they are.
#[derive(Debug)]
pub struct Health {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Shows how the checks stand, and makes them follow what changes; cheap to copy.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Shared>);

/// What the thread shares with the others.
struct Shared {
    state: Mutex<State>,
    began: Instant,
    wake: Notify,
    stop: AtomicBool,
}

struct State {
    judge: Judge,
    applier: Applier,
    checkers: Arc<Checkers>,
    traffic: Option<Traffic>,
    fifos: Vec<Fifo>,
    /// The host's addresses, as far as they are known.
    addresses: Option<Vec<IpAddr>>,
    notices: Vec<Notice>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Starts the checks. The services that `declared` speaks of must be there, without servers; when this returns they
/// have those they begin with. Checks can go the way of the traffic only where there is `traffic`.
///
/// # Errors
/// The thread cannot be started.
pub fn start(
    declared: Declared,
    services: Arc<dyn Services>,
    traffic: Option<Traffic>,
) -> io::Result<Health> {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            judge: Judge::new(seed()),
            applier: Applier::default(),
            checkers: Arc::new(Checkers::new(&declared.globals)),
            traffic,
            fifos: Vec::new(),
            addresses: None,
            notices: Vec::new(),
        }),
        began: Instant::now(),
        wake: Notify::new(),
        stop: AtomicBool::new(false),
    });
    let handle = Handle(Arc::clone(&shared));
    let mut declared = Some(declared);
    services.with(&mut |apply| {
        if let Some(declared) = declared.take() {
            handle.reconfigure(declared, apply);
        }
    });
    let thread = thread::spawn(Arc::clone(&shared), services)?;
    Ok(Health { shared, thread: Some(thread) })
}

impl Health {
    /// A handle to give to others.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared))
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.wake.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the health checks' thread had panicked");
        }
    }
}

impl Handle {
    /// Takes over what is declared now; what stayed keeps its state.
    ///
    /// To be called while the services are locked, through `apply`: services that are new must be there already, without
    /// servers, and those that are gone may be gone.
    pub fn reconfigure(&self, declared: Declared, apply: &mut Apply<'_>) {
        let now = self.0.now();
        let mut state = self.0.state.lock();
        let state = &mut *state;
        if let Some(traffic) = &state.traffic {
            traffic.follow(&declared.virtual_servers);
        }
        let data = state.traffic.clone().map(|traffic| Arc::new(traffic) as Arc<dyn DataPath>);
        state.checkers = Arc::new(Checkers::new(&declared.globals).by_way_of(data));
        state.fifos.clone_from(&declared.globals.fifos);
        state.applier.take_over(&declared.virtual_servers);
        let checked = declared.virtual_servers.into_iter().map(|server| server.checked).collect();
        state.judge.declare(&declared.globals, checked, &checker::read_file, now);
        state.follow();
        state.drain(apply);
        state.applier.make_good(&state.judge, apply);
        self.0.wake.notify_one();
    }

    /// Takes the addresses this host has now: what is declared with `ha_suspend` is checked only where its own is.
    pub fn follow(&self, addresses: Vec<IpAddr>) {
        let mut state = self.0.state.lock();
        state.addresses = Some(addresses);
        state.follow();
    }

    /// How everything stands.
    pub fn listing(&self) -> Vec<HealthListing> {
        let now = self.0.now();
        let state = self.0.state.lock();
        listing::of(&state.judge.report(), now)
    }

    /// True when a service's servers come and go by what is declared here.
    pub fn looks_after(&self, id: &ServiceId) -> bool {
        self.0.state.lock().applier.looks_after(id)
    }
}

impl Shared {
    fn now(&self) -> Moment {
        Moment::after(self.began.elapsed())
    }
}

impl State {
    /// Puts what the judge wants done into the services.
    fn drain(&mut self, apply: &mut Apply<'_>) {
        let actions: Vec<_> = std::iter::from_fn(|| self.judge.next_action()).collect();
        self.notices.extend(self.applier.carry_out(actions, apply));
    }

    fn follow(&mut self) {
        let Some(addresses) = &self.addresses else { return };
        for (name, vips) in self.applier.suspendable() {
            let is_here = vips.is_empty() || vips.iter().any(|vip| addresses.contains(vip));
            self.judge.suspend(name, !is_here);
        }
    }
}

/// A number nobody can guess, as the standard library's hash maps have it.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// How long an end may take for the sake of those that are told of it.
const FAREWELL: Duration = Duration::from_secs(5);
