//! What checks cost, and what it costs to take over what is declared anew.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use lvs_health::declared::{CheckKind, HttpCheck, HttpProtocol, HttpUrl, Timing};
use lvsd::health::{self, Health, VirtualServer};

use crate::table::{Table, carry_out, declared, timing, virtual_server, weights};

/// Seconds of processor time that the threads of this name have used.
fn processor_seconds(name: &str) -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let own =
        tasks.filter(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name));
    let nanoseconds = own.map(|task| {
        let text = std::fs::read_to_string(task.join("schedstat")).unwrap();
        text.split_whitespace().next().unwrap().parse::<f64>().unwrap()
    });
    nanoseconds.sum::<f64>() / 1e9
}

/// The address of real server `number`, all of them at one port of the loopback interface.
fn address(number: u32, port: u16) -> SocketAddr {
    let [_, high, middle, low] = number.to_be_bytes();
    SocketAddr::from(([127, 1 + high, middle, low], port))
}

/// Answers every connection by `serve`; the port.
fn serve(serve: fn(TcpStream)) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().filter_map(Result::ok).for_each(serve));
    port
}

fn page(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 1024]);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n");
}

/// The share of a core that 10,000 checks of a kind use, each made every 6 s.
fn share_of(what: &str, kind: &CheckKind, port: u16) -> f64 {
    let six = Duration::from_secs(6);
    let timing = Timing { delay_loop: six, warmup: six, ..Timing::default() };
    let virtual_servers = (0..100).map(|number| {
        let servers: Vec<SocketAddr> =
            (0..100).map(|server| address(u32::from(number) * 100 + server, port)).collect();
        let mut declared = virtual_server(number + 1, &servers, timing);
        for server in &mut declared.checked.servers {
            server.checks[0].kind = kind.clone();
        }
        declared
    });
    let table = Arc::new(Table::default());
    let health =
        health::start(declared(virtual_servers.collect()), Arc::<Table>::clone(&table), None).unwrap();
    // The first round is the warm-up.
    thread::sleep(Duration::from_secs(8));
    let (began, used) = (Instant::now(), processor_seconds("lvsd-health"));
    thread::sleep(Duration::from_secs(18));
    let share = (processor_seconds("lvsd-health") - used) / began.elapsed().as_secs_f64();
    eprintln!("10,000 {what} checks each 6 s: {:.1} % of a core", share * 100.0);
    let listing = health.handle().listing();
    let checks = listing.iter().flat_map(|pool| &pool.servers).flat_map(|server| &server.checks);
    let failed = checks.filter(|check| check.result.as_deref() != Some("ok")).count();
    assert_eq!(failed, 0);
    share
}

/// To be run with `--release`; the real servers' half of each connection is on the loopback interface too, and a good
/// part of it is done within our own calls.
#[test]
#[ignore = "takes a minute; run with --release"]
fn ten_thousand_checks_cost_little() {
    if cfg!(debug_assertions) {
        eprintln!("SKIPPED: what a debug build costs says nothing");
        return;
    }
    let tcp = share_of("TCP", &CheckKind::Tcp, serve(drop));
    let urls = vec![HttpUrl::default()];
    let http = HttpCheck { tls: None, protocol: HttpProtocol::Http11, fast_recovery: false, urls };
    let http = share_of("HTTP", &CheckKind::Http(http), serve(page));
    assert!(tcp < 0.15, "{tcp}");
    assert!(http < 0.15, "{http}");
}

/// Virtual servers with 37,000 real servers, none of which will be asked.
fn many() -> Vec<VirtualServer> {
    let timing = Timing { warmup: Duration::from_hours(1 << 20), ..timing() };
    let one = |number: u16| {
        let servers: Vec<SocketAddr> =
            (0..18).map(|server| address(u32::from(number) * 18 + server, 9)).collect();
        virtual_server(number + 1, &servers, timing)
    };
    (0..2056).map(one).collect()
}

/// How long it takes to take this over, and how many requests come of it.
fn reconfigure(health: &Health, table: &Table, virtual_servers: Vec<VirtualServer>) -> (Duration, usize) {
    let mut asked = 0;
    let mut servers = table.servers.lock();
    let began = Instant::now();
    health.handle().reconfigure(declared(virtual_servers), &mut |requests| {
        asked += requests.len();
        requests.into_iter().map(|request| carry_out(&mut servers, request)).collect()
    });
    (began.elapsed(), asked)
}

#[test]
fn thirty_seven_thousand_servers_are_taken_over_quickly() {
    let table = Arc::new(Table::default());
    let began = Instant::now();
    let health = health::start(declared(many()), Arc::<Table>::clone(&table), None).unwrap();
    let first = began.elapsed();
    let (same, asked) = reconfigure(&health, &table, many());
    assert_eq!(asked, 0);
    let mut changed = many();
    changed[1000].checked.servers[3].weight = 5;
    let gone = changed[1001].checked.servers.pop().unwrap();
    let (other, asked) = reconfigure(&health, &table, changed);
    assert_eq!(asked, 2);
    assert!(weights(&table, 1001).iter().any(|(_, weight)| *weight == 5));
    assert!(weights(&table, 1002).iter().all(|(address, _)| *address != gone.address));
    eprintln!("37,008 servers: first {first:?}, the same again {same:?}, two changes {other:?}");
    // A debug build on a busy machine; what takes its time squared would not end at all.
    assert!(first.max(same).max(other) < Duration::from_secs(10));
}
