//! A director of the tests: the XDP program, a device and its counters in one of the namespaces.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lvs_conntrack::Proto;
use lvs_forward::io::tun::Tun;
use lvs_forward::io::xdp::{Claims, DeviceConfig, Endpoint, Mode, PortConfig, Program, XdpDevice};
use lvs_forward::io::{Burst, PacketIo};
use lvs_forward::{DropReason, Drops, Packet, PortId, Verdict};

use crate::net;
use crate::net::{Lab, SERVER, VIP, VIP6};

pub(crate) const IN: PortId = PortId(0);
pub(crate) const OUT: PortId = PortId(1);
/// Where the director's tunnels to `SERVER` seem to come from in what an ICMP error quotes.
pub(crate) const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);

pub(crate) fn endpoint(address: impl Into<IpAddr>, port: u16, proto: Proto) -> Endpoint {
    Endpoint { address: address.into(), port, proto }
}

pub(crate) fn vip6() -> Ipv6Addr {
    VIP6.parse().unwrap()
}

/// UDP 5000 of the VIP, TCP at every port of 10.1.0.100, NAT to port 8080 of the server, and a tunnel to it.
pub(crate) fn claims() -> Claims {
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

pub(crate) struct Director {
    pub(crate) program: Program,
    pub(crate) device: XdpDevice,
    pub(crate) drops: Arc<Drops>,
}

pub(crate) fn config(interfaces: &[&str]) -> DeviceConfig {
    let port = |&name: &&str| PortConfig { interface: name.to_owned(), queues: vec![0] };
    DeviceConfig { spin: 0, ..DeviceConfig::new(interfaces.iter().map(port).collect()) }
}

impl Director {
    /// Opens the first `legs` of d0, d1 in the lab's director.
    pub(crate) fn open(lab: &Lab, interfaces: &[&str], wish: Option<Mode>) -> Self {
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
    pub(crate) fn serve(
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
    pub(crate) fn collect(&mut self) -> Vec<Vec<u8>> {
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
    pub(crate) fn gets(&mut self, from: &net::Raw, cases: &[(&str, bool, Vec<u8>)]) {
        self.collect();
        for (name, expected, frame) in cases {
            from.send(frame);
            let got = self.collect().contains(frame);
            assert_eq!(got, *expected, "{name}");
        }
    }
}
