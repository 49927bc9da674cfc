//! A new flow with every packet: connections are made and kept.

use crate::contender::{Method, Nft};
use crate::failure::Failure;
use crate::figure::{Figure, Findings};
use crate::generator::Flows;
use crate::plan::Plan;
use crate::race::Race;
use crate::sample::Sample;
use crate::segment::{Inline, Kernel, measure};
use crate::world::{SERVICE, World};

/// More than are ever sent: no flow comes twice.
const FLOWS: u32 = 8_000_000;

/// The director on one thread, and nft in the same thread's system calls.
pub(crate) fn run(plan: &Plan) -> Result<Findings, Failure> {
    plan.say("new: a flow a packet");
    let world = World::build()?;
    let count = if plan.is_quick { 50 } else { 1_600 };
    let nft = Nft::start(&world, 1)?;
    let mut nft_bursts = world.bursts(&nft.place, SERVICE, Flows::of(FLOWS))?;
    let mut ours = Inline::start(&world, 2, Method::Nat, FLOWS as usize)?;
    let mut bursts = world.bursts(&ours.place, SERVICE, Flows::of(FLOWS))?;
    let rate =
        |segments: crate::segment::Segments| Sample { value: 1e9 / segments.total(), delay: segments.delay };
    let before = nft.place.arrived()?;
    let results = Race::default()
        .enter("nft DNAT", || measure(&mut nft_bursts, &mut Kernel, count, true).map(rate))
        .enter("lvsd", || measure(&mut bursts, &mut ours, count, false).map(rate))
        .run(plan)?;
    if nft.place.arrived()? == before {
        return Err(Failure::Wrong("no packet came through nft".to_owned()));
    }
    let mut findings = Findings::default();
    let what = "new flows a second, one core : nft DNAT";
    findings.figures.push(Figure::ratio("new", what, 2.0, &results, ("lvsd", "nft DNAT")));
    findings.chart("a new flow with every packet (from a packet socket)", &results);
    Ok(findings)
}
