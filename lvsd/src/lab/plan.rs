//! Who is in the lab, with which addresses, on which wire.
//!
//! ```text
//!                   client 10.77.0.10
//!                      |
//!                    router ----------------------------- far 10.77.3.0/24
//!                      |                                    |       |
//!   lan 10.77.1.0/24 --+--------+---------+               tun1    tun2
//!                      |        |         |
//!                   director   dr1       dr2
//!                      |
//!   inside 10.77.2.0/24+--------+
//!                      |        |
//!                    nat1     nat2
//! ```
//!
//! NAT servers stand behind the director, direct routing servers beside it, tunnel servers anywhere. IPv6 is the
//! same with `fd77:0:0:N::/64` for `10.77.N.0/24`.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::server::{ECHO, HTTP};
use crate::args::LabMode;

/// One way of forwarding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// NAT.
    Nat,
    /// Direct routing.
    Dr,
    /// Tunnel.
    Tun,
}

impl Way {
    /// The ways of a mode, in the order they are tried.
    pub fn of(mode: LabMode) -> Vec<Self> {
        match mode {
            LabMode::Nat => vec![Self::Nat],
            LabMode::Dr => vec![Self::Dr],
            LabMode::Tun => vec![Self::Tun],
            LabMode::All => vec![Self::Nat, Self::Dr, Self::Tun],
        }
    }

    /// Its name in configuration files, and of its servers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Dr => "dr",
            Self::Tun => "tun",
        }
    }

    /// Its name for a reader.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Nat => "NAT",
            Self::Dr => "direct routing",
            Self::Tun => "tunnel",
        }
    }

    /// The network its servers are in.
    pub const fn network(self) -> Network {
        match self {
            Self::Nat => Network::Inside,
            Self::Dr => Network::Lan,
            Self::Tun => Network::Far,
        }
    }

    /// The way of a packet, drawn.
    pub const fn picture(self) -> &'static str {
        match self {
            Self::Nat => {
                "client --> router --> director ==> server     the director rewrites addresses both ways\n\
                 client <-- router <-- director <== server     (the director is the servers' gateway)"
            }
            Self::Dr => {
                "client --> router --> director --> server     only the MAC address changes\n\
                 client <-- router <--------------- server     the server answers as the service's address"
            }
            Self::Tun => {
                "client --> router --> director ==> router ==> server     in an outer IP header, to any network\n\
                 client <-- router <-------------------------- server     the server answers as the service's address"
            }
        }
    }

    /// The service's addresses (VIP).
    pub fn vips(self) -> [IpAddr; 2] {
        Network::Lan.hosts(match self {
            Self::Nat => 101,
            Self::Dr => 102,
            Self::Tun => 103,
        })
    }
}

/// A network of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Where the client is.
    Outside = 0,
    /// Where the director is, and direct routing servers.
    Lan = 1,
    /// Behind the director.
    Inside = 2,
    /// Somewhere else.
    Far = 3,
}

impl Network {
    /// The addresses of a host in it: IPv4 and IPv6, ending in the same digits.
    pub fn hosts(self, host: u8) -> [IpAddr; 2] {
        let network = match self {
            Self::Outside => 0,
            Self::Lan => 1,
            Self::Inside => 2,
            Self::Far => 3,
        };
        // `::101` reads like `.101`.
        let digits = u16::from_str_radix(&host.to_string(), 16).unwrap_or_default();
        [
            Ipv4Addr::new(10, 77, network, host).into(),
            Ipv6Addr::new(0xfd77, 0, 0, network.into(), 0, 0, 0, digits).into(),
        ]
    }

    /// The address of its gateway.
    pub fn gateway(self) -> [IpAddr; 2] {
        self.hosts(1)
    }
}

/// The director's own addresses on the lan.
pub const DIRECTOR: u8 = 2;
/// The client's.
pub const CLIENT: u8 = 10;

/// One of the real servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name, and the end of its namespace's.
    pub name: String,
    /// How it is reached.
    pub way: Way,
    /// Its addresses (RIP).
    pub addresses: [IpAddr; 2],
}

