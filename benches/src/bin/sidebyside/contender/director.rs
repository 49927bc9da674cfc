//! The director: the daemon as it is run by anybody, in a place of its own.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use lvsd::adm::Backend;
use lvsd::control::Client;
use lvsd::lab::process::Process;
use lvsd::message::{Request, Response, Status};

use crate::core::Core;
use crate::failure::Failure;
use crate::generator::Flows;
use crate::interrupt;
use crate::world::{Place, SERVER_PORT, SERVERS, SERVICE, World, server};

/// The program's own first argument under which it is the daemon.
pub(crate) const DAEMON: &str = "lvsd";
/// How long the daemon may take to answer, and the cache to fill.
const PATIENCE: Duration = Duration::from_secs(90);

/// How packets are sent to the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// `-m`
    Nat,
    /// `-g`
    Direct,
    /// `-i`
    Ipip,
}

impl Method {
    const fn word(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Direct => "dr",
            Self::Ipip => "tun",
        }
    }

    /// Flows of a connection that come by here.
    const fn flows(self) -> u64 {
        match self {
            Self::Nat => 2,
            Self::Direct | Self::Ipip => 1,
        }
    }

    const fn destination(self) -> (Ipv4Addr, u32) {
        match self {
            Self::Nat | Self::Ipip => (SERVERS, 24),
            Self::Direct => (*SERVICE.ip(), 32),
        }
    }
}

/// Whether the XDP program forwards established flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    /// It does, for at most so many flows.
    Flows(u64),
    /// Everything goes through user space.
    Off,
}

/// A running director.
#[derive(Debug)]
pub(crate) struct Lvsd {
    process: Process,
    socket: PathBuf,
    method: Method,
    /// Where it is.
    pub(crate) place: Place,
}

impl Lvsd {
    /// Sets it up, with room for so many connections.
    pub(crate) fn start(
        world: &World,
        number: u8,
        method: Method,
        cache: Cache,
        connections: u64,
    ) -> Result<Self, Failure> {
        let mut place = world.place(&format!("lvsd-{}-{number}", method.word()), number)?;
        let (network, prefix) = method.destination();
        world.sink(&mut place, network, prefix)?;
        let files = world.files().join(place.name());
        fs::create_dir_all(&files).map_err(Failure::system("cannot make a directory"))?;
        let (socket, file) = (files.join("lvsd.sock"), files.join("lvsd.toml"));
        fs::write(&file, configuration(method, cache, connections))
            .map_err(Failure::system("cannot write a configuration"))?;
        let program = std::env::current_exe().map_err(Failure::system("cannot find this program"))?;
        let args = [
            DAEMON.as_ref(),
            "run".as_ref(),
            "-c".as_ref(),
            file.as_os_str(),
            "--socket".as_ref(),
            socket.as_os_str(),
        ];
        let process = Core::Others
            .run(|| Process::start(place.host(), &program, &args, files.join("lvsd.log")))
            .map_err(Failure::system("cannot start lvsd"))?;
        let mut director = Self { process, socket, method, place };
        director.wait("lvsd answers", |director| Ok(director.status().is_ok()))?;
        Ok(director)
    }

    /// What the daemon says of itself.
    pub(crate) fn status(&self) -> Result<Status, Failure> {
        let answer = self.ask(Request::Status)?;
        if let Response::Status(status) = answer {
            return Ok(status);
        }
        Err(Failure::Wrong(format!("lvsd says {answer:?}")))
    }

    /// Asks the daemon.
    pub(crate) fn ask(&self, request: Request) -> Result<Response, Failure> {
        Client::new(&self.socket).call(request).map_err(|error| Failure::Wrong(format!("lvsd: {error:?}")))
    }

    /// Sends packets of so many flows until the program knows all of them.
    pub(crate) fn fill(&mut self, world: &World, flows: u32) -> Result<(), Failure> {
        let wanted = u64::from(flows) * self.method.flows();
        self.wait("the flows are in the cache", |director| {
            // In portions that a worker can take while another processor sends.
            world.send(&director.place, SERVICE, Flows::of(flows), flows)?;
            let cache = director.status()?.cache.unwrap_or_default();
            Ok(cache.flows >= wanted)
        })
    }

    fn wait(
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

fn configuration(method: Method, cache: Cache, connections: u64) -> String {
    let mut text = "interfaces = [\"eth0\", \"eth1\"]\n".to_owned();
    let _ = writeln!(text, "[limits]\nconnections = {connections}");
    let _ = match cache {
        Cache::Flows(flows) => writeln!(text, "[cache]\nflows = {flows}"),
        Cache::Off => writeln!(text, "[cache]\nenabled = false"),
    };
    let _ = writeln!(text, "[[host.vip]]\naddress = \"{}\"\ninterface = \"eth0\"", SERVICE.ip());
    let port = if method == Method::Nat { SERVER_PORT } else { SERVICE.port() };
    for protocol in ["udp", "tcp"] {
        let _ = writeln!(
            text,
            "[[service]]\nprotocol = \"{protocol}\"\naddress = \"{SERVICE}\"\nscheduler = \"rr\""
        );
        for number in [1, 2] {
            let (address, method) = (server(number), method.word());
            let _ =
                writeln!(text, "[[service.server]]\naddress = \"{address}:{port}\"\nmethod = \"{method}\"");
        }
    }
    text
}
