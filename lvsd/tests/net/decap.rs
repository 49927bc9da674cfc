//! The receiving end of every tunnel, in user space: what an operator's real server does with kernel devices (ipip, gre,
//! fou), and what `lvsd host real-server apply --mode tun` does not: it takes outer packets that came in fragments, and
//! it verifies outer checksums.
//!
//! The kernel puts fragments together and hands whole outer packets to raw sockets, and GUE's payload to a UDP socket;
//! what was inside goes back to it through a TUN device.

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lvs_forward::checksum::Sum;
use lvs_forward::io::tun::Tun;
use lvsd::lab::namespace::Namespace;
use socket2::{Domain, Protocol, Socket, Type};

/// The port that GUE arrives at.
pub const GUE_PORT: u16 = 6080;

/// What a tunnel's outer header carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ipip,
    Gue,
    Gre,
}

/// Unwraps on a host until it is dropped.
#[derive(Debug)]
pub struct Decapsulator {
    stop: Arc<AtomicBool>,
    unwrapped: Arc<[AtomicU64; 3]>,
    threads: Vec<JoinHandle<()>>,
}

impl Decapsulator {
    /// Starts on a host.
    pub fn start(host: &Namespace) -> Self {
        let mut decapsulator = Self {
            stop: Arc::default(),
            unwrapped: Arc::new([const { AtomicU64::new(0) }; 3]),
            threads: Vec::new(),
        };
        let tun = host.inside(|| Tun::open("unwrap%d")).unwrap().unwrap();
        for domain in [Domain::IPV4, Domain::IPV6] {
            for (kind, proto) in [(Kind::Ipip, 4), (Kind::Ipip, 41), (Kind::Gre, 47)] {
                let socket = host.inside(|| raw(domain, proto)).unwrap();
                decapsulator.serve(socket, kind, domain == Domain::IPV4, tun.try_clone().unwrap());
            }
            let socket = host.inside(|| udp(domain)).unwrap();
            decapsulator.serve(socket, Kind::Gue, false, tun.try_clone().unwrap());
        }
        decapsulator
    }

    /// How many packets came in tunnels of a kind.
    pub fn unwrapped(&self, kind: Kind) -> u64 {
        self.unwrapped[kind as usize].load(Relaxed)
    }

    fn serve(&mut self, mut socket: Socket, kind: Kind, has_header: bool, tun: Tun) {
        let (stop, unwrapped) = (Arc::clone(&self.stop), Arc::clone(&self.unwrapped));
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let _ = socket.set_recv_buffer_size(1 << 20);
        self.threads.push(thread::spawn(move || {
            let mut packet = vec![0; 1 << 16];
            while !stop.load(Relaxed) {
                let Ok(len) = socket.read(&mut packet) else { continue };
                let skipped = if has_header { usize::from(packet[0] & 0xf) * 4 } else { 0 };
                let inner = match kind {
                    Kind::Ipip => Some(&packet[skipped..len]),
                    Kind::Gue => behind_gue(&packet[..len]),
                    Kind::Gre => behind_gre(&packet[skipped..len]),
                };
                if let Some(inner) = inner {
                    unwrapped[kind as usize].fetch_add(1, Relaxed);
                    let ether_type = if inner[0] >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xdd] };
                    let _ = tun.send(&[&[0; 12], &ether_type[..], inner].concat());
                }
            }
        }));
    }
}

impl Drop for Decapsulator {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn raw(domain: Domain, proto: i32) -> Socket {
    Socket::new(domain, Type::RAW, Some(Protocol::from(proto))).unwrap()
}

/// The kernel verifies its checksum; over IPv6 there must be one.
fn udp(domain: Domain) -> Socket {
    let socket = Socket::new(domain, Type::DGRAM, None).unwrap();
    let any = if domain == Domain::IPV4 {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, GUE_PORT))
    } else {
        socket.set_only_v6(true).unwrap();
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, GUE_PORT))
    };
    socket.bind(&any.into()).unwrap();
    socket
}

/// Version 0, no control message, no flags; the header's length is in words behind the first.
fn behind_gue(packet: &[u8]) -> Option<&[u8]> {
    let (header, rest) = packet.split_first_chunk::<4>()?;
    let is_plain = header[0] >> 5 == 0 && matches!(header[1], 4 | 41) && header[2..] == [0, 0];
    if is_plain { rest.get(usize::from(header[0] & 0x1f) * 4..) } else { None }
}

/// No flags but that for a checksum, which must be right.
fn behind_gre(packet: &[u8]) -> Option<&[u8]> {
    let (header, rest) = packet.split_first_chunk::<4>()?;
    match header {
        [0, 0, 0x08, 0x00] | [0, 0, 0x86, 0xdd] => Some(rest),
        [0x80, 0, 0x08, 0x00] | [0x80, 0, 0x86, 0xdd] => {
            let is_right = Sum::ZERO.bytes(packet).checksum() == 0;
            if is_right { rest.get(4..) } else { None }
        }
        _ => None,
    }
}
