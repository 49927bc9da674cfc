//! The whole way of a packet through the director, over interfaces in memory: parse, connection, state, rewrite,
//! device. Bursts of 64 packets of established flows in random order, 64 octets of IP each.
//!
//! Before each measurement the same packets are forwarded under the counting allocator: on established flows the
//! director allocates nothing, which is asserted, not only printed.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark's own configuration is as it must be")]

use std::hint::black_box;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lvs_benches::Counting;
use lvs_conntrack::Tick;
use lvs_forward::checksum::Sum;
use lvs_forward::io::{Forwarder, MemDevice, PacketIo};
use lvs_forward::{Checksums, Drops, Mac, Packet, PortId};
use lvsd::director::{Director, Plane};
use lvsd::message::{
    ForwardMethod, RealServer, Request, Response, ServiceId, Transport, TunnelKind, VirtualService,
};
use lvsd::resolve::{Fib, Interface, Neighbour, Route, RouteKind};
use lvsd::services::Registry;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BURST: usize = 64;
const FLOWS: [u32; 2] = [1_000, 1_000_000];
const NOW: Tick = Tick::from_millis(1_000);
const OUTSIDE: PortId = PortId(0);
const INSIDE: PortId = PortId(1);
const SERVICE_PORT: u16 = 80;
const SERVER_PORT: u16 = 8080;
const SERVERS: u8 = 4;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

#[derive(Clone, Copy)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn vip(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(203, 0, 113, 1).into(),
            Self::V6 => "2001:db8::1".parse().unwrap(),
        }
    }

    fn rip(self, n: u8) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, 0, 0, 11 + n).into(),
            Self::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 0x11 + u16::from(n)).into(),
        }
    }

    /// The client of flow `n`; sixteen flows to an address.
    fn client(self, n: u32) -> (IpAddr, u16) {
        let addr = match self {
            Self::V4 => Ipv4Addr::from_bits(0xc612_0000 + n / 16).into(),
            Self::V6 => Ipv6Addr::from_bits((0x2001_0db8_000c << 80) | u128::from(n / 16)).into(),
        };
        (addr, 1024 + u16::try_from(n % 16).unwrap())
    }

    fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// A director with one service and the flows that it knows.
struct Bench {
    director: Director,
    device: MemDevice,
    family: Family,
    flows: u32,
    next: u32,
    /// Which server has which flow, for replies.
    servers: Vec<u8>,
}

impl Bench {
    fn new(family: Family, method: ForwardMethod, flows: u32) -> Self {
        let plane = Arc::new(Plane::new(1, flows as usize + BURST, 0x5eed));
        let mut registry = Registry::new(Arc::clone(&plane), 1);
        registry.set_fib(fib());
        registry.claim_vips();
        let id = ServiceId::Address { transport: Transport::Tcp, vip: family.vip(), port: SERVICE_PORT };
        let service = VirtualService {
            id,
            scheduler: "rr".into(),
            flags: 0,
            persistent: None,
            netmask: family.bits(),
            persistence_engine: None,
            one_packet: false,
        };
        assert_eq!(registry.apply(Request::AddService(service), NOW), Response::Done);
        for n in 0..SERVERS {
            let port = if method == ForwardMethod::Masquerade { SERVER_PORT } else { SERVICE_PORT };
            let server = RealServer {
                rip: family.rip(n),
                port,
                method,
                weight: 1,
                upper_threshold: 0,
                lower_threshold: 0,
            };
            assert_eq!(registry.apply(Request::AddServer { id, server }, NOW), Response::Done);
        }
        let device = MemDevice::new(2, BURST, 256, Arc::new(Drops::default()));
        let mut bench = Self {
            director: Director::new(plane, 0),
            device,
            family,
            flows,
            next: 0,
            servers: vec![0; flows as usize],
        };
        bench.establish();
        bench
    }

    fn establish(&mut self) {
        for flags in [SYN, ACK] {
            for flow in 0..self.flows {
                let frame = self.request(flow, flags);
                assert!(self.device.receive(OUTSIDE, &frame));
                assert_eq!(self.poll(), 1);
                let server = &mut self.servers[flow as usize];
                // The last octet of the neighbour's address names the server.
                self.device.take_sent(INSIDE, |frame| *server = frame[5]);
            }
        }
    }

    fn request(&self, flow: u32, flags: u8) -> Vec<u8> {
        let (cip, port) = self.family.client(flow);
        segment((cip, port), (self.family.vip(), SERVICE_PORT), flags)
    }

    fn reply(&self, flow: u32) -> Vec<u8> {
        let rip = self.family.rip(self.servers[flow as usize]);
        segment((rip, SERVER_PORT), self.family.client(flow), ACK)
    }

    /// Puts a burst of known flows' packets on the link.
    fn fill(&mut self, replies: bool) {
        for _ in 0..BURST {
            // A step that has no factor with either number of flows goes round all of them.
            self.next = (self.next + 618_033) % self.flows;
            let flow = self.next;
            let (port, frame) =
                if replies { (INSIDE, self.reply(flow)) } else { (OUTSIDE, self.request(flow, ACK)) };
            assert!(self.device.receive(port, &frame));
        }
    }

    fn poll(&mut self) -> u64 {
        let Self { director, device, .. } = self;
        director.refresh();
        let plane = Arc::clone(director.plane());
        let on_packet = |port, packet: &mut Packet<'_>| director.handle(port, packet, NOW);
        let burst = if plane.is_foresighted() {
            device.poll_foreseen(BURST, |frame| plane.foresee(frame), on_packet)
        } else {
            device.poll(BURST, on_packet)
        };
        burst.unwrap().sent
    }