impl Server {
    /// Where it answers datagrams: the address the director sends them to.
    pub fn echo_addresses(&self) -> [IpAddr; 2] {
        match self.way {
            Way::Nat => self.addresses,
            Way::Dr | Way::Tun => self.way.vips(),
        }
    }
}

/// A lab before it is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The ways of forwarding it shows.
    pub ways: Vec<Way>,
    /// The real servers.
    pub servers: Vec<Server>,
}

impl Plan {
    /// A lab for these ways with `count` servers (1 to 9) each.
    pub fn new(mode: LabMode, count: u8) -> Self {
        let ways = Way::of(mode);
        let servers = ways.iter().flat_map(|&way| {
            (1..=count.clamp(1, 9)).map(move |number| Server {
                name: format!("{}{number}", way.name()),
                way,
                addresses: way.network().hosts(10 + number),
            })
        });
        Self { servers: servers.collect(), ways }
    }

    /// The interfaces of the director.
    pub fn interfaces(&self) -> &'static [&'static str] {
        if self.ways.contains(&Way::Nat) { &["eth0", "eth1"] } else { &["eth0"] }
    }

    /// The names of the servers of one way.
    pub fn names(&self, way: Way) -> Vec<&str> {
        self.servers.iter().filter(|server| server.way == way).map(|server| server.name.as_str()).collect()
    }

    /// The director's configuration file.
    pub fn configuration(&self) -> String {
        let mut text = String::from("# The director of this lab.\n");
        let interfaces = self.interfaces().join("\", \"");
        let _ = writeln!(text, "interfaces = [\"{interfaces}\"]");
        for &way in &self.ways {
            for vip in way.vips() {
                let _ = write!(text, "\n[[host.vip]]\naddress = \"{vip}\"\ninterface = \"eth0\"\n");
            }
        }
        if self.ways.contains(&Way::Nat) {
            text.push_str("\n[[host.source-nat]]\nfrom = \"10.77.2.0/24\"\nout = \"eth0\"\n");
        }
        for &way in &self.ways {
            for vip in way.vips() {
                self.service(&mut text, way, "tcp", SocketAddr::new(vip, HTTP));
                self.service(&mut text, way, "udp", SocketAddr::new(vip, ECHO));
            }
        }
        text
    }

    fn service(&self, text: &mut String, way: Way, protocol: &str, address: SocketAddr) {
        let _ = write!(
            text,
            "\n[[service]]\nprotocol = \"{protocol}\"\naddress = \"{address}\"\nscheduler = \"rr\"\n"
        );
        for server in self.servers.iter().filter(|server| server.way == way) {
            for rip in server.addresses.iter().filter(|rip| rip.is_ipv4() == address.is_ipv4()) {
                let _ =
                    write!(text, "\n[[service.server]]\naddress = \"{rip}\"\nmethod = \"{}\"\n", way.name());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_configuration_of_every_lab_is_a_good_one() {
        for (mode, services) in [(LabMode::Nat, 4), (LabMode::Dr, 4), (LabMode::Tun, 4), (LabMode::All, 12)] {
            let plan = Plan::new(mode, 3);
            let config = Config::parse("lvsd.toml", &plan.configuration()).unwrap();
            assert_eq!(config.services.len(), services, "{mode:?}");
            assert!(config.services.iter().all(|service| service.servers.len() == 3));
            assert_eq!(config.interfaces, plan.interfaces());
        }
    }

    #[test]
    fn no_two_hosts_share_an_address() {
        let plan = Plan::new(LabMode::All, 9);
        let mut all: Vec<IpAddr> = plan.servers.iter().flat_map(|server| server.addresses).collect();
        all.extend(plan.ways.iter().flat_map(|way| way.vips()));
        all.extend(Network::Lan.hosts(DIRECTOR));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn an_ipv6_address_reads_like_its_ipv4_twin() {
        assert_eq!(Way::Dr.vips().map(|vip| vip.to_string()), ["10.77.1.102", "fd77:0:0:1::102"]);
    }
}
