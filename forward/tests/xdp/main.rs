//! The XDP programs, AF_XDP sockets and the TUN device on real interfaces, in network namespaces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "real interfaces take real time")]

mod frames;
mod net;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lvs_conntrack::Proto;
use lvs_forward::io::tun::Tun;
use lvs_forward::io::xdp::{
    Claims, DeviceConfig, Endpoint, Marked, Mode, PortConfig, Prefix, Program, ProgramError, XdpDevice, decap,
};
use lvs_forward::io::{Burst, PacketIo};
use lvs_forward::{DropReason, Drops, Packet, PortId, Verdict};
use net::{CLIENT, DIRECTOR, Lab, SERVER, Space, VIP, VIP6};

const IN: PortId = PortId(0);
const OUT: PortId = PortId(1);
/// Where the director's tunnels to `SERVER` seem to come from in what an ICMP error quotes.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);

fn endpoint(address: impl Into<IpAddr>, port: u16, proto: Proto) -> Endpoint {
    Endpoint { address: address.into(), port, proto }
}

fn vip6() -> Ipv6Addr {
    VIP6.parse().unwrap()
}

/// UDP 5000 of the VIP, TCP at every port of 10.1.0.100, NAT to port 8080 of the server, and a tunnel to it.
fn claims() -> Claims {
    Claims {
        services: [
            endpoint(VIP, 5000, Proto::UDP),
            endpoint(VIP, 0, Proto::TCP),
            endpoint(vip6(), 5000, Proto::UDP),
        ]
        .into(),
        servers: [endpoint(SERVER, 8080, Proto::UDP)].into(),
        tunnels: [endpoint(SERVER, 0, Proto(4))].into(),
        marked: BTreeSet::new(),
    }
}

struct Director {
    program: Program,
    device: XdpDevice,
    drops: Arc<Drops>,
}

fn config(interfaces: &[&str]) -> DeviceConfig {
    let port = |&name: &&str| PortConfig { interface: name.to_owned(), queues: vec![0] };
    DeviceConfig { spin: 0, ..DeviceConfig::new(interfaces.iter().map(port).collect()) }
}

impl Director {
    /// Opens the first `legs` of d0, d1 in the lab's director.
    fn open(lab: &Lab, interfaces: &[&str], wish: Option<Mode>) -> Self {
        lab.director.enter(|| {
            let program = Program::load().unwrap();
            program.claim(&claims()).unwrap();
            for interface in interfaces {
                program.attach(interface, wish).unwrap();
            }
            let drops = Arc::new(Drops::default());
            let tun = Tun::open("lvsd%d").unwrap();
            let device =
                XdpDevice::open(&program, &config(interfaces), Some(tun), Arc::clone(&drops)).unwrap();
            Self { program, device, drops }
        })
    }

    /// Polls until `enough` of the sum of all bursts, or for a second.
    fn serve(
        &mut self,
        mut verdict: impl FnMut(PortId, &mut Packet<'_>) -> Verdict,
        enough: impl Fn(&Burst) -> bool,
    ) -> Burst {
        let mut sum = Burst::default();
        let end = Instant::now() + Duration::from_secs(1);
        while !enough(&sum) && Instant::now() < end {
            let burst = self.device.poll(64, &mut verdict).unwrap();
            assert_eq!(burst.received, burst.sent + burst.to_host + burst.dropped + burst.held, "{burst:?}");
            sum.received += burst.received;
            sum.sent += burst.sent;
            sum.to_host += burst.to_host;
            sum.dropped += burst.dropped;
            sum.originated += burst.originated;
            if burst.received == 0 {
                self.device.wait(Duration::from_millis(20)).unwrap();
            }
        }
        assert!(self.device.is_balanced());
        sum
    }

    /// The frames that reach the device within the time one takes at most.
    fn collect(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let end = Instant::now() + Duration::from_millis(100);
        while Instant::now() < end {
            self.device
                .poll(64, |_, packet| {
                    frames.push(packet.bytes().to_vec());
                    Verdict::Drop(DropReason::NoServer)
                })
                .unwrap();
            self.device.wait(Duration::from_millis(5)).unwrap();
        }
        frames
    }

    /// Whether the device gets each frame sent at `from`.
    fn gets(&mut self, from: &net::Raw, cases: &[(&str, bool, Vec<u8>)]) {
        self.collect();
        for (name, expected, frame) in cases {
            from.send(frame);
            let got = self.collect().contains(frame);
            assert_eq!(got, *expected, "{name}");
        }
    }
}

#[test]
#[ignore = "needs root"]
fn only_what_is_a_services_leaves_the_host() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    assert!(lab.ping(VIP) && lab.ping(DIRECTOR), "the host answers for itself");
    assert!(lab.ping(vip6()), "neighbour discovery is the host's");

