//! Frames no honest host sends, at a director that serves: it survives, accounts for every one, and goes on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use lvsd::lab::namespace::Namespace;
use net::client::ask_udp;
use net::trio::{self, DR, NAT, TUN, bracketed};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike as _, SockaddrStorage,
    sendto, socket,
};

/// What is done with frames as they stand.
struct Wire {
    socket: OwnedFd,
    interface: LinkAddr,
    sent: usize,
}

impl Wire {
    fn open(host: &Namespace, interface: &str) -> Self {
        let open = || {
            let socket =
                socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), SockProtocol::EthAll);
            let links = nix::ifaddrs::getifaddrs().unwrap();
            let mut links = links.filter(|link| link.interface_name == interface);
            let address =
                links.find_map(|link| link.address.as_ref().and_then(SockaddrStorage::as_link_addr).copied());
            (socket.unwrap(), address.unwrap())
        };
        let (socket, interface) = host.inside(open).unwrap();
        assert_eq!(interface.family(), Some(AddressFamily::Packet));
        Self { socket, interface, sent: 0 }
    }

    /// Sends a frame; a few the kernel itself refuses to put on a wire.
    fn send(&mut self, frame: &[u8]) {
        let sent = sendto(self.socket.as_raw_fd(), frame, &self.interface, MsgFlags::empty());
        self.sent += usize::from(sent.is_ok());
        if self.sent.is_multiple_of(64) {
            // The queue of a veth has room for 256 frames: what it loses tests nothing.
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

/// Numbers that look random and can be had again (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }
}

fn sum(bytes: &[u8]) -> u32 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    bytes.chunks(2).map(word).sum()
}

fn fold(mut sum: u32) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap()).to_be_bytes()
}

/// What makes one frame different from an honest one.
#[derive(Debug, Clone, Default)]
struct Oddity {
    /// IPv4 options, a multiple of four bytes; IPv6 extension headers, the next header's number first.
    between: Vec<u8>,
    /// The fragment field of IPv4.
    fragment: u16,
    /// Added to the right checksum of the transport header.
    wrong_sum: u8,
    /// Added to the right one of the IPv4 header.
    wrong_header_sum: u8,
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The transport header and something behind it, to `port`.
fn segment(proto: u8, port: u16, from: u16, pseudo: u32, oddity: &Oddity) -> Vec<u8> {
    let mut bytes = [from.to_be_bytes(), port.to_be_bytes()].concat();
    let at = if proto == TCP {
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
        16
    } else {
        bytes.extend([0, 20, 0, 0]);
        bytes.extend(b"hello, world");
        6
    };
    let length = u32::try_from(bytes.len()).unwrap();
    let [high, low] = fold(sum(&bytes) + pseudo + length + u32::from(proto));
    (bytes[at], bytes[at + 1]) = (high, low.wrapping_add(oddity.wrong_sum));
    bytes
}

/// A frame to the director.
fn frame(macs: &[u8; 12], to: IpAddr, proto: u8, port: u16, from: u16, oddity: &Oddity) -> Vec<u8> {
    let mut bytes = macs.to_vec();
    match to {
        IpAddr::V4(to) => {
            let client = Ipv4Addr::new(10, 66, 0, 77);
            let payload = segment(proto, port, from, sum(&client.octets()) + sum(&to.octets()), oddity);
            let words = 5 + oddity.between.len() / 4;
            let total = u16::try_from(words * 4 + payload.len()).unwrap().to_be_bytes();
            let mut header = vec![0x40 | u8::try_from(words).unwrap(), 0, total[0], total[1], 0x12, 0x34];
            header.extend(oddity.fragment.to_be_bytes());
            header.extend([64, proto, 0, 0]);
            header
                .extend(client.octets().into_iter().chain(to.octets()).chain(oddity.between.iter().copied()));
            let [high, low] = fold(sum(&header));
            (header[10], header[11]) = (high, low.wrapping_add(oddity.wrong_header_sum));
            bytes.extend([8, 0].into_iter().chain(header).chain(payload));
        }
        IpAddr::V6(to) => {
            let client: Ipv6Addr = "fd66::77".parse().unwrap();
            let payload = segment(proto, port, from, sum(&client.octets()) + sum(&to.octets()), oddity);
            let (next, between) =
                oddity.between.split_first().map_or((proto, &[][..]), |(next, rest)| (*next, rest));
            let length = u16::try_from(between.len() + payload.len()).unwrap().to_be_bytes();
            bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, length[0], length[1], next, 64]);
            bytes.extend(
                client.octets().into_iter().chain(to.octets()).chain(between.iter().copied()).chain(payload),
            );
        }
    }
    bytes
}