    fn drain(&mut self) {
        for port in [OUTSIDE, INSIDE] {
            self.device.take_sent(port, |frame| {
                black_box(frame);
            });
        }
    }

    /// The time that `bursts` bursts take in the director and the device.
    fn time(&mut self, bursts: u64, replies: bool) -> Duration {
        let mut total = Duration::ZERO;
        for _ in 0..bursts {
            self.fill(replies);
            let start = Instant::now();
            let sent = self.poll();
            total += start.elapsed();
            assert_eq!(sent, BURST as u64);
            self.drain();
        }
        total
    }

    /// Allocations while `bursts` bursts are forwarded.
    fn allocations(&mut self, bursts: u64, replies: bool) -> usize {
        let mut calls = 0;
        for _ in 0..bursts {
            self.fill(replies);
            let before = Counting::calls();
            self.poll();
            calls += Counting::calls() - before;
            self.drain();
        }
        calls
    }
}

/// A TCP segment in a frame, 64 octets of IP.
fn segment(from: (IpAddr, u16), to: (IpAddr, u16), flags: u8) -> Vec<u8> {
    const LEN: u16 = 64;
    let mut frame = vec![2, 0, 0, 0, 0, 1, 6, 0, 0, 0, 0, 1];
    match (from.0, to.0) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            frame.extend([8, 0, 0x45, 0, 0, 64, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0]);
            frame.extend(src.octets());
            frame.extend(dst.octets());
            let checksum = Sum::ZERO.bytes(&frame[14..34]).checksum();
            frame[24..26].copy_from_slice(&checksum.to_be_bytes());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 6, 64]);
            frame.extend(src.octets());
            frame.extend(dst.octets());
        }
        _ => unreachable!("both ends are of one family"),
    }
    frame.extend(from.1.to_be_bytes());
    frame.extend(to.1.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0x12, 0x34, 0, 0]);
    frame.resize(14 + usize::from(LEN), 0x78);
    frame
}

fn fib() -> Fib {
    let interface = |name: &str, index, port, nets: [&str; 2]| Interface {
        name: name.into(),
        index,
        port: Some(port),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        checksums: Checksums::Computed,
        addresses: nets.map(|net| net.parse().unwrap()).to_vec(),
    };
    let interfaces = vec![
        interface("outside", 1, OUTSIDE, ["192.0.2.2/24", "2001:db8:a::2/64"]),
        interface("inside", 2, INSIDE, ["10.0.0.1/24", "2001:db8:b::1/64"]),
    ];
    let away = [("0.0.0.0/0", "192.0.2.1"), ("::/0", "2001:db8:a::1")].map(|(net, via)| Route {
        destination: net.parse().unwrap(),
        kind: RouteKind::Unicast,
        via: Some(via.parse().unwrap()),
        interface: 1,
        mtu: None,
        source: None,
        metric: 0,
    });
    let routes = interfaces.iter().flat_map(Interface::connected).chain(away).collect();
    let mut neighbours: Vec<Neighbour> = ["192.0.2.1", "2001:db8:a::1"]
        .map(|addr| Neighbour { interface: 1, addr: addr.parse().unwrap(), mac: Mac([6; 6]) })
        .into();
    for n in 0..SERVERS {
        let mac = Mac([6, 0, 0, 0, 0, n]);
        neighbours.extend([Family::V4, Family::V6].map(|family| Neighbour {
            interface: 2,
            addr: family.rip(n),
            mac,
        }));
    }
    Fib::new(interfaces, routes, &neighbours)
}

fn pipeline(c: &mut Criterion) {
    let tunnel = ForwardMethod::Tunnel(TunnelKind::Ipip);
    let matrix = [
        ("nat/ipv4", Family::V4, ForwardMethod::Masquerade, false),
        ("nat-reply/ipv4", Family::V4, ForwardMethod::Masquerade, true),
        ("nat/ipv6", Family::V6, ForwardMethod::Masquerade, false),
        ("nat-reply/ipv6", Family::V6, ForwardMethod::Masquerade, true),
        ("dr/ipv4", Family::V4, ForwardMethod::DirectRoute, false),
        ("dr/ipv6", Family::V6, ForwardMethod::DirectRoute, false),
        ("tun/ipv4", Family::V4, tunnel, false),
        ("tun/ipv6", Family::V6, tunnel, false),
    ];
    for flows in FLOWS {
        let mut group = c.benchmark_group(format!("pipeline/{flows}-flows"));
        group.throughput(Throughput::Elements(BURST as u64));
        for (name, family, method, replies) in matrix {
            // Made when it is measured: a row that was not asked for costs nothing.
            let mut made = None;
            group.bench_function(name, |b| {
                let bench = made.get_or_insert_with(|| {
                    let mut bench = Bench::new(family, method, flows);
                    let allocations = bench.allocations(1_000, replies);
                    let packets = 1_000 * BURST;
                    let row = format!("pipeline/{flows}-flows/{name}");
                    let mut out = std::io::stdout().lock();
                    let _ = writeln!(out, "{row}: {allocations} allocations in {packets} packets");
                    assert_eq!(allocations, 0, "established flows allocate nothing");
                    bench
                });
                b.iter_custom(|bursts| bench.time(bursts, replies));
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = pipeline
}
criterion_main!(benches);