    let c = (CLIENT, 4000);
    let c6: (Ipv6Addr, u16) = ("fd01::2".parse().unwrap(), 4000);
    let cases = [
        ("a service", true, frames::udp(c, (VIP, 5000), b"x")),
        ("another port", false, frames::udp(c, (VIP, 5001), b"x")),
        ("the port of another protocol's service", true, frames::syn(c, (VIP, 5000))),
        ("every port", true, frames::syn(c, (VIP, 31337))),
        ("another address", false, frames::syn(c, (DIRECTOR, 31337))),
        ("a reply's port without its address", false, frames::udp((CLIENT, 8080), (CLIENT, 9), b"x")),
        ("one tag", true, frames::tagged(c, (VIP, 5000), false)),
        ("two tags", true, frames::tagged(c, (VIP, 5000), true)),
        ("a tag, not a service", false, frames::tagged(c, (VIP, 5001), false)),
        ("IPv6", true, frames::udp6(c6, (vip6(), 5000), b"x")),
        ("IPv6, another port", false, frames::udp6(c6, (vip6(), 5001), b"x")),
        ("extension headers", true, frames::extended6(c6, (vip6(), 5000), 5)),
        ("extension headers, another port", false, frames::extended6(c6, (vip6(), 5001), 5)),
        ("more extension headers than are followed", true, frames::extended6(c6, (vip6(), 5001), 9)),
        ("a first fragment", true, frames::fragment(CLIENT, VIP, 0, true)),
        ("a later fragment", true, frames::fragment(CLIENT, VIP, 3, false)),
        ("another's fragment", false, frames::fragment(CLIENT, DIRECTOR, 3, false)),
    ];
    director.gets(&lab.client.raw("c0"), &cases);

    let cases = [
        ("a reply", true, frames::udp((SERVER, 8080), c, b"x")),
        ("a server's other packets", false, frames::udp((SERVER, 8081), c, b"x")),
        ("a server's fragment", true, frames::fragment(SERVER, CLIENT, 3, false)),
    ];
    director.gets(&lab.server.raw("s0"), &cases);
    let counts = director.program.counts().unwrap();
    assert_eq!((counts.reply, counts.no_socket), (1, 0));
    assert_eq!((counts.service, counts.fragment), (7, 4), "{counts:?}");
}

