//! Two routers on a bridge, each lvsd or keepalived, by the same file.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::config::{Router, Way};
use crate::net::process::{Process, run_here};
use crate::net::{LVSD, Net, PATIENCE};

/// What runs on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Lvsd,
    Keepalived,
}

/// The two routers, `a` and `b`, and whatever else is on their bridge.
#[derive(Debug)]
pub(crate) struct Pair {
    // What runs goes before what it runs in.
    pub(crate) running: BTreeMap<&'static str, Process>,
    pub(crate) net: Net,
    pub(crate) way: Way,
}

impl Pair {
    pub(crate) fn new(way: Way) -> Self {
        let mut net = Net::new();
        net.add(&["switch", "a", "b"]);
        net.bridge("switch", "br0");
        net.bridge("switch", "br1");
        for (host, number) in [("a", 1), ("b", 2)] {
            net.host(host).sysctl("ipv6/conf/default/addr_gen_mode", "1").unwrap();
            let own = [format!("10.9.0.{number}/24"), format!("fe80::9:{number}/64")];
            net.plug(host, "ens", ("switch", "br0"), &[&own[0], &own[1]]);
            net.plug(host, "ins", ("switch", "br1"), &[&format!("10.8.0.{number}/24")]);
        }
        Self { running: BTreeMap::new(), net, way }
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.net.files.join(name).display().to_string()
    }

    pub(crate) const fn other(host: &str) -> &'static str {
        if matches!(host.as_bytes(), b"a") { "b" } else { "a" }
    }

    /// Starts a router with nothing special about it.
    pub(crate) fn start(&mut self, host: &'static str, kind: Kind, priority: u8) {
        self.start_with(host, kind, &Router::new(priority));
    }

    pub(crate) fn start_with(&mut self, host: &'static str, kind: Kind, router: &Router) {
        let file = self.file(&format!("{host}.conf"));
        fs::write(&file, router.text(self.way, host, &self.net.files)).unwrap();
        let [main, child, socket] =
            ["pid", "vrrp-pid", "sock"].map(|name| self.file(&format!("{host}-{name}")));
        let command: &[&str] = match kind {
            Kind::Lvsd => &[LVSD, "run", "--keepalived", &file, "--socket", &socket],
            Kind::Keepalived => {
                &["keepalived", "-P", "-n", "-l", "-D", "-f", &file, "-p", &main, "-r", &child]
            }
        };
        let log = self.net.files.join(format!("{host}.log"));
        let process = Process::start(self.net.host(host), command, &[], log);
        self.running.insert(host, process);
    }

    pub(crate) fn holds(&self, host: &str) -> bool {
        let view = self.net.host(host).inside(lvs_netcfg::HostView::read).unwrap().unwrap();
        view.is_own(self.way.vip().parse::<IpAddr>().unwrap())
    }

    /// Waits until one holds the address and the other does not; how long that took.
    pub(crate) fn wait_for_master(&self, master: &str, why: &str) -> Duration {
        self.wait(why, || self.holds(master) && !self.holds(Self::other(master)))
    }

    /// Waits until one holds the address, whichever it is; that one.
    pub(crate) fn wait_for_one(&self, why: &str) -> &'static str {
        self.wait(why, || self.holds("a") != self.holds("b"));
        if self.holds("a") { "a" } else { "b" }
    }

    /// Waits for something that must come while a master is thought dead; how long that took.
    pub(crate) fn wait(&self, why: &str, is_there: impl Fn() -> bool) -> Duration {
        let started = Instant::now();
        while !is_there() {
            assert!(
                started.elapsed() < self.way.patience(),
                "{why}, {:?}: in vain (a {}, b {})\n--- a\n{}\n--- b\n{}",
                self.way,
                self.holds("a"),
                self.holds("b"),
                self.log("a"),
                self.log("b")
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        started.elapsed()
    }

    pub(crate) fn log(&self, host: &str) -> String {
        let log = fs::read_to_string(self.net.files.join(format!("{host}.log"))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let listing = self.listing(host).map(|listing| listing.to_string()).unwrap_or_default();
        format!("{}\n{listing}", lines[lines.len().saturating_sub(25)..].join("\n"))
    }

    /// What lvsd on a host says of its virtual routers.
    pub(crate) fn listing(&self, host: &str) -> Option<serde_json::Value> {
        let said =
            run_here(&[LVSD, "vrrp", "--json", "--socket", &self.file(&format!("{host}-sock"))], PATIENCE);
        serde_json::from_str(&said.out).ok()
    }

    /// Waits until lvsd on a host has heard the other's adverts.
    pub(crate) fn wait_until_heard(&self, host: &str) {
        let master = self.way.address(Self::other(host));
        self.wait("the other is heard", || {
            self.listing(host).is_some_and(|listing| listing["instances"][0]["master"] == *master)
        });
    }

    pub(crate) fn stop(&mut self, host: &str) {
        self.running.get_mut(host).unwrap().stop();
        self.running.remove(host);
    }

    /// Asks a router to end, and does not wait.
    pub(crate) fn signal(&self, host: &str, signal: Signal) {
        kill(self.running[host].pid(), signal).unwrap();
    }

    /// Ends all of a router's processes on the spot; keepalived has a child. lvsd's guard is left alone.
    pub(crate) fn kill(&mut self, host: &str) {
        let mut process = self.running.remove(host).unwrap();
        let place = self.net.files.join(format!("{host}-vrrp-pid"));
        let child = fs::read_to_string(&place).unwrap_or_default();
        let child = child.trim().parse().ok().map(nix::unistd::Pid::from_raw);
        // The child first, and at once the parent: the child tidies up when it sees its parent die.
        for pid in child.into_iter().chain([process.pid()]) {
            let _ = kill(pid, Signal::SIGKILL);
        }
        process.kill();
        let _ = fs::remove_file(place);
    }

    /// Takes the link between a host and the bridge away, or gives it back.
    pub(crate) fn cut(&self, host: &str, is_cut: bool) {
        self.cut_link(host, "ens", is_cut);
    }

    pub(crate) fn cut_link(&self, host: &str, interface: &str, is_cut: bool) {
        let state = if is_cut { "down" } else { "up" };
        self.net.ip("switch", &format!("link set {host}{interface} {state}\n"));
    }

    /// Has the bridge pass nothing between the two, whose links stay up, or pass it again.
    pub(crate) fn part(&self, is_parted: bool) {
        let state = if is_parted { "on" } else { "off" };
        let isolate = |host| format!("link set {host}ens type bridge_slave isolated {state}\n");
        self.net.ip("switch", &["a", "b"].map(isolate).concat());
    }

    /// Another host on the bridge.
    pub(crate) fn add_stranger(&mut self) {
        self.net.add(&["c"]);
        self.net.plug("c", "ens", ("switch", "br0"), &["10.9.0.3/24", "fe80::9:3/64"]);
    }
}
