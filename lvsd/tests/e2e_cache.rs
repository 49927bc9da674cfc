//! Established connections through the XDP program: real traffic, the same figures, and nothing lost.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::fs;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use net::trio::{self, DR, NAT, TUN, Way, bracketed};
use net::{Net, nat, pairs};

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
    let pipeline = format!("curl -sSg --noproxy '*' --fail --max-time 60 '{url}' | sha256sum");
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
    let mut net = trio::build(&[way]);
    trio::take_redirects(&net, &[way]);
    trio::start_director(&mut net, &[way]);
    let hash = body(&net, 16);
    for vip in way.vips() {
        assert_eq!(fetch(&net, &format!("http://{}/body", bracketed(vip))), hash, "{vip}");
        // A second datagram from the same port is of an established connection.
        let service = SocketAddr::new(vip, 7);
        let any = if vip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = net.host("client").inside(|| UdpSocket::bind(any)).unwrap().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        // Enough of them for the program to be seen at work whatever a body is cut into: behind direct routing only
        // acknowledgements of it come by.
        for turn in 0..40 {
            let size = turn % 20 * 70;
            socket.send_to(&vec![7; size], service).unwrap();
            let got = socket
                .recv(&mut [0; 2000])
                .unwrap_or_else(|error| panic!("{service}, datagram {turn}: {error}\n{}", net.account()));
            assert_eq!(got, size + way.servers()[0].len() + 1);
        }
    }
    let status = net.assert_balanced();
    let cache = status.cache.clone().unwrap();
    assert!(cache.forwarded > 50, "{status:?}");
    // Of connections that last some milliseconds: they are in the cache as soon as they are established, not a turn of
    // the control thread later.
    let share = if way == NAT { 95 } else { 50 };
    assert!(cache.forwarded * 100 > status.forwarded * share, "{status:?}");
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

#[test]
#[ignore = "needs root"]
fn a_killed_directors_connections_go_on_and_its_successor_takes_them_over() {
    const CONNECTIONS: usize = 1000;
    let mut net = nat::build();
    let before = net.snapshot("director");
    let file = nat::write_file(&net, &[("tcp", 9), ("udp", 7)], 1);
    for server in NAT.servers() {
        pairs::echo(&net, &server, 9);
    }
    net.run_director_with(&["-c", &file]);
    let service = SocketAddr::new(NAT.vips()[0], 9);
    let mut streams: Vec<TcpStream> =
        (0..CONNECTIONS).map(|_| pairs::connect(&net, service).unwrap()).collect();
    pairs::everybody_answers(&mut streams, 0).unwrap();
    net::wait_for("all connections are in the cache", || {
        net.status().cache.is_some_and(|cache| cache.flows == 2 * CONNECTIONS as u64)
    });
    pairs::everybody_answers(&mut streams, 1).unwrap();

    for round in 0..3_u64 {
        net.director.take().unwrap().kill();
        // Nobody is there, and everybody goes on.
        for number in 0..5 {
            pairs::everybody_answers(&mut streams, 10 * round + number + 2).unwrap();
        }
        net.run_director_with(&["-c", &file]);
        pairs::everybody_answers(&mut streams, 10 * round + 8).unwrap();
        let status = net.status();
        assert_eq!(status.connections, CONNECTIONS as u64, "{}", net.account());
        let listing = net.adm("-Lnc");
        assert_eq!(listing.matches("ESTABLISHED").count(), CONNECTIONS, "{listing}");
        // New ones are scheduled again.
        drop(pairs::connect(&net, service).unwrap());
    }
    let listing = net.adm("-Ln");
    assert!(listing.contains(&(CONNECTIONS / 2).to_string()), "{listing}");
    drop(streams);
    net::wait_for("the ends are seen", || !net.adm("-Lnc").contains("ESTABLISHED"));
    net.assert_balanced();
    net.stop_director();
    net.assert_unchanged("director", &before);
}
