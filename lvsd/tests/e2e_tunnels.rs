//! Real traffic through every kind of tunnel to a server that unwraps it: datagrams that the client had to cut, and
//! uploads whose first packets are as long as the link takes.
//!
//! ```text
//! client -- router -- lan -- director
//!             `------ far -- server
//! ```
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lvsd::lab::namespace::Namespace;
use net::client::ask_udp;
use net::decap::{Decapsulator, GUE_PORT, Kind};
use net::{LVSD, Net};

/// Octets of an upload.
const UPLOAD: usize = 3_000_000;
/// Datagrams: one that fits into the tunnel, one that fills the link, and two that the client cuts.
const DATAGRAMS: [usize; 4] = [1_400, 1_472, 4_000, 60_000];

/// A kind of tunnel between two families, as lvsadm takes it.
#[derive(Debug, Clone, Copy)]
struct Tunnel {
    vip: &'static str,
    rip: &'static str,
    kind: Kind,
    options: &'static str,
    /// What it takes from a client's packets.
    overhead: u16,
}

const VIP4: &str = "10.77.1.100";
const VIP6: &str = "[fd77:0:0:1::100]";
const RIP4: &str = "10.77.3.11";
const RIP6: &str = "[fd77:0:0:3::11]";

const fn tunnel(
    vip: &'static str,
    rip: &'static str,
    kind: Kind,
    options: &'static str,
    overhead: u16,
) -> Tunnel {
    Tunnel { vip, rip, kind, options, overhead }
}

const OVER_V4: [Tunnel; 7] = [
    tunnel(VIP4, RIP4, Kind::Ipip, "--tun-type ipip", 20),
    tunnel(VIP4, RIP4, Kind::Gue, "--tun-type gue --tun-port 6080 --tun-nocsum", 32),
    tunnel(VIP4, RIP4, Kind::Gue, "--tun-type gue --tun-port 6080 --tun-csum", 32),
    tunnel(VIP4, RIP4, Kind::Gue, "--tun-type gue --tun-port 6080 --tun-remcsum", 32),
    tunnel(VIP4, RIP4, Kind::Gre, "--tun-type gre --tun-nocsum", 24),
    tunnel(VIP4, RIP4, Kind::Gre, "--tun-type gre --tun-csum", 28),
    tunnel(VIP6, RIP4, Kind::Ipip, "--tun-type ipip", 20),
];
const OVER_V6: [Tunnel; 6] = [
    tunnel(VIP6, RIP6, Kind::Ipip, "--tun-type ipip", 40),
    tunnel(VIP6, RIP6, Kind::Gue, "--tun-type gue --tun-port 6080 --tun-csum", 52),
    tunnel(VIP6, RIP6, Kind::Gre, "--tun-type gre --tun-nocsum", 44),
    tunnel(VIP6, RIP6, Kind::Gre, "--tun-type gre --tun-csum", 48),
    tunnel(VIP4, RIP6, Kind::Ipip, "--tun-type ipip", 40),
    tunnel(VIP4, RIP6, Kind::Gre, "--tun-type gre --tun-csum", 48),
];

