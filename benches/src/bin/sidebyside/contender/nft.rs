//! The kernel's own balancer here: nftables' DNAT, with the servers in turns.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddrV4;
use std::path::PathBuf;

use crate::daemon::Service;
use crate::failure::Failure;
use crate::world::{Place, SERVER_PORT, SERVERS, SERVICE, World, server};

/// More connections than any row makes.
const CONNECTIONS: u64 = 1 << 24;
/// Buckets of the connection table; the kernel's own choice would be chains of eight with a million connections.
const BUCKETS: u64 = 1 << 21;

/// DNAT in a place of its own.
#[derive(Debug)]
pub(crate) struct Nft {
    /// Where it is.
    pub(crate) place: Place,
    _room: Room,
}

impl Nft {
    /// Sets it up.
    pub(crate) fn start(world: &World, number: u8) -> Result<Self, Failure> {
        let mut place = world.place("nft", number)?;
        let servers = [1, 2].map(|number| SocketAddrV4::new(server(number), SERVER_PORT));
        let service = Service { vip: SERVICE, servers, more: vec![] };
        place.run(&["nft", "-f", "-"], &ruleset(&service))?;
        let room = Room::make()?;
        for (key, value) in [
            ("netfilter/nf_conntrack_udp_timeout", "3600".to_owned()),
            ("netfilter/nf_conntrack_udp_timeout_stream", "3600".to_owned()),
        ] {
            place.host().sysctl(key, &value)?;
        }
        world.sink(&mut place, SERVERS, 24)?;
        Ok(Self { place, _room: room })
    }
}

/// DNAT of a service to its servers, in turns.
pub(crate) fn ruleset(service: &Service) -> String {
    let mut rules = "add table ip bench\n\
                     add chain ip bench before { type nat hook prerouting priority -100; }\n"
        .to_owned();
    let vip = service.vip.ip();
    let [first, second] = service.servers;
    let ports = std::iter::once((service.vip.port(), first.port()));
    for (port, behind) in ports.chain(service.more.iter().map(|port| (*port, *port))) {
        for protocol in ["udp", "tcp"] {
            let _ = writeln!(
                rules,
                "add rule ip bench before ip daddr {vip} {protocol} dport {port} dnat to numgen inc mod 2 map \
                 {{ 0 : {}, 1 : {} }} : {behind}",
                first.ip(),
                second.ip()
            );
        }
    }
    rules
}

/// Room for a million connections in the host's conntrack; dropping it gives the host its own values back.
#[derive(Debug)]
pub(crate) struct Room {
    before: Vec<(PathBuf, String)>,
}

impl Room {
    /// Makes it.
    pub(crate) fn make() -> Result<Self, Failure> {
        let wanted = [
            ("/sys/module/nf_conntrack/parameters/hashsize", BUCKETS),
            ("/proc/sys/net/netfilter/nf_conntrack_max", CONNECTIONS),
        ];
        let mut room = Self { before: Vec::new() };
        for (path, value) in wanted {
            let path = PathBuf::from(path);
            let failed = |path: &PathBuf| Failure::system(path.display().to_string());
            let now = fs::read_to_string(&path).map_err(failed(&path))?;
            fs::write(&path, value.to_string()).map_err(failed(&path))?;
            room.before.push((path, now));
        }
        Ok(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for (path, value) in self.before.drain(..).rev() {
            let _ = fs::write(path, value);
        }
    }
}
