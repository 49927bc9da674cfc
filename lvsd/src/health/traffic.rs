//! The way of the traffic, for checks that go it: how each real server is reached, and whose flow is whose.
//!
//! Such a check's socket is bound to the director's TUN device and to an address of the host that is no service's, and
//! connects to the service. The host's routes send that into the device, though the address is the host's own: a local
//! address counts only where its interface may be used. The director reads it there and, because the flow is noted as a
//! probe, sends it as the service's packets are sent to that one server. The server answers the host's address from the
//! service's; the XDP program leaves such packets to the director, which hands them to the host by the device again.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lvs_conntrack::{FlowKey, Proto};
use lvs_health::checker::{DataPath, Flow, Lead, Start};
use lvs_health::declared::{Check, CheckKind, Path};
use parking_lot::RwLock;

use super::declared::{VirtualServer, address};
use crate::director::Plane;
use crate::message::{ForwardMethod, RealServer};
use crate::resolve::NextHop;

/// Leads checks by way of the director; cheap to copy.
#[derive(Clone)]
pub struct Traffic {
    plane: Arc<Plane>,
    /// The director's TUN device.
    interface: Arc<str>,
    ways: Arc<RwLock<Ways>>,
}

#[derive(Default)]
struct Ways {
    methods: HashMap<Way, ForwardMethod>,
    answering: Arc<BTreeSet<Answering>>,
}

/// A server as a check comes to it: the protocol, the virtual server, the server.
type Way = (Proto, SocketAddr, SocketAddr);

/// An endpoint whose packets may answer a check.
pub type Answering = (Proto, SocketAddr);

impl Traffic {
    /// By this plane, whose TUN device has this name.
    pub fn new(plane: Arc<Plane>, interface: &str) -> Self {
        Self { plane, interface: interface.into(), ways: Arc::default() }
    }

    /// Takes how the servers are reached now.
    pub(super) fn follow(&self, declared: &[VirtualServer]) {
        let methods: HashMap<Way, ForwardMethod> = declared.iter().flat_map(ways).collect();
        let from = |(way, method): (&Way, &ForwardMethod)| {
            let (proto, target, server) = *way;
            (proto, if *method == ForwardMethod::Masquerade { spoken_to(target, server) } else { target })
        };
        let answering = Arc::new(methods.iter().map(from).collect());
        *self.ways.write() = Ways { methods, answering };
    }

    /// Whose packets the director has to see: those of servers behind NAT, and the services' own of all others.
    pub fn answering(&self) -> Arc<BTreeSet<Answering>> {
        Arc::clone(&self.ways.read().answering)
    }

    fn method(&self, is_tcp: bool, target: SocketAddr, server: SocketAddr) -> Option<ForwardMethod> {
        self.ways.read().methods.get(&(proto(is_tcp), target, server)).copied()
    }

    /// The address a check comes from: behind NAT one that a client's way back leads to, else one that is near.
    fn source(&self, target: SocketAddr, server: SocketAddr, method: ForwardMethod) -> Option<IpAddr> {
        let snapshot = self.plane.snapshot();
        let towards = if method == ForwardMethod::Masquerade { target.ip() } else { server.ip() };
        snapshot.fib.own_addresses(towards, target.is_ipv4()).find(|address| !snapshot.is_vip(*address))
    }
}

impl DataPath for Traffic {
    fn start(&self, is_tcp: bool, target: SocketAddr, server: SocketAddr) -> Result<Option<Start>, String> {
        let method =
            self.method(is_tcp, target, server).ok_or("it is not known how its packets get there")?;
        if self.plane.snapshot().fib.lookup(server.ip()) == Ok(NextHop::Local) {
            return Ok(None);
        }
        let source = self.source(target, server, method);
        let address = source.ok_or("this host has no address to ask from that is no service's")?;
        Ok(Some(Start { interface: self.interface.to_string(), address }))
    }

    fn lead(&self, flow: Flow, server: SocketAddr) -> Lead {
        let method = self.method(flow.is_tcp, flow.to, server).unwrap_or(ForwardMethod::DirectRoute);
        let key = FlowKey {
            proto: proto(flow.is_tcp),
            src: flow.from.ip(),
            src_port: flow.from.port(),
            dst: flow.to.ip(),
            dst_port: flow.to.port(),
        };
        let serial = self.plane.probes().lead(key, spoken_to(flow.to, server), method);
        let plane = Arc::clone(&self.plane);
        Lead::ended_by(move || plane.probes().end(key, serial))
    }
}

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traffic").field("interface", &self.interface).finish_non_exhaustive()
    }
}

/// The ways that a virtual server's checks go.
fn ways(declared: &VirtualServer) -> impl Iterator<Item = (Way, ForwardMethod)> {
    let checks = declared.checked.servers.iter().flat_map(|server| &server.checks);
    let by_data = checks.filter_map(|check| match check.endpoint.path {
        Path::Data(server) => Some((check, server)),
        Path::Host => None,
    });
    let mut methods = HashMap::new();
    by_data.filter_map(move |(check, server)| {
        if methods.is_empty() {
            methods
                .extend(declared.servers.iter().map(|server: &RealServer| (address(server), server.method)));
        }
        let method = methods.get(&server)?;
        Some(((proto(is_tcp(check)), check.endpoint.address, server), *method))
    })
}

/// Where a server takes the packets that a virtual server got at this port: at its own, if it has one.
const fn spoken_to(target: SocketAddr, server: SocketAddr) -> SocketAddr {
    let port = if server.port() == 0 { target.port() } else { server.port() };
    SocketAddr::new(server.ip(), port)
}

const fn proto(is_tcp: bool) -> Proto {
    if is_tcp { Proto::TCP } else { Proto::UDP }
}

const fn is_tcp(check: &Check) -> bool {
    match check.kind {
        CheckKind::Dns { .. } | CheckKind::Udp(_) => false,
        CheckKind::Tcp
        | CheckKind::Http(_)
        | CheckKind::Smtp { .. }
        | CheckKind::Ping
        | CheckKind::Misc(_)
        | CheckKind::File(_) => true,
    }
}