/// Options and extension headers, honest and not.
fn between(is_v4: bool, proto: u8) -> Vec<Vec<u8>> {
    if is_v4 {
        return vec![
            vec![1, 1, 1, 0],
            vec![0x94, 4, 0, 0],
            vec![0x83, 7, 4, 10, 66, 1, 1, 0],
            vec![0x89, 0x27, 4, 1],
            vec![7, 0, 0, 0],
            vec![0x44, 40, 5, 0],
            vec![1; 40],
        ];
    }
    vec![
        vec![0, proto, 0, 1, 4, 0, 0, 0, 0],
        vec![60, proto, 0, 1, 4, 0, 0, 0, 0],
        vec![43, proto, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        // One that says it is longer than the packet.
        vec![0, proto, 255, 1, 4, 0, 0, 0, 0],
        // First, later and only fragments.
        vec![44, proto, 0, 0, 1, 0, 0, 0, 9],
        vec![44, proto, 0, 0, 8, 0, 0, 0, 9],
        vec![44, proto, 0, 0, 0, 0, 0, 0, 9],
        // A long chain.
        [60].into_iter()
            .chain([60, 0, 1, 4, 0, 0, 0, 0].repeat(12))
            .chain([proto, 0, 1, 4, 0, 0, 0, 0])
            .collect(),
        // No next header; an unknown one; ESP and AH.
        vec![59],
        vec![253],
        vec![50, 0, 0, 0, 1, 0, 0, 0, 1],
        vec![51, proto, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1],
    ]
}

fn send_all(wire: &mut Wire, macs: &[u8; 12], services: &[(IpAddr, u8, u16)], numbers: &mut Numbers) {
    for &(to, proto, port) in services {
        let honest = frame(macs, to, proto, port, 1000, &Oddity::default());
        for length in 14..honest.len() {
            wire.send(&honest[..length]);
        }
        let whole = Oddity::default();
        let mut odd = vec![
            Oddity { wrong_sum: 1, ..whole.clone() },
            Oddity { wrong_header_sum: 1, ..whole.clone() },
            Oddity { fragment: 0x2000, ..whole.clone() },
            Oddity { fragment: 0x0001, ..whole.clone() },
            Oddity { fragment: 0x3fff, ..whole.clone() },
            Oddity { fragment: 0xffff, ..whole.clone() },
        ];
        let with = |between| Oddity { between, ..Oddity::default() };
        odd.extend(between(to.is_ipv4(), proto).into_iter().map(with));
        for (oddity, from) in odd.iter().zip(2000..) {
            let odd = frame(macs, to, proto, port, from, oddity);
            wire.send(&odd);
            for length in 34..odd.len() {
                wire.send(&odd[..length]);
            }
        }
        // Every value of each byte that says how long something is: versions, header lengths, totals, offsets.
        for at in 14..honest.len() {
            for value in [0, 1, 4, 5, 0x0f, 0x40, 0x41, 0x4f, 0x60, 0x7f, 0x80, 0xff] {
                let mut changed = honest.clone();
                changed[at] = value;
                wire.send(&changed);
            }
        }
        // Anything at all behind the addresses that bring it to the director.
        for _ in 0..500 {
            let mut noise = honest.clone();
            for _ in 0..=numbers.below(8) {
                let at = 12 + numbers.below(noise.len() - 12);
                noise[at] = numbers.byte();
            }
            wire.send(&noise);
            let fixed = if to.is_ipv4() { 34 } else { 54 };
            noise.truncate(fixed);
            noise.extend((0..numbers.below(1400)).map(|_| numbers.byte()));
            wire.send(&noise);
        }
    }
}

#[test]
#[ignore = "needs root"]
fn hostile_frames_are_survived_and_accounted_for() {
    let ways = [NAT, DR, TUN];
    let mut net = trio::build(&ways);
    trio::start_director(&mut net, &ways);
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed_1e57_u64);
    println!("seed: SEED={seed}");
    let mac = |host: &str| {
        let said = net.run(
            host,
            &[
                "cat",
                if host == "router" { "/sys/class/net/lan/address" } else { "/sys/class/net/eth0/address" },
            ],
        );
        let bytes: Vec<u8> =
            said.good().trim().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        bytes
    };
    let macs: [u8; 12] = [mac("director"), mac("router")].concat().try_into().unwrap();

    let mut wire = Wire::open(net.host("router"), "lan");
    let services: Vec<_> =
        ways.iter().flat_map(|way| way.vips()).flat_map(|vip| [(vip, TCP, 80), (vip, UDP, 7)]).collect();
    let before = net.status().received;
    send_all(&mut wire, &macs, &services, &mut Numbers(seed));
    let status = net.assert_balanced();
    // The XDP program lets pass what it cannot tell to be a service's, such as a frame without ports.
    let arrived = usize::try_from(status.received - before).unwrap();
    assert!(wire.sent > 15_000 && arrived > 10_000, "{} sent, {arrived} came\n{}", wire.sent, net.account());
    assert!(net.director.as_mut().unwrap().is_running(), "seed {seed}: {}", net.account());
    assert!(status.dropped > 0, "{}", net.account());

    for way in ways {
        for vip in way.vips() {
            assert_eq!(net.curls("client", &format!("http://{}/", bracketed(vip)), 4).len(), 4);
            ask_udp(net.host("client"), SocketAddr::new(vip, 7), "still there?")
                .unwrap_or_else(|error| panic!("seed {seed}: {vip}: {error}\n{}", net.account()));
        }
    }
    net.assert_balanced();
    net.stop_director();
}
