//! The daemon is killed under load, and started again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::contender::{Cache, Lvsd, Method};
use crate::core::Core;
use crate::failure::Failure;
use crate::figure::{Figure, Findings, Unit, Wanted};
use crate::generator::Flows;
use crate::plan::Plan;
use crate::section::lanes::Director;
use crate::site::{Site, Steady};
use crate::world::{SERVICE, World};

const CONNECTIONS: usize = 1_000;
const FLOWS: u32 = 1_000;

/// Real connections first, then packets that are counted.
pub(crate) fn run(plan: &Plan) -> Result<Findings, Failure> {
    let mut findings = Findings::default();
    connections(plan, &mut findings)?;
    packets(plan, &mut findings)?;
    Ok(findings)
}

/// A thousand TCP connections on which something is said all the time.
fn connections(plan: &Plan, findings: &mut Findings) -> Result<(), Failure> {
    let count = if plan.is_quick { 50 } else { CONNECTIONS };
    let site = Site::build()?;
    let mut ours = Director::start(&site, 1)?;
    plan.say(&format!("kill: {count} connections"));
    let steady = Steady::start(&site, &ours.lane, count)?;
    let wanted = 2 * u64::try_from(count).unwrap_or(u64::MAX);
    ours.daemon.wait("the connections are in the cache", |daemon| {
        Ok(daemon.status()?.cache.unwrap_or_default().flows >= wanted)
    })?;
    let before = resets(&site)?;
    let (mut again, mut reset) = (Vec::new(), 0);
    for round in 0..=plan.rounds.min(3) {
        thread::sleep(Duration::from_millis(200));
        ours.daemon.kill()?;
        thread::sleep(Duration::from_millis(300));
        let start = Instant::now();
        ours.daemon.start_again(ours.lane.host(), Core::Any)?;
        // Not in the first round: attempts that are given up end in resets, and those are counted there.
        if round > 0 {
            Steady::connect_anew(&site, &ours.lane)?;
            again.push(start.elapsed().as_secs_f64() * 1e3);
        }
        ours.daemon.wait("lvsd answers", |daemon| Ok(daemon.status().is_ok()))?;
        if round == 0 {
            thread::sleep(Duration::from_millis(200));
            reset = resets(&site)? - before;
        }
    }
    let (broken, said) = steady.stop()?;
    #[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let none = |id, what: String, value: u64| {
        Figure::new(id, what, Wanted::AtMost(0.0), Unit::Count).of(vec![value as f64])
    };
    findings.figures.push(
        none("kill-broken", format!("kill -9 under load: of {count} TCP connections broken"), broken)
            .because(format!("{said} requests were answered")),
    );
    findings.figures.push(none("kill-resets", "kill -9 under load: RST sent or received".to_owned(), reset));
    let what = "kill -9: a new connection after the restart";
    findings
        .figures
        .push(Figure::new("kill-again", what, Wanted::AtMost(300.0), Unit::Milliseconds).of(again));
    Ok(())
}

/// Resets that the clients' and the servers' hosts sent or received.
fn resets(site: &Site) -> Result<u64, Failure> {
    let mut sum = 0;
    for host in [site.clients(), site.servers()] {
        let text = host
            .inside(|| std::fs::read_to_string("/proc/thread-self/net/snmp"))?
            .map_err(Failure::system("/proc/net/snmp"))?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp:"));
        let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
            if ["EstabResets", "OutRsts"].contains(&name) {
                sum += value.parse::<u64>().unwrap_or(0);
            }
        }
    }
    Ok(sum)
}

/// Packets of cached flows, all the time, as fast as they are taken.
fn packets(plan: &Plan, findings: &mut Findings) -> Result<(), Failure> {
    plan.say("kill: packets of cached flows");
    let world = World::build()?;
    let mut ours = Lvsd::start(&world, 1, Method::Nat, Cache(3 * u64::from(FLOWS)), u64::from(FLOWS) * 2)?;
    ours.fill(&world, FLOWS)?;
    let (sent, is_over) = (AtomicU64::new(0), Arc::new(AtomicBool::new(false)));
    let frames = if plan.is_quick { 20_000 } else { 400_000 };
    let before = ours.place.arrived()?;
    let Lvsd { daemon, place, .. } = &mut ours;
    let place = &*place;
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            while !is_over.load(Relaxed) {
                world.send(place, SERVICE, Flows::of(FLOWS), frames)?;
                sent.fetch_add(frames.into(), Relaxed);
            }
            Ok::<_, Failure>(())
        });
        let killed = kill(daemon, place);
        is_over.store(true, Relaxed);
        sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        killed
    })?;
    thread::sleep(Duration::from_millis(20));
    let lost = sent.load(Relaxed).saturating_sub(ours.place.arrived()? - before);
    #[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52 packets")]
    let lost = Figure::new(
        "kill-lost",
        "kill -9 and restart: packets of cached flows lost",
        Wanted::AtMost(0.0),
        Unit::Count,
    )
    .of(vec![lost as f64])
    .because(format!("of {}", sent.load(Relaxed)));
    findings.figures.push(lost);
    Ok(())
}

fn kill(daemon: &mut crate::daemon::Daemon, place: &crate::world::Place) -> Result<(), Failure> {
    thread::sleep(Duration::from_millis(300));
    daemon.kill()?;
    thread::sleep(Duration::from_millis(300));
    daemon.start_again(place.host(), Core::Others)?;
    daemon.wait("lvsd answers", |daemon| Ok(daemon.status().is_ok()))?;
    thread::sleep(Duration::from_millis(300));
    Ok(())
}
