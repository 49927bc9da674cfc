//! `lvsd lab`: a client, a director and real servers in network namespaces of their own, real requests through
//! them, and everything taken down again.

pub mod client;
pub mod namespace;
mod network;
pub mod plan;
pub mod process;
pub mod screen;
pub mod server;
mod trial;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::adm::Backend;
use crate::args::LabArgs;
use crate::control::Client;
use crate::message::{Request, Response};
use namespace::NamespaceError;
use network::Lab;
use plan::Plan;
use screen::Screen;
use trial::Outcome;

/// What the namespaces of all labs begin with; the lab's number follows.
const PREFIX: &str = "lvsd-lab-";
/// How long the processes of a lab that is removed get to end.
const LAST_WORDS: Duration = Duration::from_secs(8);
/// Where labs keep their files.
const FILES: &str = "/run/lvsd";

/// Why a lab came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The caller is not root.
    #[error("the lab makes network namespaces: run it as root")]
    NotRoot,
    /// A step did not work.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A file of the lab's, or a process.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A process of the lab's did not come up.
    #[error("{who} did not start:\n{said}")]
    NotStarted {
        /// Which.
        who: String,
        /// Its last words.
        said: String,
    },
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// There is no such lab.
    #[error("there is no lab {0}; labs that are up: {1}")]
    NoLab(u32, String),
}

/// Runs a lab; true when everything in it worked.
///
/// # Errors
/// It could not be built. What was built is taken down all the same.
pub fn run(args: &LabArgs) -> Result<bool, LabError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(LabError::NotRoot);
    }
    if let Some(number) = args.remove {
        return remove(number).map(|()| true);
    }
    let stop = watch_signals()?;
    let screen = Screen::new();
    let plan = Plan::new(args.mode, args.servers);
    introduce(&screen, &plan);
    let mut lab = Lab::new(std::process::id(), plan, stop)?;
    let outcome = build_and_try(&screen, &mut lab);
    if args.keep && outcome.is_ok() {
        say_how_to_enter(&screen, &lab);
        lab.keep();
    } else {
        let taken_down: Result<(), LabError> = screen.step("everything is taken down again", || {
            lab.take_down();
            Ok(())
        });
        taken_down?;
    }
    let outcome = outcome?;
    screen.heading(format_args!("{} {}", screen.mark(outcome.is_good()), outcome.verdict()));
    Ok(outcome.is_good())
}

fn introduce(screen: &Screen, plan: &Plan) {
    let titles: Vec<&str> = plan.ways.iter().map(|way| way.title()).collect();
    screen.heading(format_args!("lvsd lab: {}, over IPv4 and IPv6", titles.join(", ")));
    screen.line(format_args!(
        "Namespaces {PREFIX}{}-*: client, router, director, {}",
        std::process::id(),
        plan.servers.iter().map(|server| server.name.as_str()).collect::<Vec<_>>().join(", ")
    ));
}

fn build_and_try(screen: &Screen, lab: &mut Lab) -> Result<Outcome, LabError> {
    screen.step("namespaces, wires and addresses", || lab.build())?;
    screen.step("real servers, set up by `lvsd host real-server`", || lab.start_servers())?;
    screen.step("director, `lvsd run -c lvsd.toml`", || lab.start_director())?;
    trial::run(screen, lab)
}

fn say_how_to_enter(screen: &Screen, lab: &Lab) {
    let program = program().map_or_else(|_| "lvsd".to_owned(), |path| path.display().to_string());
    let socket = lab.socket().display().to_string();
    screen.heading("It is left up.");
    screen.block(&format!(
        "ip netns exec {client} curl http://{vip}/\n\
         ip netns exec {director} bash\n\
         export LVSD_SOCKET={socket}     # then `lvsadm -Ln`, `lvsd status`, `lvsd drops`\n\
         {program} lab --remove {number}     # takes it down",
        client = lab.namespace_name("client"),
        director = lab.namespace_name("director"),
        vip = lab.plan().ways.first().map_or_else(String::new, |way| way.vips()[0].to_string()),
        number = lab.number(),
    ));
}

/// Takes down a lab that was left up.
fn remove(number: u32) -> Result<(), LabError> {
    let io = |source| LabError::Io { what: "cannot look for namespaces".to_owned(), source };
    let names = namespace::list(&format!("{PREFIX}{number}-")).map_err(io)?;
    if names.is_empty() {
        let up = namespace::list(PREFIX).map_err(io)?;
        let numbers: Vec<&str> =
            up.iter().filter_map(|name| name.strip_prefix(PREFIX)?.strip_suffix("-client")).collect();
        let up = if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") };
        return Err(LabError::NoLab(number, up));
    }
    // The director puts its host back before it ends, and needs its files for that.
    let deadline = Instant::now() + LAST_WORDS;
    let mut pids = inhabitants(&names)?;
    for pid in &pids {
        // It may have ended meanwhile.
        let _ = namespace::run("kill", &[pid], "");
    }
    while !pids.is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
        pids = inhabitants(&names)?;
    }
    for name in &names {
        namespace::run("ip", &["netns", "del", name], "")?;
    }
    let _ = fs::remove_dir_all(files(number));
    Ok(())
}

/// The processes that run in these namespaces.
fn inhabitants(names: &[String]) -> Result<Vec<String>, LabError> {
    let mut pids = Vec::new();
    for name in names {
        let output = namespace::run("ip", &["netns", "pids", name], "")?.stdout;
        pids.extend(String::from_utf8_lossy(&output).split_whitespace().map(str::to_owned));
    }
    Ok(pids)
}

fn files(number: u32) -> PathBuf {
    Path::new(FILES).join(format!("lab-{number}"))
}

/// The program that runs now, to be started again for the lab's own processes.
fn program() -> Result<PathBuf, LabError> {
    std::env::current_exe()
        .map_err(|source| LabError::Io { what: "cannot find lvsd itself".to_owned(), source })
}

fn watch_signals() -> Result<Arc<AtomicBool>, LabError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|source| LabError::Io { what: "cannot watch for signals".to_owned(), source })?;
    }
    Ok(stop)
}

/// Waits until `is_there` says so; false when it did not within `patience`.
fn wait_for(
    stop: &AtomicBool,
    patience: Duration,
    mut is_there: impl FnMut() -> bool,
) -> Result<bool, LabError> {
    let deadline = Instant::now() + patience;
    while !is_there() {
        if stop.load(Ordering::Relaxed) {
            return Err(LabError::Interrupted);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(true)
}

/// Asks the director; none when it does not answer.
fn ask(socket: &Path, request: Request) -> Option<Response> {
    Client::new(socket).call(request).ok()
}