/// A server that takes an upload to its end and answers with its length and hash.
struct Sink {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    fn start(host: &Namespace, at: SocketAddr) -> Self {
        let listener = host.inside(|| TcpListener::bind(at)).unwrap().unwrap();
        listener.set_nonblocking(true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => take_in(stream),
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn take_in(mut stream: TcpStream) {
    let mut body = Vec::new();
    let _ = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(net::PATIENCE)));
    let _ = stream.read_to_end(&mut body);
    let _ = write!(stream, "{} {:016x}", body.len(), hash(&body));
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Octets that no repetition or shift can hide an error in.
fn noise(len: usize) -> Vec<u8> {
    let mut state: u64 = 0x2545_f491_4f6c_dd1d;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Sends `body` to the service and returns what it answers.
fn upload(net: &Net, service: SocketAddr, body: &[u8]) -> std::io::Result<String> {
    let connect = || TcpStream::connect_timeout(&service, net::PATIENCE);
    let mut stream = net.host("client").inside(connect).unwrap()?;
    stream.set_read_timeout(Some(net::PATIENCE))?;
    stream.set_write_timeout(Some(net::PATIENCE))?;
    stream.write_all(body)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Sends a datagram until it comes back: the first one of a size may be what finds the path's MTU.
fn echoed(net: &Net, service: SocketAddr, text: &str) {
    let deadline = Instant::now() + net::PATIENCE;
    let mut said = String::new();
    for _ in 0..4 {
        match ask_udp(net.host("client"), service, text) {
            Ok(name) => return assert_eq!(name, "server"),
            Err(error) => said = error.to_string(),
        }
        assert!(Instant::now() < deadline);
    }
    panic!("{} bytes to {service}: {said}\n{}", text.len(), net.account());
}

/// The path MTU that the client has learned.
fn learned_mtu(net: &Net, vip: &str) -> Option<u16> {
    let plain = vip.trim_matches(['[', ']']);
    let route = net.run("client", &["ip", "route", "get", plain]).good();
    let mut words = route.split_whitespace().skip_while(|word| *word != "mtu");
    words.nth(1).map(|mtu| mtu.parse().unwrap())
}

/// The network, with a server that unwraps and answers; the director runs.
fn build() -> Net {
    let mut net = Net::new();
    net.add(&["router", "client", "director", "server"]);
    net.host("router").sysctl("ipv4/ip_forward", "1").unwrap();
    net.host("router").sysctl("ipv6/conf/all/forwarding", "1").unwrap();
    for (number, bridge) in ["outside", "lan", "unused", "far"].into_iter().enumerate() {
        net.bridge("router", bridge);
        let own = [format!("10.77.{number}.254"), format!("fd77:0:0:{number}::254")];
        net.host("router").give_addresses(bridge, own.map(|own| own.parse().unwrap())).unwrap();
    }
    for (host, bridge, network, number) in
        [("client", "outside", 0, 10), ("director", "lan", 1, 1), ("server", "far", 3, 11)]
    {
        let own = [format!("10.77.{network}.{number}/24"), format!("fd77:0:0:{network}::{number}/64")];
        net.plug(host, "eth0", ("router", bridge), &[&own[0], &own[1]]);
        let gateways = [format!("10.77.{network}.254"), format!("fd77:0:0:{network}::254")];
        net.host(host).route_by(gateways.map(|gateway| gateway.parse().unwrap())).unwrap();
    }
    let vips = [VIP4, VIP6].map(|vip| vip.trim_matches(['[', ']']));
    net.ip("server", &format!("addr add {}/32 dev lo\naddr add {}/128 dev lo nodad\n", vips[0], vips[1]));
    for interface in ["all", "eth0"] {
        net.host("server").sysctl(&format!("ipv4/conf/{interface}/rp_filter"), "0").unwrap();
    }
    let journal = net.files.join("director-journal").display().to_string();
    let mut command = vec![LVSD, "host", "director", "apply", "--journal", &journal, "--dev", "eth0"];
    command.extend(vips.iter().flat_map(|vip| ["--vip", vip]));
    net.run("director", &command).good();
    net.run_director(&["eth0"]);
    net
}

/// Datagrams of every size and an upload through each tunnel, one after another.
fn everything_arrives(tunnels: &[Tunnel]) {
    assert!(tunnels.iter().all(|tunnel| !tunnel.options.contains("port") || GUE_PORT == 6080));
    let mut net = build();
    let decapsulator = Decapsulator::start(net.host("server"));
    let body = noise(UPLOAD);
    let expected = format!("{UPLOAD} {:016x}", hash(&body));
    let text = String::from_utf8(noise(60_000).iter().map(|octet| b'a' + octet % 26).collect()).unwrap();
    for (tunnel, port) in tunnels.iter().zip(7001..) {
        let service: SocketAddr = format!("{}:{port}", tunnel.vip).parse().unwrap();
        for transport in ["-t", "-u"] {
            let server = format!("{}:{port} -i {}", tunnel.rip, tunnel.options);
            net.serve(&format!("{transport} {service}"), "rr", &[&server]);
        }
        net.echo("server", service.ip(), port);
        let sink = Sink::start(net.host("server"), service);
        net.run("client", &["ip", "route", "flush", "cache"]).good();
        net.run("client", &["ip", "-6", "route", "flush", "cache"]).good();
        let before = decapsulator.unwrapped(tunnel.kind);

        for size in DATAGRAMS {
            echoed(&net, service, &text[..size]);
        }
        assert_eq!(learned_mtu(&net, tunnel.vip), Some(1500 - tunnel.overhead), "{tunnel:?}");
        net.run("client", &["ip", "route", "flush", "cache"]).good();
        net.run("client", &["ip", "-6", "route", "flush", "cache"]).good();
        let answer = upload(&net, service, &body);
        assert_eq!(answer.ok().as_ref(), Some(&expected), "{tunnel:?}\n{}", net.account());
        assert_eq!(learned_mtu(&net, tunnel.vip), Some(1500 - tunnel.overhead), "{tunnel:?}");

        let through = decapsulator.unwrapped(tunnel.kind) - before;
        let least = u64::try_from(UPLOAD / 1460 + DATAGRAMS.len()).unwrap();
        assert!(through >= least, "{tunnel:?}: only {through} packets came through it");
        drop(sink);
    }
    let status = net.assert_balanced();
    assert_eq!(status.held, 0, "{status:?}");
    net.stop_director();
}

#[test]
#[ignore = "needs root"]
fn tunnels_over_ipv4_carry_fragments_and_full_packets() {
    everything_arrives(&OVER_V4);
}

#[test]
#[ignore = "needs root"]
fn tunnels_over_ipv6_carry_fragments_and_full_packets() {
    everything_arrives(&OVER_V6);
}

/// A router between the director and the server takes less than both know of. What it says to the director reaches the
/// client, and the director remembers it: the next client hears it from the director itself.
#[test]
#[ignore = "needs root"]
fn a_narrow_link_behind_the_director_is_found_by_the_client_and_remembered() {
    let net = build();
    let decapsulator = Decapsulator::start(net.host("server"));
    net.ip("router", "link set far mtu 1400\n");
    let body = noise(UPLOAD);
    let expected = format!("{UPLOAD} {:016x}", hash(&body));
    for (tunnel, port) in [OVER_V4[0], OVER_V4[1], OVER_V4[5]].iter().zip(7001..) {
        let service: SocketAddr = format!("{}:{port}", tunnel.vip).parse().unwrap();
        net.serve(&format!("-t {service}"), "rr", &[&format!("{}:{port} -i {}", tunnel.rip, tunnel.options)]);
        let _sink = Sink::start(net.host("server"), service);
        net.run("client", &["ip", "route", "flush", "cache"]).good();
        let answer = upload(&net, service, &body);
        assert_eq!(answer.ok().as_ref(), Some(&expected), "{tunnel:?}\n{}", net.account());
        assert_eq!(learned_mtu(&net, tunnel.vip), Some(1400 - tunnel.overhead), "{tunnel:?}");
    }
    assert!(decapsulator.unwrapped(Kind::Gre) > 0);

    // The router says no more about it: the director refuses what the router would.
    let refused = || -> u64 {
        let said = net.run("router", &["nstat", "-asz", "IpFragFails"]).out;
        let counter = said.lines().find_map(|line| line.strip_prefix("IpFragFails"));
        counter.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    let before = refused();
    assert!(before > 0, "the router has refused nothing");
    net.run("client", &["ip", "route", "flush", "cache"]).good();
    let service: SocketAddr = format!("{VIP4}:7001").parse().unwrap();
    let _sink = Sink::start(net.host("server"), service);
    assert_eq!(upload(&net, service, &body).ok(), Some(expected), "{}", net.account());
    assert_eq!(learned_mtu(&net, VIP4), Some(1380));
    assert_eq!(refused(), before, "the director did not remember");
    net.assert_balanced();
}
