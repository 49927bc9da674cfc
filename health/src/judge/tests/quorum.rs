//! Several servers: quorum, sorry server, weights.

use super::*;
use crate::declared::Sorry;

fn with_sorry(count: u8, inhibit: bool) -> VirtualServer {
    let mut server = virtual_server("v", count, timing());
    server.policy.sorry = Some(Sorry { address: address(99), inhibit });
    server
}

#[test]
fn the_quorum_is_lost_and_gained_on_either_side_of_the_hysteresis() {
    let mut server = virtual_server("v", 4, timing());
    (server.policy.quorum, server.policy.hysteresis) = (2, 1);
    let mut world = World::new(vec![server]);
    assert_eq!(world.actions().last().unwrap(), "tell quorum up");
    let told = |told: Vec<String>| -> Vec<String> {
        told.into_iter().filter(|line| line.contains("quorum")).collect()
    };
    assert_eq!(told(world.only(&[1, 2])), [""; 0]);
    assert_eq!(told(world.only(&[1])), [""; 0], "quorum - hysteresis is enough to keep it");
    assert_eq!(told(world.only(&[])), ["tell quorum down"]);
    assert_eq!(told(world.only(&[1, 2])), [""; 0], "and not enough to gain it");
    assert_eq!(told(world.only(&[1, 2, 3])), ["tell quorum up"]);
}

#[test]
fn the_sorry_server_comes_after_the_others_have_gone_and_goes_before_they_come() {
    let mut server = with_sorry(3, false);
    server.policy.quorum = 2;
    let mut world = World::new(vec![server]);
    assert_eq!(world.actions(), ["add 1 1", "add 2 1", "add 3 1", "tell quorum up"]);
    assert_eq!(world.only(&[2, 3]), ["remove 1", "tell 1 down"]);
    assert_eq!(
        world.only(&[3]),
        ["remove 2", "tell 2 down", "remove 3", "add sorry 99 1", "tell quorum down"]
    );
    assert_eq!(world.only(&[1, 3]), ["tell 1 up", "remove sorry 99", "add 1 1", "add 3 1", "tell quorum up"]);
}

#[test]
fn the_quorum_that_comes_back_brings_all_that_are_up_at_once() {
    let mut server = with_sorry(2, false);
    server.policy.quorum = 2;
    let mut world = World::new(vec![server]);
    world.actions();
    world.fail(1);
    assert_eq!(
        world.actions(),
        ["remove 1", "tell 1 down", "remove 2", "add sorry 99 1", "tell quorum down"]
    );
    world.attempt(1, &Outcome::SUCCESS, &Outcome::SUCCESS);
    assert_eq!(world.actions(), ["tell 1 up", "remove sorry 99", "add 1 1", "add 2 1", "tell quorum up"]);
}

#[test]
fn with_a_sorry_server_in_service_a_server_that_comes_up_waits_for_the_quorum() {
    let mut server = with_sorry(3, false);
    server.policy.quorum = 3;
    let mut world = World::new(vec![server]);
    world.actions();
    let failing = Outcome::Failure(Failure::Refused);
    world.attempt(1, &failing, &failing);
    world.attempt(1, &failing, &failing);
    world.actions();
    assert_eq!(world.members.len(), 1, "the sorry server alone");
    world.attempt(2, &Outcome::SUCCESS, &failing);
    assert_eq!(world.actions(), ["tell 2 up"]);
}

#[test]
fn a_sorry_server_of_weight_zero_is_always_there() {
    let mut world = World::new(vec![with_sorry(1, true)]);
    let told = world.actions();
    assert!(told.contains(&"add sorry 99 0".to_owned()), "{told:?}");
    world.fail(1);
    assert_eq!(world.actions(), ["remove 1", "tell 1 down", "weigh sorry 99 1", "tell quorum down"]);
    world.succeed(1);
    assert_eq!(world.actions(), ["tell 1 up", "weigh sorry 99 0", "add 1 1", "tell quorum up"]);
}

#[test]
fn a_pessimists_virtual_server_begins_with_its_sorry_server() {
    let mut server = with_sorry(1, false);
    server.servers[0].checks[0].timing.alpha = true;
    let mut world = World::new(vec![server]);
    assert_eq!(world.actions(), ["add sorry 99 1", "tell quorum down"]);
    world.succeed(1);
    assert_eq!(world.actions(), ["tell 1 up", "remove sorry 99", "add 1 1", "tell quorum up"]);
}

#[test]
fn a_sorry_server_that_is_a_real_server_too_is_in_it_once() {
    let mut server = virtual_server("v", 2, timing());
    server.policy.sorry = Some(Sorry { address: address(2), inhibit: false });
    server.policy.quorum = 2;
    server.servers[1].checks.clear();
    let mut world = World::new(vec![server]);
    world.actions();
    world.fail(1);
    assert_eq!(world.actions(), ["remove 1", "tell 1 down", "tell quorum down"]);
    assert_eq!(world.members.len(), 1);
}

