//! The director's daemon as anybody runs it, in a namespace.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use lvsd::adm::Backend;
use lvsd::control::Client;
use lvsd::lab::namespace::Namespace;
use lvsd::lab::process::Process;
use lvsd::message::{Request, Response, Status};

use crate::contender::{Cache, Method};
use crate::core::Core;
use crate::failure::Failure;
use crate::interrupt;

/// The program's own first argument under which it is the daemon.
pub(crate) const DAEMON: &str = "lvsd";
/// How long the daemon may take to answer, and the cache to fill.
const PATIENCE: Duration = Duration::from_mins(2);

/// What a director is to serve.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// The address, and with it the ports: the service's, and the servers'.
    pub(crate) vip: SocketAddrV4,
    /// The servers.
    pub(crate) servers: [SocketAddrV4; 2],
    /// Ports that are served at the same number besides.
    pub(crate) more: Vec<u16>,
}

/// A running daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    process: Process,
    socket: PathBuf,
    files: PathBuf,
}

impl Daemon {
    /// Starts it with a configuration, and waits until it answers. Its files go into `files`.
    pub(crate) fn start(
        host: &Namespace,
        files: &Path,
        configuration: &str,
        cores: Core,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(files).map_err(Failure::system("cannot make a directory"))?;
        fs::write(files.join("lvsd.toml"), configuration)
            .map_err(Failure::system("cannot write a configuration"))?;
        let process = spawn(host, files, cores)?;
        let mut daemon = Self { process, socket: files.join("lvsd.sock"), files: files.to_owned() };
        daemon.wait("lvsd answers", |daemon| Ok(daemon.status().is_ok()))?;
        Ok(daemon)
    }

    /// Ends it on the spot, as the kernel does when memory is short.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        let process = i32::try_from(self.status()?.pid).unwrap_or(i32::MAX);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), nix::sys::signal::Signal::SIGKILL)
            .map_err(|errno| Failure::system("cannot kill lvsd")(errno.into()))?;
        while self.process.is_running() {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Starts it again after [`kill`](Self::kill), without waiting for it.
    pub(crate) fn start_again(&mut self, host: &Namespace, cores: Core) -> Result<(), Failure> {
        self.process = spawn(host, &self.files, cores)?;
        Ok(())
    }

    /// What it says of itself.
    pub(crate) fn status(&self) -> Result<Status, Failure> {
        let answer = self.ask(Request::Status)?;
        if let Response::Status(status) = answer {
            return Ok(status);
        }
        Err(Failure::Wrong(format!("lvsd says {answer:?}")))
    }

    /// Asks it.
    pub(crate) fn ask(&self, request: Request) -> Result<Response, Failure> {
        self.client().call(request).map_err(|error| Failure::Wrong(format!("lvsd: {error:?}")))
    }

    /// A connection to it.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.socket)
    }

    /// Waits until something is so.
    pub(crate) fn wait(
        &mut self,
        what: &str,
        mut is_there: impl FnMut(&mut Self) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            interrupt::check()?;
            if !self.process.is_running() {
                return Err(Failure::Wrong(format!("lvsd ended: {}", self.process.last_words())));
            }
            if is_there(self)? {
                return Ok(());
            }
            if Instant::now() > deadline {
                let said = self.process.last_words();
                return Err(Failure::Wrong(format!("in vain: {what}; {:?}; {said}", self.status())));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn spawn(host: &Namespace, files: &Path, cores: Core) -> Result<Process, Failure> {
    let program = std::env::current_exe().map_err(Failure::system("cannot find this program"))?;
    let path = |name: &str| files.join(name).display().to_string();
    let (file, socket) = (path("lvsd.toml"), path("lvsd.sock"));
    let args = [DAEMON, "run", "-c", &file, "--socket", &socket];
    cores
        .run(|| Process::start(host, &program, &args, files.join("lvsd.log")))
        .map_err(Failure::system("cannot start lvsd"))
}

/// A configuration file for a director between eth0 and eth1.
pub(crate) fn configuration(service: &Service, method: Method, cache: Cache, connections: u64) -> String {
    let mut text = "interfaces = [\"eth0\", \"eth1\"]\n".to_owned();
    let _ = writeln!(text, "[limits]\nconnections = {connections}");
    let _ = writeln!(text, "[cache]\nflows = {}", cache.0);
    let _ = writeln!(text, "[[host.vip]]\naddress = \"{}\"\ninterface = \"eth0\"", service.vip.ip());
    let ports = std::iter::once(None).chain(service.more.iter().copied().map(Some));
    for (protocol, more) in ports.flat_map(|port| [("udp", port), ("tcp", port)]) {
        let vip = SocketAddrV4::new(*service.vip.ip(), more.unwrap_or_else(|| service.vip.port()));
        let _ =
            writeln!(text, "[[service]]\nprotocol = \"{protocol}\"\naddress = \"{vip}\"\nscheduler = \"rr\"");
        for server in service.servers {
            let behind = if method == Method::Nat { server.port() } else { vip.port() };
            let (port, method) = (more.unwrap_or(behind), method.word());
            let address = SocketAddrV4::new(*server.ip(), port);
            let _ = writeln!(text, "[[service.server]]\naddress = \"{address}\"\nmethod = \"{method}\"");
        }
    }
    text
}
