//! The checks' thread with services of its own: what it does to them, what it keeps, and what it costs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on should end"
)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use lvs_health::declared::{
    Check, CheckKind, Endpoint, Policy, RealServer as Checked, Script, Sorry, Timing,
};
use lvsd::health::{self, Apply, Declared, Services, VirtualServer};
use lvsd::message::{ForwardMethod, RealServer, Refusal, Request, Response, ServiceId, Transport};
use parking_lot::Mutex;

/// Services as a table: which servers there are with which weight, in every service.
#[derive(Debug, Default)]
struct Table {
    servers: Mutex<BTreeMap<(u16, SocketAddr), RealServer>>,
    calls: Mutex<usize>,
}

impl Services for Table {
    fn with(&self, work: &mut dyn FnMut(&mut Apply<'_>)) {
        *self.calls.lock() += 1;
        let mut servers = self.servers.lock();
        work(&mut |requests| requests.into_iter().map(|request| carry_out(&mut servers, request)).collect());
    }
}

fn carry_out(servers: &mut BTreeMap<(u16, SocketAddr), RealServer>, request: Request) -> Response {
    let key = |id: ServiceId, server: (IpAddr, u16)| match id {
        ServiceId::Address { port, .. } => (port, SocketAddr::from(server)),
        ServiceId::Mark { .. } => panic!("no service is on a mark"),
    };
    let error = match request {
        Request::AddServer { id, server } => {
            let place = servers.entry(key(id, (server.rip, server.port)));
            let is_new = matches!(place, std::collections::btree_map::Entry::Vacant(_));
            place.or_insert(server);
            (!is_new).then_some(Refusal::Exists)
        }
        Request::EditServer { id, server } => match servers.get_mut(&key(id, (server.rip, server.port))) {
            Some(place) => {
                *place = server;
                None
            }
            None => Some(Refusal::NoEntry),
        },
        Request::DeleteServer { id, rip, port } => {
            servers.remove(&key(id, (rip, port))).is_none().then_some(Refusal::NoEntry)
        }
        other => panic!("{other:?}"),
    };
    error.map_or(Response::Done, |error| Response::Refused { error })
}

fn service(port: u16) -> ServiceId {
    ServiceId::Address { transport: Transport::Tcp, vip: [192, 0, 2, 10].into(), port }
}

fn real(address: SocketAddr) -> RealServer {
    RealServer {
        rip: address.ip(),
        port: address.port(),
        method: ForwardMethod::DirectRoute,
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

fn timing() -> Timing {
    Timing {
        delay_loop: Duration::from_millis(50),
        delay_before_retry: Duration::from_millis(10),
        warmup: Duration::from_millis(10),
        connect_timeout: Duration::from_millis(500),
        ..Timing::default()
    }
}

/// A virtual server with a TCP check of each of these servers.
fn virtual_server(port: u16, servers: &[SocketAddr], timing: Timing) -> VirtualServer {
    let check = |address| Check { kind: CheckKind::Tcp, endpoint: Endpoint::new(address), timing };
    let checked = |&address: &SocketAddr| Checked {
        address,
        weight: 1,
        inhibit_on_failure: false,
        notify_up: None,
        notify_down: None,
        checks: vec![check(address)],
    };
    VirtualServer {
        services: vec![service(port)],
        servers: servers.iter().map(|address| real(*address)).collect(),
        sorry: None,
        checked: lvs_health::declared::VirtualServer {
            name: health::name(&service(port)),
            policy: Policy::default(),
            servers: servers.iter().map(checked).collect(),
        },
    }
}

fn declared(virtual_servers: Vec<VirtualServer>) -> Declared {
    Declared { virtual_servers, ..Declared::default() }
}

/// A listener whose connections nobody takes: enough for a few checks.
fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_there() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn weights(table: &Table, port: u16) -> Vec<(SocketAddr, u32)> {
    let servers = table.servers.lock();
    servers.iter().filter(|((of, _), _)| *of == port).map(|((_, at), server)| (*at, server.weight)).collect()
}

#[test]
fn servers_are_there_when_it_has_started_and_go_when_they_fail() {
    let (alive, one) = listener();
    let (dying, two) = listener();
    let table = Arc::new(Table::default());
    let both =
        declared(vec![virtual_server(80, &[one, two], timing()), virtual_server(81, &[two], timing())]);
    let health = health::start(both, Arc::<Table>::clone(&table), None).unwrap();
    assert_eq!((weights(&table, 80).len(), weights(&table, 81).len()), (2, 1));
    assert!(health.handle().looks_after(&service(80)) && !health.handle().looks_after(&service(82)));
    drop(dying);
    wait_for("the dead server is out of both", || {
        weights(&table, 80) == [(one, 1)] && weights(&table, 81).is_empty()
    });
    let listing = health.handle().listing();
    assert_eq!((listing[0].has_quorum, listing[1].has_quorum), (true, false));
    let check = &listing[0].servers[1].checks[0];
    assert_eq!((check.result.as_deref(), check.users), (Some("connection refused"), 2));
    let again = TcpListener::bind(two).unwrap();
    wait_for("it is back in both", || weights(&table, 80).len() == 2 && weights(&table, 81).len() == 1);
    drop((alive, again, health));
    assert_eq!(weights(&table, 80).len(), 2, "an end takes nobody out");
}

#[test]
fn what_is_declared_anew_changes_only_what_differs() {
    let (_alive, one) = listener();
    let (dying, two) = listener();
    drop(dying);
    let table = Arc::new(Table::default());
    let first = virtual_server(80, &[one, two], timing());
    let health = health::start(declared(vec![first.clone()]), Arc::<Table>::clone(&table), None).unwrap();
    wait_for("the dead server is out", || weights(&table, 80) == [(one, 1)]);
    let reconfigure = |virtual_server: VirtualServer| {
        let mut asked = Vec::new();
        let mut servers = table.servers.lock();
        health.handle().reconfigure(declared(vec![virtual_server]), &mut |requests| {
            asked.extend(requests.clone());
            requests.into_iter().map(|request| carry_out(&mut servers, request)).collect()
        });
        asked
    };
    assert_eq!(reconfigure(first.clone()), []);
    let mut slower = first.clone();
    for server in &mut slower.checked.servers {
        server.checks[0].timing.retry = 7;
    }
    assert_eq!(reconfigure(slower), [], "the dead one stays out");

    let mut other_way = first.clone();
    for server in &mut other_way.servers {
        server.method = ForwardMethod::Masquerade;
    }
    let changed = RealServer { method: ForwardMethod::Masquerade, ..real(one) };
    assert_eq!(reconfigure(other_way.clone()), [Request::EditServer { id: service(80), server: changed }]);
    let mut group = other_way;
    group.services.push(service(443));
    assert_eq!(reconfigure(group), [Request::AddServer { id: service(443), server: changed }]);
}

#[test]
fn what_somebody_else_added_or_removed_is_no_hindrance() {
    let (listening, one) = listener();
    let table = Arc::new(Table::default());
    table.servers.lock().insert((80, one), RealServer { weight: 9, ..real(one) });
    let declared = declared(vec![virtual_server(80, &[one], timing())]);
    let health = health::start(declared, Arc::<Table>::clone(&table), None).unwrap();
    assert_eq!(weights(&table, 80), [(one, 1)]);
    table.servers.lock().clear();
    drop(listening);
    wait_for("it is down", || !health.handle().listing()[0].servers[0].is_up);
    let _again = TcpListener::bind(one).unwrap();
    wait_for("it is back", || weights(&table, 80) == [(one, 1)]);
}

#[test]
fn the_sorry_server_serves_meanwhile() {
    let (listening, one) = listener();
    let sorry: SocketAddr = "10.0.0.9:80".parse().unwrap();
    let mut server = virtual_server(80, &[one], timing());
    server.sorry = Some(real(sorry));
    server.checked.policy.sorry = Some(Sorry { address: sorry, inhibit: false });
    let table = Arc::new(Table::default());
    let _health = health::start(declared(vec![server]), Arc::<Table>::clone(&table), None).unwrap();
    assert_eq!(weights(&table, 80), [(one, 1)]);
    drop(listening);
    wait_for("the sorry server serves", || weights(&table, 80) == [(sorry, 1)]);
    let _again = TcpListener::bind(one).unwrap();
    wait_for("it goes", || weights(&table, 80) == [(one, 1)]);
}

#[test]
fn what_is_suspended_is_checked_only_where_its_address_is() {
    let (listening, one) = listener();
    let mut server = virtual_server(80, &[one], timing());
    server.checked.policy.ha_suspend = true;
    let table = Arc::new(Table::default());
    let health = health::start(declared(vec![server]), Arc::<Table>::clone(&table), None).unwrap();
    health.handle().follow(vec![[10, 0, 0, 1].into()]);
    thread::sleep(Duration::from_millis(100));
    drop(listening);
    thread::sleep(Duration::from_millis(300));
    assert!(health.handle().listing()[0].is_suspended);
    assert_eq!(weights(&table, 80), [(one, 1)]);
    health.handle().follow(vec![[192, 0, 2, 10].into()]);
    wait_for("it is checked again", || weights(&table, 80).is_empty());
}

#[test]
fn those_that_asked_for_it_are_told_of_the_end() {
    let (_listening, one) = listener();
    let place = std::env::temp_dir().join(format!("lvsd-health-omega-{}", std::process::id()));
    let tell = |what: &str| {
        let text = format!("echo {what} >> {}", place.display());
        Some(Script { command: ["/bin/sh", "-c", &text].map(str::to_owned).to_vec(), user: None })
    };
    let mut server = virtual_server(80, &[one], timing());
    server.checked.policy.omega = true;
    server.checked.policy.quorum_down = tell("quorum");
    server.checked.servers[0].notify_down = tell("server");
    let health = health::start(declared(vec![server]), Arc::new(Table::default()), None).unwrap();
    drop(health);
    let told = std::fs::read_to_string(&place).unwrap();
    std::fs::remove_file(&place).unwrap();
    let mut lines: Vec<&str> = told.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["quorum", "server"]);
}

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

/// To be run with `--release`; the real servers' half of each connection is on the loopback interface too, and a good
/// part of it is done within our own calls.
#[test]
#[ignore = "takes half a minute; run with --release"]
fn ten_thousand_checks_cost_little() {
    if cfg!(debug_assertions) {
        eprintln!("SKIPPED: what a debug build costs says nothing");
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().for_each(drop));
    let address = |number: u16| {
        let [high, low] = number.to_be_bytes();
        SocketAddr::from(([127, 1, high, low], port))
    };
    let timing =
        Timing { delay_loop: Duration::from_secs(6), warmup: Duration::from_secs(6), ..Timing::default() };
    let virtual_servers = (0..100).map(|number| {
        let servers: Vec<SocketAddr> = (0..100).map(|server| address(number * 100 + server)).collect();
        virtual_server(number + 1, &servers, timing)
    });
    let table = Arc::new(Table::default());
    let health =
        health::start(declared(virtual_servers.collect()), Arc::<Table>::clone(&table), None).unwrap();
    // The first round is the warm-up.
    thread::sleep(Duration::from_secs(8));
    let (began, used) = (Instant::now(), processor_seconds("lvsd-health"));
    thread::sleep(Duration::from_secs(18));
    let share = (processor_seconds("lvsd-health") - used) / began.elapsed().as_secs_f64();
    eprintln!("10,000 TCP checks each 6 s: {:.1} % of a core", share * 100.0);
    let listing = health.handle().listing();
    let checks = listing.iter().flat_map(|pool| &pool.servers).flat_map(|server| &server.checks);
    let failed = checks.filter(|check| check.result.as_deref() != Some("ok")).count();
    assert_eq!(failed, 0);
    assert!(share < 0.15, "{share}");
}
