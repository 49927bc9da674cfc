//! When nothing happens: what the daemon costs, and how much longer the first packet afterwards takes.

use std::fs;
use std::net::{SocketAddrV4, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{SysconfVar, sysconf};

use crate::failure::Failure;
use crate::figure::{Figure, Findings, Unit, Wanted};
use crate::interrupt;
use crate::median::median;
use crate::plan::Plan;
use crate::section::lanes::{Director, Kernel};
use crate::site::{Lane, Site};

/// Percent of one processor.
const MOST_IDLE: f64 = 1.0;
/// Microseconds.
const MOST_LATER: f64 = 45.0;

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
    let mut later = Vec::new();
    let mut times = [Vec::new(), Vec::new()];
    let turns = if plan.is_quick { 3 } else { 15 };
    for round in 0..=plan.rounds {
        let (mut theirs, mut own) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            theirs.push(first(&site, &nft.lane)?);
            own.push(first(&site, &ours.lane)?);
        }
        if let (Some(theirs), Some(own), 1..) = (median(&theirs), median(&own), round) {
            later.push(own - theirs);
            let [first, second] = &mut times;
            first.push(theirs);
            second.push(own);
        }
    }
    let [theirs, own] = times.map(|times| median(&times).unwrap_or(f64::NAN));
    let idle = Figure::new(
        "idle-cpu",
        "processor time of the idle daemon",
        Wanted::AtMost(MOST_IDLE),
        Unit::Percent,
    );
    let what = "first packet after idle, and its answer, later than by nft DNAT";
    let first = Figure::new("idle-first", what, Wanted::AtMost(MOST_LATER), Unit::Microseconds);
    let detail = format!("there and back of a new UDP flow: lvsd {own:.1} µs, nft DNAT {theirs:.1} µs");
    Ok(Findings { figures: vec![idle.of(shares), first.of(later).because(detail)], ..Findings::default() })
}

/// Seconds of processor time that a process has used.
fn spent(process: u32) -> Result<f64, Failure> {
    // schedstat counts the time of a thread exactly; stat only in ticks.
    let tasks = format!("/proc/{process}/task");
    let failed = || Failure::system(tasks.clone());
    let mut nanoseconds: u64 = 0;
    for task in fs::read_dir(&tasks).map_err(failed())? {
        let path = task.map_err(failed())?.path().join("schedstat");
        let text = fs::read_to_string(path).map_err(failed())?;
        nanoseconds += text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds).as_secs_f64())
}

/// Microseconds there and back of the first datagram after a pause, of a flow that nobody knows.
fn first(site: &Site, lane: &Lane) -> Result<f64, Failure> {
    interrupt::check()?;
    let to = SocketAddrV4::new(*lane.service().vip.ip(), lane.service().vip.port());
    let from = lane.client(1);
    let ask = || -> std::io::Result<Duration> {
        let socket = UdpSocket::bind((from, 0))?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        socket.connect(to)?;
        thread::sleep(Duration::from_millis(30));
        let start = Instant::now();
        socket.send(&[0; 32])?;
        socket.recv(&mut [0; 64])?;
        Ok(start.elapsed())
    };
    let took =
        site.clients().inside(ask)?.map_err(Failure::system(format!("through {}", lane.host().name())))?;
    Ok(took.as_secs_f64() * 1e6)
}

/// Octets in a page.
pub(super) fn page() -> u64 {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(4096)
}
