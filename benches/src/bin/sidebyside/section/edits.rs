//! Ten thousand changes of servers while packets are forwarded.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use lvsd::adm::Backend;
use lvsd::message::{ForwardMethod, RealServer, Request, Response, ServiceId, Transport};

use crate::contender::{Cache, Lvsd, Method};
use crate::core::Core;
use crate::failure::Failure;
use crate::figure::{Figure, Findings, Unit, Wanted};
use crate::generator::Flows;
use crate::plan::Plan;
use crate::sample::undisturbed;
use crate::world::{SERVER_PORT, SERVICE, World, server};

const FLOWS: u32 = 1_000;
const EDITS: u32 = 10_000;

/// The rate with and without edits, in turns, and what was lost.
pub(crate) fn run(plan: &Plan) -> Result<Findings, Failure> {
    let world = World::build()?;
    let mut ours = Lvsd::start(&world, 1, Method::Nat, Cache(3 * u64::from(FLOWS)), u64::from(FLOWS) * 2)?;
    ours.fill(&world, FLOWS)?;
    let frames = if plan.is_quick { 20_000 } else { 2_000_000 };
    let each =
        EDITS.div_ceil(u32::try_from(plan.rounds).unwrap_or(5)).min(if plan.is_quick { 100 } else { EDITS });
    let (mut ratios, mut lost, mut edits) = (Vec::new(), 0, 0);
    for round in 0..=plan.rounds {
        plan.say(&format!("edits: round {round}"));
        let sample = || world.measure(&ours.place, SERVICE, Flows::of(FLOWS), frames);
        let still = undisturbed(plan.keeps_disturbed, sample)?;
        let before = ours.place.arrived()?;
        let (moving, sent, made) = while_edited(&ours, each, || {
            let mut sent = 0;
            let value = undisturbed(plan.keeps_disturbed, || {
                sent += u64::from(frames);
                sample()
            })?;
            Ok((value, sent))
        })?;
        if let (Some(still), Some(moving), 1..) = (still, moving, round) {
            ratios.push(moving / still);
        }
        lost += sent.saturating_sub(ours.place.arrived()? - before);
        edits += made;
    }
    let what = format!("{edits} server edits while forwarding : none, 1,000 flows");
    let rate = Figure::new("edits-rate", what, Wanted::AtLeast(0.97), Unit::Times).of(ratios);
    #[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52 packets")]
    let lost = Figure::new("edits-lost", "packets lost meanwhile", Wanted::AtMost(0.0), Unit::Count)
        .of(vec![lost as f64]);
    Ok(Findings { figures: vec![rate, lost], ..Findings::default() })
}

/// Does `work` while at least so many edits are made, one after another.
fn while_edited(
    ours: &Lvsd,
    least: u32,
    work: impl FnOnce() -> Result<(Option<f64>, u64), Failure>,
) -> Result<(Option<f64>, u64, u32), Failure> {
    let (is_over, made) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        let editing = scope.spawn(|| {
            Core::Others.stay();
            let mut client = ours.daemon.client();
            while !is_over.load(Ordering::Relaxed) || made.load(Ordering::Relaxed) < least {
                let number = made.fetch_add(1, Ordering::Relaxed);
                let answer =
                    client.call(edit(number)).map_err(|error| Failure::Wrong(format!("lvsd: {error:?}")))?;
                if answer != Response::Done {
                    return Err(Failure::Wrong(format!("lvsd says {answer:?}")));
                }
            }
            Ok(())
        });
        let worked = work();
        is_over.store(true, Ordering::Relaxed);
        editing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let (value, sent) = worked?;
        Ok((value, sent, made.load(Ordering::Relaxed)))
    })
}

/// Another weight for one of the servers.
fn edit(number: u32) -> Request {
    let id = ServiceId::Address {
        transport: Transport::Udp,
        vip: IpAddr::V4(*SERVICE.ip()),
        port: SERVICE.port(),
    };
    let server = RealServer {
        rip: IpAddr::V4(server(if number.is_multiple_of(2) { 1 } else { 2 })),
        port: SERVER_PORT,
        method: ForwardMethod::Masquerade,
        weight: 1 + number / 2 % 100,
        upper_threshold: 0,
        lower_threshold: 0,
    };
    Request::EditServer { id, server }
}
