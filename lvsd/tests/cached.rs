//! The flow cache changes nothing but the speed: the recordings of a kernel's IPVS are answered with it as without,
//! by the real XDP program.

#![allow(clippy::unwrap_used, reason = "a test fails where a recording cannot be read")]

#[path = "timelines/compare.rs"]
mod compare;
mod net;
#[path = "timelines/recordings.rs"]
mod recordings;
#[path = "cached/script.rs"]
mod script;

use std::fmt::Write as _;

use net::Net;

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
    for path in recordings::all() {
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

#[test]
#[ignore = "needs root"]
fn thousands_of_packets_and_changes_on_the_way_come_to_the_same_with_the_cache_and_without() {
    let net = stage();
    let mut by_kernel = 0;
    for seed in 1..=6 {
        let played = script::write(seed, 2500);
        let (mut plain, mut cached) = (Vec::new(), Vec::new());
        lvsd::replay::replay(played.as_bytes(), None, &mut plain).unwrap();
        let account = net
            .host("director")
            .inside(|| lvsd::replay::replay_cached(played.as_bytes(), None, &mut cached).unwrap())
            .unwrap();
        let (plain, cached) = (String::from_utf8(plain).unwrap(), String::from_utf8(cached).unwrap());
        for (number, (plain, cached)) in plain.lines().zip(cached.lines()).enumerate() {
            assert_eq!(unnumbered(plain), unnumbered(cached), "seed {seed}, line {number}");
        }
        assert_eq!(plain.lines().count(), cached.lines().count(), "seed {seed}");
        by_kernel += account.by_kernel;
    }
    println!("{by_kernel} packets were forwarded by the program");
    assert!(by_kernel > 2000, "{by_kernel}");
}

/// A line without what numbers the director's own errors: the identification, and the header's checksum with it. A
/// listing of connections is in no order.
fn unnumbered(line: &str) -> String {
    if line.contains("-Lnc") {
        let mut listed: Vec<&str> = line.split("\\n").collect();
        listed.sort_unstable();
        return listed.join("\n");
    }
    let Some(start) = line.find("\"frame\":\"").map(|at| at + 9) else { return line.to_owned() };
    let mut line = line.to_owned();
    if line.get(start + 46..start + 48) == Some("01") {
        line.replace_range(start + 36..start + 40, "____");
        line.replace_range(start + 48..start + 52, "____");
    }
    line
}
