//! Real traffic through a director and to real web servers, by every way of forwarding, over IPv4 and IPv6.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use net::client::{ask_all_at_once, ask_udp};
use net::trio::{self, DR, NAT, TUN, Way, bracketed};
use net::{Net, process};

/// The servers answer strictly in turn.
fn assert_in_turn(answers: &[String], way: Way) {
    let mut first: Vec<&String> = answers.iter().take(2).collect();
    assert!(answers.iter().enumerate().all(|(turn, name)| name == first[turn % 2]), "{answers:?}");
    first.sort();
    assert_eq!(first, way.servers().each_ref());
}

/// A body of 100 MB that no compression, repetition or shift can hide an error in; its SHA-256.
fn large_body(net: &Net) -> String {
    let mut state: u64 = 0x2545_f491_4f6c_dd1d;
    let mut bytes = Vec::with_capacity(100_000_000);
    while bytes.len() < 100_000_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    let file = net.files.join("www/body");
    fs::write(&file, bytes).unwrap();
    let hashed = process::run_here(&["sha256sum", file.to_str().unwrap()], net::PATIENCE).good();
    hashed.split_whitespace().next().unwrap().to_owned()
}

fn fetch_hash(net: &Net, url: &str) -> String {
    let pipeline = format!("curl -sSg --noproxy '*' --fail --max-time 100 '{url}' | sha256sum");
    let fetched =
        net.run_within("client", &["bash", "-o", "pipefail", "-c", &pipeline], Duration::from_secs(110));
    assert_eq!(fetched.status, Some(0), "{url}: {}\n{}", fetched.err, net.account());
    fetched.out.split_whitespace().next().unwrap().to_owned()
}

fn everything_works(way: Way, large_bodies: &[usize]) {
    let mut net = trio::build(&[way]);
    trio::start_director(&mut net, &[way]);
    for vip in way.vips() {
        let answers = net.curls("client", &format!("http://{}/", bracketed(vip)), 6);
        assert_in_turn(&answers, way);

        let service = SocketAddr::new(vip, 7);
        let echoes = [1, 100, 1400, 0].map(|size| {
            let text = "x".repeat(size);
            ask_udp(net.host("client"), service, &text)
                .unwrap_or_else(|error| panic!("{service}, {size} bytes: {error}\n{}", net.account()))
        });
        assert_in_turn(&echoes, way);
    }
    let hash = large_body(&net);
    for &family in large_bodies {
        let url = format!("http://{}/body", bracketed(way.vips()[family]));
        assert_eq!(fetch_hash(&net, &url), hash, "{url}");
    }
    let counts = ask_all_at_once(net.host("client"), SocketAddr::new(way.vips()[0], 80), 1000);
    let expected = way.servers().map(|server| (server, 500)).into();
    assert_eq!(counts, expected, "{}", net.account());

    let status = net.assert_balanced();
    assert_eq!(status.held, 0);
    assert!(status.connections >= 1000, "{status:?}");
    net.stop_director();
}

#[test]
#[ignore = "needs root"]
fn nat_carries_real_traffic() {
    everything_works(NAT, &[0, 1]);
}

#[test]
#[ignore = "needs root"]
fn direct_routing_carries_real_traffic() {
    everything_works(DR, &[0]);
}

#[test]
#[ignore = "needs root"]
fn tunnels_carry_real_traffic() {
    everything_works(TUN, &[0]);
}
