//! The crates' layering: who may know whom, and which folders there are.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the functions around the tests are tests too")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Each crate with those of ours it may depend on, in the program itself or in its tests.
const LAYERS: [(&str, &[&str]); 8] = [
    ("lvs-sched", &[]),
    ("lvs-conntrack", &[]),
    ("lvs-netcfg", &[]),
    ("lvs-vrrp", &[]),
    ("lvs-health", &[]),
    ("lvs-forward", &["lvs-conntrack"]),
    ("lvsd", &["lvs-sched", "lvs-conntrack", "lvs-forward", "lvs-netcfg", "lvs-vrrp", "lvs-health"]),
    ("lvs-benches", &["lvs-sched", "lvs-conntrack", "lvs-forward", "lvs-netcfg", "lvsd"]),
];

/// The top-level folders; what `target` is, git does not know.
const FOLDERS: [&str; 9] =
    ["sched", "conntrack", "forward", "netcfg", "vrrp", "health", "lvsd", "benches", ".ci"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The workspace's crates with those of ours they depend on.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |package: &serde_json::Value| package["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let edges = packages.iter().map(|package| {
        let dependencies = package["dependencies"].as_array().unwrap().iter().map(name);
        (name(package), dependencies.filter(|dependency| ours.contains(dependency)).collect())
    });
    edges.collect()
}

#[test]
fn every_crate_knows_only_those_below_it() {
    let edges = edges();
    assert_eq!(edges.len(), LAYERS.len(), "{:?}", edges.keys());
    for (crate_name, allowed) in LAYERS {
        let forbidden: Vec<&String> =
            edges[crate_name].iter().filter(|known| !allowed.contains(&known.as_str())).collect();
        assert!(forbidden.is_empty(), "{crate_name} must not know {forbidden:?}");
    }
}

#[test]
fn there_is_no_other_folder_at_the_top() {
    let output = Command::new("git").args(["ls-files"]).current_dir(root()).output().unwrap();
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let folders: BTreeSet<&str> =
        listed.lines().filter_map(|path| path.split_once('/')).map(|(folder, _)| folder).collect();
    let strange: Vec<&&str> = folders.iter().filter(|folder| !FOLDERS.contains(folder)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}