#[test]
#[ignore = "needs root"]
fn icmp_errors_about_our_packets_are_ours_and_no_others() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    let c = (CLIENT, 4000);
    let c6: (Ipv6Addr, u16) = ("fd01::2".parse().unwrap(), 4000);
    let to_client = frames::udp((VIP, 5000), c, b"x");
    let to_server = frames::udp(c, (SERVER, 8080), b"x");
    let tunnelled = frames::tunnel(ELSEWHERE, SERVER, 4, &[], &frames::udp(c, (VIP, 5000), b"x"));
    let of_others = frames::udp(c, (SERVER, 9999), b"x");
    let unreachable = (3, 3);
    let cases = [
        ("an echo request", false, frames::icmp(CLIENT, VIP, (8, 0), &to_client)),
        ("an error to a VIP", true, frames::icmp(CLIENT, VIP, unreachable, &to_client)),
        ("time exceeded", true, frames::icmp(CLIENT, VIP, (11, 0), &to_client)),
        ("a redirect", false, frames::icmp(CLIENT, VIP, (5, 0), &to_client)),
        (
            "about a service, to another address",
            true,
            frames::icmp(CLIENT, DIRECTOR, unreachable, &to_client),
        ),
        ("about a packet to a NAT server", true, frames::icmp(SERVER, CLIENT, unreachable, &to_server)),
        ("about another port of a NAT server", false, frames::icmp(SERVER, CLIENT, unreachable, &of_others)),
        ("about a tunnel", true, frames::icmp(ELSEWHERE, DIRECTOR, (3, 4), &tunnelled)),
        ("about the host's own", false, frames::icmp(CLIENT, DIRECTOR, unreachable, &frames::syn(c, c))),
        ("quoting nothing", false, frames::icmp(CLIENT, DIRECTOR, unreachable, &[])),
        (
            "quoting a later fragment of ours",
            true,
            frames::icmp(CLIENT, DIRECTOR, unreachable, &frames::fragment(VIP, CLIENT, 9, true)),
        ),
        ("too big, IPv6", true, frames::icmp6(c6.0, vip6(), (2, 0), &frames::udp6((vip6(), 5000), c6, b"x"))),
        ("an echo request, IPv6", false, frames::icmp6(c6.0, vip6(), (128, 0), &[])),
    ];
    director.gets(&lab.client.raw("c0"), &cases);
}

#[test]
#[ignore = "needs root"]
fn what_is_claimed_follows_the_claims() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    let client = lab.client.raw("c0");
    let marked = frames::udp((CLIENT, 1), ("10.1.0.77".parse().unwrap(), 1), b"marked");
    let service = frames::udp((CLIENT, 1), (VIP, 5000), b"service");
    director.gets(&client, &[("before", false, marked.clone()), ("before", true, service.clone())]);

    let prefix = Prefix { address: "10.1.0.64".parse().unwrap(), length: 27 };
    let kept = endpoint(VIP, 6000, Proto::UDP);
    let ports = |proto| Marked { prefix, proto, first_port: 1, last_port: u16::MAX };
    let marks = [ports(Proto::TCP), ports(Proto::UDP)];
    let claims = Claims { marked: marks.into(), services: [kept].into(), ..Claims::default() };
    director.program.claim(&claims).unwrap();
    director.gets(&client, &[("a prefix", true, marked.clone()), ("removed", false, service.clone())]);

    director.program.claim(&Claims::default()).unwrap();
    director.gets(&client, &[("nothing is claimed", false, marked), ("still removed", false, service)]);
}

#[test]
#[ignore = "needs root"]
fn of_a_marked_prefix_only_what_may_be_marked_leaves_the_host() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0"], None);
    let client = lab.client.raw("c0");
    let marked = |address: &str, length, proto, first_port, last_port| {
        let prefix = Prefix { address: address.parse().unwrap(), length };
        Marked { prefix, proto, first_port, last_port }
    };
    let marks = [
        marked("10.1.0.0", 16, Proto::UDP, 53, 53),
        marked("10.1.0.64", 26, Proto::TCP, 80, 80),
        marked("10.1.0.64", 26, Proto::TCP, 8000, 8100),
        // What holds all of IPv6 does not hold IPv4.
        marked("::", 0, Proto::UDP, 7000, 7000),
    ];
    director.program.claim(&Claims { marked: marks.into(), ..Claims::default() }).unwrap();

    let c = (CLIENT, 4000);
    let c6: (Ipv6Addr, u16) = ("fd01::2".parse().unwrap(), 4000);
    let cases = [
        ("a marked port", true, frames::syn(c, (VIP, 80))),
        ("a range's first port", true, frames::syn(c, (VIP, 8000))),
        ("a range's last port", true, frames::syn(c, (VIP, 8100))),
        ("behind a range", false, frames::syn(c, (VIP, 8101))),
        ("another port", false, frames::syn(c, (VIP, 22))),
        ("the port of another protocol", false, frames::udp(c, (VIP, 80), b"x")),
        ("what the prefix around it says", true, frames::udp(c, (VIP, 53), b"x")),
        ("outside the inner prefix", false, frames::syn(c, (DIRECTOR, 80))),
        ("the outer prefix", true, frames::udp(c, (DIRECTOR, 53), b"x")),
        ("all of IPv6", true, frames::udp6(c6, (vip6(), 7000), b"x")),
        ("all of IPv6, another port", false, frames::udp6(c6, (vip6(), 7001), b"x")),
        ("IPv4 is not of IPv6", false, frames::udp(c, (VIP, 7000), b"x")),
    ];
    director.gets(&client, &cases);
    assert!(lab.ping(VIP) && lab.ping(vip6()), "a ping is never marked");
}

