//! The director on the calling thread: the same device, worker's loop and tables as in the daemon, without the flow
//! cache, and with the host's interfaces, routes and neighbours as they are in its place.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lvs_conntrack::{Proto, Tick};
use lvs_forward::io::xdp::{Claims, DeviceConfig, Endpoint, Mode, PortConfig, Program, XdpDevice};
use lvs_forward::io::{Forwarder, PacketIo};
use lvs_forward::{Checksums, Drops, Mac, Packet, PortId};
use lvsd::director::{Director, Plane};
use lvsd::message::{
    ForwardMethod, RealServer, Request, Response, ServiceId, Transport, TunnelKind, VirtualService,
};
use lvsd::resolve::{Fib, Interface, Neighbour, Route, RouteKind};
use lvsd::services::Registry;

use super::{BURST, Forward};
use crate::contender::Method;
use crate::failure::Failure;
use crate::generator::CLIENTS;
use crate::world::{GATEWAY, Place, SERVER_PORT, SERVICE, World, server};

/// A director in a place of its own, without a thread of its own.
pub(crate) struct Inline {
    device: XdpDevice,
    director: Director,
    start: Instant,
    _program: Program,
    /// Where it is.
    pub(crate) place: Place,
}

impl Inline {
    /// Sets it up, with room for so many connections.
    pub(crate) fn start(
        world: &World,
        number: u8,
        method: Method,
        connections: usize,
    ) -> Result<Self, Failure> {
        let mut place = world.place(&format!("inline-{number}"), number)?;
        let (network, prefix) = method.destination();
        world.sink(&mut place, network, prefix)?;
        let plane = Arc::new(Plane::new(1, connections, 0x5eed));
        let mut registry = Registry::new(Arc::clone(&plane), 1);
        registry
            .set_fib(fib(&place).ok_or_else(|| Failure::Wrong("the network is not as expected".to_owned()))?);
        registry.claim_vips();
        serve(&mut registry, method)?;
        let open = || -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
            let program = Program::load()?;
            program.claim(&claims(method))?;
            let ports: Vec<PortConfig> = ["eth0", "eth1"]
                .map(|name| PortConfig { interface: name.to_owned(), queues: vec![0] })
                .to_vec();
            for port in &ports {
                program.attach(&port.interface, Some(Mode::Native))?;
            }
            let device =
                XdpDevice::open(&program, &DeviceConfig::new(ports), None, Arc::new(Drops::default()))?;
            Ok((program, device))
        };
        let (program, device) =
            place.host().inside(open)?.map_err(|error| Failure::Wrong(format!("AF_XDP: {error}")))?;
        let director = Director::new(plane, 0);
        Ok(Self { device, director, start: Instant::now(), _program: program, place })
    }
}

impl Forward for Inline {
    fn forward(&mut self) -> io::Result<(usize, Duration)> {
        let Self { device, director, start, .. } = self;
        let begin = Instant::now();
        let now = Tick::from_millis(u64::try_from((begin - *start).as_millis()).unwrap_or(u64::MAX));
        director.refresh();
        let (mut count, mut user) = (0, Duration::ZERO);
        let plane = Arc::clone(director.plane());
        let on_packet = |port, packet: &mut Packet<'_>| {
            let verdict = director.handle(port, packet, now);
            count += 1;
            if count == BURST {
                user = begin.elapsed();
            }
            verdict
        };
        let burst = if plane.is_foresighted() {
            device.poll_foreseen(BURST, |frame| plane.foresee(frame), on_packet)?
        } else {
            device.poll(BURST, on_packet)?
        };
        if burst.received != burst.sent {
            return Err(io::Error::other(format!("of a burst not all was sent: {burst:?}")));
        }
        let end = Instant::now();
        director.hand_in(now);
        Ok((count, user + end.elapsed()))
    }
}

fn serve(registry: &mut Registry, method: Method) -> Result<(), Failure> {
    let id = ServiceId::Address {
        transport: Transport::Udp,
        vip: IpAddr::V4(*SERVICE.ip()),
        port: SERVICE.port(),
    };
    let service = VirtualService {
        id,
        scheduler: "rr".into(),
        flags: 0,
        persistent: None,
        netmask: 32,
        persistence_engine: None,
        one_packet: false,
    };
    let servers = [1, 2].map(|number| RealServer {
        rip: IpAddr::V4(server(number)),
        port: if method == Method::Nat { SERVER_PORT } else { SERVICE.port() },
        method: match method {
            Method::Nat => ForwardMethod::Masquerade,
            Method::Direct => ForwardMethod::DirectRoute,
            Method::Ipip => ForwardMethod::Tunnel(TunnelKind::Ipip),
        },
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
    });
    let requests = std::iter::once(Request::AddService(service))
        .chain(servers.map(|server| Request::AddServer { id, server }));
    for request in requests {
        let answer = registry.apply(request, Tick::from_millis(0));
        if answer != Response::Done {
            return Err(Failure::Wrong(format!("the director says {answer:?}")));
        }
    }
    Ok(())
}

fn claims(method: Method) -> Claims {
    let endpoint = |address, port| Endpoint { address, port, proto: Proto::UDP };
    let mut claims = Claims::default();
    claims.services.insert(endpoint(IpAddr::V4(*SERVICE.ip()), SERVICE.port()));
    if method == Method::Nat {
        claims.servers.extend([1, 2].map(|number| endpoint(IpAddr::V4(server(number)), SERVER_PORT)));
    }
    claims
}

/// What the host's network is in a place.
fn fib(place: &Place) -> Option<Fib> {
    let interface = |name: &str, index, port, mac, net: &str| Interface {
        name: name.into(),
        index,
        port: Some(PortId(port)),
        mac: Mac(mac),
        mtu: 1500,
        checksums: Checksums::Computed,
        addresses: net.parse().into_iter().collect(),
    };
    let interfaces = vec![
        interface("eth0", 1, 0, place.mac(2), "10.77.1.1/24"),
        interface("eth1", 2, 1, place.mac(3), "10.77.2.1/24"),
    ];
    let away = Route {
        destination: CLIENTS.parse().ok()?,
        kind: RouteKind::Unicast,
        via: Some(IpAddr::V4(GATEWAY)),
        interface: 1,
        mtu: None,
        source: None,
        metric: 0,
    };
    let routes = interfaces.iter().flat_map(Interface::connected).chain([away]).collect();
    let neighbour = |interface, addr, mac| Neighbour { interface, addr: IpAddr::V4(addr), mac: Mac(mac) };
    let neighbours = [
        neighbour(1, GATEWAY, place.mac(1)),
        neighbour(2, server(1), place.mac(4)),
        neighbour(2, server(2), place.mac(4)),
    ];
    Some(Fib::new(interfaces, routes, &neighbours))
}
