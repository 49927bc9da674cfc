//! A network of namespaces for one test: hosts, wires, web servers, echo servers and a director. Dropping it removes
//! everything, also where the test fails.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

pub mod client;
pub mod decap;
pub mod echo;
pub mod nat;
pub mod pairs;
pub mod process;
pub mod site;
pub mod trio;

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use lvs_netcfg::Snapshot;
use lvsd::lab::namespace::Namespace;
use lvsd::message::Status;

use echo::Echo;
use process::{Finished, Process};

/// How long anything may take to come up.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The program under test.
pub const LVSD: &str = env!("CARGO_BIN_EXE_lvsd");
/// The other program under test.
pub const LVSADM: &str = env!("CARGO_BIN_EXE_lvsadm");

/// The hosts of one test and what runs on them.
#[derive(Debug)]
pub struct Net {
    prefix: String,
    pub files: PathBuf,
    // In this order: what runs goes before what it runs in.
    pub director: Option<Process>,
    processes: Vec<Process>,
    echoes: Vec<Echo>,
    hosts: Vec<(String, Namespace)>,
}

impl Net {
    /// No hosts yet.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("lvst-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let files = std::env::temp_dir().join(&prefix);
        fs::create_dir_all(&files).unwrap();
        Self { prefix, files, director: None, processes: vec![], echoes: vec![], hosts: vec![] }
    }

    /// Makes hosts.
    pub fn add(&mut self, names: &[&str]) {
        for name in names {
            let namespace = Namespace::create(&format!("{}-{name}", self.prefix)).unwrap();
            self.hosts.push(((*name).to_owned(), namespace));
        }
    }

    /// The namespace of a host.
    pub fn host(&self, name: &str) -> &Namespace {
        let found = self.hosts.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("there is no host {name}")).1
    }

    /// Lines of `ip` commands on a host.
    pub fn ip(&self, host: &str, commands: &str) {
        self.host(host).ip(commands).unwrap_or_else(|error| panic!("{host}: {error}"));
    }

    /// Makes a bridge on `switch`.
    pub fn bridge(&self, switch: &str, bridge: &str) {
        self.ip(
            switch,
            &format!("link add {bridge} type bridge stp_state 0 forward_delay 0\nlink set {bridge} up\n"),
        );
    }

    /// Connects `interface` of `host` to a bridge and gives it its addresses (each with its prefix length).
    /// `more` is said of the host's end when it is made.
    pub fn plug_with(&self, host: &str, interface: &str, at: (&str, &str), addresses: &[&str], more: &str) {
        let (switch, bridge) = at;
        let far = self.host(host).name();
        let port = format!("{}{interface}", host.get(..host.len().min(9)).unwrap());
        let mut commands = format!(
            "link add {port} {more} type veth peer name {interface} netns {far} {more}\nlink set {port} master {bridge} up\n"
        );
        self.ip(switch, &commands);
        commands = format!("link set {interface} up\n");
        for address in addresses {
            let no_wait = if address.contains(':') { "nodad" } else { "" };
            let _ = writeln!(commands, "addr add {address} dev {interface} {no_wait}");
        }
        self.ip(host, &commands);
    }

    /// As [`plug_with`](Self::plug_with), with nothing more to be said.
    pub fn plug(&self, host: &str, interface: &str, at: (&str, &str), addresses: &[&str]) {
        self.plug_with(host, interface, at, addresses, "");
    }

    /// Runs a command on a host to its end.
    pub fn run(&self, host: &str, command: &[&str]) -> Finished {
        self.run_within(host, command, PATIENCE)
    }

    /// Runs a command on a host; it fails when it takes longer than `patience`.
    pub fn run_within(&self, host: &str, command: &[&str], patience: Duration) -> Finished {
        process::run(self.host(host), command, &[("LVSD_SOCKET", &self.socket_text())], patience)
    }

    /// Starts a program on a host, to be ended with the network.
    pub fn start(&mut self, host: &str, command: &[&str]) {
        let log = self.files.join(format!("{host}-{}.log", self.processes.len()));
        let process = Process::start(self.host(host), command, &[], log);
        self.processes.push(process);
    }

    /// Starts a web server that answers `/` with its host's name and has what lies in `files/www` besides.
    pub fn nginx(&mut self, host: &str) {
        let place = self.files.join(host);
        fs::create_dir_all(&place).unwrap();
        fs::create_dir_all(self.files.join("www")).unwrap();
        let (root, own) = (self.files.join("www").display().to_string(), place.display().to_string());
        let mut config = format!(
            "daemon off; pid {own}/pid; error_log {own}/error.log; user root; worker_processes 1;\n\
             worker_rlimit_nofile 8192; events {{ worker_connections 4096; }}\n\
             http {{ access_log off; default_type text/plain; root {root}; keepalive_timeout 60;\n"
        );
        for kind in ["client_body", "proxy", "fastcgi", "scgi", "uwsgi"] {
            let _ = writeln!(config, "{kind}_temp_path {own}/{kind};");
        }
        let _ = writeln!(
            config,
            "server {{ listen 0.0.0.0:80 backlog=4096; listen [::]:80 backlog=4096 ipv6only=on;\n\
             location = / {{ return 200 \"{host}\\n\"; }} }} }}"
        );
        let file = place.join("nginx.conf").display().to_string();
        fs::write(&file, config).unwrap();
        self.start(host, &["nginx", "-p", &own, "-e", &format!("{own}/error.log"), "-c", &file]);
        let at = std::net::SocketAddr::from(([127, 0, 0, 1], 80));
        let namespace = self.host(host);
        wait_for("nginx answers", || namespace.inside(|| std::net::TcpStream::connect(at).is_ok()).unwrap());
    }

    /// Answers datagrams to `address` on a host, the host's name before each.
    pub fn echo(&mut self, host: &str, address: IpAddr, port: u16) {
        let echo = Echo::start(self.host(host), host, (address, port).into());
        self.echoes.push(echo);
    }

    /// Writes the director's configuration; the file's path.
    pub fn write_file(&self, text: &str) -> String {
        let file = self.files.join("lvsd.toml");
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// The director's control socket.
    pub fn socket(&self) -> PathBuf {
        self.files.join("lvsd.sock")
    }

    fn socket_text(&self) -> String {
        self.socket().display().to_string()
    }

    /// Starts the director on the host `director` with these interfaces, and waits until it answers.
    pub fn run_director(&mut self, interfaces: &[&str]) {
        let args: Vec<&str> = interfaces.iter().flat_map(|name| ["-i", name]).collect();
        self.run_director_with(&args);
    }

    /// Starts the director with these arguments, and does not wait.
    pub fn start_director(&mut self, args: &[&str]) {
        let socket = self.socket_text();
        let mut command = vec![LVSD, "run", "--socket", &socket];
        command.extend(args);
        let log = self.files.join("director.log");
        self.director = Some(Process::start(self.host("director"), &command, &[], log));
    }

    /// Starts the director with these arguments, and waits until it answers.
    pub fn run_director_with(&mut self, args: &[&str]) {
        self.start_director(args);
        let socket = self.socket_text();
        wait_for("the director answers", || {
            let director = self.director.as_mut().unwrap();
            assert!(director.is_running(), "the director ended: {}", director.said());
            let asked = process::run_here(&[LVSD, "status", "--json", "--socket", &socket], PATIENCE);
            asked.status == Some(0)
        });
    }

    /// Runs lvsadm; it must work.
    pub fn adm(&self, line: &str) -> String {
        let mut command = vec![LVSADM];
        command.extend(line.split_whitespace());
        self.run("director", &command).good()
    }

    /// Makes a service with its servers; each server is what stands behind `-r`.
    pub fn serve(&self, service: &str, scheduler: &str, servers: &[&str]) {
        self.adm(&format!("-A {service} -s {scheduler}"));
        for server in servers {
            self.adm(&format!("-a {service} -r {server}"));
        }
    }

    /// What the director says of itself.
    pub fn status(&self) -> Status {
        let said =
            process::run_here(&[LVSD, "status", "--json", "--socket", &self.socket_text()], PATIENCE).good();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in {said}"))
    }

    /// What the director dropped.
    pub fn drops(&self) -> String {
        process::run_here(&[LVSD, "drops", "--socket", &self.socket_text()], PATIENCE).good()
    }

    /// Every packet is accounted for: received = forwarded + to host + dropped + held.
    pub fn assert_balanced(&self) -> Status {
        let deadline = Instant::now() + Duration::from_secs(3);
        loop {
            let status = self.status();
            let sum = status.forwarded + status.to_host + status.dropped + status.held;
            if status.received == sum {
                assert!(status.received > 0, "{status:?}");
                return status;
            }
            // A packet may be between two counters; it is not for long.
            assert!(Instant::now() < deadline, "the accounts do not balance: {status:?}\n{}", self.drops());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks with curl on `host`; the body, or what went wrong.
    pub fn curl(&self, host: &str, url: &str) -> Result<String, String> {
        let asked = self.run(host, &["curl", "-sS", "-g", "--noproxy", "*", "--max-time", "5", url]);
        if asked.status == Some(0) { Ok(asked.out.trim().to_owned()) } else { Err(asked.err) }
    }

    /// Asks so often, one after another; who answered.
    pub fn curls(&self, host: &str, url: &str, times: usize) -> Vec<String> {
        let ask =
            |_| self.curl(host, url).unwrap_or_else(|error| panic!("{url}: {error}\n{}", self.account()));
        (0..times).map(ask).collect()
    }

    /// The state of a host: links, addresses, routes, sysctls, nftables, XDP programs.
    pub fn snapshot(&self, host: &str) -> (Snapshot, String) {
        let namespace = self.host(host);
        let links = self.run(host, &["ip", "-o", "link"]).good();
        let programs = links.lines().filter(|line| line.contains("xdp")).collect::<Vec<_>>().join("\n");
        (namespace.inside(Snapshot::take).unwrap().unwrap(), programs)
    }

    /// The host is as it was.
    pub fn assert_unchanged(&self, host: &str, before: &(Snapshot, String)) {
        let after = self.snapshot(host);
        assert_eq!(before.0.difference(&after.0), Vec::<String>::new());
        assert_eq!(before.1, after.1);
    }

    /// Ends the director by SIGTERM; it must end well.
    pub fn stop_director(&mut self) {
        let mut director = self.director.take().unwrap();
        assert!(director.stop(), "it did not end well: {}", director.said());
    }

    /// What one wants to see when a test has failed.
    pub fn account(&self) -> String {
        let said = self.director.as_ref().map_or_else(String::new, Process::said);
        if self.director.is_none() {
            return said;
        }
        format!("{:?}\n{}\n{}\n{said}", self.status(), self.drops(), self.adm("-Ln --stats"))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.director = None;
        self.processes.clear();
        self.echoes.clear();
        self.hosts.clear();
        // Of a director that was killed, and whose names show here.
        let _ = nix::mount::umount2(&self.files.join("bpf"), nix::mount::MntFlags::MNT_DETACH);
        let _ = fs::remove_dir_all(&self.files);
    }
}

/// Waits until `is_there` says so.
pub fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The path of a file of this crate's tests.
pub fn test_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}
