//! VRRP as it runs: sockets, addresses, scripts, and the thread that keeps the virtual routers' time.
//!
//! ```text
//!  peers <-- adverts --> thread lvsd-vrrp --> addresses, routes, MACs    <-- guard process: undoes them
//!                          |   ^   ^  ^                                      when the daemon is gone
//!   scripts and pipes <----+   |   |  +-- pulses of the workers
//!   (lvsd-vrrp-tell)           |   +----- links and addresses, as the kernel tells of them
//!                              +--------- scripts, files, processes (lvsd-vrrp-watch)
//! ```
//!
//! The thread waits for nobody: what others want of it comes by a channel, what they want to know it publishes.

mod announce;
mod engine;
pub mod guard;
mod hands;
mod notify;
mod program;
mod pulse;
mod report;
mod seat;
mod socket;
mod watch;
mod way;

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use lvs_netcfg::InputFilter;
use lvs_vrrp::WallClock;
use lvs_vrrp::declared::{Declared, Instance, Mistake, Subject};
use parking_lot::Mutex;

use crate::message::VrrpListing;
use engine::Engine;
pub use pulse::Pulse;

/// Why the virtual routers did not start, or were not changed.
#[derive(Debug, thiserror::Error)]
pub enum VrrpError {
    /// What is declared cannot be.
    #[error("{}", mistakes(.0))]
    Mistakes(Vec<Mistake>),
    /// The host.
    #[error("VRRP: {0}")]
    Host(#[from] lvs_netcfg::Error),
    /// Packets to virtual addresses cannot be kept away here.
    #[error("VRRP: no_accept: {0}; it takes nftables and Linux 5.12, or remove it")]
    Closing(#[source] lvs_netcfg::Error),
    /// Sockets and threads.
    #[error("VRRP: {0}")]
    Io(#[from] io::Error),
    /// The thread has ended.
    #[error("VRRP: its thread has ended")]
    Ended,
}

fn mistakes(all: &[Mistake]) -> String {
    let one = |mistake: &Mistake| {
        let (kind, name) = match &mistake.subject {
            Subject::Instance(name) => ("vrrp_instance", name),
            Subject::Group(name) => ("vrrp_sync_group", name),
            Subject::Script(name) => ("vrrp_script", name),
        };
        format!("{kind} {name}: {}: {}", mistake.keyword, mistake.message)
    };
    all.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// What the virtual routers need besides their declaration.
#[derive(Debug, Default)]
pub struct Options {
    /// The program the guard is started from: lvsd itself. The running program when absent.
    pub guard: Option<PathBuf>,
    /// The workers' pulses: where one stops, no virtual router here is master.
    pub pulses: Vec<Pulse>,
}

/// The time of day.
fn wall_clock() -> WallClock {
    WallClock(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// What the thread is told.
enum Message {
    Reconfigure(Box<Declared>, mpsc::SyncSender<()>),
    Reading(watch::Watched, lvs_vrrp::Reading),
    Stop,
}

/// The way into the thread.
#[derive(Clone)]
struct Inbox {
    sender: Sender<Message>,
    waker: Arc<UnixStream>,
}

impl Inbox {
    fn send(&self, message: Message) -> Result<(), VrrpError> {
        self.sender.send(message).map_err(|_| VrrpError::Ended)?;
        // A full pipe has wakened the other end already.
        let _ = (&*self.waker).write(&[0]);
        Ok(())
    }
}

/// The virtual routers of this host. Dropping it makes the masters resign and takes their addresses back.
pub struct Vrrp {
    inbox: Inbox,
    listing: Arc<ArcSwap<VrrpListing>>,
    thread: Option<JoinHandle<()>>,
    /// One change at a time.
    declared: Mutex<Declared>,
}

impl std::fmt::Debug for Vrrp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vrrp").field("declared", &self.declared).finish_non_exhaustive()
    }
}

/// Says what of a declaration cannot be run, whatever the host is like. Empty where all of it can.
pub fn check(declared: &Declared) -> Vec<Mistake> {
    let mut mistakes = declared.mistakes();
    for instance in &declared.instances {
        let mut wrong = |keyword, message: &str| {
            mistakes.push(Mistake {
                subject: Subject::Instance(instance.name.clone()),
                keyword,
                message: message.to_owned(),
            });
        };
        if instance.virtual_mac.as_ref().is_some_and(|mac| mac.for_all_addresses) {
            wrong("use_vmac_addr", "is not done here; give the other interface an instance of its own");
        }
        if instance.virtual_mac.is_some() && instance.ipvlan.is_some() {
            wrong("use_ipvlan", "cannot be together with use_vmac");
        }
    }
    mistakes
}

/// Refuses what cannot be run, on any host or on this one.
fn vet(declared: &Declared) -> Result<(), VrrpError> {
    let mistakes = check(declared);
    if !mistakes.is_empty() {
        return Err(VrrpError::Mistakes(mistakes));
    }
    if declared.instances.iter().any(Instance::is_closed) {
        InputFilter::probe().map_err(VrrpError::Closing)?;
    }
    Ok(())
}

/// Starts the virtual routers on a thread of their own, in the calling thread's network namespace.
///
/// # Errors
/// The declaration cannot be run, or the host refuses the sockets. Interfaces that are not there are no error: their
/// instances are faulty until they come.
pub fn start(declared: Declared, options: Options) -> Result<Vrrp, VrrpError> {
    vet(&declared)?;
    let (sender, receiver) = mpsc::channel();
    let (waker, wakened) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    wakened.set_nonblocking(true)?;
    let inbox = Inbox { sender, waker: Arc::new(waker) };
    let listing = Arc::new(ArcSwap::default());
    let mut engine =
        Engine::new(declared.clone(), options, inbox.clone(), (receiver, wakened), Arc::clone(&listing))?;
    let thread = thread::Builder::new().name("lvsd-vrrp".to_owned()).spawn(move || engine.run())?;
    Ok(Vrrp { inbox, listing, thread: Some(thread), declared: Mutex::new(declared) })
}

impl Vrrp {
    /// Changes what differs; what stays keeps its state and its addresses. Returns when it is done.
    ///
    /// # Errors
    /// The declaration cannot be run: nothing was changed.
    pub fn reconfigure(&self, declared: Declared) -> Result<(), VrrpError> {
        let mut current = self.declared.lock();
        if *current == declared {
            return Ok(());
        }
        vet(&declared)?;
        let (done, is_done) = mpsc::sync_channel(1);
        self.inbox.send(Message::Reconfigure(Box::new(declared.clone()), done))?;
        is_done.recv().map_err(|_| VrrpError::Ended)?;
        *current = declared;
        Ok(())
    }

    /// How the virtual routers are, as of a moment ago.
    pub fn listing(&self) -> Arc<VrrpListing> {
        self.listing.load_full()
    }

    /// Where [`listing`](Self::listing) is published, for whoever shows it.
    pub fn published(&self) -> Arc<ArcSwap<VrrpListing>> {
        Arc::clone(&self.listing)
    }

    /// True while the thread runs: where it does not, something is very wrong.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Vrrp {
    fn drop(&mut self) {
        let _ = self.inbox.send(Message::Stop);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the VRRP thread had panicked; the guard takes the addresses back");
        }
    }
}
