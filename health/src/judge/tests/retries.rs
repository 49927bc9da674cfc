//! One check: when a failure counts, and when the next attempt comes.

use super::*;
use crate::declared::{HttpCheck, HttpProtocol, HttpUrl};

#[test]
fn a_server_serves_from_the_start_and_its_first_failure_counts_at_once() {
    let mut world = World::new(vec![virtual_server("v", 2, timing())]);
    assert_eq!(world.actions(), ["add 1 1", "add 2 1", "tell quorum up"]);
    assert!(world.fail(1) <= SECOND * 6, "warm-up is at most delay_loop here");
    assert_eq!(world.actions(), ["remove 1", "tell 1 down"]);
}

#[test]
fn a_server_that_was_well_is_given_its_retries_each_after_a_pause() {
    let mut world = World::new(vec![virtual_server("v", 2, timing())]);
    world.succeed(1);
    world.actions();
    assert_eq!(world.fail(1), SECOND * 6);
    assert_eq!(world.fail(1), SECOND);
    assert_eq!(world.actions(), [""; 0]);
    assert_eq!(world.fail(1), SECOND);
    assert_eq!(world.actions(), ["remove 1", "tell 1 down"]);
    assert_eq!(world.fail(1), SECOND * 6, "a server that is down is asked each delay_loop");
    assert_eq!(world.succeed(1), SECOND * 6);
    assert_eq!(world.actions(), ["add 1 1", "tell 1 up"]);
}

#[test]
fn a_success_between_failures_gives_the_retries_back() {
    let mut world = World::new(vec![virtual_server("v", 2, timing())]);
    world.succeed(1);
    world.actions();
    for _ in 0..3 {
        world.fail(1);
        world.fail(1);
        assert_eq!(world.succeed(1), SECOND);
    }
    assert_eq!(world.actions(), [""; 0]);
}

#[test]
fn a_pessimists_server_is_out_until_all_its_checks_are_content() {
    let alpha = Timing { alpha: true, ..timing() };
    let mut server = virtual_server("v", 1, alpha);
    server.servers[0].checks.push(misc(1, false));
    let mut world = World::new(vec![server]);
    assert_eq!(world.actions(), [""; 0], "nothing serves, and nobody had a quorum to lose");
    let mut told = Vec::new();
    for _ in 0..4 {
        world.succeed(1);
        told.extend(world.actions());
    }
    assert_eq!(told, ["add 1 1", "tell 1 up", "tell quorum up"]);
}

#[test]
fn a_pessimists_server_that_fails_at_first_is_told_of_once() {
    let mut world = World::new(vec![virtual_server("v", 1, Timing { alpha: true, ..timing() })]);
    world.fail(1);
    assert_eq!(world.actions(), ["tell 1 down"]);
    world.fail(1);
    assert_eq!(world.actions(), [""; 0]);
    world.succeed(1);
    assert_eq!(world.actions(), ["add 1 1", "tell 1 up", "tell quorum up"]);
}

#[test]
fn the_first_attempts_are_scattered_over_the_warm_up() {
    let mut world = World::new(vec![virtual_server("v", 250, timing())]);
    let mut per_second = [0; 6];
    while let Some(task) = world.judge.next_due().and_then(|due| {
        world.now = due;
        world.judge.take_due(due)
    }) {
        per_second[usize::try_from(task.started.since_beginning().as_secs()).unwrap().min(5)] += 1;
    }
    assert_eq!(per_second.iter().sum::<i32>(), 250);
    assert!(per_second.iter().all(|count| (20..=65).contains(count)), "{per_second:?}");
    let none = World::new(vec![virtual_server("v", 3, Timing { warmup: Duration::ZERO, ..timing() })]);
    assert_eq!(none.judge.next_due(), Some(Moment::default()));
}

fn pages(count: usize, fast_recovery: bool) -> Check {
    let urls = (0..count).map(|n| HttpUrl { path: format!("/{n}"), ..HttpUrl::default() }).collect();
    let http = HttpCheck { tls: None, protocol: HttpProtocol::Http10, fast_recovery, urls };
    Check { kind: CheckKind::Http(http), endpoint: Endpoint::new(address(1)), timing: timing() }
}

