//! `lvsd mark` against a control socket, and a service on a mark from end to end in network namespaces.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the functions around the tests are tests too")]

#[path = "net/place.rs"]
mod place;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use lvs_conntrack::Tick;
use lvsd::control::Server;
use lvsd::director::Plane;
use lvsd::lab::namespace::Namespace;
use lvsd::lab::process::Process;
use lvsd::services::Registry;
use place::Place;

fn lvsd(socket: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvsd"));
    command.args(args.split_whitespace()).env("LVSD_SOCKET", socket).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A daemon without packets.
struct Desk {
    place: Place,
    server: Server,
    registry: Registry,
}

impl Desk {
    fn new() -> Self {
        let place = Place::new();
        let mut registry = Registry::new(Arc::new(Plane::new(1, 10, 1)), 1);
        registry.set_served(vec!["eth0".to_owned(), "eth1".to_owned()]);
        Self { server: Server::bind(&place.socket()).unwrap(), place, registry }
    }

    /// Runs a command to its end: its exit status, and what it said on either output.
    fn run(&mut self, args: &str) -> (i32, String) {
        let mut child = lvsd(&self.place.socket(), args).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "lvsd {args} did not end");
            let registry = &mut self.registry;
            self.server.serve_for(Duration::from_millis(10), &mut |request| {
                registry.apply(request, Tick::from_millis(1000))
            });
        }
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let said = String::from_utf8([stdout, stderr].concat()).unwrap();
        (status.code().unwrap(), said)
    }

    fn done(&mut self, args: &str) -> String {
        let (status, said) = self.run(args);
        assert_eq!(status, 0, "{args}: {said}");
        said
    }
}

#[test]
fn rules_are_added_listed_and_removed() {
    let mut desk = Desk::new();
    assert_eq!(desk.done("mark list"), "no packet is marked\n");
    assert_eq!(desk.done("mark add 1 --destination 192.0.2.10 --protocol tcp --ports 80,8000-8100"), "");
    desk.done("mark add 2 --destination 2001:db8::1/64 --source fd00::/8 --source-ports 1024-65535");
    desk.done("mark add 4294967295 --interface eth1 --at 1");
    assert_eq!(
        desk.done("mark list"),
        "   1  4294967295 --interface eth1\n   \
            2  1 --destination 192.0.2.10 --protocol tcp --ports 80,8000-8100\n   \
            3  2 --destination 2001:db8::/64 --source fd00::/8 --source-ports 1024-65535\n"
    );
    desk.done("mark del 1 --destination 192.0.2.10 --protocol tcp --ports 80,8000-8100");
    desk.done("mark del --number 1");
    let json = desk.done("mark list --json");
    let rules: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(rules.as_array().unwrap().len(), 1);
    assert_eq!(rules[0]["mark"], 2);
    assert_eq!(rules[0]["destination"], "2001:db8::/64");
    assert_eq!(rules[0]["source_ports"][0]["last"], 65535);
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut desk = Desk::new();
    desk.done("mark add 1 --destination 192.0.2.10 --ports 80");
    let before = desk.done("mark list");
    for (args, status, why) in [
        ("mark add 1 --destination 192.0.2.10 --ports 80", 1, "rule 1 says the same already"),
        ("mark add 1 --interface eth7", 1, "interface eth7 is not served; these are: eth0, eth1"),
        ("mark add 1 --destination 192.0.2.1 --source ::1", 1, "not of one address family"),
        ("mark add 2 --at 9", 1, "there is no place 9"),
        ("mark del --number 2", 1, "there is no place 2"),
        ("mark del 1 --destination 192.0.2.10", 1, "there is no such rule"),
        ("mark del", 2, "required"),
        ("mark del 1 --number 1", 2, "cannot be used with"),
        ("mark add 0", 2, "0 is not in 1.."),
        ("mark add 1 --ports 90-80", 2, "the range 90-80 is empty; write 80-90"),
        ("mark add 1 --ports 0", 2, "`0` is no port"),
        ("mark add 1 --destination 192.0.2.300", 2, "`192.0.2.300` is no network"),
    ] {
        let (code, said) = desk.run(args);
        assert_eq!(code, status, "{args}: {said}");
        assert!(said.contains(why), "{args}: {said}");
        assert_eq!(desk.done("mark list"), before);
    }
}

