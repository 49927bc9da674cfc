//! Chooses a real server for a new connection: the fourteen schedulers of the Linux Virtual Server.
//!
//! The crate knows nothing of packets, sockets and clocks. A program shows its servers through [`Pool`], asks
//! for a scheduler by name through [`Kind`], and calls [`Scheduler::pick`] once for each new connection.
//!
//! ```
//! use std::net::SocketAddr;
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use std::time::Duration;
//!
//! use lvs_sched::{Flags, Flow, Kind, Pool, Slot, Weight};
//!
//! struct Worker {
//!     listens: SocketAddr,
//!     weight: u32,
//!     busy: AtomicU32,
//! }
//!
//! struct Workers(Vec<Worker>);
//!
//! impl Pool for Workers {
//!     fn len(&self) -> usize {
//!         self.0.len()
//!     }
//!     fn endpoint(&self, slot: Slot) -> SocketAddr {
//!         self.0[slot.index()].listens
//!     }
//!     fn weight(&self, slot: Slot) -> Weight {
//!         Weight(self.0[slot.index()].weight)
//!     }
//!     fn active(&self, slot: Slot) -> u32 {
//!         self.0[slot.index()].busy.load(Ordering::Relaxed)
//!     }
//!     fn inactive(&self, _slot: Slot) -> u32 {
//!         0
//!     }
//!     fn is_overloaded(&self, _slot: Slot) -> bool {
//!         false
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let worker = |listens: &str, weight| -> Result<Worker, Box<dyn std::error::Error>> {
//!     Ok(Worker { listens: listens.parse()?, weight, busy: AtomicU32::new(0) })
//! };
//! // Slot 0 is the server added last; weight 0 keeps a server out of the choice.
//! let workers = Workers(vec![
//!     worker("10.0.0.3:80", 1)?,
//!     worker("10.0.0.2:80", 0)?,
//!     worker("10.0.0.1:80", 2)?,
//! ]);
//! let kind: Kind = "wlc".parse()?;
//! let scheduler = kind.build(Flags::default(), 1, &workers)?;
//!
//! let flow = Flow {
//!     client: "192.0.2.7".parse()?,
//!     client_port: 40_000,
//!     vip: "198.51.100.1".parse()?,
//!     service_port: 80,
//!     now: Duration::ZERO,
//! };
//! let mut served = [0; 3];
//! for _ in 0..30 {
//!     let slot = scheduler.pick(&workers, &flow).ok_or("nobody is there")?;
//!     workers.0[slot.index()].busy.fetch_add(1, Ordering::Relaxed);
//!     scheduler.load_changed(&workers, slot);
//!     served[slot.index()] += 1;
//! }
//! assert_eq!(served, [10, 0, 20]);
//! # Ok(())
//! # }
//! ```
//!
//! # What a caller keeps to
//!
//! * A scheduler answers for the pool it was built or rebuilt with, and for that one only.
//! * [`Scheduler::rebuild`] is called once for every server that is added, edited or removed, and for nothing
//!   else: `wrr` starts its lap again at each of these, as the kernel's does.
//! * [`Scheduler::load_changed`] is called after each change of a server's counts or of its overload mark:
//!   `lc`, `wlc`, `sed`, `nq`, `lblc` and `lblcr` keep their servers sorted by it.
//! * [`Scheduler::sweep`] is called every few seconds: `lblc` and `lblcr` forget old addresses in it.

#![forbid(unsafe_code)]

mod bits;
mod dh;
mod flags;
mod fo;
mod hash;
mod kind;
mod lblc;
mod lblcr;
mod lc;
mod least;
mod locality;
mod mh;
mod nq;
mod ovf;
mod pool;
mod rr;
mod scheduler;
mod sed;
mod sh;
mod turn;
mod twos;
mod weights;
mod wlc;
mod wrr;

pub use flags::Flags;
pub use kind::{BuildError, Kind, UnknownKind};
pub use pool::{Pool, Slot, Weight};
pub use scheduler::{Flow, Scheduler};
