//! NAT of established flows, frames of 64 octets, one processor.

use crate::contender::{Cache, Lvsd, Method, Nft, Redirect};
use crate::failure::Failure;
use crate::figure::{Figure, Findings};
use crate::generator::Flows;
use crate::plan::Plan;
use crate::race::Race;
use crate::world::{SERVICE, World};

/// Flows, what is wanted beside nft, and beside a bare XDP program.
const ROWS: [(u32, &str, f64, Option<f64>); 3] = [
    (1_000, "1,000", 2.2, Some(0.6)),
    (100_000, "100,000", 2.0, Some(0.45)),
    (1_000_000, "1,000,000", 1.8, None),
];

/// All three numbers of flows.
pub(crate) fn run(plan: &Plan) -> Result<Findings, Failure> {
    let mut findings = Findings::default();
    for (flows, name, beside_nft, beside_bare) in ROWS {
        plan.say(&format!("nat: {name} flows"));
        row(plan, &mut findings, (plan.flows(flows), name), beside_nft, beside_bare)?;
    }
    // What is held against the same contender stands together.
    findings.figures.sort_by_key(|figure| figure.id.starts_with("bare"));
    Ok(findings)
}

fn row(
    plan: &Plan,
    findings: &mut Findings,
    (count, name): (u32, &str),
    beside_nft: f64,
    beside_bare: Option<f64>,
) -> Result<(), Failure> {
    let world = World::build()?;
    let nft = Nft::start(&world, 1)?;
    let bare = Redirect::start(&world, 2)?;
    let room = u64::from(count) + u64::from(count) / 2;
    let mut ours = Lvsd::start(&world, 3, Method::Nat, Cache(3 * u64::from(count)), room)?;
    ours.fill(&world, count)?;
    plan.say("nat: all flows are cached");
    let flows = Flows::of(count);
    let frames = plan.frames().max(count);
    // Every flow of nft's, before the round that does not count.
    world.send(&nft.place, SERVICE, flows, count)?;
    let results = Race::default()
        .enter("nft DNAT", || world.measure(&nft.place, SERVICE, flows, frames))
        .enter("lvsd", || world.measure(&ours.place, SERVICE, flows, frames))
        .enter("bare XDP", || world.measure(&bare.place, SERVICE, flows, frames))
        .run(plan)?;
    let thousands = count / 1000;
    let what = format!("NAT, cache on : nft DNAT, {name} flows");
    findings.figures.push(Figure::ratio(
        id("nat", thousands),
        what,
        beside_nft,
        &results,
        ("lvsd", "nft DNAT"),
    ));
    if let Some(least) = beside_bare {
        let what = format!("NAT, cache on : bare XDP program that rewrites and redirects, {name} flows");
        findings.figures.push(Figure::ratio(
            id("bare", thousands),
            what,
            least,
            &results,
            ("lvsd", "bare XDP"),
        ));
    }
    findings.chart(&format!("NAT, {name} flows"), &results);
    Ok(())
}

const fn id(kind: &str, thousands: u32) -> &'static str {
    match (kind.len(), thousands) {
        (3, 1000) => "nat-1000000",
        (3, 100) => "nat-100000",
        (3, _) => "nat-1000",
        (_, 100) => "bare-100000",
        _ => "bare-1000",
    }
}