#[test]
fn each_turn_asks_for_one_page_and_only_the_last_brings_the_server_back() {
    let mut server = virtual_server("v", 1, timing());
    server.servers[0].checks = vec![pages(3, false)];
    let mut world = World::new(vec![server]);
    world.fail(1);
    world.actions();
    assert_eq!((world.succeed(1), world.actions().len()), (SECOND * 6, 0));
    assert_eq!((world.succeed(1), world.actions().len()), (SECOND * 6, 0));
    world.fail(1);
    assert_eq!(world.actions(), [""; 0], "and it begins again with the first page");
    for _ in 0..2 {
        world.succeed(1);
        assert_eq!(world.actions(), [""; 0]);
    }
    world.succeed(1);
    assert_eq!(world.actions(), ["add 1 1", "tell 1 up", "tell quorum up"]);
}

#[test]
fn fast_recovery_leaves_the_pauses_between_pages_out_while_the_server_is_down() {
    let mut server = virtual_server("v", 1, timing());
    server.servers[0].checks = vec![pages(3, true)];
    let mut world = World::new(vec![server]);
    world.fail(1);
    world.succeed(1);
    assert_eq!(world.succeed(1) + world.succeed(1), Duration::ZERO);
    assert!(world.actions().contains(&"add 1 1".to_owned()));
    assert_eq!(world.succeed(1), SECOND * 6);
    assert_eq!(world.succeed(1), SECOND * 6, "up again, it takes its time");
}

#[test]
fn a_programs_turns_are_counted_from_where_they_begin() {
    let mut server = virtual_server("v", 1, timing());
    server.servers[0].checks = vec![misc(1, false)];
    let mut world = World::new(vec![server]);
    world.now = world.judge.next_due().unwrap();
    let task = world.judge.take_due(world.now).unwrap();
    world.judge.on_outcome(&task, Outcome::SUCCESS, world.now + SECOND * 2);
    assert_eq!(world.judge.next_due(), Some(task.started + SECOND * 6));
}

#[test]
fn one_check_serves_all_virtual_servers_that_ask_for_the_same() {
    let mut other = virtual_server("w", 1, timing());
    other.servers[0].weight = 7;
    let mut world = World::new(vec![virtual_server("v", 1, timing()), other]);
    assert_eq!(world.judge.probes(), 1);
    world.actions();
    world.fail(1);
    assert_eq!(
        world.actions(),
        ["remove 1", "tell 1 down", "tell quorum down", "remove 1", "tell 1 down", "tell quorum down"]
    );
    world.succeed(1);
    assert!(world.actions().contains(&"add 1 7".to_owned()));
}

#[test]
fn what_is_suspended_is_not_checked_and_keeps_its_state() {
    let mut world = World::new(vec![virtual_server("v", 1, timing())]);
    world.actions();
    world.judge.suspend("v", true);
    for _ in 0..5 {
        world.now = world.judge.next_due().unwrap();
        assert!(world.judge.take_due(world.now).is_none());
    }
    assert!(world.judge.report()[0].is_suspended);
    assert_eq!(world.actions(), [""; 0]);
    world.judge.suspend("v", false);
    world.fail(1);
    assert_eq!(world.actions(), ["remove 1", "tell 1 down", "tell quorum down"]);
}

#[test]
fn a_failure_that_a_retry_makes_good_is_logged_where_that_is_wanted() {
    for is_wanted in [false, true] {
        let timing = Timing { log_all_failures: is_wanted, ..timing() };
        let mut world = World::new(vec![virtual_server("v", 1, timing)]);
        world.succeed(1);
        let mut is_logged = || {
            world.now = world.judge.next_due().unwrap();
            let task = world.judge.take_due(world.now).unwrap();
            world.judge.on_outcome(&task, Outcome::Failure(Failure::Refused), world.now)
        };
        assert_eq!([is_logged(), is_logged(), is_logged()], [is_wanted; 3]);
        assert!(!is_logged(), "it was down already");
    }
}