/// Answers every request on every connection with its name.
fn answer_as(name: &'static str, listener: TcpListener) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next() {
                    if line.trim().is_empty() {
                        let length = name.len();
                        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}");
                        let _ = (&stream).write_all(answer.as_bytes());
                    }
                }
            });
        }
    });
}

/// A client, a director and two real servers, each on a wire of its own to the director.
struct Site {
    director: Option<Process>,
    hosts: Vec<Namespace>,
    place: Place,
}

const CONFIGURATION: &str = r#"
interfaces = ["d0", "d1", "d2"]

[[mark]]
value = 1
destination = "192.0.2.10"
source = "192.0.2.0/28"
protocol = "tcp"
ports = [80, "8443-8444"]

[[mark]]
value = 1
destination = "2001:db8:1::10"
source = "2001:db8:1::/124"
ports = [80, 8443]

[[service]]
mark = 1
scheduler = "rr"
persistent = 300
server = [{ address = "10.0.1.2", method = "nat" }, { address = "10.0.2.2", method = "nat" }]

[[service]]
mark = 1
family = "ipv6"
scheduler = "rr"
persistent = 300
server = [{ address = "2001:db8:a1::2", method = "nat" }, { address = "2001:db8:a2::2", method = "nat" }]
"#;

impl Site {
    fn new() -> Self {
        let host = |name| Namespace::create(&format!("lvst-{}-{name}", std::process::id())).unwrap();
        let hosts = ["client", "director", "one", "two"].map(host).into();
        let mut site = Self { director: None, hosts, place: Place::new() };
        let [client, director, one, two] = site.hosts.as_slice() else { panic!("four hosts") };
        for (number, host) in [client, one, two].into_iter().enumerate() {
            let far = host.name();
            director.ip(&format!("link add d{number} type veth peer name eth0 netns {far}\n")).unwrap();
        }
        let ip = |text: &str| text.parse().unwrap();
        director.give_addresses("d0", [ip("192.0.2.1"), ip("2001:db8:1::1")]).unwrap();
        director.give_addresses("d1", [ip("10.0.1.1"), ip("2001:db8:a1::1")]).unwrap();
        director.give_addresses("d2", [ip("10.0.2.1"), ip("2001:db8:a2::1")]).unwrap();
        director.ip("addr add 192.0.2.10/32 dev d0\naddr add 2001:db8:1::10/128 dev d0 nodad\n").unwrap();
        client.give_addresses("eth0", [ip("192.0.2.2"), ip("2001:db8:1::2")]).unwrap();
        for more in ["192.0.2.3/24", "192.0.2.99/24", "2001:db8:1::3/64 nodad", "2001:db8:1::99/64 nodad"] {
            let (address, flag) = more.split_once(' ').unwrap_or((more, ""));
            client.ip(&format!("addr add {address} dev eth0 {flag}\n")).unwrap();
        }
        for (host, [v4, v6], gateways) in [
            (one, ["10.0.1.2", "2001:db8:a1::2"], ["10.0.1.1", "2001:db8:a1::1"]),
            (two, ["10.0.2.2", "2001:db8:a2::2"], ["10.0.2.1", "2001:db8:a2::1"]),
        ] {
            host.give_addresses("eth0", [ip(v4), ip(v6)]).unwrap();
            host.route_by(gateways.map(ip)).unwrap();
        }
        for (name, host) in [("one", one), ("two", two), ("director", director)] {
            for port in [80, 8443, 9000] {
                let everywhere = SocketAddr::new(ip("::"), port);
                answer_as(name, host.inside(|| TcpListener::bind(everywhere)).unwrap().unwrap());
            }
        }
        site.start();
        site
    }

