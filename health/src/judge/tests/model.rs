//! A dull twin: from the whole history of outcomes, who must be where; held beside the judge over random histories.

use proptest::prelude::*;

use super::*;
use crate::declared::Sorry;

/// What a check believes after these outcomes; `None` before the first verdict.
fn believed(history: &[bool], retry: usize) -> Option<bool> {
    let mut state = None;
    let mut failures = 0;
    for is_good in history {
        failures = if *is_good { 0 } else { failures + 1 };
        state = match (state, is_good) {
            (_, true) => Some(true),
            (Some(true), false) if failures <= retry => Some(true),
            (_, false) => Some(false),
        };
        if state == Some(false) {
            failures = 0;
        }
    }
    state
}

/// A virtual server for random histories.
#[derive(Debug, Clone)]
struct Shape {
    weights: Vec<u32>,
    inhibited: Vec<bool>,
    quorum: u32,
    hysteresis: u32,
    sorry: Option<bool>,
    is_alpha: bool,
}

fn shape() -> impl Strategy<Value = Shape> {
    let servers = prop::collection::vec((0_u32..4, any::<bool>()), 1..5);
    (servers, 1_u32..6, 0_u32..3, any::<Option<bool>>(), any::<bool>()).prop_map(
        |(servers, quorum, hysteresis, sorry, is_alpha)| {
            let (weights, inhibited) = servers.into_iter().unzip();
            Shape { weights, inhibited, quorum, hysteresis: hysteresis.min(quorum - 1), sorry, is_alpha }
        },
    )
}

fn declared(shape: &Shape) -> VirtualServer {
    let timing = Timing { alpha: shape.is_alpha, ..timing() };
    let count = u8::try_from(shape.weights.len()).unwrap();
    let mut server = virtual_server("v", count, timing);
    for (index, real) in server.servers.iter_mut().enumerate() {
        (real.weight, real.inhibit_on_failure) = (shape.weights[index], shape.inhibited[index]);
    }
    server.policy.quorum = shape.quorum;
    server.policy.hysteresis = shape.hysteresis;
    server.policy.sorry = shape.sorry.map(|inhibit| Sorry { address: address(99), inhibit });
    server
}

/// Quorum, after the weight has become `sum`.
fn quorum(before: bool, sum: u32, shape: &Shape) -> bool {
    if before {
        sum > 0 && sum >= shape.quorum - shape.hysteresis
    } else {
        sum >= shape.quorum + shape.hysteresis
    }
}

proptest! {
    #[test]
    fn the_judge_agrees_with_the_whole_history(
        shape in shape(),
        steps in prop::collection::vec((0_usize..5, prop::bool::weighted(0.6)), 0..60),
    ) {
        let mut world = World::new(vec![declared(&shape)]);
        world.actions();
        let retry = usize::try_from(timing().retry).unwrap();
        let mut histories = vec![Vec::new(); shape.weights.len()];
        let alive = |histories: &[Vec<bool>]| -> Vec<bool> {
            histories.iter().map(|history| believed(history, retry).unwrap_or(!shape.is_alpha)).collect()
        };
        let sum = |alive: &[bool]| -> u32 {
            alive.iter().zip(&shape.weights).filter(|(alive, _)| **alive).map(|(_, weight)| *weight).sum()
        };
        let mut has_quorum = quorum(false, sum(&alive(&histories)), &shape);
        for (index, is_good) in steps {
            let index = index % shape.weights.len();
            // Step time until this server's check is due; whoever else is due on the way gets its turn recorded too.
            loop {
                world.now = world.judge.next_due().unwrap().max(world.now);
                let Some(task) = world.judge.take_due(world.now) else { continue };
                let SocketAddr::V4(at) = task.check.endpoint.address else { unreachable!() };
                let place = usize::from(at.ip().octets()[3]) - 1;
                let outcome = if is_good { Outcome::SUCCESS } else { Outcome::Failure(Failure::Refused) };
                world.judge.on_outcome(&task, outcome, world.now);
                histories[place].push(is_good);
                has_quorum = quorum(has_quorum, sum(&alive(&histories)), &shape);
                if place == index {
                    break;
                }
            }
            world.actions();
            let alive = alive(&histories);
            let is_sorry = shape.sorry.is_some() && !has_quorum;
            let mut expected = BTreeMap::new();
            for (place, is_alive) in alive.iter().enumerate() {
                let weight = match (is_alive, is_sorry, shape.inhibited[place]) {
                    (true, false, _) => Some(shape.weights[place]),
                    (_, _, true) => Some(0),
                    (_, _, false) => None,
                };
                let number = u8::try_from(place + 1).unwrap();
                expected.extend(weight.map(|weight| (("v".to_owned(), address(number)), weight)));
            }
            let sorry = if is_sorry { Some(1) } else { shape.sorry.filter(|inhibit| *inhibit).map(|_| 0) };
            expected.extend(sorry.map(|weight| (("v".to_owned(), address(99)), weight)));
            prop_assert_eq!(&world.members, &expected);
            let told: BTreeMap<_, _> = world
                .judge
                .members("v")
                .into_iter()
                .map(|(member, weight)| (("v".to_owned(), member.address), weight))
                .collect();
            prop_assert_eq!(&told, &expected);
            prop_assert_eq!(world.judge.report()[0].has_quorum, has_quorum);
        }
    }
}
