//! Virtual routers beside real keepalived, each on a host of its own on a bridge: who is master, through elections,
//! ends, deaths, cuts and changes of priority.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lvs_vrrp::declared::{
    AntiReplay, Authentication, Command, Declared, HmacKey, HmacMode, HmacSettings, Instance, Peer, Script,
    Track, Version, VirtualAddress, Weight,
};
use lvsd::vrrp::{self, Options};
use net::process::Process;
use net::{LVSD, Net};

const CHILD: &str = "LVSD_TEST_VRRP";
const V4: &str = "10.9.0.100";
const V6: &str = "fd09::100";

/// One way in which the two speak.
#[derive(Debug, Clone, Copy)]
struct Way {
    version: u8,
    is_ipv6: bool,
    is_unicast: bool,
    /// Milliseconds from one advert to the next.
    interval: u64,
}

impl Way {
    fn vip(self) -> &'static str {
        if self.is_ipv6 { V6 } else { V4 }
    }

    fn address(self, host: &str) -> String {
        let number = if host == "a" { 1 } else { 2 };
        if self.is_ipv6 { format!("fe80::9:{number}") } else { format!("10.9.0.{number}") }
    }

    /// Long enough for a master to be thought dead, on a machine with other things to do.
    fn patience(self) -> Duration {
        Duration::from_millis(self.interval * 4 + 3000)
    }
}

/// The program at the other end: this test itself, run again in a host of its own.
#[test]
#[ignore = "needs root"]
fn a_router_of_a_test() {
    let Ok(declared) = std::env::var(CHILD) else { return };
    let said: BTreeMap<&str, &str> = declared.split(' ').filter_map(|word| word.split_once('=')).collect();
    let number = |key| said.get(key).map_or(0, |text: &&str| text.parse::<u64>().unwrap());
    let mut instance = Instance::new("VI_1", "ens", 51);
    instance.version = Some(if number("version") == 2 { Version::V2 } else { Version::V3 });
    instance.priority = u8::try_from(number("priority")).unwrap();
    instance.advert_interval = Duration::from_millis(number("interval"));
    instance.addresses.push(VirtualAddress::new(said["vip"].parse().unwrap()));
    instance.announcing.delay = Duration::ZERO;
    if let Some(password) = said.get("password") {
        instance.authentication = Authentication::Password((*password).to_owned());
    }
    if said.contains_key("hmac") {
        instance.authentication = Authentication::Hmac(HmacSettings {
            keys: vec![HmacKey { id: 1, secret: vec![7; 32] }],
            active_key: 1,
            mode: HmacMode::Enforce,
            anti_replay: AntiReplay::Time,
            window: None,
        });
    }
    if let Some(peer) = said.get("peer") {
        instance.peers.push(Peer { address: peer.parse().unwrap(), min_ttl: None, max_ttl: None });
        instance.source = Some(said["source"].parse().unwrap());
    }
    let mut all = Declared::default();
    if let Some(file) = said.get("script") {
        let argv = ["/usr/bin/test", "!", "-e", file].map(str::to_owned).to_vec();
        let mut script = Script::new("chk", Command { argv, user: None });
        script.interval = Duration::from_millis(200);
        script.weight = Weight { value: -100, is_reversed: false };
        all.scripts.push(script);
        instance.track_scripts.push(Track { name: "chk".to_owned(), weight: None });
    }
    if said.contains_key("vmac") {
        instance.virtual_mac = Some(lvs_vrrp::declared::VirtualMac::default());
    }
    all.instances.push(instance);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, std::sync::Arc::clone(&stop)).unwrap();
    let running = vrrp::start(all, Options { guard: Some(LVSD.into()), pulses: vec![] }).unwrap();
    let state = PathBuf::from(said["state"]);
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let new = state.with_extension("new");
        fs::write(&new, serde_json::to_string(&*running.listing()).unwrap()).unwrap();
        fs::rename(&new, &state).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Two routers on a bridge.
struct Pair {
    net: Net,
    way: Way,
    running: BTreeMap<&'static str, Process>,
}