/// Sends `count` datagrams to the VIP in bursts of 200 while the director forwards them; the sum of its bursts.
fn forward(lab: &Lab, director: &mut Director, count: u32, out: PortId) -> Burst {
    let client = lab.client.raw("c0");
    let mut sum = Burst::default();
    let mut next = 0;
    while next < count {
        let burst = 200.min(count - next);
        for number in next..next + burst {
            client.send(&frames::udp((CLIENT, 4000), (VIP, 5000), &number.to_be_bytes()));
        }
        next += burst;
        let done = director.serve(
            |port, packet| {
                assert_eq!(port, IN);
                packet.bytes_mut()[11] = 0xee;
                Verdict::Send(out)
            },
            |sum| sum.received == u64::from(burst),
        );
        sum.received += done.received;
        sum.sent += done.sent;
        sum.dropped += done.dropped;
    }
    sum
}

/// The numbers in the datagrams the director marked, as they arrived at `raw`.
fn numbers(raw: &net::Raw) -> Vec<u32> {
    std::iter::from_fn(|| raw.take())
        .filter(|frame| frame.get(11) == Some(&0xee) && frame.len() >= 46)
        .map(|frame| u32::from_be_bytes(*frame[42..].first_chunk().unwrap()))
        .collect()
}

#[test]
#[ignore = "needs root"]
fn thousands_of_frames_cross_two_legs_each_once_and_in_order() {
    for (wish, mode) in [(None, Mode::Native), (Some(Mode::Generic), Mode::Generic)] {
        let lab = Lab::new();
        let mut director = Director::open(&lab, &["d0", "d1"], wish);
        assert_eq!(director.program.attached(), [("d0".to_owned(), mode), ("d1".to_owned(), mode)]);
        let server = lab.server.raw("s0");
        let sum = forward(&lab, &mut director, 10_000, OUT);
        assert_eq!((sum.received, sum.sent, sum.dropped), (10_000, 10_000, 0), "{mode:?}");
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(numbers(&server), (0..10_000).collect::<Vec<_>>(), "{mode:?}");
        let lost = director.device.statistics(IN).unwrap().unwrap();
        assert_eq!((lost.rx_dropped, lost.rx_ring_full), (0, 0));
    }
}

#[test]
#[ignore = "needs root"]
fn one_leg_sends_back_out_of_where_it_came_from() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0"], None);
    let client = lab.client.raw("c0");
    let sum = forward(&lab, &mut director, 3_000, IN);
    assert_eq!((sum.received, sum.sent), (3_000, 3_000));
    assert_eq!(numbers(&client), (0..3_000).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs root"]
fn a_full_transmit_ring_drops_by_name_and_loses_no_frame() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    lab.director.ip("link set d1 down");
    let sum = forward(&lab, &mut director, 3_000, OUT);
    assert_eq!((sum.received, sum.sent, sum.dropped), (3_000, 2_048, 952));
    let full = director.drops.iter().find(|&(reason, _)| reason == DropReason::TxFull).unwrap().1;
    assert_eq!(full, 952);

    lab.director.ip("link set d1 up");
    let server = lab.server.raw("s0");
    std::thread::sleep(Duration::from_millis(50));
    director.serve(|_, _| Verdict::Hold, |_| false);
    assert_eq!(numbers(&server).len(), 2_048, "what waited leaves when the link is up");
}

