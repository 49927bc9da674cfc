//! The flow cache changes nothing but the speed: the recordings of a kernel's IPVS are answered with it as without,
//! by the real XDP program.

#![allow(clippy::unwrap_used, reason = "a test fails where a recording cannot be read")]

#[path = "timelines/compare.rs"]
mod compare;
mod net;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use net::Net;

fn recordings() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/timelines");
    let both = [directory.join("more"), directory];
    let files = both.iter().flat_map(|directory| std::fs::read_dir(directory).unwrap());
    let files = files.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    files.sort();
    files
}

/// A host with the interfaces of the recordings' director; what they are connected to takes redirected frames.
fn stage() -> Net {
    let mut net = Net::new();
    net.add(&["director", "links"]);
    let far = net.host("links").name().to_owned();
    for name in ["dc", "dr"] {
        net.ip(
            "director",
            &format!("link add {name} type veth peer name {name} netns {far}\nlink set {name} up\n"),
        );
        net.ip("links", &format!("link set {name} up\n"));
        net.run("links", &["ethtool", "-K", name, "gro", "on"]).good();
    }
    net
}

#[test]
#[ignore = "needs root"]
fn every_recording_is_answered_with_the_cache_as_without() {
    let net = stage();
    let (mut told, mut by_kernel, mut received) = (String::new(), 0, 0);
    for path in recordings() {
        let recorded = std::fs::read_to_string(&path).unwrap();
        let mut answer = Vec::new();
        let account = net
            .host("director")
            .inside(|| lvsd::replay::replay_cached(recorded.as_bytes(), None, &mut answer).unwrap())
            .unwrap();
        assert!(account.balances(), "{}: {account:?}", path.display());
        by_kernel += account.by_kernel;
        received += account.received;
        let found = compare::differences(&recorded, std::str::from_utf8(&answer).unwrap());
        if let Some(first) = found.first() {
            let _ = writeln!(told, "{}: {} differ\n  {first}", path.display(), found.len());
        }
    }
    assert!(told.is_empty(), "{told}");
    println!("{by_kernel} of {received} packets were forwarded by the program");
    assert!(by_kernel > 100, "{by_kernel} of {received}");
}
