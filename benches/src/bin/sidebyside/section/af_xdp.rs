//! The way through user space, in segments on one thread.

use std::cell::{Cell, RefCell};

use crate::contender::Method;
use crate::failure::Failure;
use crate::figure::{Figure, Findings, Unit, Wanted};
use crate::generator::Flows;
use crate::median::median;
use crate::plan::Plan;
use crate::race::Race;
use crate::sample::Sample;
use crate::segment::{Bursts, Forward, Inline, Kernel, L2fwd, Segments, measure};
use crate::sink::Sink;
use crate::world::{SERVICE, World};

/// One of the director's contenders, and what is wanted of it.
struct Row {
    id: &'static str,
    name: &'static str,
    method: Method,
    flows: u32,
    /// Beside the bare forwarder.
    ratio: f64,
    /// User time in nanoseconds, and what that figure's id is.
    user: Option<(&'static str, f64)>,
}

const fn row(id: &'static str, name: &'static str, method: Method, flows: u32, ratio: f64) -> Row {
    Row { id, name, method, flows, ratio, user: None }
}

const ROWS: [Row; 4] = [
    Row {
        user: Some(("user-1000", 40.0)),
        ..row("afxdp-nat-1000", "NAT, 1,000 flows", Method::Nat, 1_000, 0.95)
    },
    Row {
        user: Some(("user-1000000", 55.0)),
        ..row("afxdp-nat-1000000", "NAT, 1,000,000 flows", Method::Nat, 1_000_000, 0.93)
    },
    row("afxdp-direct", "DR, 1,000 flows", Method::Direct, 1_000, 0.97),
    row("afxdp-ipip", "IPIP, 1,000 flows", Method::Ipip, 1_000, 0.94),
];
const BARE: &str = "bare AF_XDP l2fwd";

/// Whose packets are measured, and what came of it.
struct Runner {
    bursts: Bursts,
    forward: Box<dyn Forward>,
    is_kernel: bool,
    segments: RefCell<Vec<Segments>>,
}

impl Runner {
    fn new(bursts: Bursts, forward: impl Forward + 'static, is_kernel: bool) -> Self {
        Self { bursts, forward: Box::new(forward), is_kernel, segments: RefCell::default() }
    }

    fn take(&mut self, count: u32) -> Result<Segments, Failure> {
        let segments = measure(&mut self.bursts, &mut *self.forward, count, self.is_kernel)?;
        self.segments.borrow_mut().push(segments);
        Ok(segments)
    }

    /// The median of a part, of samples that were not disturbed.
    fn median(&self, keeps_disturbed: bool, part: impl Fn(&Segments) -> f64) -> Option<f64> {
        median(&self.values(keeps_disturbed, part))
    }

    fn values(&self, keeps_disturbed: bool, part: impl Fn(&Segments) -> f64) -> Vec<f64> {
        let segments = self.segments.borrow();
        let is_good = |segments: &&Segments| keeps_disturbed || !segments.sample(0.0).is_disturbed();
        segments.iter().filter(is_good).map(part).collect()
    }
}

/// All of them in one race, beside packets that are dropped where they come in: what sending takes by itself.
pub(crate) fn run(plan: &Plan) -> Result<Findings, Failure> {
    plan.say("afxdp: setting up");
    let world = World::build()?;
    let count = if plan.is_quick { 50 } else { 4_000 };
    let flows = |wanted| Flows::of(plan.flows(wanted));

    let dropped = world.place("drop", 1)?;
    let _drop = dropped.host().inside(|| Sink::attach("eth0"))??;
    let mut baseline = Runner::new(world.bursts(&dropped, SERVICE, flows(1_000))?, Kernel, true);
    let bare = L2fwd::start(&world, 2)?;
    let mut bare = Runner::new(world.bursts(&bare.place, SERVICE, flows(1_000))?, bare, false);
    let mut ours = Vec::new();
    for (Row { name, method, flows: wanted, .. }, number) in ROWS.iter().zip(3..) {
        let room = 2 * *wanted as usize;
        let director = Inline::start(&world, number, *method, room)?;
        let mut runner =
            Runner::new(world.bursts(&director.place, SERVICE, flows(*wanted))?, director, false);
        plan.say(&format!("afxdp: {name}: every flow once"));
        let all = flows(*wanted).count.div_ceil(64);
        measure(&mut runner.bursts, &mut *runner.forward, all, false)?;
        ours.push(runner);
    }
    plan.say("afxdp: measuring");
    let generator = Cell::new(0.0);
    // Held against each other are rates, of what a packet takes beyond being sent and dropped.
    let net = |segments: Segments| segments.sample(1e9 / (segments.total() - generator.get()));
    let mut race = Race::default()
        .enter("dropped", || {
            let segments = baseline.take(count)?;
            generator.set(segments.total());
            Ok(segments.sample(1e9 / segments.total()))
        })
        .enter(BARE, || bare.take(count).map(net));
    for (Row { name, .. }, runner) in ROWS.iter().zip(&mut ours) {
        race = race.enter(name, || runner.take(count).map(net));
    }
    let results = race.run(plan)?;

    let mut findings = Findings::default();
    let keeps = plan.keeps_disturbed;
    let split = |runner: &Runner| {
        let part = |part: fn(&Segments) -> f64| runner.median(keeps, part).unwrap_or(f64::NAN);
        let receive = part(|segments| segments.send) - generator.get();
        let (user, transmit) = (part(|segments| segments.user), part(|segments| segments.transmit));
        format!("receive {receive:.0}, user {user:.0}, transmit {transmit:.0} ns")
    };
    for (Row { id, name, ratio, .. }, runner) in ROWS.iter().zip(&ours) {
        let what = format!("{name}, cache off : {BARE}");
        let detail = format!("{} ({})", split(runner), split(&bare));
        let figure = Figure::new(id, what, Wanted::AtLeast(*ratio), Unit::Times);
        findings.figures.push(figure.of(results.ratios(name, BARE)).because(detail));
    }
    for (Row { name, user, .. }, runner) in ROWS.iter().zip(&ours) {
        let Some((id, most)) = user else { continue };
        let what = format!("user time a packet, AF_XDP, {name}");
        let figure = Figure::new(id, what, Wanted::AtMost(*most), Unit::Nanoseconds);
        findings.figures.push(figure.of(runner.values(keeps, |segments| segments.user)));
    }
    Ok(findings)
}

impl Segments {
    fn sample(&self, value: f64) -> Sample {
        Sample { value, delay: self.delay }
    }
}
