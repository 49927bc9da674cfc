//! `lvsd lab` as a newcomer runs it: it works, and leaves nothing behind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the functions around the tests are tests too")]

use std::fs;
use std::io::Read;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

fn lvsd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvsd"));
    command.stdin(Stdio::null()).env_remove("RUST_LOG").env_remove("LVSD_SOCKET");
    command
}

/// Namespaces and processes of the lab with this number.
fn remains(number: u32) -> Vec<String> {
    let prefix = format!("lvsd-lab-{number}-");
    let namespaces = fs::read_dir("/run/netns").into_iter().flatten().filter_map(|entry| {
        entry.ok()?.file_name().into_string().ok().filter(|name| name.starts_with(&prefix))
    });
    let files = format!("/run/lvsd/lab-{number}");
    let mut remains: Vec<String> = namespaces.collect();
    remains.extend(fs::exists(&files).unwrap().then_some(files));
    remains
}

/// Runs a lab to its end; its number is its process's.
fn run(args: &[&str]) -> (u32, Output) {
    let child = lvsd().arg("lab").args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    (child.id(), child.wait_with_output().unwrap())
}

#[test]
#[ignore = "needs root"]
fn the_lab_shows_all_three_ways_and_leaves_nothing_behind() {
    let (number, output) = run(&["all"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaints}");
    let verdict = said.lines().last().unwrap();
    assert!(verdict.contains("It works: 12 of 12 services, 48 requests"), "{said}");
    for expected in ["nat2 nat1", "dr2 dr1", "tun2 tun1", "lvsadm -Ln --stats", "Masq", "Route", "Tunnel"] {
        assert!(said.contains(expected), "{expected} is missing in\n{said}");
    }
    assert_eq!(remains(number), Vec::<String>::new());
}

#[test]
#[ignore = "needs root"]
fn an_interrupted_lab_leaves_nothing_behind() {
    let mut child = lvsd().args(["lab", "dr"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let number = child.id();
    let deadline = Instant::now() + Duration::from_secs(20);
    while remains(number).len() < 3 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(number).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let status = child.wait().unwrap();
    let mut complaints = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
    assert_eq!(status.code(), Some(1), "{complaints}");
    assert!(complaints.contains("interrupted"), "{complaints}");
    assert_eq!(remains(number), Vec::<String>::new());
}

#[test]
#[ignore = "needs root"]
fn a_kept_lab_stays_up_until_it_is_removed() {
    let (number, output) = run(&["nat", "--keep"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let _guard = Removed(number);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("lab --remove {number}")), "{said}");
    assert!(remains(number).len() > 4, "{said}");

    let name = format!("lvsd-lab-{number}-client");
    let answer = Command::new("ip")
        .args(["netns", "exec", &name, "curl", "-s", "--max-time", "5", "http://10.77.1.101/"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&answer.stdout).contains("you called 10.77.2.1"), "{answer:?}");

    let removed = lvsd().args(["lab", "--remove", &number.to_string()]).status().unwrap();
    assert!(removed.success());
    assert_eq!(remains(number), Vec::<String>::new());
}

/// Removes the lab also where the test fails.
struct Removed(u32);

impl Drop for Removed {
    fn drop(&mut self) {
        if !remains(self.0).is_empty() {
            let _ = lvsd().args(["lab", "--remove", &self.0.to_string()]).status();
        }
    }
}

#[test]
#[ignore = "needs root"]
fn two_labs_stand_side_by_side() {
    let other = thread::spawn(|| run(&["nat"]));
    let (_, first) = run(&["nat"]);
    let (_, second) = other.join().unwrap();
    for output in [first, second] {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
