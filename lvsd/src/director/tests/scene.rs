//! A director between two links, driven by ipvsadm command lines and frames.

use std::io::empty;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lvs_conntrack::Tick;
use lvs_forward::io::Forwarder;
use lvs_forward::{Checksums, Headers, Mac, Packet, PortId, Verdict};

use super::super::{Account, Director, Exit, Plane};
use crate::adm::{self, Names};
use crate::message::{ConnectionListing, Request, Response, ServerListing};
use crate::resolve::{Fib, Interface, Neighbour, Route, RouteKind};
use crate::services::Registry;

pub(super) const OUTSIDE: PortId = PortId(0);
pub(super) const INSIDE: PortId = PortId(1);

/// What became of a frame.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    /// The frame as it is now.
    pub(super) frame: Vec<u8>,
    /// What left behind it.
    pub(super) behind: Vec<(Exit, Vec<u8>)>,
}

impl Outcome {
    /// Where the frame, as it is now, goes.
    pub(super) fn headers(&self) -> Headers {
        Headers::parse(&self.frame).unwrap()
    }

    /// The real server that a direct-routed frame goes to: the last octet of its neighbour's address.
    pub(super) fn server(&self) -> u8 {
        assert_eq!(self.verdict, Verdict::Send(INSIDE));
        self.frame[5]
    }
}

pub(super) struct Scene {
    pub(super) registry: Registry,
    director: Director,
    pub(super) now: Tick,
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A client's address and port.
pub(super) fn client(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, last], port))
}

impl Scene {
    /// Links, routes and neighbours: clients behind 192.0.2.1, servers 10.0.0.11 to 10.0.0.19, the service's
    /// addresses 203.0.113.1 and `2001:db8::1`. Then the commands.
    pub(super) fn new(commands: &[&str]) -> Self {
        Self::with_limit(commands, 1000)
    }

    pub(super) fn with_limit(commands: &[&str], limit: usize) -> Self {
        let plane = Arc::new(Plane::new(1, limit, 7));
        let mut registry = Registry::new(Arc::clone(&plane), 7);
        registry.set_fib(fib(1500, 11..20));
        let director = Director::new(plane, 0);
        let mut scene = Self { registry, director, now: Tick::from_millis(1000) };
        for command in commands {
            scene.ipvsadm(command);
        }
        scene
    }

    /// Runs a command that must succeed.
    pub(super) fn ipvsadm(&mut self, command: &str) {
        let args: Vec<&str> = command.split_whitespace().collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (registry, now) = (&mut self.registry, self.now);
        let mut backend = |request: Request| registry.apply(request, now);
        let status = adm::run(&args, Names::BuiltIn, &mut empty(), &mut backend, &mut out, &mut err);
        assert_eq!(status, 0, "{command}: {}", String::from_utf8_lossy(&err));
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.registry.set_sysctl(name, value).unwrap();
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        // A worker that is idle still lets go of the old snapshot.
        self.director.refresh();
        self.registry.plane().sweep(self.now, usize::MAX);
        self.registry.tick(self.now);
    }

    /// A frame comes in; every packet must be accounted for afterwards.
    pub(super) fn receive(&mut self, port: PortId, frame: &[u8]) -> Outcome {
        self.receive_by(port, frame, Director::handle)
    }

    /// The same, but no packet goes the short way.
    pub(super) fn receive_at_length(&mut self, port: PortId, frame: &[u8]) -> Outcome {
        self.receive_by(port, frame, |director, ingress, packet, now| {
            let verdict = match Headers::parse(packet.bytes()) {
                Ok(headers) => {
                    let Director { plane, snapshot, lane } = &mut *director;
                    lane.judge_at_length(plane, snapshot, packet, headers, ingress, now)
                }
                Err(_) => return director.handle(ingress, packet, now),
            };
            director.count(verdict)
        })
    }

