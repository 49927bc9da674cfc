//! Services as a table, and what is declared of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use lvs_health::declared::{Check, CheckKind, Endpoint, Policy, RealServer as Checked, Timing};
use lvsd::health::{self, Apply, Declared, Services, VirtualServer};
use lvsd::message::{ForwardMethod, RealServer, Refusal, Request, Response, ServiceId, Transport};
use parking_lot::Mutex;

/// Services as a table: which servers there are with which weight, in every service.
#[derive(Debug, Default)]
pub struct Table {
    pub servers: Mutex<BTreeMap<(u16, SocketAddr), RealServer>>,
    calls: Mutex<usize>,
}

impl Services for Table {
    fn with(&self, work: &mut dyn FnMut(&mut Apply<'_>)) {
        *self.calls.lock() += 1;
        let mut servers = self.servers.lock();
        work(&mut |requests| requests.into_iter().map(|request| carry_out(&mut servers, request)).collect());
    }
}

pub fn carry_out(servers: &mut BTreeMap<(u16, SocketAddr), RealServer>, request: Request) -> Response {
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

pub fn service(port: u16) -> ServiceId {
    ServiceId::Address { transport: Transport::Tcp, vip: [192, 0, 2, 10].into(), port }
}

pub fn real(address: SocketAddr) -> RealServer {
    RealServer {
        rip: address.ip(),
        port: address.port(),
        method: ForwardMethod::DirectRoute,
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

pub fn timing() -> Timing {
    Timing {
        delay_loop: Duration::from_millis(50),
        delay_before_retry: Duration::from_millis(10),
        warmup: Duration::from_millis(10),
        connect_timeout: Duration::from_millis(500),
        ..Timing::default()
    }
}

/// A virtual server with a TCP check of each of these servers.
pub fn virtual_server(port: u16, servers: &[SocketAddr], timing: Timing) -> VirtualServer {
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
        from_others: Vec::new(),
        sorry: None,
        checked: lvs_health::declared::VirtualServer {
            name: health::name(&service(port)),
            policy: Policy::default(),
            servers: servers.iter().map(checked).collect(),
        },
    }
}

pub fn declared(virtual_servers: Vec<VirtualServer>) -> Declared {
    Declared { virtual_servers, ..Declared::default() }
}

/// A listener whose connections nobody takes: enough for a few checks.
pub fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_there() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub fn weights(table: &Table, port: u16) -> Vec<(SocketAddr, u32)> {
    let servers = table.servers.lock();
    servers.iter().filter(|((of, _), _)| *of == port).map(|((_, at), server)| (*at, server.weight)).collect()
}
