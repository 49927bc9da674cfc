//! `lvsd run`: the daemon in the foreground, from the configuration to the last packet.
//!
//! ```text
//! start: lock interfaces, bind socket, load services, set up host, attach XDP, open sockets, start workers
//! stop:  workers, XDP, host, socket -- the other way round, also where a step of the start fails; but then the
//!        XDP program and the host's set-up stay where a predecessor had left its own
//! ```
//!
//! Threads: the main one follows the host and lets time pass, one answers the control socket, and each worker has
//! its own. The first two share the control behind a lock: there is one writer at a time.

mod claim;
mod clients;
mod clock;
mod control;
mod difference;
mod guard;
mod ledger;
mod lock;
mod memory;
mod neighbour;
mod proc_files;
mod reload;
mod start;
mod traces;
mod vet;

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lvs_netcfg::Watcher;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use parking_lot::Mutex;

use crate::config::{Config, Files};
use crate::control as socket;
use crate::health::Health;
use crate::message::{Request, Stop};
use crate::vrrp::{Pulse, Vrrp};
use control::Control;
pub use start::RunError;
pub use traces::{CleanError, remove as clean};

/// How often time passes in the control thread.
const TICK: Duration = Duration::from_millis(100);
/// How often the neighbours in use are looked after.
const LOOK_AFTER: Duration = Duration::from_secs(5);

/// Runs the daemon until a signal ends it.
///
/// # Errors
/// It could not be started, and everything is as it was, save that what a predecessor left may be this one's now and
/// waits for the next; or it had to stop.
pub fn run(config: Config, files: Files) -> Result<(), RunError> {
    let (waker, mut wakened) = UnixStream::pair().map_err(RunError::Signals)?;
    for end in [&waker, &wakened] {
        end.set_nonblocking(true).map_err(RunError::Signals)?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let handle = || {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
            signal_hook::low_level::pipe::register(signal, waker.try_clone()?)
        };
        handle().map_err(RunError::Signals)?;
    }
    let is_told = Arc::new(AtomicBool::new(false));
    let told = || {
        signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&is_told))?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGHUP, waker.try_clone()?)
    };
    told().map_err(RunError::Signals)?;
    let mut daemon = start::start(config, files, &waker, &stop)?;
    tracing::info!(
        interfaces = daemon.config.interfaces.join(", "),
        workers = daemon.workers.len(),
        socket = %daemon.server_path.display(),
        "serving"
    );
    let outcome = follow(&mut daemon, &mut wakened, &stop, &is_told);
    stop.store(true, Ordering::Relaxed);
    let hands_over = matches!(outcome, Ok(Some(Stop::HandOver)));
    tracing::info!(hands_over, "stopping");
    daemon.end(hands_over);
    outcome.map(drop)
}

/// Everything that runs.
struct Daemon {
    vrrp: Option<Vrrp>,
    pulses: Vec<Pulse>,
    /// What it runs by, and where that was read.
    config: Config,
    files: Files,
    asked: reload::AskedReloads,
    control: Arc<Mutex<Control>>,
    watcher: Watcher,
    workers: Vec<JoinHandle<io::Result<()>>>,
    answering: Option<JoinHandle<()>>,
    proc_files: Option<proc_files::ProcFiles>,
    health: Option<Health>,
    server_path: std::path::PathBuf,
    clients: clients::Clients,
    attached: guard::Attached,
    host: guard::HostSetUp,
    /// The control socket goes last: who waits for the end waits for that.
    closed: Arc<AtomicBool>,
    _locks: Vec<lock::Lock>,
}

impl Daemon {
    /// Gives no server new connections any more; says how long to wait for those there are.
    fn drain(&mut self, seconds: u32) -> Instant {
        self.health = None;
        self.control.lock().quiesce();
        tracing::info!(seconds, "draining");
        Instant::now() + Duration::from_secs(seconds.into())
    }

