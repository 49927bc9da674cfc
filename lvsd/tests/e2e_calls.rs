//! SIP by Call-ID: calls of two clients through a director, to servers behind NAT and behind direct routing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lvsd::lab::namespace::Namespace;
use net::{LVSD, Net, PATIENCE};

const VIP: &str = "10.66.1.100";
const VIP6: &str = "fd66:0:0:1::100";
/// Where calls go that servers behind NAT take, one packet at a time or not, and those behind direct routing.
const NAT: u16 = 5060;
const ONE_PACKET: u16 = 5062;
const DIRECT: u16 = 5070;

/// A SIP server that answers every request with 200, its name among the headers; dropping it ends it.
struct Answering {
    socket: UdpSocket,
    answers: Receiver<String>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Answering {
    fn start(host: &Namespace, name: &str, address: SocketAddr) -> Self {
        let socket = bound(host, address);
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (heard, answers) = channel();
        let (listening, stopped, name) = (socket.try_clone().unwrap(), Arc::clone(&stop), name.to_owned());
        let thread = thread::spawn(move || {
            let mut datagram = [0; 2000];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((len, from)) = listening.recv_from(&mut datagram) else { continue };
                let text = String::from_utf8_lossy(&datagram[..len]).into_owned();
                if text.starts_with("SIP/2.0 ") {
                    let _ = heard.send(text);
                    continue;
                }
                let id = header(&text, "Call-ID").unwrap_or("none");
                let answer =
                    format!("SIP/2.0 200 OK\r\nCall-ID: {id}\r\nServer: {name}\r\nContent-Length: 0\r\n\r\n");
                let _ = listening.send_to(answer.as_bytes(), from);
            }
        });
        Self { socket, answers, stop, thread: Some(thread) }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bound(host: &Namespace, address: SocketAddr) -> UdpSocket {
    host.inside(|| UdpSocket::bind(address)).unwrap().unwrap()
}

fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let line = message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.map(str::trim)
}

fn request(id: &str) -> String {
    format!(
        "OPTIONS sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nCall-ID: {id}\r\nCSeq: 1 OPTIONS\r\n\r\n"
    )
}

/// A client's socket; only the service's answers come in.
fn caller(host: &Namespace, service: SocketAddr) -> UdpSocket {
    let any: IpAddr = if service.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    let socket = bound(host, (any, 0).into());
    socket.connect(service).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket
}

/// Calls and says which server answered.
fn call(socket: &UdpSocket, id: &str) -> io::Result<String> {
    socket.send(request(id).as_bytes())?;
    let mut answer = [0; 2000];
    let len = socket.recv(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer[..len]).into_owned();
    assert_eq!(header(&answer, "Call-ID"), Some(id), "{answer}");
    Ok(header(&answer, "Server").unwrap().to_owned())
}

/// ```text
/// alice, bob --+-- director -- nat1 nat2
///              `-- dr1 dr2
/// ```
fn site() -> (Net, Vec<Answering>) {
    let mut net = Net::new();
    net.add(&["switch", "alice", "bob", "director", "nat1", "nat2", "dr1", "dr2"]);
    net.bridge("switch", "one");
    net.bridge("switch", "two");
    for (host, interface, network, number) in [
        ("alice", "eth0", 1, 10),
        ("bob", "eth0", 1, 11),
        ("director", "eth0", 1, 1),
        ("director", "eth1", 2, 1),
        ("nat1", "eth0", 2, 21),
        ("nat2", "eth0", 2, 22),
        ("dr1", "eth0", 1, 31),
        ("dr2", "eth0", 1, 32),
    ] {
        let addresses = [format!("10.66.{network}.{number}/24"), format!("fd66:0:0:{network}::{number}/64")];
        let bridge = if network == 1 { "one" } else { "two" };
        net.plug(host, interface, ("switch", bridge), &addresses.each_ref().map(String::as_str));
    }
    let mut servers = Vec::new();
    for (name, v4, v6) in [("nat1", "10.66.2.21", "fd66:0:0:2::21"), ("nat2", "10.66.2.22", "fd66:0:0:2::22")]
    {
        net.ip(name, "route add default via 10.66.2.1\nroute add default via fd66:0:0:2::1\n");
        for address in [v4, v6].map(|ip| ip.parse::<IpAddr>().unwrap()) {
            servers.push(Answering::start(net.host(name), name, (address, NAT).into()));
        }
        servers.push(Answering::start(
            net.host(name),
            name,
            (v4.parse::<IpAddr>().unwrap(), ONE_PACKET).into(),
        ));
    }
    for (host, role) in [("dr1", "real-server"), ("dr2", "real-server"), ("director", "director")] {
        let journal = net.files.join(format!("{host}-journal")).display().to_string();
        let mut command =
            vec![LVSD, "host", role, "apply", "--journal", &journal, "--vip", VIP, "--vip", VIP6];
        command.extend(if role == "director" { ["--dev", "eth0"] } else { ["--mode", "dr"] });
        net.run(host, &command).good();
        if host != "director" {
            let vip = (VIP.parse::<IpAddr>().unwrap(), DIRECT).into();
            servers.push(Answering::start(net.host(host), host, vip));
        }
    }
    net.run_director(&["eth0", "eth1"]);
    (net, servers)
}

/// A service that keeps calls together, of whichever client of the network.
fn serve(net: &Net, service: &str, options: &str, servers: [String; 2]) {
    net.adm(&format!("-A -u {service} -s rr -p 60 {options} --pe sip"));
    for server in servers {
        net.adm(&format!("-a -u {service} -r {server}"));
    }
}

/// Both clients take part in two calls, from a new port each time; each call has its server.
fn assert_calls_stay_together(net: &Net, service: SocketAddr, servers: [&str; 2]) {
    let try_call = |host: &str, id: &str| {
        let answered = call(&caller(net.host(host), service), id);
        answered.unwrap_or_else(|error| panic!("{service} {host} {id}: {error}\n{}", net.account()))
    };
    let first = try_call("alice", "one@x");
    let other = try_call("alice", "two@x");
    let mut both = [first.as_str(), other.as_str()];
    both.sort_unstable();
    assert_eq!(both, servers);
    for host in ["bob", "alice", "bob"] {
        assert_eq!(try_call(host, "one@x"), first);
        assert_eq!(try_call(host, "two@x"), other);
    }
}

#[test]
#[ignore = "needs root"]
fn calls_of_two_clients_go_where_their_call_goes() {
    let (mut net, _servers) = site();
    let at = |text: &str, port| SocketAddr::new(text.parse().unwrap(), port);
    let v4 = at(VIP, NAT);
    serve(&net, &v4.to_string(), "-M 255.255.255.0", [21, 22].map(|n| format!("10.66.2.{n} -m")));
    let v6 = at(VIP6, NAT);
    serve(&net, &v6.to_string(), "-M 64", [21, 22].map(|n| format!("[fd66:0:0:2::{n}]:5060 -m")));
    let direct = at(VIP, DIRECT);
    serve(&net, &direct.to_string(), "-M 255.255.255.0", [31, 32].map(|n| format!("10.66.1.{n} -g")));
    assert_calls_stay_together(&net, v4, ["nat1", "nat2"]);
    assert_calls_stay_together(&net, v6, ["nat1", "nat2"]);
    assert_calls_stay_together(&net, direct, ["dr1", "dr2"]);
    let listed = net.adm("-Lnc --persistent-conn");
    let of_calls = listed.lines().filter(|line| line.ends_with("one@x") || line.ends_with("two@x"));
    let of_calls: Vec<&str> = of_calls.collect();
    assert_eq!(of_calls.len(), 6, "{listed}");
    assert!(of_calls.iter().all(|line| line.contains(" sip ")), "{listed}");
    // What is no call gets nowhere, and says why.
    let lost = caller(net.host("bob"), v4);
    lost.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    lost.send(b"no call").unwrap();
    assert!(lost.recv(&mut [0; 100]).is_err());
    let drops = net.drops();
    let row = drops.lines().find(|line| line.contains("no-call-id")).unwrap_or_else(|| panic!("{drops}"));
    assert_eq!(row.split_whitespace().next(), Some("1"), "{drops}");
    net.assert_balanced();
    net.stop_director();
}

#[test]
#[ignore = "needs root"]
fn one_packet_at_a_time_and_from_the_servers_side() {
    let (mut net, servers) = site();
    let service = SocketAddr::new(VIP.parse().unwrap(), ONE_PACKET);
    serve(&net, &service.to_string(), "-o", [21, 22].map(|n| format!("10.66.2.{n} -m")));
    // One socket of one client, two calls in turn: each goes to its server, and both answer as the service.
    let alice = caller(net.host("alice"), service);
    let answered: Vec<String> = (0..6)
        .map(|n| {
            call(&alice, ["one@x", "two@x"][n % 2])
                .unwrap_or_else(|error| panic!("{error}\n{}", net.account()))
        })
        .collect();
    assert!(answered.windows(2).all(|pair| pair[0] != pair[1]), "{answered:?}");
    assert!(answered.windows(3).all(|three| three[0] == three[2]), "{answered:?}");
    assert_eq!(net.status().connections, 0, "{}", net.adm("-Lnc"));
    assert_eq!(net.status().templates, 2);
    // A server calls: the client sees the service, and its answer finds the server.
    let calls = SocketAddr::new(VIP.parse().unwrap(), NAT);
    serve(&net, &calls.to_string(), "", [21, 22].map(|n| format!("10.66.2.{n} -m")));
    let bob = bound(net.host("bob"), "10.66.1.11:5060".parse().unwrap());
    bob.set_read_timeout(Some(PATIENCE)).unwrap();
    let server =
        servers.iter().find(|server| server.socket.local_addr().unwrap().to_string() == "10.66.2.22:5060");
    let server = server.unwrap();
    server.socket.send_to(request("out@x").as_bytes(), "10.66.1.11:5060").unwrap();
    let mut datagram = [0; 2000];
    let (len, from) =
        bob.recv_from(&mut datagram).unwrap_or_else(|error| panic!("{error}\n{}", net.account()));
    assert_eq!((from, header(&String::from_utf8_lossy(&datagram[..len]), "Call-ID")), (calls, Some("out@x")));
    bob.send_to(b"SIP/2.0 200 OK\r\nCall-ID: out@x\r\n\r\n", calls).unwrap();
    let answer =
        server.answers.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{error}\n{}", net.account()));
    assert_eq!(header(&answer, "Call-ID"), Some("out@x"));
    // And what the client says next in that call, from whatever port, goes to that server.
    for _ in 0..3 {
        assert_eq!(call(&caller(net.host("bob"), calls), "out@x").unwrap(), "nat2", "{}", net.account());
    }
    net.assert_balanced();
    net.stop_director();
}
