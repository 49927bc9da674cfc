//! Declared anew: what stayed keeps its state.

use super::*;
use crate::declared::Sorry;

#[test]
fn the_same_again_changes_nothing() {
    let declared = vec![virtual_server("v", 3, timing()), virtual_server("w", 2, timing())];
    let mut world = World::new(declared.clone());
    world.fail(1);
    world.actions();
    let (due, report) = (world.judge.next_due(), world.judge.report());
    world.declare(declared);
    assert_eq!(world.actions(), [""; 0]);
    assert_eq!((world.judge.next_due(), world.judge.report()), (due, report));
}

#[test]
fn a_server_that_is_down_stays_down_under_other_timers() {
    let mut world = World::new(vec![virtual_server("v", 2, timing())]);
    world.fail(1);
    world.actions();
    world.declare(vec![virtual_server("v", 2, Timing { delay_loop: SECOND, ..timing() })]);
    assert_eq!(world.actions(), [""; 0]);
    assert!(!world.judge.report()[0].servers[0].is_up);
    world.succeed(1);
    assert_eq!(world.actions(), ["add 1 1", "tell 1 up"]);
}

#[test]
fn retries_that_were_used_stay_used() {
    let mut world = World::new(vec![virtual_server("v", 2, timing())]);
    world.succeed(1);
    world.fail(1);
    world.fail(1);
    world.actions();
    world.declare(vec![virtual_server("v", 2, Timing { retry: 1, ..timing() })]);
    world.fail(1);
    assert_eq!(world.actions(), ["remove 1", "tell 1 down"]);
}

#[test]
fn servers_come_and_go_and_the_others_do_not_notice() {
    let mut world = World::new(vec![virtual_server("v", 3, timing())]);
    world.succeed(2);
    world.actions();
    let mut changed = virtual_server("v", 4, timing());
    changed.servers.remove(0);
    world.declare(vec![changed.clone()]);
    assert_eq!(world.actions(), ["remove 1", "tell 1 down", "add 4 1"]);
    changed.servers[0].weight = 5;
    world.declare(vec![changed]);
    assert_eq!(world.actions(), ["weigh 2 5"]);
}

#[test]
fn a_pessimists_new_check_takes_no_server_down_that_is_up() {
    let mut world = World::new(vec![virtual_server("v", 1, timing())]);
    world.succeed(1);
    world.actions();
    let mut changed = virtual_server("v", 1, timing());
    let mut alpha = misc(1, false);
    alpha.timing.alpha = true;
    changed.servers[0].checks.push(alpha);
    world.declare(vec![changed]);
    assert_eq!(world.actions(), [""; 0]);
}

#[test]
fn a_server_whose_failed_check_is_gone_comes_up() {
    let mut server = virtual_server("v", 2, timing());
    server.servers[0].checks.push(misc(1, false));
    let mut world = World::new(vec![server]);
    let failing = Outcome::Failure(Failure::Refused);
    loop {
        world.now = world.judge.next_due().unwrap();
        let Some(task) = world.judge.take_due(world.now) else { continue };
        let is_misc = matches!(task.check.kind, CheckKind::Misc(_));
        world.judge.on_outcome(&task, if is_misc { failing.clone() } else { Outcome::SUCCESS }, world.now);
        if is_misc {
            break;
        }
    }
    assert!(world.actions().contains(&"remove 1".to_owned()));
    world.declare(vec![virtual_server("v", 2, timing())]);
    assert_eq!(world.actions(), ["add 1 1", "tell 1 up"]);
}

#[test]
fn a_virtual_server_that_is_gone_takes_its_servers_along_and_says_so() {
    let both = vec![virtual_server("v", 1, timing()), virtual_server("w", 1, timing())];
    let mut world = World::new(both);
    world.actions();
    world.declare(vec![virtual_server("w", 1, timing())]);
    assert_eq!(world.actions(), ["remove 1", "tell 1 down", "tell quorum down"]);
    assert_eq!(world.judge.report().len(), 1);
    assert_eq!(world.judge.probes(), 1);
}

#[test]
fn another_quorum_counts_at_once() {
    let mut world = World::new(vec![virtual_server("v", 2, timing())]);
    world.actions();
    let mut changed = virtual_server("v", 2, timing());
    changed.policy.quorum = 3;
    world.declare(vec![changed]);
    assert_eq!(world.actions(), ["tell quorum down"]);
    world.declare(vec![virtual_server("v", 2, timing())]);
    assert_eq!(world.actions(), ["tell quorum up"]);
}

#[test]
fn the_sorry_server_can_be_another_while_it_serves() {
    let with = |number: Option<u8>| {
        let mut server = virtual_server("v", 1, timing());
        server.policy.sorry = number.map(|number| Sorry { address: address(number), inhibit: false });
        server
    };
    let mut world = World::new(vec![with(Some(98))]);
    world.fail(1);
    world.actions();
    world.declare(vec![with(Some(99))]);
    assert_eq!(world.actions(), ["remove sorry 98", "add sorry 99 1"]);
    world.declare(vec![with(None)]);
    assert_eq!(world.actions(), ["remove sorry 99"]);
    world.declare(vec![with(Some(97))]);
    assert_eq!(world.actions(), ["add sorry 97 1", "tell quorum down"]);
}

#[test]
fn what_came_of_an_attempt_nobody_waits_for_any_more_changes_nothing() {
    let mut world = World::new(vec![virtual_server("v", 1, timing())]);
    world.now = world.judge.next_due().unwrap();
    let task = world.judge.take_due(world.now).unwrap();
    world.declare(Vec::new());
    world.actions();
    world.judge.on_outcome(&task, Outcome::Failure(Failure::Refused), world.now);
    assert_eq!(world.actions(), [""; 0]);
}

#[test]
fn an_attempt_under_way_while_the_same_is_declared_again_counts() {
    let mut world = World::new(vec![virtual_server("v", 1, timing())]);
    world.now = world.judge.next_due().unwrap();
    let task = world.judge.take_due(world.now).unwrap();
    world.declare(vec![virtual_server("v", 1, timing())]);
    world.actions();
    world.judge.on_outcome(&task, Outcome::Failure(Failure::Refused), world.now);
    assert_eq!(world.actions(), ["remove 1", "tell 1 down", "tell quorum down"]);
}