impl Pair {
    fn new(way: Way) -> Self {
        let mut net = Net::new();
        net.add(&["switch", "a", "b"]);
        net.bridge("switch", "br0");
        for (host, number) in [("a", 1), ("b", 2)] {
            let own = [format!("10.9.0.{number}/24"), format!("fe80::9:{number}/64")];
            net.host(host).sysctl("ipv6/conf/default/addr_gen_mode", "1").unwrap();
            net.plug(host, "ens", ("switch", "br0"), &[&own[0], &own[1]]);
        }
        Self { net, way, running: BTreeMap::new() }
    }

    fn file(&self, name: &str) -> String {
        self.net.files.join(name).display().to_string()
    }

    fn other(host: &str) -> &'static str {
        if host == "a" { "b" } else { "a" }
    }

    fn start_lvsd(&mut self, host: &'static str, priority: u8, more: &str) {
        let way = self.way;
        let mut said = format!(
            "version={} priority={priority} interval={} vip={} script={} state={} {more}",
            way.version,
            way.interval,
            way.vip(),
            self.file(&format!("{host}-low")),
            self.file(&format!("{host}-state")),
        );
        if way.version == 2 {
            said += " password=1111";
        }
        if way.is_unicast {
            let _ = write!(said, " source={} peer={}", way.address(host), way.address(Self::other(host)));
        }
        let test = std::env::current_exe().unwrap().display().to_string();
        let command = [&test, "--exact", "a_router_of_a_test", "--ignored", "--nocapture"];
        let log = self.net.files.join(format!("{host}.log"));
        let process = Process::start(self.net.host(host), &command, &[(CHILD, &said)], log);
        self.running.insert(host, process);
    }

    fn start_keepalived(&mut self, host: &'static str, priority: u8) {
        let way = self.way;
        let mut config = format!(
            "global_defs {{ vrrp_version {} }}\nvrrp_script chk {{\nscript \"/usr/bin/test ! -e {}\"\n\
             interval 1\nweight -100\n}}\nvrrp_instance VI_1 {{\nstate BACKUP\ninterface ens\n\
             virtual_router_id 51\npriority {priority}\nadvert_int {}\ntrack_script {{\nchk\n}}\n\
             virtual_ipaddress {{\n{}\n}}\n",
            way.version,
            self.file(&format!("{host}-low")),
            Duration::from_millis(way.interval).as_secs_f64(),
            way.vip(),
        );
        if way.version == 2 {
            config += "authentication {\nauth_type PASS\nauth_pass 1111\n}\n";
        }
        if way.is_unicast {
            let (own, peer) = (way.address(host), way.address(Self::other(host)));
            let _ = write!(config, "unicast_src_ip {own}\nunicast_peer {{\n{peer}\n}}\n");
        }
        config += "}\n";
        let file = self.file(&format!("{host}.conf"));
        fs::write(&file, config).unwrap();
        let [main, child] = ["pid", "vrrp-pid"].map(|name| self.file(&format!("{host}-{name}")));
        let command = ["keepalived", "-P", "-n", "-l", "-D", "-f", &file, "-p", &main, "-r", &child];
        let log = self.net.files.join(format!("{host}.log"));
        let process = Process::start(self.net.host(host), &command, &[], log);
        self.running.insert(host, process);
    }

    fn holds(&self, host: &str) -> bool {
        let view = self.net.host(host).inside(lvs_netcfg::HostView::read).unwrap().unwrap();
        view.is_own(self.way.vip().parse::<IpAddr>().unwrap())
    }

    /// Waits until one holds the address and the other does not; how long that took.
    fn wait_for_master(&self, master: &str, why: &str) -> Duration {
        let started = Instant::now();
        while !self.holds(master) || self.holds(Self::other(master)) {
            let passed = started.elapsed();
            assert!(
                passed < self.way.patience(),
                "{why}, {:?}: {master} is not master (a {}, b {})\n--- a\n{}\n--- b\n{}",
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

    fn log(&self, host: &str) -> String {
        let log = fs::read_to_string(self.net.files.join(format!("{host}.log"))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let state = fs::read_to_string(self.file(&format!("{host}-state"))).unwrap_or_default();
        format!("{}\n{state}", lines[lines.len().saturating_sub(25)..].join("\n"))
    }

    fn listing(&self, host: &str) -> serde_json::Value {
        let text = fs::read_to_string(self.file(&format!("{host}-state"))).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn stop(&mut self, host: &str) {
        self.running.get_mut(host).unwrap().stop();
        self.running.remove(host);
    }

    /// Ends all of a router's processes on the spot; keepalived has a child. lvsd's guard is left alone.
    fn kill(&mut self, host: &str) {
        let process = self.running.get_mut(host).unwrap();
        let child = fs::read_to_string(self.net.files.join(format!("{host}-vrrp-pid"))).unwrap_or_default();
        let parent = process.pid();
        let child = child.trim().parse().ok().map(nix::unistd::Pid::from_raw);
        // The child first, and at once the parent: the child tidies up when it sees its parent die.
        for pid in child.into_iter().chain([parent]) {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
        process.kill();
        let _ = fs::remove_file(self.net.files.join(format!("{host}-vrrp-pid")));
        self.running.remove(host);
    }

    fn cut(&self, host: &str, is_cut: bool) {
        let state = if is_cut { "down" } else { "up" };
        self.net.ip("switch", &format!("link set {host}ens {state}\n"));
    }
}

/// lvsd on one host with the higher priority or the lower, keepalived on the other.
fn meet(way: Way, lvsd_is_high: bool) {
    let mut pair = Pair::new(way);
    let start = |pair: &mut Pair, host: &'static str| {
        let (is_high, priority) = if host == "a" { (true, 150) } else { (false, 100) };
        if is_high == lvsd_is_high {
            pair.start_lvsd(host, priority, "");
        } else {
            pair.start_keepalived(host, priority);
        }
    };
    start(&mut pair, "b");
    pair.wait_for_master("b", "alone");
    start(&mut pair, "a");
    pair.wait_for_master("a", "preemption");

    fs::write(pair.file("a-low"), "").unwrap();
    pair.wait_for_master("b", "a's script fails: its priority sinks");
    fs::remove_file(pair.file("a-low")).unwrap();
    pair.wait_for_master("a", "a's script is well again");

    pair.stop("a");
    let gap = pair.wait_for_master("b", "a resigns");
    assert!(gap < Duration::from_millis(way.interval + 1000), "a resigned: {gap:?}");
    start(&mut pair, "a");
    pair.wait_for_master("a", "a returns");

    pair.cut("a", true);
    // Each notices at its own end that the link is down.
    pair.wait_for_master("b", "the link is cut");
    pair.cut("a", false);
    pair.wait_for_master("a", "the link is whole again");

    pair.kill("a");
    if lvsd_is_high {
        let killed = Instant::now();
        while pair.holds("a") {
            assert!(killed.elapsed() < Duration::from_secs(1), "the address stays on the dead host");
            std::thread::sleep(Duration::from_millis(5));
        }
    } else {
        // keepalived leaves the address behind.
        let length = if way.is_ipv6 { 128 } else { 32 };
        pair.net.run("a", &["ip", "addr", "del", &format!("{}/{length}", way.vip()), "dev", "ens"]);
    }
    pair.wait_for_master("b", "a was killed");
    let lvsd = if lvsd_is_high { None } else { Some(pair.listing("b")) };
    if let Some(listing) = lvsd {
        assert_eq!(listing["instances"][0]["rejects"], serde_json::json!([]), "{listing}");
    }
}

const fn way(version: u8, is_ipv6: bool, is_unicast: bool) -> Way {
    Way { version, is_ipv6, is_unicast, interval: if version == 2 { 1000 } else { 100 } }
}

#[test]
#[ignore = "needs root"]
fn version_2_with_a_password_by_multicast() {
    meet(way(2, false, false), true);
    meet(way(2, false, false), false);
}

#[test]
#[ignore = "needs root"]
fn version_2_with_a_password_by_unicast() {
    meet(way(2, false, true), true);
    meet(way(2, false, true), false);
}

#[test]
#[ignore = "needs root"]
fn version_3_with_ipv4_by_multicast() {
    meet(way(3, false, false), true);
    meet(way(3, false, false), false);
}

#[test]
#[ignore = "needs root"]
fn version_3_with_ipv4_by_unicast() {
    meet(way(3, false, true), true);
    meet(way(3, false, true), false);
}

#[test]
#[ignore = "needs root"]
fn version_3_with_ipv6_by_multicast() {
    meet(way(3, true, false), true);
    meet(way(3, true, false), false);
}

#[test]
#[ignore = "needs root"]
fn version_3_with_ipv6_by_unicast() {
    meet(way(3, true, true), true);
    meet(way(3, true, true), false);
}

#[test]
#[ignore = "needs root"]
fn of_equal_priorities_the_higher_address_wins() {
    for lvsd in ["a", "b"] {
        let mut pair = Pair::new(way(3, false, false));
        for host in ["a", "b"] {
            if host == lvsd {
                pair.start_lvsd(host, 100, "");
            } else {
                pair.start_keepalived(host, 100);
            }
        }
        // Both may have started as masters; with the same priority none takes over from the other afterwards.
        pair.wait_for_one();
        pair.stop("b");
        pair.wait_for_master("a", "b resigned");
    }
}

impl Pair {
    fn wait_for_one(&self) {
        let started = Instant::now();
        while self.holds("a") == self.holds("b") {
            assert!(
                started.elapsed() < self.way.patience(),
                "not one master\n{}\n{}",
                self.log("a"),
                self.log("b")
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Sends an advert of a stranger's from the host `c` with a priority above all, and waits until `host` has counted it.
fn forge(pair: &Pair, host: &str, reason: &str) {
    let (way, forger): (Way, IpAddr) = (pair.way, "10.9.0.3".parse().unwrap());
    let mut instance = Instance::new("forged", "ens", 51);
    instance.version = Some(Version::V3);
    instance.advert_interval = Duration::from_millis(way.interval);
    instance.addresses.push(VirtualAddress::new(way.vip().parse().unwrap()));
    let (now, wall) = (lvs_vrrp::Tick::ZERO, lvs_vrrp::WallClock(Duration::from_secs(1)));
    let mut gate = lvs_vrrp::Gate::new(&instance, now, wall);
    let group = gate.destinations()[0];
    let packet = gate.write(255, forger, group, now, wall);
    pair.net
        .host("c")
        .inside(|| {
            let protocol = Some(socket2::Protocol::from(112));
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::RAW, protocol).unwrap();
            socket.set_multicast_ttl_v4(255).unwrap();
            socket.bind_device(Some(b"ens")).unwrap();
            socket.send_to(&packet, &std::net::SocketAddr::new(group, 0).into()).unwrap();
        })
        .unwrap();
    net::wait_for("the forged advert is counted", || {
        let listing = pair.listing(host);
        let rejects = listing["instances"][0]["rejects"].as_array().unwrap().clone();
        rejects.iter().any(|reject| reject["reason"] == reason && reject["adverts"] == 1)
    });
}

#[test]
#[ignore = "needs root"]
fn a_forged_advert_of_the_highest_priority_moves_nothing_where_adverts_are_signed() {
    let mut pair = Pair::new(way(3, false, false));
    pair.net.add(&["c"]);
    pair.net.plug("c", "ens", ("switch", "br0"), &["10.9.0.3/24"]);
    pair.start_lvsd("a", 150, "hmac=1");
    pair.wait_for_master("a", "alone");
    pair.start_lvsd("b", 100, "hmac=1");
    net::wait_for("b hears a", || {
        fs::exists(pair.file("b-state")).unwrap() && pair.listing("b")["instances"][0]["master"] == "10.9.0.1"
    });
    forge(&pair, "a", "no-hmac");
    forge_is_harmless(&pair);
}

fn forge_is_harmless(pair: &Pair) {
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        assert!(pair.holds("a") && !pair.holds("b"), "{}", pair.log("a"));
        std::thread::sleep(Duration::from_millis(5));
    }
    let listing = pair.listing("a");
    assert_eq!(listing["instances"][0]["became_master"], 1, "{listing}");
}

#[test]
#[ignore = "needs root"]
fn the_virtual_mac_answers_for_the_address_and_goes_with_the_daemon() {
    let mut pair = Pair::new(way(3, false, false));
    pair.start_lvsd("a", 150, "vmac=1");
    pair.wait_for_master("a", "alone");
    pair.start_lvsd("b", 100, "vmac=1");
    net::wait_for("b hears a", || {
        fs::exists(pair.file("b-state")).unwrap() && pair.listing("b")["instances"][0]["master"] == "10.9.0.1"
    });
    pair.net.add(&["c"]);
    pair.net.plug("c", "ens", ("switch", "br0"), &["10.9.0.3/24"]);
    pair.net.run("c", &["ping", "-c1", "-W2", V4]).good();
    let neighbours = pair.net.run("c", &["ip", "neigh", "show", V4]).good();
    assert!(neighbours.contains("00:00:5e:00:01:33"), "{neighbours}");
    pair.kill("a");
    let killed = Instant::now();
    let links = || pair.net.run("a", &["ip", "-o", "link"]).good();
    while links().contains("vrrp.51") {
        assert!(killed.elapsed() < Duration::from_secs(1), "{}", links());
    }
    pair.wait_for_master("b", "a was killed");
    pair.net.run("c", &["ping", "-c1", "-W2", V4]).good();
}

/// Two routers of the same kind, `a` master over `b`.
fn twins(is_lvsd: bool, interval: u64, more: &str) -> Pair {
    let mut pair = Pair::new(Way { interval, ..way(3, false, false) });
    for (host, priority) in [("a", 150), ("b", 100)] {
        if is_lvsd {
            pair.start_lvsd(host, priority, more);
        } else {
            pair.start_keepalived(host, priority);
        }
        pair.wait_for_master("a", "of two alike");
    }
    // Until b has heard a few adverts.
    std::thread::sleep(Duration::from_millis(interval * 3 + 1500));
    pair
}

/// How long until `b` holds the address, whatever `a` does.
fn until_b_holds(pair: &Pair) -> Duration {
    let started = Instant::now();
    while !pair.holds("b") && started.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(1));
    }
    started.elapsed()
}

#[test]
#[ignore = "a measurement: prints the table of vrrp/README.md; needs root"]
fn measured_beside_keepalived() {
    for (name, is_lvsd) in [("keepalived 2.2.7", false), ("lvsd", true)] {
        for interval in [1000, 100] {
            let mut pair = twins(is_lvsd, interval, "");
            pair.cut("a", true);
            let cut = until_b_holds(&pair);
            pair.cut("a", false);
            pair.wait_for_master("a", "whole again");
            std::thread::sleep(Duration::from_millis(interval * 4));
            let process = pair.running.get_mut("a").unwrap();
            nix::sys::signal::kill(process.pid(), nix::sys::signal::Signal::SIGTERM).unwrap();
            let stopped = until_b_holds(&pair);
            let mut pair = twins(is_lvsd, interval, "");
            pair.kill("a");
            std::thread::sleep(Duration::from_secs(1));
            let stays = pair.holds("a");
            println!(
                "| {name} | {interval} ms | {} ms | {} ms | {} |",
                cut.as_millis(),
                stopped.as_millis(),
                if stays { "stays" } else { "gone" }
            );
        }
    }
}
#[test]
#[ignore = "needs root"]
fn the_daemon_runs_virtual_routers_alone_and_shows_them() {
    let mut pair = Pair::new(way(3, false, false));
    pair.start_keepalived("b", 100);
    pair.wait_for_master("b", "alone");
    let config = fs::read_to_string(pair.file("b.conf")).unwrap().replace("priority 100", "priority 150");
    let [file, socket] = ["a.conf", "a.sock"].map(|name| pair.file(name));
    fs::write(&file, config).unwrap();
    let command = [LVSD, "run", "--keepalived", &file, "--socket", &socket];
    let log = pair.net.files.join("a.log");
    pair.running.insert("a", Process::start(pair.net.host("a"), &command, &[], log));
    pair.wait_for_master("a", "lvsd run with keepalived's file");
    let said = pair.net.run("a", &[LVSD, "vrrp", "--socket", &socket]).good();
    assert!(said.contains("MASTER") && said.contains("VI_1"), "{said}");
    pair.stop("a");
    pair.wait_for_master("b", "a resigned");
}
