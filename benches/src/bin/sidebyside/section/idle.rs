//! When nothing happens: what the daemon costs, and how much longer the first packet afterwards takes.

use std::fs;
use std::net::{SocketAddrV4, UdpSocket};
use std::thread;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use crate::failure::Failure;
use crate::figure::{Figure, Findings, Unit, Wanted};
use crate::interrupt;
use crate::median::median;
use crate::plan::Plan;
use crate::section::lanes::{Director, Kernel};
use crate::site::{Lane, Site, nanoseconds};

/// Percent of one processor.
const MOST_IDLE: f64 = 1.0;
/// Microseconds.
const MOST_LATER: f64 = 45.0;
/// How long nothing is sent before: the worker is asleep then.
const PAUSE: Duration = Duration::from_millis(30);

/// Both.
pub(crate) fn run(plan: &Plan) -> Result<Findings, Failure> {
    let mut site = Site::build()?;
    let nft = Kernel::start(&site, 1)?;
    let ours = Director::start(&site, 2)?;
    site.echo(&nft.lane)?;
    site.echo(&ours.lane)?;
    let process = ours.daemon.status()?.pid;
    plan.say("idle: processor time");
    let time = Duration::from_millis(if plan.is_quick { 200 } else { 2_000 });
    let mut shares = Vec::new();
    for _ in 0..plan.rounds {
        interrupt::check()?;
        let before = spent(process)?;
        thread::sleep(time);
        shares.push((spent(process)? - before) / time.as_secs_f64() * 100.0);
    }
    plan.say("idle: the first packet");
    let (mut later, mut answered) = (Vec::new(), Vec::new());
    let turns = if plan.is_quick { 3 } else { 15 };
    for round in 0..=plan.rounds {
        let (mut theirs, mut own) = (Ways::default(), Ways::default());
        for _ in 0..turns {
            theirs.add(first(&site, &nft.lane)?);
            own.add(first(&site, &ours.lane)?);
        }
        if round > 0 {
            later.extend(own.there().zip(theirs.there()));
            answered.extend(own.back().zip(theirs.back()));
        }
    }
    let idle = Figure::new(
        "idle-cpu",
        "processor time of the idle daemon",
        Wanted::AtMost(MOST_IDLE),
        Unit::Percent,
    );
    let first = later_than("first packet after idle, later than by nft DNAT", &later);
    let answer = later_than("the same, and its answer", &answered);
    Ok(Findings { figures: vec![idle.of(shares), first, answer], ..Findings::default() })
}

/// How much longer a way takes by us than by the kernel, in microseconds.
fn later_than(what: &str, rounds: &[(f64, f64)]) -> Figure {
    let of = |pick: fn(&(f64, f64)) -> f64| {
        median(&rounds.iter().map(pick).collect::<Vec<_>>()).unwrap_or(f64::NAN)
    };
    let (own, theirs) = (of(|round| round.0), of(|round| round.1));
    Figure::new("idle-first", what, Wanted::AtMost(MOST_LATER), Unit::Microseconds)
        .of(rounds.iter().map(|(own, theirs)| own - theirs).collect())
        .because(format!("a new UDP flow: lvsd {own:.1} µs, nft DNAT {theirs:.1} µs"))
}

/// What datagrams took, in microseconds.
#[derive(Debug, Default)]
struct Ways {
    there: Vec<f64>,
    back: Vec<f64>,
}

impl Ways {
    fn add(&mut self, (there, back): (f64, f64)) {
        self.there.push(there);
        self.back.push(back);
    }

    /// To the server.
    fn there(&self) -> Option<f64> {
        median(&self.there)
    }

    /// To the server and back.
    fn back(&self) -> Option<f64> {
        median(&self.back)
    }
}

/// Seconds of processor time that a process has used.
fn spent(process: u32) -> Result<f64, Failure> {
    // schedstat counts the time of a thread exactly; stat only in ticks.
    let tasks = format!("/proc/{process}/task");
    let failed = || Failure::system(tasks.clone());
    let mut nanoseconds: u64 = 0;
    for task in fs::read_dir(&tasks).map_err(failed())? {
        let path = task.map_err(failed())?.path().join("schedstat");
        // A thread may end between the two looks, such as one that answered a command.
        let Ok(text) = fs::read_to_string(path) else { continue };
        nanoseconds += text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds).as_secs_f64())
}

/// Microseconds to the server, and there and back, of the first datagram after a pause, of a flow that nobody knows.
fn first(site: &Site, lane: &Lane) -> Result<(f64, f64), Failure> {
    interrupt::check()?;
    let to = SocketAddrV4::new(*lane.service().vip.ip(), lane.service().vip.port());
    let from = lane.client(1);
    let ask = || -> std::io::Result<[u64; 3]> {
        let socket = UdpSocket::bind((from, 0))?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        socket.connect(to)?;
        thread::sleep(PAUSE);
        let start = nanoseconds();
        socket.send(&[0; 32])?;
        let mut arrived = [0; 8];
        socket.recv(&mut arrived)?;
        Ok([start, u64::from_ne_bytes(arrived), nanoseconds()])
    };
    let [start, arrived, end] =
        site.clients().inside(ask)?.map_err(Failure::system(format!("through {}", lane.host().name())))?;
    let microseconds = |until: u64| Duration::from_nanos(until.saturating_sub(start)).as_secs_f64() * 1e6;
    Ok((microseconds(arrived), microseconds(end)))
}

/// Octets in a page.
pub(super) fn page() -> u64 {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(4096)
}