    /// Puts everything back, or leaves it for a successor; the stop flag is set already.
    fn end(mut self, hands_over: bool) {
        // First: the addresses go to another while packets are still forwarded here.
        drop(self.vrrp);
        drop(self.health);
        drop(self.proc_files);
        for worker in self.workers {
            match worker.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a worker had failed"),
                Err(_) => tracing::error!("a worker had panicked"),
            }
        }
        if hands_over {
            let (plane, now) = {
                let control = self.control.lock();
                (control.plane(), control.now())
            };
            self.clients.write(&plane, now);
            self.attached.leave();
            self.host.leave();
        } else {
            drop(self.attached);
            drop(self.host);
            self.clients.remove();
            self.control.lock().forget();
        }
        self.closed.store(true, Ordering::Relaxed);
        if self.answering.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the control socket's thread had panicked");
        }
    }
}

/// Follows the host until the daemon is to stop.
fn follow(
    daemon: &mut Daemon,
    wakened: &mut UnixStream,
    stop: &AtomicBool,
    is_told: &AtomicBool,
) -> Result<Option<Stop>, RunError> {
    let mut drained = None;
    let mut look_after = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if let Some(place) = daemon.workers.iter().position(JoinHandle::is_finished) {
            return Err(failure(daemon.workers.swap_remove(place)));
        }
        wait(&daemon.watcher, wakened)?;
        if is_told.swap(false, Ordering::Relaxed) {
            daemon.reload();
        }
        if let Ok(answer) = daemon.asked.try_recv() {
            // Whoever asked may have gone away meanwhile.
            let _ = answer.send(daemon.reload());
        }
        let changes = daemon.watcher.update().map_err(RunError::Follow)?;
        let mut control = daemon.control.lock();
        if changes.any() {
            control.follow(daemon.watcher.view());
        }
        for ask in control.take_asks() {
            if let Err(error) = daemon.watcher.ask_neighbour(ask.interface, ask.addr) {
                tracing::debug!(%error, neighbour = %ask.addr, "not asked for");
            }
        }
        control.tick();
        let (plane, now) = (control.plane(), control.now());
        if look_after.elapsed() >= LOOK_AFTER {
            look_after = Instant::now();
            let in_use = neighbour::in_use(daemon.watcher.view(), control.servers());
            daemon.watcher.keep_neighbours(in_use).map_err(RunError::Follow)?;
            control.look_at_ways();
            if let Err(error) = control.claim() {
                tracing::error!(%error, "the XDP program does not follow the services");
            }
        }
        let asked = control.stop();
        drop(control);
        daemon.clients.keep(&plane, now);
        match asked {
            None => {}
            Some(Stop::Drain(seconds)) => {
                let until = *drained.get_or_insert_with(|| daemon.drain(seconds));
                if daemon.control.lock().active() == 0 || Instant::now() >= until {
                    return Ok(asked);
                }
            }
            Some(Stop::Now | Stop::HandOver) => return Ok(asked),
        }
    }
    Ok(None)
}

fn failure(worker: JoinHandle<io::Result<()>>) -> RunError {
    match worker.join() {
        Ok(Err(error)) => RunError::Worker(error),
        Ok(Ok(())) | Err(_) => RunError::Worker(io::Error::other("it ended unexpectedly")),
    }
}

/// Sleeps until the host changes, a worker wants a neighbour, a signal comes, or it is time.
fn wait(watcher: &Watcher, wakened: &mut UnixStream) -> Result<(), RunError> {
    let timeout = PollTimeout::try_from(TICK).unwrap_or(PollTimeout::MAX);
    let mut polled =
        [PollFd::new(watcher.as_fd(), PollFlags::POLLIN), PollFd::new(wakened.as_fd(), PollFlags::POLLIN)];
    match poll(&mut polled, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(RunError::Signals(errno.into())),
    }
    // How often it was wakened does not matter.
    let mut bytes = [0; 64];
    while wakened.read(&mut bytes).is_ok_and(|count| count == bytes.len()) {}
    Ok(())
}

/// Answers the control socket on a thread of its own.
fn answer(
    mut server: socket::Server,
    control: Arc<Mutex<Control>>,
    asker: reload::Asker,
    stop: Arc<AtomicBool>,
    closed: Arc<AtomicBool>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("lvsd-control".to_owned()).spawn(move || {
        while !closed.load(Ordering::Relaxed) {
            server.serve_for(TICK, &mut |request| {
                if request == Request::Reload {
                    return asker.ask(&stop);
                }
                control.lock().answer(request)
            });
        }
    })
}
