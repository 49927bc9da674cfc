//! Starting the daemon: whatever can refuse comes before whatever changes something.

use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};

use lvs_forward::Drops;
use lvs_forward::io::tun::{Tun, TunError};
use lvs_forward::io::xdp::{
    DeviceConfig, Families, Mode, OpenError, Pins, PortConfig, Program, ProgramError, XdpDevice, is_on,
};
use lvs_forward::io::{HostDevice, PacketIo};
use lvs_netcfg::{Diversion, HostView, Watcher};
use lvs_vrrp::declared::Declared;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use parking_lot::Mutex;

use super::clients::Clients;
use super::clock::Clock;
use super::control::Control;
use super::guard::{Attached, HostSetUp};
use super::ledger::Ledger;
use super::lock::Lock;
use super::proc_files::ProcFiles;
use super::{Daemon, answer, reload};
use crate::cache::Cache;
use crate::config::{Config, Files, FlowCache, HostConfig, XdpMode};
use crate::control::{BindError, DEFAULT_SOCKET, Server};
use crate::director::{Director, Plane};
use crate::health::{self, Health};
use crate::host;
use crate::mark::MarkError;
use crate::message::{InterfaceStatus, Refusal};
use crate::services::Registry;
use crate::vrrp::{self, Options, Pulse, Vrrp, VrrpError};
use crate::worker::Worker;

/// Connections there may be when nothing else is said.
const CONNECTIONS: usize = 1 << 20;
/// Whether the XDP program forwards established connections when nothing else is said.
const FLOW_CACHE: FlowCache = FlowCache::On;
/// The `bpf` file system, in the directory of the control socket.
pub(super) const PINS: &str = "bpf";
/// The device that hands packets to the host.
const TUN: &str = "lvsd%d";

