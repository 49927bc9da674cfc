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

#[test]
#[ignore = "needs root"]
fn nat_is_measured_beside_nft_and_a_bare_program() {
    let found = figures("nat");
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(found.iter().all(|(_, ratio)| *ratio > 0.01), "{found:?}");
    assert_eq!(leftovers(), Vec::<String>::new());
}

#[test]
#[ignore = "needs root"]
fn direct_routing_and_tunnels_are_measured_beside_the_kernels_forwarding() {
    let found = figures("direct");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|(_, ratio)| *ratio > 0.01), "{found:?}");
    assert_eq!(leftovers(), Vec::<String>::new());
}