#[test]
#[ignore = "needs root"]
fn a_frame_grows_by_a_tunnels_header_and_one_moved_to_the_front_room_is_sent_whole() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    let (client, server) = (lab.client.raw("c0"), lab.server.raw("s0"));
    let frame = frames::udp((CLIENT, 4000), (VIP, 5000), &[7; 1400]);
    client.send(&frame);
    director.serve(
        |_, packet| {
            packet.insert(14, 60).unwrap();
            packet.bytes_mut()[14..74].fill(0xaa);
            Verdict::Send(OUT)
        },
        |sum| sum.received == 1,
    );
    let grown = server.find(|seen| seen.len() == frame.len() + 60).expect("the grown frame");
    assert_eq!((&grown[..14], &grown[14..74], &grown[74..]), (&frame[..14], &[0xaa; 60][..], &frame[14..]));
}

#[test]
#[ignore = "needs root"]
fn injected_frames_and_answers_leave_and_are_counted() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    let (client, server) = (lab.client.raw("c0"), lab.server.raw("s0"));
    let injected = frames::udp((DIRECTOR, 1), (SERVER, 1), b"injected");
    director.device.inject(OUT, &injected).unwrap();
    client.send(&frames::udp((CLIENT, 4000), (VIP, 5000), b"question"));
    let answer = frames::udp((VIP, 5000), (CLIENT, 4000), b"answer");
    let sum = director.serve(
        |port, packet| {
            packet.resize(answer.len()).unwrap();
            packet.bytes_mut().copy_from_slice(&answer);
            Verdict::Answer(port, DropReason::TtlExceeded)
        },
        |sum| sum.received == 1,
    );
    assert_eq!((sum.received, sum.dropped, sum.originated), (1, 1, 2));
    assert!(server.find(|frame| frame == injected).is_some());
    assert!(client.find(|frame| frame == answer).is_some());

    let refused = |out, frame: &[u8], device: &mut XdpDevice| device.inject(out, frame).unwrap_err().kind();
    assert_eq!(refused(PortId(2), &injected, &mut director.device), io::ErrorKind::NotFound);
    assert_eq!(refused(OUT, &[0; 5000], &mut director.device), io::ErrorKind::InvalidInput);
    assert!(director.device.is_balanced());
}

#[test]
#[ignore = "needs root"]
fn one_burst_sends_more_than_the_kernel_takes_in_a_call() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    let server = lab.server.raw("s0");
    let mut frame = frames::udp((DIRECTOR, 1), (SERVER, 1), &[0; 4]);
    frame[11] = 0xee;
    for number in 0..200_u32 {
        frame[42..46].copy_from_slice(&number.to_be_bytes());
        director.device.inject(OUT, &frame).unwrap();
    }
    assert_eq!(director.device.poll(64, |_, _| Verdict::Hold).unwrap().originated, 200);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(numbers(&server), (0..200).collect::<Vec<_>>());
    assert!(director.device.is_balanced());
}

#[test]
#[ignore = "needs root"]
fn without_a_socket_a_services_packets_are_dropped_and_the_hosts_are_not() {
    let lab = Lab::new();
    let Director { program, device, .. } = Director::open(&lab, &["d0", "d1"], None);
    drop(device);
    let host = lab.director.udp("10.1.0.100:5000");
    let other = lab.director.udp("10.1.0.100:5001");
    let client = lab.client.udp("10.1.0.2:0");
    client.send_to(b"service", "10.1.0.100:5000").unwrap();
    client.send_to(b"host's", "10.1.0.100:5001").unwrap();
    let mut buffer = [0; 64];
    assert_eq!(other.recv(&mut buffer).unwrap(), 6);
    assert!(host.recv(&mut buffer).is_err(), "the host got a service's packet");
    assert_eq!(program.counts().unwrap().no_socket, 1);

    // As after a crash: nobody detaches, and the next program takes the place.
    drop(program);
    client.send_to(b"service", "10.1.0.100:5000").unwrap();
    assert!(host.recv(&mut buffer).is_err(), "a crash gave the service to the host");
    let second = Director::open(&lab, &["d0", "d1"], None);
    lab.director.enter(|| {
        second.program.detach("d0").unwrap();
        second.program.detach("d0").unwrap();
    });
    client.send_to(b"service", "10.1.0.100:5000").unwrap();
    assert_eq!(host.recv(&mut buffer).unwrap(), 7, "detached, the host gets all");
    assert!(!lab.director.ip("link show d0").contains("xdp"));
}

