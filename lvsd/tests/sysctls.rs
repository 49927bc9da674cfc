//! The names of `net.ipv4.vs`: what they take, and that the documentation tells of each.
//!
//! `sysctls/written.txt` is what a kernel took. SYSCTLS.md has a row for each name, with its default and with the
//! test that tells its values apart.

#![allow(clippy::unwrap_used, reason = "a test fails where a file cannot be read")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lvsd::director::Plane;
use lvsd::services::{Registry, Sysctls};

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(here(file)).unwrap()
}

#[test]
fn every_name_takes_what_the_kernel_takes_and_shows_what_it_shows() {
    let text = read("tests/sysctls/written.txt");
    let mut tried = BTreeMap::<&str, usize>::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let [name, written, shown] = line.split(" | ").collect::<Vec<_>>().try_into().unwrap();
        let mut registry = Registry::new(Arc::new(Plane::new(1, 10, 1)), 1);
        // Refused or not is seen by what is there afterwards.
        let _ = registry.set_sysctl(&format!("net.ipv4.vs.{name}"), written);
        assert_eq!(registry.sysctls().text(name).unwrap(), shown, "{name}={written}");
        *tried.entry(name).or_default() += 1;
    }
    assert!(tried.values().all(|&times| times >= 12), "{tried:?}");
    // What the recorded kernel did not have, and the pair, are told of in the module's own tests.
    let untried: Vec<_> = Sysctls::names().filter(|name| !tried.contains_key(name)).collect();
    assert_eq!(untried, ["sync_threshold", "conn_lfactor", "svc_lfactor"]);
}

/// The rows of the table in SYSCTLS.md, without their bars.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| line.starts_with("| `"));
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

#[test]
fn the_documentation_has_a_row_for_each_name_with_its_default_and_a_test_that_is_there() {
    let text = read("SYSCTLS.md");
    let rows = rows(&text);
    let named: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(named, Sysctls::names().collect::<Vec<_>>());
    for row in rows {
        let [name, default, _, _, tests] = row.try_into().unwrap();
        let name = name.trim_matches('`');
        let expected = Sysctls::default().text(name).unwrap().replace('\t', " ");
        assert_eq!(default, expected, "{name}");
        let mut links = tests.split(", ").peekable();
        assert!(links.peek().is_some(), "{name}");
        for link in links {
            assert!(is_there(link), "{name}: {link}");
        }
    }
}

/// True for `` `test` in [file](path) `` with that test in that file, and for `` [name](path) `` where the file is
/// there.
fn is_there(link: &str) -> bool {
    let path = link.split_once("](").and_then(|(_, path)| path.strip_suffix(')'));
    let Some(text) = path.and_then(|path| std::fs::read_to_string(here(path)).ok()) else { return false };
    match link.strip_prefix('`').and_then(|rest| rest.split_once('`')) {
        Some((test, _)) => text.contains(&format!("fn {test}()")),
        None => link.starts_with('['),
    }
}
