//! A host that means no good: adverts of its own, and others' over again.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use lvs_vrrp::declared::{Instance, Version, VirtualAddress};
use lvs_vrrp::{Gate, Tick, WallClock};
use lvsd::lab::namespace::Namespace;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Way;

const PROTOCOL: i32 = 112;
/// `IPPROTO_RAW`: the whole packet is the sender's.
const RAW: i32 = 255;

/// Sends one advert of priority 255, for the virtual router of this number, from `host`'s own address.
pub(crate) fn forge(host: &Namespace, way: Way, router_id: u8) {
    let forger: IpAddr = "10.9.0.3".parse().unwrap();
    let mut instance = Instance::new("forged", "ens", router_id);
    instance.version = Some(Version::V3);
    instance.advert_interval = Duration::from_millis(way.interval);
    instance.addresses.push(VirtualAddress::new(way.vip().parse().unwrap()));
    let (now, wall) = (Tick::ZERO, WallClock(Duration::from_secs(1)));
    let mut gate = Gate::new(&instance, now, wall);
    let group = gate.destinations()[0];
    let packet = gate.write(255, forger, group, now, wall);
    host.inside(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(PROTOCOL))).unwrap();
        socket.set_multicast_ttl_v4(255).unwrap();
        socket.bind_device(Some(b"ens")).unwrap();
        socket.send_to(&packet, &SocketAddr::new(group, 0).into()).unwrap();
    })
    .unwrap();
}

/// Waits for an advert of the router at `source`: its IP packet, byte for byte.
pub(crate) fn record(host: &Namespace, source: IpAddr) -> Vec<u8> {
    let mut recorded = Vec::new();
    hear(host, source, |packet| {
        recorded = packet.to_vec();
        false
    });
    recorded
}

/// Tells when each advert of the router at `source` comes, for as long as it is wanted.
pub(crate) fn listen(host: &Namespace, source: IpAddr, mut tell: impl FnMut(Instant) -> bool + Send) {
    hear(host, source, |_| tell(Instant::now()));
}

fn hear(host: &Namespace, source: IpAddr, mut tell: impl FnMut(&[u8]) -> bool + Send) {
    let IpAddr::V4(source) = source else { panic!("an IPv4 address") };
    host.inside(|| {
        let all = Some(SockProtocol::EthAll);
        let socket =
            Socket::from(socket(AddressFamily::Packet, SockType::Datagram, SockFlag::empty(), all).unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut buffer = [0; 2048];
        loop {
            let length = std::io::Read::read(&mut &socket, &mut buffer).unwrap();
            let packet = &buffer[..length];
            let is_advert =
                length > 20 && i32::from(packet[9]) == PROTOCOL && packet[12..16] == source.octets();
            if is_advert && !tell(packet) {
                return;
            }
        }
    })
    .unwrap();
}

/// Sends a recorded packet over and over for a time.
pub(crate) fn replay(host: &Namespace, packet: &[u8], pause: Duration, how_long: Duration) {
    host.inside(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW))).unwrap();
        socket.set_header_included_v4(true).unwrap();
        socket.bind_device(Some(b"ens")).unwrap();
        let until = Instant::now() + how_long;
        let group: SocketAddr = ([224, 0, 0, 18], 0).into();
        while Instant::now() < until {
            socket.send_to(packet, &group.into()).unwrap();
            std::thread::sleep(pause);
        }
    })
    .unwrap();
}
