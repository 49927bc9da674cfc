//! The side-by-side runs work: each section once, with so few packets that the figures mean nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

use std::fs;
use std::process::Command;

use serde_json::Value;

/// What the program found in a section.
fn run(section: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidebyside"));
    command.args([section, "--quick", "--rounds", "1", "--keep-disturbed", "--json"]);
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{section}: {said}");
    let found: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(found["skipped"], Value::Array(vec![]), "{section}");
    found
}

/// The figures of a section, all of which must have been measured.
fn figures(section: &str) -> Vec<(String, f64)> {
    let found = run(section);
    let figures = found["figures"].as_array().unwrap();
    let figure = |figure: &Value| {
        let what = figure["what"].as_str().unwrap().to_owned();
        let measured = figure["measured"].as_f64();
        (what.clone(), measured.unwrap_or_else(|| panic!("{section}: {what} was not measured")))
    };
    figures.iter().map(figure).collect()
}

fn leftovers() -> Vec<String> {
    let names: Vec<_> =
        fs::read_dir("/run/netns").map(|all| all.filter_map(Result::ok).collect()).unwrap_or_default();
    let names = names.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("lvsb-")).collect()
}

/// Runs a section; it must find so many figures, all of them above zero, and leave nothing behind.
fn finds(section: &str, count: usize) {
    let found = figures(section);
    assert_eq!(found.len(), count, "{found:?}");
    assert!(found.iter().all(|(_, value)| *value > 0.0), "{found:?}");
    assert_eq!(leftovers(), Vec::<String>::new());
}

#[test]
#[ignore = "needs root"]
fn nat_is_measured_beside_nft_and_a_bare_program() {
    finds("nat", 5);
}

#[test]
#[ignore = "needs root"]
fn direct_routing_and_tunnels_are_measured_beside_the_kernels_forwarding() {
    finds("direct", 2);
}

#[test]
#[ignore = "needs root"]
fn the_way_through_user_space_is_measured_in_segments() {
    let found = figures("afxdp");
    assert_eq!(found.len(), 6, "{found:?}");
    // Beside others a difference of two times may be anything.
    assert!(found.iter().skip(4).all(|(_, nanoseconds)| *nanoseconds > 0.0), "{found:?}");
}

#[test]
#[ignore = "needs root"]
fn new_flows_are_measured_beside_nft() {
    finds("new", 1);
}

#[test]
#[ignore = "needs root"]
fn connections_are_measured_beside_proxies() {
    let found = run("tcp");
    let figures = found["figures"].as_array().unwrap();
    assert_eq!(figures.len(), 6, "{found}");
    // Where so little is measured, a proxy may seem to add nothing to the latency: that makes no ratio.
    let is_measured = |figure: &Value| figure["measured"].as_f64().is_some_and(|ratio| ratio > 0.0);
    assert!(figures.iter().take(4).all(is_measured), "{found}");
}

#[test]
#[ignore = "needs root"]
fn transfers_are_measured_beside_nft() {
    finds("transfer", 4);
}

#[test]
#[ignore = "needs root"]
fn idleness_is_measured() {
    assert_eq!(figures("idle").len(), 3);
}

#[test]
#[ignore = "needs root"]
fn memory_is_measured() {
    finds("memory", 1);
}

#[test]
#[ignore = "needs root"]
fn packets_are_lost_neither_by_edits_nor_by_a_killed_daemon() {
    let edits = figures("edits");
    assert!(edits.iter().any(|(what, lost)| what.contains("lost") && *lost == 0.0), "{edits:?}");
    let killed = figures("kill");
    let none = killed.iter().filter(|(_, count)| *count == 0.0).count();
    assert_eq!(none, 3, "neither connections nor packets, and no reset: {killed:?}");
}
