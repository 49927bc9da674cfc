//! Direct routing and IPIP, frames of 64 octets, one processor.

use crate::contender::{Cache, Forward, Lvsd, Method};
use crate::failure::Failure;
use crate::figure::{Figure, Findings};
use crate::generator::Flows;
use crate::plan::Plan;
use crate::race::Race;
use crate::world::{SERVICE, World};

const LEAST: f64 = 1.6;
const FLOWS: u32 = 1_000;

/// Both, in one race with the kernel's forwarding.
pub(crate) fn run(plan: &Plan) -> Result<Findings, Failure> {
    plan.say("direct: 1,000 flows");
    let world = World::build()?;
    let kernel = Forward::start(&world, 1)?;
    let cache = Cache(3 * u64::from(FLOWS));
    let mut direct = Lvsd::start(&world, 2, Method::Direct, cache, u64::from(FLOWS) * 2)?;
    let mut ipip = Lvsd::start(&world, 3, Method::Ipip, cache, u64::from(FLOWS) * 2)?;
    direct.fill(&world, FLOWS)?;
    ipip.fill(&world, FLOWS)?;
    plan.say("direct: all flows are cached");
    let flows = Flows::of(FLOWS);
    let frames = plan.frames();
    let results = Race::default()
        .enter("ip_forward", || world.measure(&kernel.place, Forward::DESTINATION, flows, frames))
        .enter("lvsd DR", || world.measure(&direct.place, SERVICE, flows, frames))
        .enter("lvsd IPIP", || world.measure(&ipip.place, SERVICE, flows, frames))
        .run(plan)?;
    let mut findings = Findings::default();
    for (id, what, ours) in [("direct", "DR", "lvsd DR"), ("ipip", "IPIP", "lvsd IPIP")] {
        let what = format!("{what}, cache on : kernel ip_forward, 1,000 flows");
        findings.figures.push(Figure::ratio(id, what, LEAST, &results, (ours, "ip_forward")));
    }
    findings.chart("DR and IPIP, 1,000 flows", &results);
    Ok(findings)
}