    fn start(&mut self) {
        let file = self.place.path().join("lvsd.toml");
        std::fs::write(&file, CONFIGURATION).unwrap();
        let args = ["run", "-c", file.to_str().unwrap(), "--socket"].map(str::to_owned);
        let args = [&args[..], &[self.place.socket().display().to_string()]].concat();
        let program = Path::new(env!("CARGO_BIN_EXE_lvsd"));
        let log = self.place.path().join("lvsd.log");
        let mut director = Process::start(&self.hosts[1], program, &args, log).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !lvsd(&self.place.socket(), "status").output().unwrap().status.success() {
            assert!(director.is_running() && Instant::now() < deadline, "{}", director.last_words());
            thread::sleep(Duration::from_millis(50));
        }
        self.director = Some(director);
    }

    fn lvsd(&self, args: &str) -> String {
        let output = lvsd(&self.place.socket(), args).output().unwrap();
        assert!(output.status.success(), "{args}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Who answers curl, called from this address of the client's.
    fn curl(&self, from: &str, url: &str) -> String {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.hosts[0].name(), "curl", "-sS", "-g", "--max-time", "5"]);
        let output = command.args(["--interface", from, url]).output().unwrap();
        let words = self.director.as_ref().map(Process::last_words).unwrap_or_default();
        assert!(output.status.success(), "{from} {url}: {output:?}\n{words}\n{}", self.lvsd("drops"));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Packets are accounted for, and none was lost.
    fn balances(&self) {
        thread::sleep(Duration::from_millis(100));
        let status: serde_json::Value = serde_json::from_str(&self.lvsd("status --json")).unwrap();
        let count = |name: &str| status[name].as_u64().unwrap();
        let sum = count("forwarded") + count("to_host") + count("dropped") + count("held");
        assert_eq!(count("received"), sum, "{status}");
        assert!(count("forwarded") > 0 && count("to_host") > 0, "{status}");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Before its namespace.
        self.director = None;
    }
}

/// Asks once more on a connection that is open.
fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let mut octet = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet).unwrap();
        answer.extend(octet);
    }
    let mut name = [0; 3];
    stream.read_exact(&mut name).unwrap();
    String::from_utf8(name.into()).unwrap()
}

#[test]
#[ignore = "needs root"]
fn a_mark_binds_two_ports_to_one_server_for_each_client() {
    let site = Site::new();
    for (vip, clients, stranger) in [
        ("192.0.2.10", ["192.0.2.2", "192.0.2.3"], "192.0.2.99"),
        ("[2001:db8:1::10]", ["2001:db8:1::2", "2001:db8:1::3"], "2001:db8:1::99"),
    ] {
        let url = |port| format!("http://{vip}:{port}/");
        let mut servers = Vec::new();
        for client in clients {
            let server = site.curl(client, &url(80));
            for port in [8443, 80, 8443] {
                assert_eq!(site.curl(client, &url(port)), server, "{client} {vip} {port}");
            }
            servers.push(server);
        }
        servers.sort();
        assert_eq!(servers, ["one", "two"], "{vip}");
        // Another port never leaves the host; what only the source keeps from being marked comes back to it.
        assert_eq!(site.curl(clients[0], &url(9000)), "director");
        assert_eq!(site.curl(stranger, &url(80)), "director");
    }
    site.balances();
}

#[test]
#[ignore = "needs root"]
fn rules_come_and_go_under_live_connections() {
    let site = Site::new();
    let (client, url) = ("192.0.2.2", "http://192.0.2.10:80/");
    let server = site.curl(client, url);
    let vip: SocketAddr = "192.0.2.10:80".parse().unwrap();
    let connect = || TcpStream::connect_timeout(&vip, Duration::from_secs(5));
    let mut live = site.hosts[0].inside(connect).unwrap().unwrap();
    live.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(ask(&mut live), server);

    site.lvsd("mark del --number 1");
    assert!(!site.lvsd("mark list").contains("192.0.2.10"));
    assert_eq!(ask(&mut live), server, "the connection goes on");
    assert_eq!(site.curl(client, url), "director", "a new one is the host's");

    site.lvsd("mark add 1 --destination 192.0.2.0/24 --ports 80,9000");
    assert_eq!(ask(&mut live), server);
    assert_eq!(site.curl(client, url), server, "persistence remembers");
    assert_eq!(site.curl(client, "http://192.0.2.10:9000/"), server, "the new port, too");
    assert_eq!(site.curl(client, "http://192.0.2.10:8443/"), "director");
    site.balances();
}
