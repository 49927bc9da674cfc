//! Sync groups and the pipe that is told of transitions, beside keepalived: the same happens, and the same is said.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]
#![allow(dead_code, reason = "each test program uses its part of the routers")]

#[path = "vrrp/config.rs"]
mod config;
mod net;
#[path = "vrrp/pair.rs"]
mod pair;

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use config::{Router, SECOND, way};
use pair::{Kind, Pair};

/// A pipe, open at this end whoever else opens it.
fn pipe(pair: &Pair, name: &str) -> (String, File) {
    let path = pair.file(name);
    nix::unistd::mkfifo(path.as_str(), nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR)
        .unwrap();
    let open = OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open(&path);
    (path, open.unwrap())
}

/// What was said into the pipe so far.
fn said(pipe: &mut File) -> Vec<String> {
    // What is on its way arrives.
    std::thread::sleep(Duration::from_millis(300));
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length) = pipe.read(&mut buffer) {
        text.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

/// `a` loses and wins the mastership in every way there is; what its pipe says.
fn transcript(kind: Kind, other: Kind) -> Vec<String> {
    let mut pair = Pair::new(way(3, false, false));
    let (path, mut pipe) = pipe(&pair, "pipe");
    let told = Router::new(150).globally(&format!("vrrp_notify_fifo {path}\n"));
    pair.start("b", other, 100);
    pair.wait_for_master("b", "alone");
    pair.start_with("a", kind, &told);
    pair.wait_for_master("a", "preemption");
    let mut all = said(&mut pipe);
    fs::write(pair.file("a-low"), "").unwrap();
    pair.wait_for_master("b", "a's script fails");
    all.extend(said(&mut pipe));
    fs::remove_file(pair.file("a-low")).unwrap();
    pair.wait_for_master("a", "a's script is well again");
    all.extend(said(&mut pipe));
    pair.cut("a", true);
    pair.wait_for_master("b", "the link is cut");
    pair.cut("a", false);
    pair.wait_for_master("a", "the link is whole again");
    all.extend(said(&mut pipe));
    pair.stop("a");
    all.extend(said(&mut pipe));
    all
}

#[test]
#[ignore = "needs root"]
fn the_pipe_is_told_what_keepalived_tells_it() {
    let theirs = transcript(Kind::Keepalived, Kind::Lvsd);
    let ours = transcript(Kind::Lvsd, Kind::Keepalived);
    assert!(theirs.len() > 6, "{theirs:#?}");
    assert_eq!(ours, theirs, "\nours {ours:#?}\ntheirs {theirs:#?}");
}

fn holds_both(pair: &Pair, host: &str) -> bool {
    let view = pair.net.host(host).inside(lvs_netcfg::HostView::read).unwrap().unwrap();
    let second: IpAddr = SECOND.parse().unwrap();
    pair.holds(host) && view.is_own(second)
}

fn holds_none(pair: &Pair, host: &str) -> bool {
    let view = pair.net.host(host).inside(lvs_netcfg::HostView::read).unwrap().unwrap();
    let second: IpAddr = SECOND.parse().unwrap();
    !pair.holds(host) && !view.is_own(second)
}

#[test]
#[ignore = "needs root"]
fn a_sync_group_moves_as_one() {
    for [a, b] in [[Kind::Lvsd, Kind::Keepalived], [Kind::Keepalived, Kind::Lvsd]] {
        let mut pair = Pair::new(way(3, false, false));
        let (path, mut pipe) = pipe(&pair, "pipe");
        let told = Router::new(150).grouped().globally(&format!("vrrp_notify_fifo {path}\n"));
        pair.start_with("b", b, &Router::new(100).grouped());
        pair.wait("b alone", || holds_both(&pair, "b"));
        pair.start_with("a", a, &told);
        let moved = |master: &str| holds_both(&pair, master) && holds_none(&pair, Pair::other(master));
        pair.wait("a preempts with both", || moved("a"));
        pair.cut_link("a", "ins", true);
        pair.wait("one member's link is cut: both move", || moved("b"));
        pair.cut_link("a", "ins", false);
        pair.wait("it is whole again: both move back", || moved("a"));
        let mut groups = said(&mut pipe);
        groups.retain(|line| line.starts_with("GROUP"));
        let expected = ["BACKUP", "MASTER", "FAULT", "BACKUP", "MASTER"];
        assert_eq!(groups, expected.map(|state| format!("GROUP \"G\" {state} 0")), "{a:?}");
    }
}
