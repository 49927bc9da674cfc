//! Established connections through the XDP program: real traffic, the same figures, and nothing lost.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use net::Net;
use net::trio::{self, DR, NAT, TUN, Way, bracketed};

/// The network, with a director whose interfaces take redirected frames.
fn build(ways: &[Way]) -> Net {
    let net = trio::build(ways);
    for leg in ["eth0", "eth1"].iter().take(if ways.contains(&NAT) { 2 } else { 1 }) {
        net.run("router", &["ethtool", "-K", &format!("director{leg}"), "gro", "on"]).good();
    }
    net
}

fn body(net: &Net, megabytes: usize) -> String {
    let mut state: u64 = 0x2545_f491_4f6c_dd1d;
    let mut bytes = Vec::with_capacity(megabytes << 20);
    while bytes.len() < megabytes << 20 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    let file = net.files.join("www/body");
    fs::write(&file, bytes).unwrap();
    let hashed = net::process::run_here(&["sha256sum", file.to_str().unwrap()], net::PATIENCE).good();
    hashed.split_whitespace().next().unwrap().to_owned()
}

fn fetch(net: &Net, url: &str) -> String {
    // Slowly enough at first that most of it comes after the connection is in the cache.
    let pipeline =
        format!("curl -sSg --noproxy '*' --fail --limit-rate 16M --max-time 60 '{url}' | sha256sum");
    let fetched =
        net.run_within("client", &["bash", "-o", "pipefail", "-c", &pipeline], Duration::from_secs(70));
    assert_eq!(fetched.status, Some(0), "{url}: {}\n{}", fetched.err, net.account());
    fetched.out.split_whitespace().next().unwrap().to_owned()
}

/// All packets counted of the services.
fn counted(net: &Net) -> (u64, u64) {
    let listing = net.adm("-Ln --stats --exact");
    let mut sums = (0, 0);
    for line in listing.lines().filter(|line| line.starts_with("TCP") || line.starts_with("UDP")) {
        let columns: Vec<&str> = line.split_whitespace().collect();
        sums.0 += columns[3].parse::<u64>().unwrap();
        sums.1 += columns[4].parse::<u64>().unwrap();
    }
    sums
}

fn large_bodies(way: Way) {
    let mut net = build(&[way]);
    trio::start_director(&mut net, &[way]);
    let hash = body(&net, 16);
    for vip in way.vips() {
        assert_eq!(fetch(&net, &format!("http://{}/body", bracketed(vip))), hash, "{vip}");
        // A second datagram from the same port is of an established connection.
        let service = SocketAddr::new(vip, 7);
        let any = if vip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = net.host("client").inside(|| UdpSocket::bind(any)).unwrap().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        for turn in 0..20 {
            socket.send_to(&vec![7; turn * 70], service).unwrap();
            let got = socket
                .recv(&mut [0; 2000])
                .unwrap_or_else(|error| panic!("{service}, datagram {turn}: {error}\n{}", net.account()));
            assert_eq!(got, turn * 70 + way.servers()[0].len() + 1);
            std::thread::sleep(Duration::from_millis(30));
        }
    }
    let status = net.assert_balanced();
    let cache = status.cache.clone().unwrap();
    assert!(cache.forwarded > 50, "{status:?}");
    assert!(status.interfaces.iter().all(|interface| interface.not_cached.is_none()), "{status:?}");
    let (from_clients, to_clients) = counted(&net);
    assert_eq!(from_clients + to_clients, status.forwarded, "{}", net.account());
    net.stop_director();
}

#[test]
#[ignore = "needs root"]
fn nat_goes_by_the_program_and_is_counted() {
    large_bodies(NAT);
}

#[test]
#[ignore = "needs root"]
fn direct_routing_goes_by_the_program_and_is_counted() {
    large_bodies(DR);
}

#[test]
#[ignore = "needs root"]
fn tunnels_go_by_the_program_and_are_counted() {
    large_bodies(TUN);
}