#[test]
#[ignore = "needs root"]
fn a_queue_just_closed_is_bound_again() {
    let lab = Lab::new();
    let Director { program, mut device, drops } = Director::open(&lab, &["d0", "d1"], None);
    for _ in 0..3 {
        drop(device);
        device = lab
            .director
            .enter(|| XdpDevice::open(&program, &config(&["d0", "d1"]), None, Arc::clone(&drops)).unwrap());
    }
    let taken = lab.director.enter(|| XdpDevice::open(&program, &config(&["d0"]), None, drops));
    let error = taken.unwrap_err().to_string();
    assert!(error.contains("d0 queue 0") && error.contains("another AF_XDP socket"), "{error}");
}

#[test]
#[ignore = "needs root"]
fn another_xdp_program_is_not_touched_and_is_named() {
    let lab = Lab::new();
    lab.director.enter(|| {
        let others = decap::Decap::default();
        decap::attach("d0", &others, None).unwrap();
        let error = Program::load().unwrap().attach("d0", None).unwrap_err();
        assert!(matches!(error, ProgramError::Occupied { ref name, .. } if name == decap::NAME), "{error}");
        assert!(error.to_string().contains("lvsd_decap"), "{error}");
        assert_eq!(decap::attached("d0").unwrap(), Some(others));
    });
}

#[test]
#[ignore = "needs root"]
fn an_interface_without_native_xdp_runs_it_in_the_general_path() {
    let lab = Lab::new();
    lab.director.ip("link add bridge type bridge");
    lab.director.ip("link set bridge up");
    lab.director.enter(|| {
        let program = Program::load().unwrap();
        assert_eq!(program.attach("bridge", None).unwrap(), Mode::Generic);
        XdpDevice::open(&program, &config(&["bridge"]), None, Arc::default()).unwrap();
        let error = Program::load().unwrap().attach("bridge", Some(Mode::Native)).unwrap_err();
        assert!(error.to_string().contains("interface bridge"), "{error}");
        assert!(program.attach("nowhere", None).unwrap_err().to_string().contains("nowhere"));
    });
}

#[test]
#[ignore = "needs root"]
fn a_successor_takes_the_interface_over_in_either_mode() {
    let lab = Lab::new();
    for mode in [Mode::Native, Mode::Generic] {
        let mut first = Director::open(&lab, &["d0"], Some(mode));
        let client = lab.client.raw("c0");
        let frame = frames::udp((CLIENT, 4000), (VIP, 5000), b"x");
        first.gets(&client, &[("the first", true, frame.clone())]);
        drop(first);
        let mut second = Director::open(&lab, &["d0"], None);
        assert_eq!(second.program.attached(), [("d0".to_owned(), mode)]);
        second.gets(&client, &[("the second", true, frame)]);
        lab.director.enter(|| second.program.detach("d0").unwrap());
    }
}

#[test]
#[ignore = "needs root"]
fn an_idle_device_sleeps() {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    let lab = Lab::new();
    let Director { program, device, drops } = Director::open(&lab, &["d0", "d1"], None);
    drop(device);
    let config = DeviceConfig { spin: 1000, ..config(&["d0", "d1"]) };
    let mut device = lab.director.enter(|| XdpDevice::open(&program, &config, None, drops).unwrap());
    let used = || {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds()
    };
    let (before, end) = (used(), Instant::now() + Duration::from_secs(1));
    while Instant::now() < end {
        device.poll(64, |_, _| Verdict::Hold).unwrap();
        device.wait(Duration::from_millis(50)).unwrap();
    }
    let used = used() - before;
    assert!(used < 10_000, "{used} microseconds of a second");
}