/// Why the daemon did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No interface was named.
    #[error("no interface to serve: name one with -i or in the file (interfaces = [..]); there are: {0}")]
    NoInterface(String),
    /// An interface is not there.
    #[error("interface {0} is not there; there are: {1}")]
    UnknownInterface(String, String),
    /// Another daemon serves the interface.
    #[error("interface {0} is served by another lvsd already")]
    Served(String),
    /// The right to serve an interface could not be taken.
    #[error("cannot lock interface {0}: {1}")]
    Lock(String, io::Error),
    /// The control socket.
    #[error(transparent)]
    Socket(#[from] BindError),
    /// The registry refused what the configuration says.
    #[error("{0}: {1}")]
    Refused(String, Refusal),
    /// What the configuration says cannot be carried out here.
    #[error("{0}: {1}")]
    Vetted(String, String),
    /// The configuration's rules for marks.
    #[error("the rules for marks: {0}")]
    Marks(#[from] MarkError),
    /// The host could not be set up; it is as it was.
    #[error("the host could not be set up: {0}")]
    Host(lvs_netcfg::Error),
    /// The host could not be followed.
    #[error("the host cannot be followed: {0}")]
    Follow(lvs_netcfg::Error),
    /// The XDP program.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The AF_XDP sockets.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The device that hands packets to the host.
    #[error(transparent)]
    Tun(#[from] TunError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// Signals cannot be waited for.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    /// The virtual routers.
    #[error(transparent)]
    Vrrp(#[from] VrrpError),
    /// A worker failed.
    #[error("a worker failed: {0}")]
    Worker(io::Error),
}

/// Starts everything `owned` says, which was read from `files`.
pub(super) fn start(
    owned: Config,
    files: Files,
    waker: &UnixStream,
    stop: &Arc<AtomicBool>,
) -> Result<Daemon, RunError> {
    let config = &owned;
    let clock = Clock::start();
    let mut watcher = Watcher::open().map_err(RunError::Follow)?;
    let locks = lock_interfaces(config, &watcher)?;
    let socket = config.socket.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET));
    let server = Server::bind(&socket)?;

    let shares = shares(config)?;
    let limit = config.connection_limit.map_or(CONNECTIONS, |limit| limit as usize);
    let plane = Arc::new(Plane::new(shares.len() + 1, limit, seed()));
    let mut control = Control::new(Registry::new(Arc::clone(&plane), seed()), clock, config)?;
    control.follow(watcher.view());
    control.vet(config).map_err(|(what, why)| RunError::Vetted(what, why))?;
    control.load(config).map_err(|(what, refusal)| RunError::Refused(what, refusal))?;
    control.resume(Ledger::open(directory(&socket)));

    // What a predecessor left may be refused; then it stays as it is.
    let flows = config.flow_cache.unwrap_or(FLOW_CACHE).flows();
    let names = directory(&socket).join(PINS);
    let program = Arc::new(load_program(config, flows, &names)?);

    let mut host = set_up_host(config, &socket)?;
    // A service's address is the host's from here on; no packet may find it a stranger's.
    watcher.update().map_err(RunError::Follow)?;
    control.follow(watcher.view());

    control.direct(Arc::clone(&program), watcher.view())?;
    let mut attached = Attached::new(Arc::clone(&program));
    let mut shown = Vec::new();
    for interface in &config.interfaces {
        let mode = attach(&mut attached, interface, config.mode)?;
        let queues = shares.iter().flatten().filter(|port| port.interface == *interface);
        let queues = queues.map(|port| u32::try_from(port.queues.len()).unwrap_or(u32::MAX)).sum();
        let mode = if mode == Mode::Native { "native" } else { "generic" };
        let not_cached = None;
        shown.push(InterfaceStatus { name: interface.clone(), mode: mode.to_owned(), queues, not_cached });
    }
    control.show(shown);
    if flows.is_some() {
        control.keep(attached.pin(&names));
    }
    let tun = Tun::open(TUN)?;
    let host_worker = host_worker(config, &watcher, &tun, &plane, shares.len())?;
    control.divert(diversion(&watcher, &tun, config)?);
    let mut devices = Vec::new();
    for ports in shares {
        let drops = Arc::new(Drops::default());
        let tun = tun.try_clone().map_err(RunError::Thread)?;
        let device = XdpDevice::open(&program, &DeviceConfig::new(ports), Some(tun), Arc::clone(&drops))?;
        devices.push((device, drops));
    }

    // What has been set up until here is no change of the host's any more. Connections that are taken over must be
    // there before a worker sees packets of them.
    watcher.update().map_err(RunError::Follow)?;
    control.follow(watcher.view());
    let clients = Clients::resume(directory(&socket), &plane, clock.now());
    if flows.is_some() {
        control.begin_cache(Cache::new(Arc::clone(&program), plane.lanes()));
    }
    let control = Arc::new(Mutex::new(control));
    let health = look_after(config, &control, watcher.view()).map_err(RunError::Thread)?;
    let mut workers = Vec::new();
    let mut pulses = Vec::new();
    let count = devices.len();
    let host_waker = waker.try_clone().map_err(RunError::Thread)?;
    // What the host itself sends is no measure of what is forwarded.
    let host_pulse = Pulse::default();
    workers.push(
        spawn(host_worker, "host", None, clock, host_pulse, host_waker, stop).map_err(RunError::Thread)?,
    );
    for (lane, (device, drops)) in devices.into_iter().enumerate() {
        let worker = Worker::new(device, Director::new(Arc::clone(&plane), lane), drops);
        let waker = waker.try_clone().map_err(RunError::Thread)?;
        let pinned = (count > 1).then_some(lane);
        let name = lane.to_string();
        let pulse = Pulse::default();
        pulses.push(pulse.clone());
        workers.push(spawn(worker, &name, pinned, clock, pulse, waker, stop).map_err(RunError::Thread)?);
    }
    let proc_files = ProcFiles::start(&config.proc, &socket, &control);
    let (asker, asked) = reload::channel(waker).map_err(RunError::Thread)?;
    // Last: only who can forward may be master.
    let vrrp = start_vrrp(config, pulses.clone())?;
    if let Some(vrrp) = &vrrp {
        control.lock().show_vrrp(vrrp.published());
    }
    let closed = Arc::new(AtomicBool::new(false));
    let answering = answer(server, Arc::clone(&control), asker, Arc::clone(stop), Arc::clone(&closed));
    let answering = answering.map_err(RunError::Thread)?;
    attached.own();
    host.own();
    Ok(Daemon {
        vrrp,
        pulses,
        control,
        watcher,
        workers,
        answering: Some(answering),
        proc_files,
        health,
        server_path: socket,
        clients,
        attached,
        host,
        closed,
        _locks: locks,
        config: owned,
        files,
        asked,
    })
}

/// The program, with a predecessor's flows where it left any.
fn load_program(config: &Config, flows: Option<Families>, names: &Path) -> Result<Program, ProgramError> {
    match flows {
        Some(flows) => Program::take_over(&config.interfaces, flows, Pins::find(names).as_ref()),
        None => Program::load(),
    }
}

/// The host, set up for what the configuration says. Where a predecessor's program is on an interface, so is its set-up.
fn set_up_host(config: &Config, socket: &Path) -> Result<HostSetUp, RunError> {
    let lasting = without_virtual(&config.host, &config.vrrp);
    let role = (!lasting.is_empty()).then(|| host::role_of(&lasting, &config.interfaces));
    let mut is_inherited = false;
    for interface in &config.interfaces {
        is_inherited |= is_on(interface)?;
    }
    HostSetUp::apply(role.as_ref(), &journal(socket), is_inherited).map_err(RunError::Host)
}

/// Checks the real servers, where checks are declared; those that serve are in their services when this returns.
pub(super) fn look_after(
    config: &Config,
    control: &Arc<Mutex<Control>>,
    view: &HostView,
) -> io::Result<Option<Health>> {
    let declared = health::Declared::of(config);
    if declared.is_empty() {
        return Ok(None);
    }
    begin_checks(declared, control, view).map(Some)
}

/// Checks what is declared, be it nothing yet.
pub(super) fn begin_checks(
    declared: health::Declared,
    control: &Arc<Mutex<Control>>,
    view: &HostView,
) -> io::Result<Health> {
    let traffic = control.lock().traffic();
    let health = health::start(declared, Arc::<Mutex<Control>>::clone(control), traffic)?;
    control.lock().look_after(health.handle(), view);
    Ok(health)
}

/// The worker of what the host itself sends through the director: the last lane is its own.
fn host_worker(
    config: &Config,
    watcher: &Watcher,
    tun: &Tun,
    plane: &Arc<Plane>,
    lane: usize,
) -> Result<Worker<HostDevice>, RunError> {
    let index = |name: &String| watcher.view().interface_named(name).map_or(0, |interface| interface.index);
    let interfaces = config.interfaces.iter().map(index).collect();
    let drops = Arc::new(Drops::default());
    let tun = tun.try_clone().map_err(RunError::Thread)?;
    let device = HostDevice::open(tun, interfaces, Arc::clone(&drops)).map_err(RunError::Thread)?;
    Ok(Worker::new(device, Director::new(Arc::clone(plane), lane), drops))
}

/// The diversion of what the host itself sends to the director, in packets that fit every interface.
fn diversion(watcher: &Watcher, tun: &Tun, config: &Config) -> Result<Diversion, RunError> {
    let served = config.interfaces.iter().filter_map(|name| watcher.view().interface_named(name));
    let mtu = served.map(|interface| interface.mtu).min().unwrap_or(1500);
    let index = tun.index().map_err(RunError::Thread)?;
    Diversion::open(tun.name(), index, mtu).map_err(RunError::Follow)
}

/// The virtual routers, where there are any.
pub(super) fn start_vrrp(config: &Config, pulses: Vec<Pulse>) -> Result<Option<Vrrp>, VrrpError> {
    let start = || vrrp::start(config.vrrp.clone(), Options { guard: None, pulses });
    (!config.vrrp.is_empty()).then(start).transpose()
}

/// The lasting set-up of the host: an address that a virtual router carries comes and goes with its role.
fn without_virtual(host: &HostConfig, vrrp: &Declared) -> HostConfig {
    let mut lasting = host.clone();
    let is_virtual = |address| {
        let mut all =
            vrrp.instances.iter().flat_map(|instance| instance.addresses.iter().chain(&instance.excluded));
        all.any(|carried| carried.address == address)
    };
    lasting.vips.retain(|vip| !is_virtual(vip.address));
    lasting
}

fn lock_interfaces(config: &Config, watcher: &Watcher) -> Result<Vec<Lock>, RunError> {
    let names = || {
        let all = watcher.view().interfaces().filter(|interface| interface.mac.is_some());
        all.map(|interface| interface.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    if config.interfaces.is_empty() && config.vrrp.instances.is_empty() {
        return Err(RunError::NoInterface(names()));
    }
    let unknown = |name: &&String| watcher.view().interface_named(name).is_none();
    if let Some(name) = config.interfaces.iter().find(unknown) {
        return Err(RunError::UnknownInterface(name.clone(), names()));
    }
    let lock = |name: &String| {
        Lock::take(name).map_err(|error| {
            if error.kind() == io::ErrorKind::AddrInUse {
                RunError::Served(name.clone())
            } else {
                RunError::Lock(name.clone(), error)
            }
        })
    };
    config.interfaces.iter().map(lock).collect()
}

/// The queues of each worker.
fn shares(config: &Config) -> Result<Vec<Vec<PortConfig>>, RunError> {
    if config.interfaces.is_empty() {
        return Ok(Vec::new());
    }
    Ok(DeviceConfig::share(&config.interfaces, config.queues.unwrap_or(u32::MAX))?)
}

fn attach(attached: &mut Attached, interface: &str, mode: XdpMode) -> Result<Mode, ProgramError> {
    let wish = match mode {
        XdpMode::Auto => None,
        XdpMode::Native => Some(Mode::Native),
        XdpMode::Generic => Some(Mode::Generic),
    };
    attached.attach(interface, wish)
}

/// The journal of the host's set-up lies beside the socket: two daemons that can tell their sockets apart have
/// two journals.
pub(super) fn journal(socket: &Path) -> PathBuf {
    directory(socket).join("host")
}

/// Where the director keeps what outlives it.
pub(super) fn directory(socket: &Path) -> &Path {
    socket.parent().unwrap_or_else(|| Path::new("/"))
}

/// A number nobody can guess: the standard library seeds its hash maps so.
fn seed() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

fn spawn<D: PacketIo + Send + 'static>(
    mut worker: Worker<D>,
    name: &str,
    pinned: Option<usize>,
    clock: Clock,
    pulse: Pulse,
    waker: UnixStream,
    stop: &Arc<AtomicBool>,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let stop = Arc::clone(stop);
    thread::Builder::new().name(format!("lvsd-worker-{name}")).spawn(move || {
        if let Some(lane) = pinned {
            pin(lane);
        }
        // A full pipe has wakened the other end already.
        let wake = || drop((&waker).write(&[0]));
        let now = || {
            pulse.beat();
            clock.now()
        };
        worker.run(&stop, now, wake)
    })
}

/// Keeps the calling thread on one processor; where that is not allowed it runs anywhere.
fn pin(lane: usize) {
    let count = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut set = CpuSet::new();
    let pinned = set.set(lane % count).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    if let Err(errno) = pinned {
        tracing::debug!(%errno, lane, "not pinned");
    }
}
