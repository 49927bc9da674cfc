//! A director that is killed again and again, at any moment: those who talk through it do not notice.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use net::trio::NAT;
use net::{Net, nat, pairs};

const PORT: u16 = 81;
const CONNECTIONS: usize = 30;
const KILLS: u64 = 100;
/// All of it takes no longer than this, however slow the machine: then there are fewer kills, and that is told.
const PATIENCE: Duration = Duration::from_secs(80);

/// How long clients that come anew wait for a director that begins again: half of the times they do not wait longer.
/// A machine that has other work as well is not held to it every single time.
const NEW_AGAIN: Duration = Duration::from_millis(300);
/// How long they wait at the most.
const NEW_AT_LAST: Duration = Duration::from_secs(3);

/// Counts the resets that come to a host.
fn count_resets(net: &Net, host: &str) {
    let rules = "add table inet watch; \
                 add chain inet watch seen { type filter hook prerouting priority -300; }; \
                 add rule inet watch seen tcp flags & rst == rst counter";
    net.run(host, &["nft", rules]).good();
}

fn resets(net: &Net, host: &str) -> u64 {
    let listed = net.run(host, &["nft", "list", "chain", "inet", "watch", "seen"]).good();
    let mut words = listed.split_whitespace().skip_while(|&word| word != "packets");
    words.nth(1).unwrap().parse().unwrap()
}

/// Talks on every connection until it is told to stop; how often all were answered.
fn talk(streams: &mut [TcpStream], stop: &AtomicBool, rounds: &AtomicU64) -> Result<(), String> {
    while !stop.load(Ordering::Relaxed) {
        pairs::everybody_answers(streams, rounds.load(Ordering::Relaxed))?;
        rounds.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Whether a connection is served that did not exist before. One of UDP: a client of TCP asks again only after a
/// second.
fn is_served_anew(net: &Net) -> bool {
    let asking = || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        socket.send_to(b"new", SocketAddr::new(NAT.vips()[0], 7))?;
        socket.recv(&mut [0; 64])
    };
    net.host("client").inside(asking).unwrap().is_ok()
}

#[test]
#[ignore = "needs root"]
fn a_director_killed_a_hundred_times_at_any_moment_breaks_no_connection() {
    let mut net = nat::build();
    let hosts = ["client".to_owned(), NAT.servers()[0].clone(), NAT.servers()[1].clone()];
    for host in &hosts {
        count_resets(&net, host);
    }
    for server in NAT.servers() {
        pairs::echo(&net, &server, PORT);
    }
    let before = net.snapshot("director");
    let file = nat::write_file(&net, &[("tcp", PORT), ("udp", 7)], 1);
    let args = ["-c", &file];
    let service = SocketAddr::new(NAT.vips()[0], PORT);
    net.run_director_with(&args);
    let connect = |net: &Net| pairs::connect(net, service).unwrap();
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS).map(|_| connect(&net)).collect();
    pairs::everybody_answers(&mut streams, 0).unwrap();
    net::wait_for("all connections are in the cache", || {
        net.status().cache.is_some_and(|cache| cache.flows == 2 * CONNECTIONS as u64)
    });

    let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut dice: u64 = 0x1234_5678_9abc_def1;
    let (mut kills, mut waits) = (0, Vec::new());
    std::thread::scope(|scope| {
        let talking = scope.spawn(|| talk(&mut streams, &stop, &rounds));
        let began = Instant::now();
        while kills < KILLS && began.elapsed() < PATIENCE && !talking.is_finished() {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            net.director.take().unwrap().kill();
            kills += 1;
            let started = Instant::now();
            net.start_director(&args);
            if kills % 10 == 0 {
                while !is_served_anew(&net) {
                    assert!(started.elapsed() < net::PATIENCE, "no new connection");
                }
                waits.push(started.elapsed());
                drop(connect(&net));
            }
            // From before it has loaded the program until after it serves.
            std::thread::sleep(Duration::from_millis(dice % 700));
        }
        stop.store(true, Ordering::Relaxed);
        talking.join().unwrap().unwrap_or_else(|broken| panic!("after {kills} kills: {broken}"));
    });
    let rounds = rounds.into_inner();
    waits.sort_unstable();
    println!("{kills} kills, {rounds} rounds of {CONNECTIONS}; new connections after {waits:?}");
    assert!(waits[waits.len() / 2] <= NEW_AGAIN, "{waits:?}");
    assert!(waits.iter().all(|&wait| wait < NEW_AT_LAST), "{waits:?}");
    assert!(kills >= KILLS / 2 && rounds > kills, "{kills} kills, {rounds} rounds");
    net.director.take().unwrap().kill();
    net.run_director_with(&args);
    pairs::everybody_answers(&mut streams, 1).unwrap();
    let listing = net.adm("-Lnc");
    assert_eq!(listing.matches("ESTABLISHED").count(), CONNECTIONS, "{listing}");
    for host in &hosts {
        assert_eq!(resets(&net, host), 0, "resets that came to {host}");
    }
    drop(streams);
    net.assert_balanced();
    net.stop_director();
    net.assert_unchanged("director", &before);
}