#[test]
#[ignore = "needs root"]
fn every_queue_of_an_interface_is_served() {
    let lab = Lab::with_queues(2);
    lab.director.enter(|| {
        let interfaces = ["d0".to_owned(), "d1".to_owned()];
        let shared = DeviceConfig::share(&interfaces, 8).unwrap();
        assert_eq!(shared.len(), 2, "as many workers as queues");
        let program = Program::load().unwrap();
        program.claim(&claims()).unwrap();
        for interface in &interfaces {
            program.attach(interface, None).unwrap();
        }
        let open = |ports: Vec<PortConfig>| {
            let config = DeviceConfig { spin: 0, ..DeviceConfig::new(ports) };
            XdpDevice::open(&program, &config, None, Arc::default()).unwrap()
        };
        let mut workers: Vec<XdpDevice> = shared.into_iter().map(open).collect();
        let client = lab.client.raw("c0");
        let mut received = [0, 0];
        for port in 0..64 {
            client.send(&frames::udp((CLIENT, 4000 + port), (VIP, 5000), b"x"));
        }
        for _ in 0..50 {
            for (worker, received) in workers.iter_mut().zip(&mut received) {
                *received += worker.poll(64, |_, _| Verdict::Send(OUT)).unwrap().sent;
                worker.wait(Duration::from_millis(1)).unwrap();
            }
        }
        assert_eq!(received[0] + received[1], 64, "{received:?}");
        assert!(received[0] > 0 && received[1] > 0, "{received:?}");
        drop(workers);

        let one = DeviceConfig::share(&interfaces, 1).unwrap();
        assert_eq!(one[0][0].queues, [0, 1], "one worker serves both queues");
        let mut worker = open(one[0].clone());
        for port in 0..64 {
            client.send(&frames::udp((CLIENT, 4000 + port), (VIP, 5000), b"x"));
        }
        let mut sent = 0;
        for _ in 0..50 {
            sent += worker.poll(64, |_, _| Verdict::Send(OUT)).unwrap().sent;
            worker.wait(Duration::from_millis(1)).unwrap();
        }
        assert_eq!(sent, 64);
        assert!(worker.is_balanced());
    });
}

#[test]
#[ignore = "needs root"]
fn the_host_answers_what_it_is_handed_back() {
    let lab = Lab::new();
    lab.director.sysctl("ipv4/conf/all/rp_filter", "1");
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    let client = lab.client.raw("c0");
    client.send(&frames::syn((CLIENT, 4000), (VIP, 81)));
    let sum = director.serve(|_, _| Verdict::ToHost, |sum| sum.received == 1);
    assert_eq!(sum.to_host, 1);
    let is_reset = |frame: &[u8]| frame.len() >= 54 && frame[26..30] == VIP.octets() && frame[47] & 4 != 0;
    assert!(client.find(is_reset).is_some(), "the host resets a connection nobody listens for");

    // Sent by a kernel over a veth pair, the checksum is unfinished.
    let listener = lab.director.udp("10.1.0.100:5000");
    let sender = lab.client.udp("10.1.0.2:0");
    sender.send_to(b"for the host", "10.1.0.100:5000").unwrap();
    director.serve(|_, _| Verdict::ToHost, |sum| sum.received == 1);
    assert_eq!(listener.recv(&mut [0; 64]).unwrap(), 12);

    let sender = lab.client.udp("[fd01::2]:0");
    let listener = lab.director.udp("[fd01::100]:5000");
    sender.send_to(b"six", "[fd01::100]:5000").unwrap();
    director.serve(|_, _| Verdict::ToHost, |sum| sum.received == 1);
    assert_eq!(listener.recv(&mut [0; 64]).unwrap(), 3, "IPv6");
}

#[test]
#[ignore = "needs root"]
fn a_removed_interface_leaves_the_others_working() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    lab.director.ip("link del d1");
    director.device.wait(Duration::from_millis(1)).unwrap();
    assert!(director.device.is_alive(IN) && !director.device.is_alive(OUT));
    lab.client.raw("c0").send(&frames::udp((CLIENT, 1), (VIP, 5000), b"x"));
    let sum = director.serve(|_, _| Verdict::Send(OUT), |sum| sum.received == 1);
    assert_eq!((sum.received, sum.dropped), (1, 1));
    let started = Instant::now();
    director.device.wait(Duration::from_millis(50)).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(40), "a dead interface does not keep wait() awake");
}