#[test]
fn an_inhibited_server_stays_with_weight_zero() {
    let mut server = virtual_server("v", 2, timing());
    server.servers[0].inhibit_on_failure = true;
    let mut world = World::new(vec![server]);
    world.actions();
    world.fail(1);
    assert_eq!(world.actions(), ["weigh 1 0", "tell 1 down"]);
    world.succeed(1);
    assert_eq!(world.actions(), ["weigh 1 1", "tell 1 up"]);
    let mut alpha = virtual_server("v", 1, Timing { alpha: true, ..timing() });
    alpha.servers[0].inhibit_on_failure = true;
    assert_eq!(World::new(vec![alpha]).actions(), ["add 1 0"]);
}

#[test]
fn a_server_of_weight_zero_counts_for_nothing() {
    let mut server = virtual_server("v", 1, timing());
    server.servers[0].weight = 0;
    let mut world = World::new(vec![server]);
    assert_eq!(world.actions(), ["add 1 0"]);
}

#[test]
fn dynamic_weights_add_up_and_a_plain_success_leaves_them() {
    let mut server = virtual_server("v", 2, timing());
    server.servers[0].weight = 10;
    server.servers[0].checks = vec![misc(1, true)];
    let mut world = World::new(vec![server]);
    world.actions();
    let wants = |weight| Outcome::Success { weight: Some(weight) };
    world.attempt(1, &wants(18), &Outcome::SUCCESS);
    assert_eq!(world.actions(), ["weigh 1 18"]);
    world.succeed(1);
    assert_eq!(world.actions(), [""; 0], "exit status 0 says nothing of the weight");
    world.attempt(1, &wants(0), &Outcome::SUCCESS);
    assert_eq!(world.actions(), ["weigh 1 0"]);
}

#[test]
fn two_programs_each_add_how_far_they_are_from_the_servers_own_weight() {
    let mut server = virtual_server("v", 2, timing());
    server.servers[0].weight = 10;
    let mut second = misc(1, true);
    second.timing.delay_loop = SECOND * 60;
    server.servers[0].checks = vec![misc(1, true), second];
    let mut world = World::new(vec![server]);
    world.actions();
    let wants = |weight| Outcome::Success { weight: Some(weight) };
    for _ in 0..6 {
        world.attempt(1, &wants(13), &Outcome::SUCCESS);
    }
    assert_eq!(world.actions().last().unwrap(), "weigh 1 16");
}

#[test]
fn a_weight_that_falls_can_lose_the_quorum() {
    let mut server = with_sorry(1, false);
    server.servers[0].checks = vec![misc(1, true)];
    server.policy.quorum = 5;
    server.servers[0].weight = 10;
    let mut world = World::new(vec![server]);
    world.actions();
    world.attempt(1, &Outcome::Success { weight: Some(4) }, &Outcome::SUCCESS);
    assert_eq!(world.actions(), ["weigh 1 4", "remove 1", "add sorry 99 1", "tell quorum down"]);
    world.attempt(1, &Outcome::Success { weight: Some(5) }, &Outcome::SUCCESS);
    assert_eq!(world.actions(), ["remove sorry 99", "add 1 5", "tell quorum up"]);
}

#[test]
fn at_the_end_only_those_are_told_that_asked_for_it() {
    let mut world = World::new(vec![virtual_server("v", 2, timing())]);
    world.actions();
    world.judge.end();
    assert_eq!(world.actions(), [""; 0]);
    let mut omega = virtual_server("v", 2, timing());
    omega.policy.omega = true;
    let mut world = World::new(vec![omega]);
    world.fail(1);
    world.actions();
    world.judge.end();
    assert_eq!(world.actions(), ["tell 2 down", "tell quorum down"]);
    assert!(world.judge.next_due().is_none());
}

#[test]
fn the_first_state_is_told_of_where_that_is_wanted() {
    let globals = Globals { rs_init_notifies: true, ..Globals::default() };
    let mut world = World::with(globals, vec![virtual_server("v", 1, timing())]);
    assert_eq!(world.actions(), ["add 1 1", "tell 1 up", "tell quorum up"]);
}

/// Such a hysteresis is refused where it is written; nothing serves with no weight at all even so.
#[test]
fn no_weight_at_all_is_never_enough() {
    let mut server = virtual_server("v", 1, timing());
    server.policy.quorum = 1;
    let mut world = World::new(vec![server.clone()]);
    world.actions();
    server.policy.hysteresis = 1;
    world.declare(vec![server]);
    assert_eq!(world.actions(), [""; 0]);
    world.fail(1);
    assert_eq!(world.actions(), ["remove 1", "tell 1 down", "tell quorum down"]);
}
