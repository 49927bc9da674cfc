//! The flow cache: established connections are forwarded by the XDP program, as the director decided.
//!
//! ```text
//! worker:  packet of an established connection -> stamped, noted ---.
//!          packet that ends one ---------------> unstamped, noted --+--> behind the burst, or by the control
//!                                                                         | thread: a flow for each direction
//! program: packet of a flow --> rewritten, out; counted                   v
//!          any other ---------> worker                                 the program's maps
//!                                                                         |
//! control: before a listing, an expiry, a change <-- what was counted ----'
//! ```
//!
//! Nothing but the speed changes: what the program counts is added before anybody looks, a connection that is to
//! expire asks first whether the program has seen packets of it, and whatever could lead a packet another way (a
//! server's removal, a route, a value of `net.ipv4.vs`) makes the decisions void before the change is answered.

mod adopt;
mod epoch;
mod fill;
mod follow;
mod pull;
mod time;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use lvs_conntrack::{FlowKey, Tick};
use lvs_forward::io::xdp::{Egress, Families, FlowServer, Outcomes, Program, ProgramError, Tally};
use parking_lot::Mutex;

use crate::destination::{Destination, DestinationId, Stats};
use crate::director::Plane;
use crate::resolve::Ask;
use crate::snapshot::Snapshot;
use epoch::Epochs;
use time::Clock;

/// What a worker has seen that concerns the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    /// The connection that this flow belongs to is established, or is it no more: decide anew.
    Look(FlowKey),
    /// These flows' connection is gone: the client's packets, and the server's answers.
    Gone(FlowKey, Option<FlowKey>),
}

/// Notes a worker may keep back between two bursts.
pub(crate) const NOTES: usize = 256;
/// Notes that may wait for the control thread, of one worker; what comes beyond is noted with a later packet.
const WAITING: usize = 16384;

/// The flows in the XDP program, and what has to be known of them here.
pub struct Cache {
    program: Arc<Program>,
    /// What the workers noted, one list for each.
    notes: Box<[Mutex<Vec<Note>>]>,
    /// Connections stamped with another number are to be noted; 0 while nothing is.
    round: AtomicU8,
    /// What the program is told of the time; 0 for the kernel's own clock.
    clock: AtomicU32,
    state: Mutex<State>,
}

/// What changes with the services. Whoever holds its lock may look for connections, so nobody may ask for it who holds
/// one.
struct State {
    epochs: Epochs,
    /// The ways out, by port; `None` where the program cannot send by itself.
    egress: Vec<Option<Egress>>,
    servers: HashMap<DestinationId, Server>,
    free: Vec<u16>,
    ways: HashMap<(Ask, u16), u16>,
    /// The snapshot that the maps follow.
    followed: Option<Arc<Snapshot>>,
    /// There was no room for a flow.
    was_full: bool,
}

/// A destination's place in the program's maps.
struct Server {
    place: u16,
    written: FlowServer,
    /// What was counted and is accounted for.
    pulled: Tally,
    /// Weak: who holds a destination keeps it from the end of its time in the trash.
    destination: Weak<Destination>,
    service: Arc<Stats>,
}

/// What the cache says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheStatus {
    /// Flows there are.
    pub flows: usize,
    /// Flows there may be.
    pub size: Families,
    /// What became of packets.
    pub outcomes: Outcomes,
}

impl Cache {
    /// A cache in `program`, with notes of so many workers. Nothing is forwarded before [`open`](Self::open).
    pub fn new(program: Arc<Program>, lanes: usize) -> Self {
        Self {
            program,
            notes: (0..lanes.max(1)).map(|_| Mutex::default()).collect(),
            round: AtomicU8::new(0),
            clock: AtomicU32::new(0),
            state: Mutex::new(State {
                epochs: Epochs::default(),
                egress: Vec::new(),
                servers: HashMap::new(),
                free: Vec::new(),
                ways: HashMap::new(),
                followed: None,
                was_full: false,
            }),
        }
    }

    /// The number connections that were noted are stamped with; 0 while none are to be noted.
    pub(crate) fn round(&self) -> u8 {
        self.round.load(Relaxed)
    }

    /// Where the program has its time from.
    fn clock(&self) -> Clock {
        Clock::of(self.clock.load(Relaxed))
    }

    /// Does what a worker's notes ask for, or takes them for the control thread; what there is no room for stays in
    /// `notes`.
    pub(crate) fn hand_in(&self, plane: &Plane, lane: usize, notes: &mut Vec<Note>, now: Tick) {
        self.settle_at_once(plane, notes, now);
        if notes.is_empty() {
            return;
        }
        let Some(waiting) = self.notes.get(lane) else { return };
        let mut waiting = waiting.lock();
        let room = WAITING.saturating_sub(waiting.len()).min(notes.len());
        waiting.extend(notes.drain(..room));
    }

    /// What became of packets, and how many flows there are.
    ///
    /// # Errors
    /// [`ProgramError::Map`]
    pub fn status(&self) -> Result<CacheStatus, ProgramError> {
        let size = self.program.flows().size();
        Ok(CacheStatus {
            flows: self.program.flows().len(),
            size,
            outcomes: self.program.flows().outcomes()?,
        })
    }

    /// Has every connection noted again with its next packet that comes to a worker.
    fn next_round(&self) {
        let next = self.round().checked_add(1).unwrap_or(1);
        self.round.store(next, Relaxed);
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("flows", &self.program.flows().len())
            .field("round", &self.round)
            .finish_non_exhaustive()
    }
}

/// Says what went wrong with the maps: packets then go on by way of the workers.
fn told<T>(result: Result<T, ProgramError>) -> Option<T> {
    result.map_err(|error| tracing::warn!(%error, "the flow cache")).ok()
}