#[test]
#[ignore = "needs root"]
fn a_decapsulator_unwraps_what_is_for_a_vip() {
    let (near, far) = (Space::new("near"), Space::new("far"));
    near.join("n0", &far, "f0", 1);
    near.address("n0", "10.3.0.1/24");
    far.address("f0", "10.3.0.2/24");
    far.address("f0", "fd03::2/64");
    far.address("lo", "10.9.9.9/32");
    far.address("lo", "fd09::9/128");
    far.sysctl("ipv4/conf/all/rp_filter", "0");
    far.sysctl("ipv4/conf/f0/rp_filter", "0");
    let (vip, vip6): (Ipv4Addr, Ipv6Addr) = ("10.9.9.9".parse().unwrap(), "fd09::9".parse().unwrap());
    let (outer, outer6): (Ipv4Addr, Ipv6Addr) = ("10.3.0.2".parse().unwrap(), "fd03::2".parse().unwrap());
    let dip6: Ipv6Addr = "fd03::1".parse().unwrap();
    let dip: Ipv4Addr = "10.3.0.1".parse().unwrap();
    let c6: (Ipv6Addr, u16) = ("fd01::2".parse().unwrap(), 4000);
    let config = decap::Decap {
        outer: [outer.into(), outer6.into()].into(),
        vips: [vip.into(), vip6.into()].into(),
        gue_port: Some(6080),
    };
    let plain = frames::udp((CLIENT, 4000), (vip, 80), b"four");
    let plain6 = frames::udp6(c6, (vip6, 80), b"sixsix");
    let gue = |proto: u8| [0x17, 0xc1, 0x17, 0xc0, 0, 0, 0, 0, 0, proto, 0, 0];
    let cases = [
        ("IPv4 in IPv4", frames::tunnel(dip, outer, 4, &[], &plain), 4),
        ("IPv6 in IPv4", frames::tunnel(dip, outer, 41, &[], &plain6), 6),
        ("IPv4 in IPv6", frames::tunnel6(dip6, outer6, 4, &plain), 4),
        ("IPv6 in IPv6", frames::tunnel6(dip6, outer6, 41, &plain6), 6),
        ("GRE", frames::tunnel(dip, outer, 47, &[0, 0, 8, 0], &plain), 4),
        ("GRE with a checksum", frames::tunnel(dip, outer, 47, &[0x80, 0, 8, 0, 0, 0, 0, 0], &plain), 4),
        ("GUE", frames::tunnel(dip, outer, 17, &gue(4), &plain), 4),
        ("GUE, IPv6", frames::tunnel(dip, outer, 17, &gue(41), &plain6), 6),
    ];
    let others = frames::udp((CLIENT, 4000), (outer, 80), b"no VIP");
    let raw = near.raw("n0");
    let mac = far.mac("f0");
    for mode in [Mode::Native, Mode::Generic] {
        far.enter(|| {
            assert_eq!(decap::attach("f0", &config, Some(mode)).unwrap(), mode);
            assert_eq!(decap::attached("f0").unwrap().as_ref(), Some(&config));
        });
        let (four, six) = (far.udp("10.9.9.9:80"), far.udp("[fd09::9]:80"));
        for (name, frame, length) in &cases {
            raw.send(&frames::to_mac(frame.clone(), mac));
            let listener = if *length == 4 { &four } else { &six };
            let received = listener.recv(&mut [0; 64]);
            assert_eq!(
                received.unwrap_or_else(|error| panic!("{mode:?}, {name}: {error}")),
                *length,
                "{name}"
            );
        }
        raw.send(&frames::to_mac(frames::tunnel(dip, outer, 4, &[], &others), mac));
        far.enter(|| {
            assert_eq!(decap::unwrapped("f0").unwrap(), Some(8), "what is no VIP's is left alone");
        });
    }
    far.enter(|| {
        assert!(decap::detach("f0").unwrap());
        assert!(!decap::detach("f0").unwrap());
        assert_eq!(decap::attached("f0").unwrap(), None);
    });
}
