//! The flow cache at its limits: full, over a reload, over several queues, and when a server is removed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use net::trio::NAT;
use net::{Net, nat, pairs};

const PORT: u16 = 81;

/// The network, whose servers send back what comes over TCP.
fn build() -> Net {
    let net = nat::build();
    for server in NAT.servers() {
        pairs::echo(&net, &server, PORT);
    }
    net
}

/// A file with a service of TCP, echoed, and one of UDP; the servers have this weight.
fn write_file(net: &Net, weight: u32) -> String {
    nat::write_file(net, &[("tcp", PORT), ("udp", 7)], weight)
}

fn connect(net: &Net, count: usize) -> Vec<TcpStream> {
    let service = SocketAddr::new(NAT.vips()[0], PORT);
    (0..count).map(|_| pairs::connect(net, service).unwrap()).collect()
}

fn cache(net: &Net) -> lvsd::message::CacheListing {
    net.status().cache.unwrap()
}

fn left(net: &Net, why: &str) -> u64 {
    cache(net).left.iter().find(|(reason, _)| reason == why).unwrap().1
}

#[test]
#[ignore = "needs root"]
fn flows_for_which_there_is_no_room_stay_with_the_workers() {
    const ROOM: u64 = 20;
    let mut net = build();
    let file = write_file(&net, 1);
    net.run_director_with(&["-c", &file, "--flow-cache", "20"]);
    let mut streams = connect(&net, 40);
    for number in 0..20 {
        pairs::everybody_answers(&mut streams, number).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let (before, unknown) = (cache(&net), left(&net, "unknown"));
    assert_eq!((before.flows, before.size), (ROOM, ROOM), "{before:?}");
    for number in 0..20 {
        pairs::everybody_answers(&mut streams, number).unwrap();
    }
    let after = cache(&net);
    let (by_program, by_workers) = (after.forwarded - before.forwarded, left(&net, "unknown") - unknown);
    // At least a packet each way for each number, of a quarter of the connections and of the others.
    assert!(by_program >= 10 * 20 && by_workers >= 30 * 2 * 20, "{by_program} {by_workers} {after:?}");
    assert_eq!(after.flows, ROOM);
    net.assert_balanced();
    // Room that becomes free is used.
    streams.truncate(5);
    net::wait_for("the five that are left are in the cache", || {
        pairs::everybody_answers(&mut streams, 1).unwrap();
        cache(&net).flows == 10
    });
    let before = cache(&net).forwarded;
    pairs::everybody_answers(&mut streams, 2).unwrap();
    net::wait_for("all go by the program", || cache(&net).forwarded >= before + 10);
    net.stop_director();
}

/// A datagram and its answer, so many times from each of the ports.
fn exchange(net: &Net, ports: std::ops::Range<u16>, times: usize) {
    let service = SocketAddr::new(NAT.vips()[0], 7);
    let exchanging = || {
        for port in ports {
            let socket = UdpSocket::bind(("0.0.0.0", port)).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            for _ in 0..times {
                socket.send_to(b"again", service).unwrap();
                let answered = socket.recv(&mut [0; 64]);
                answered.unwrap_or_else(|error| panic!("port {port}: {error}"));
            }
        }
    };
    net.host("client").inside(exchanging).unwrap();
}

#[test]
#[ignore = "needs root"]
fn a_reload_leaves_ten_thousand_flows_where_they_are() {
    const FLOWS: u64 = 10_000;
    let mut net = build();
    let file = write_file(&net, 1);
    net.run_director_with(&["-c", &file]);
    let mut streams = connect(&net, 10);
    pairs::everybody_answers(&mut streams, 0).unwrap();
    exchange(&net, 20_000..25_000, 2);
    net::wait_for("ten thousand flows are in the cache", || cache(&net).flows == FLOWS + 20);
    let connections = net.status().connections;
    for weight in [5, 9] {
        write_file(&net, weight);
        let before = cache(&net);
        let began = Instant::now();
        std::thread::scope(|scope| {
            let reload = scope.spawn(|| net.run("director", &[net::LVSD, "reload"]).good());
            while !reload.is_finished() {
                pairs::everybody_answers(&mut streams, 3).unwrap();
            }
            println!("{} in {:?}", reload.join().unwrap().trim(), began.elapsed());
        });
        assert!(net.adm("-Ln").contains(&format!("Masq    {weight}")));
        // What was cached goes by the program, before and behind.
        exchange(&net, 20_000..20_100, 1);
        let after = cache(&net);
        assert!(after.forwarded >= before.forwarded + 200, "{before:?} {after:?}");
        assert_eq!(
            (after.flows, &after.left),
            (before.flows, &before.left),
            "nothing was left to the workers"
        );
        assert_eq!(net.status().connections, connections);
    }
    net.assert_balanced();
    net.stop_director();
}

#[test]
#[ignore = "needs root"]
fn a_removed_servers_flows_end_before_the_removal_is_answered() {
    let mut net = build();
    let file = write_file(&net, 1);
    net.run_director_with(&["-c", &file]);
    let mut streams = connect(&net, 2);
    pairs::everybody_answers(&mut streams, 0).unwrap();
    net::wait_for("both connections are in the cache", || cache(&net).flows == 4);
    pairs::everybody_answers(&mut streams, 1).unwrap();
    let service = SocketAddr::new(NAT.vips()[0], PORT);
    let servers = [1, 2].map(|server| NAT.rips(server)[0]);
    for server in servers {
        net.adm(&format!("-d -t {service} -r {server}"));
    }
    let before = cache(&net).forwarded;
    for stream in &mut streams {
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        assert!(pairs::everybody_answers(std::slice::from_mut(stream), 2).is_err());
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    }
    let after = cache(&net);
    assert_eq!(after.forwarded, before, "{after:?}");
    assert!(left(&net, "stale") > 0, "{after:?}");
    // They were not torn down: with the servers they come back, and what was sent meanwhile arrives.
    for server in servers {
        net.adm(&format!("-a -t {service} -r {server} -m"));
    }
    for stream in &mut streams {
        let mut back = [0; 8];
        std::io::Read::read_exact(stream, &mut back).unwrap();
    }
    net.assert_balanced();
    net.stop_director();
}

/// What an interface of the director's received by each of two queues.
fn by_queue(net: &Net, interface: &str) -> [u64; 2] {
    let told = net.run("director", &["ethtool", "-S", interface]).good();
    [0, 1].map(|queue| {
        let name = format!("rx_queue_{queue}_xdp_packets:");
        let line = told.lines().find_map(|line| line.trim().strip_prefix(name.as_str())).unwrap();
        line.trim().parse().unwrap()
    })
}

#[test]
#[ignore = "needs root"]
fn replies_of_nat_come_by_other_queues_than_their_requests() {
    const CONNECTIONS: usize = 60;
    let mut net = Net::new();
    net.add(&["client", "director", "server"]);
    for (host, leg, own, far) in [("client", "eth0", 1, "10.66.1.10"), ("server", "eth1", 2, "10.66.2.11")] {
        let other = net.host(host).name().to_owned();
        let queues = "numrxqueues 2 numtxqueues 2";
        let link = format!("link add {leg} {queues} type veth peer name eth0 {queues} netns {other}\n");
        net.ip("director", &format!("{link}link set {leg} up\naddr add 10.66.{own}.1/24 dev {leg}\n"));
        let route = format!("route add default via 10.66.{own}.1\n");
        net.ip(host, &format!("link set eth0 up\naddr add {far}/24 dev eth0\n{route}"));
        net.run(host, &["ethtool", "-K", "eth0", "gro", "on"]).good();
    }
    pairs::echo(&net, "server", PORT);
    let before = net.snapshot("director");
    let vip = "10.66.1.100";
    let mut text = "interfaces = [\"eth0\", \"eth1\"]\n".to_owned();
    let _ = writeln!(text, "[[host.vip]]\naddress = \"{vip}\"\ninterface = \"eth0\"");
    let _ = writeln!(text, "[[service]]\nprotocol = \"tcp\"\naddress = \"{vip}:{PORT}\"\nscheduler = \"rr\"");
    let _ = writeln!(text, "[[service.server]]\naddress = \"10.66.2.11\"\nmethod = \"nat\"");
    let file = net.write_file(&text);
    let service: SocketAddr = format!("{vip}:{PORT}").parse().unwrap();
    let mut streams = Vec::new();
    for cached in ["off", "on"] {
        net.run_director_with(&["-c", &file, "--flow-cache", cached]);
        let status = net.status();
        assert!(status.interfaces.iter().all(|interface| interface.queues == 2), "{status:?}");
        streams = (0..CONNECTIONS).map(|_| pairs::connect(&net, service).unwrap()).collect();
        for number in 0..10 {
            pairs::everybody_answers(&mut streams, number).unwrap();
        }
        for leg in ["eth0", "eth1"] {
            let counts = by_queue(&net, leg);
            assert!(counts.iter().all(|&count| count > 100), "{leg}: {counts:?}");
        }
        net.assert_balanced();
        if cached == "off" {
            streams.clear();
            net.stop_director();
        }
    }
    net::wait_for("all are in the cache", || cache(&net).flows == 2 * CONNECTIONS as u64);
    let before_kill = cache(&net).forwarded;
    for number in 0..10 {
        pairs::everybody_answers(&mut streams, number).unwrap();
    }
    assert!(cache(&net).forwarded >= before_kill + 20 * CONNECTIONS as u64);
    // Both workers' connections are taken over.
    net.director.take().unwrap().kill();
    pairs::everybody_answers(&mut streams, 1).unwrap();
    net.run_director_with(&["-c", &file]);
    pairs::everybody_answers(&mut streams, 2).unwrap();
    assert_eq!(net.status().connections, CONNECTIONS as u64);
    drop(streams);
    net::wait_for("the ends are seen", || !net.adm("-Lnc").contains("ESTABLISHED"));
    net.assert_balanced();
    net.stop_director();
    net.assert_unchanged("director", &before);
}