    fn receive_by(
        &mut self,
        port: PortId,
        frame: &[u8],
        handle: impl FnOnce(&mut Director, PortId, &mut Packet<'_>, Tick) -> Verdict,
    ) -> Outcome {
        const ROOM: usize = 128;
        let mut buffer = vec![0; ROOM + frame.len() + 1024];
        buffer[ROOM..ROOM + frame.len()].copy_from_slice(frame);
        let mut packet = Packet::new(&mut buffer, ROOM, frame.len());
        self.director.refresh();
        let verdict = handle(&mut self.director, port, &mut packet, self.now);
        let frame = packet.bytes().to_vec();
        let behind = self.release();
        let account = self.account();
        assert!(account.balances(), "{verdict:?}: {account:?}");
        Outcome { verdict, frame, behind }
    }

    pub(super) fn client_sends(&mut self, frame: &[u8]) -> Outcome {
        self.receive(OUTSIDE, frame)
    }

    pub(super) fn server_sends(&mut self, frame: &[u8]) -> Outcome {
        self.receive(INSIDE, frame)
    }

    pub(super) fn release(&mut self) -> Vec<(Exit, Vec<u8>)> {
        let mut left = Vec::new();
        self.director.refresh();
        self.director.release(self.now, |exit, frame| left.push((exit, frame.to_vec())));
        left
    }

    pub(super) fn account(&self) -> Account {
        self.registry.plane().account()
    }

    /// The servers of all services, in the kernel's order.
    pub(super) fn servers(&mut self) -> Vec<ServerListing> {
        let Response::Services { services } = self.registry.apply(Request::List { id: None }, self.now)
        else {
            panic!("no listing");
        };
        services.into_iter().flat_map(|service| service.servers).collect()
    }

    /// Active and inactive connections and templates of the server whose address ends so.
    pub(super) fn counts(&mut self, last: u8) -> (u32, u32, u32) {
        let rip = IpAddr::from([10, 0, 0, last]);
        let server = self.servers().into_iter().find(|server| server.server.rip == rip).unwrap();
        (server.active, server.inactive, server.persistent)
    }

    pub(super) fn connections(&mut self) -> Vec<ConnectionListing> {
        let Response::Connections { connections } = self.registry.apply(Request::Connections, self.now)
        else {
            panic!("no connections");
        };
        connections
    }
}

/// The scene's forwarding table, with this MTU toward the servers and these neighbours among them.
pub(super) fn fib(mtu: u16, known: std::ops::Range<u8>) -> Fib {
    let interface = |name: &str, index, port, mtu, nets: [&str; 2]| Interface {
        name: name.into(),
        index,
        port: Some(port),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        mtu,
        checksums: Checksums::Computed,
        addresses: nets.map(|net| net.parse().unwrap()).to_vec(),
    };
    let interfaces = vec![
        interface("outside", 1, OUTSIDE, 1500, ["192.0.2.2/24", "2001:db8:a::2/64"]),
        interface("inside", 2, INSIDE, mtu, ["10.0.0.1/24", "2001:db8:b::1/64"]),
    ];
    let route = |net: &str, kind, via: Option<&str>| Route {
        destination: net.parse().unwrap(),
        kind,
        via: via.map(ip),
        interface: 1,
        mtu: None,
        source: None,
        metric: 0,
    };
    let mut routes: Vec<Route> = interfaces.iter().flat_map(Interface::connected).collect();
    routes.extend([
        route("0.0.0.0/0", RouteKind::Unicast, Some("192.0.2.1")),
        route("::/0", RouteKind::Unicast, Some("2001:db8:a::1")),
        route("203.0.113.1/32", RouteKind::Local, None),
        route("2001:db8::1/128", RouteKind::Local, None),
    ]);
    let neighbour = |interface, addr, last| Neighbour { interface, addr, mac: Mac([6, 0, 0, 0, 0, last]) };
    let mut neighbours = vec![neighbour(1, ip("192.0.2.1"), 1), neighbour(1, ip("2001:db8:a::1"), 1)];
    for last in known {
        neighbours.push(neighbour(2, IpAddr::from([10, 0, 0, last]), last));
        neighbours.push(neighbour(2, ip(&format!("2001:db8:b::{last}")), last));
    }
    Fib::new(interfaces, routes, &neighbours)
}
