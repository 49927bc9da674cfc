//! The thread that sends adverts waits for nobody: not for a reload of thousands of servers, not for a control thread
//! that stands still, not for a log that nobody reads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]
#![allow(clippy::print_stdout, reason = "what was measured is printed")]
#![allow(dead_code, reason = "each test program uses its part of the routers")]

#[path = "vrrp/config.rs"]
mod config;
#[path = "vrrp/forger.rs"]
mod forger;
mod net;
#[path = "vrrp/pair.rs"]
mod pair;

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use config::{Router, way};
use net::process::run_here;
use net::{LVSD, wait_for};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::Signal;
use pair::{Kind, Pair};

/// From one advert to the next, as declared; and no more than this: a backup would wait for three.
const INTERVAL: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_millis(200);
/// How long a reload of this size may take, built without optimisation on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// The longest time between two adverts while something goes on.
fn longest_pause(pair: &Pair, something: impl FnOnce() + Send) -> Duration {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let listening = scope.spawn(|| {
            let (mut last, mut longest) = (None, Duration::ZERO);
            forger::listen(pair.net.host("c"), "10.9.0.1".parse().unwrap(), |at: Instant| {
                longest = longest.max(last.replace(at).map_or(Duration::ZERO, |last| at - last));
                !is_over.load(Ordering::Relaxed)
            });
            longest
        });
        something();
        is_over.store(true, Ordering::Relaxed);
        listening.join().unwrap()
    })
}

/// So many virtual servers, each with so many real servers.
fn servers(services: u32, each: u32) -> String {
    let mut text = String::new();
    for service in 0..services {
        let vip = format!("10.200.{}.{}", service / 250, service % 250 + 1);
        let _ = write!(text, "virtual_server {vip} 80 {{\nlb_algo rr\nlb_kind DR\nprotocol TCP\n");
        for server in 0..each {
            let number = service * each + server;
            let rip = format!("10.{}.{}.{}", 100 + number / 62_500, number / 250 % 250, number % 250 + 1);
            let _ = writeln!(text, "real_server {rip} 80 {{\nweight 1\n}}");
        }
        text += "}\n";
    }
    text
}

#[test]
#[ignore = "needs root"]
fn a_reload_of_37_000_servers_delays_no_advert() {
    let mut pair = Pair::new(way(3, false, false));
    pair.add_stranger();
    let serving = |services| Router::new(150).serving(&servers(services, 19));
    pair.start_with("a", Kind::Lvsd, &serving(1));
    pair.wait_for_master("a", "alone");
    fs::write(pair.file("a.conf"), serving(2000).text(pair.way, "a", &pair.net.files)).unwrap();
    let socket = pair.file("a-sock");
    let longest = longest_pause(&pair, || {
        println!("{}", run_here(&[LVSD, "reload", "--socket", &socket], PATIENCE).good().trim());
    });
    println!("from one advert to the next {longest:?} at most");
    assert!(longest > INTERVAL / 2, "{longest:?}");
    assert!(longest < LATEST, "{longest:?}");
}

/// The log's other end, which nobody reads; it holds no more than a page.
fn unread_log(pair: &Pair) -> File {
    let path = pair.net.files.join("a.log");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR).unwrap();
    let open = OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open(&path);
    let end = open.unwrap();
    fcntl(&end, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    end
}

#[test]
#[ignore = "needs root"]
fn a_log_that_nobody_reads_delays_no_advert() {
    let mut pair = Pair::new(way(3, false, false));
    pair.add_stranger();
    let mut log = unread_log(&pair);
    pair.start_with("a", Kind::Lvsd, &Router::new(150).signed());
    pair.wait_for_master("a", "alone");
    let mistaken = fs::read_to_string(pair.file("a.conf")).unwrap().replace("vrrp_instance", "vrp_instance");
    fs::write(pair.file("a.conf"), mistaken).unwrap();
    let longest = longest_pause(&pair, || {
        // Each is complained of at length by the control thread; the pipe is soon full.
        for _ in 0..40 {
            pair.signal("a", Signal::SIGHUP);
            thread::sleep(Duration::from_millis(50));
        }
        // And the virtual router has something to say as well: it rejects an advert.
        forger::forge(pair.net.host("c"), pair.way, 51);
        thread::sleep(Duration::from_secs(1));
    });
    println!("from one advert to the next {longest:?} at most");
    assert!(longest > INTERVAL / 2 && longest < LATEST, "{longest:?}");
    // Nobody else waits either.
    wait_for("an answer", || pair.listing("a").is_some());
    let mut said = vec![0; 1 << 16];
    let length = log.read(&mut said).unwrap();
    assert!(String::from_utf8_lossy(&said[..length]).contains("vrp_instance"));
}
