//! The network most tests use: a client behind a router, a director, and two servers for each way of forwarding.
//!
//! ```text
//! client -- router -- lan ------ director -- inside -- nat1 nat2   (their gateway is the director)
//!             |        `- dr1 dr2
//!             `--- far --- tun1 tun2
//! ```

use std::net::{IpAddr, SocketAddr};

use super::{LVSD, Net};

/// A way of forwarding: its name, its option, and the network of its servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    pub name: &'static str,
    pub option: &'static str,
    network: u8,
    number: u8,
}

pub const NAT: Way = Way { name: "nat", option: "-m", network: 2, number: 1 };
pub const DR: Way = Way { name: "dr", option: "-g", network: 1, number: 2 };
pub const TUN: Way = Way { name: "tun", option: "-i", network: 3, number: 3 };

impl Way {
    /// The addresses of its service.
    pub fn vips(self) -> [IpAddr; 2] {
        address(1, 100 + self.number)
    }

    /// The names of its servers.
    pub fn servers(self) -> [String; 2] {
        [format!("{}1", self.name), format!("{}2", self.name)]
    }

    /// The addresses of a server.
    pub fn rips(self, server: u8) -> [IpAddr; 2] {
        address(self.network, 10 + server)
    }
}

/// The addresses of a host: networks are 0 outside, 1 lan, 2 inside, 3 far.
pub fn address(network: u8, host: u8) -> [IpAddr; 2] {
    let v6 = format!("fd66:0:0:{network}::{host}");
    [IpAddr::from([10, 66, network, host]), v6.parse().unwrap()]
}

fn with_length([v4, v6]: [IpAddr; 2]) -> [String; 2] {
    [format!("{v4}/24"), format!("{v6}/64")]
}

fn plug(net: &Net, host: &str, interface: &str, network: u8, number: u8) {
    let bridge = ["outside", "lan", "inside", "far"][usize::from(network)];
    let [v4, v6] = with_length(address(network, number));
    net.plug(host, interface, ("router", bridge), &[&v4, &v6]);
}

fn route_by(net: &Net, host: &str, network: u8, number: u8) {
    net.host(host).route_by(address(network, number)).unwrap();
}

/// Builds the network with the servers of these ways; nothing runs yet but nginx and the echo servers.
pub fn build(ways: &[Way]) -> Net {
    let mut net = Net::new();
    net.add(&["router", "client", "director"]);
    net.host("router").sysctl("ipv4/ip_forward", "1").unwrap();
    net.host("router").sysctl("ipv6/conf/all/forwarding", "1").unwrap();
    for (number, bridge) in ["outside", "lan", "inside", "far"].into_iter().enumerate() {
        net.bridge("router", bridge);
        if bridge != "inside" {
            net.host("router").give_addresses(bridge, address(u8::try_from(number).unwrap(), 254)).unwrap();
        }
    }
    plug(&net, "client", "eth0", 0, 10);
    plug(&net, "director", "eth0", 1, 1);
    route_by(&net, "client", 0, 254);
    route_by(&net, "director", 1, 254);
    if ways.contains(&NAT) {
        plug(&net, "director", "eth1", 2, 1);
    }
    for &way in ways {
        for (server, number) in way.servers().iter().zip(1..) {
            net.add(&[server]);
            plug(&net, server, "eth0", way.network, 10 + number);
            route_by(&net, server, way.network, if way == NAT { 1 } else { 254 });
            set_up(&net, way, server);
            net.nginx(server);
            let own = way.rips(number);
            let echoing = if way == NAT { own } else { way.vips() };
            for address in echoing {
                net.echo(server, address, 7);
            }
        }
    }
    net
}

/// Has the interfaces of a director of these ways take redirected frames.
pub fn take_redirects(net: &Net, ways: &[Way]) {
    let legs = if ways.contains(&NAT) { &["eth0", "eth1"][..] } else { &["eth0"] };
    for leg in legs {
        net.run("router", &["ethtool", "-K", &format!("director{leg}"), "gro", "on"]).good();
    }
}

/// Does on a real server's host what its administrator would.
fn set_up(net: &Net, way: Way, server: &str) {
    if way == NAT {
        return;
    }
    let journal = net.files.join(format!("{server}-journal")).display().to_string();
    let [v4, v6] = way.vips().map(|vip| vip.to_string());
    let mut command =
        vec![LVSD, "host", "real-server", "apply", "--journal", &journal, "--vip", &v4, "--vip", &v6];
    command.extend(["--mode", way.name]);
    if way == TUN {
        command.extend(["--dev", "eth0"]);
    }
    net.run(server, &command).good();
}

/// Sets the director's host up and starts the director, with a TCP service at port 80 and a UDP one at port 7 of
/// each way, in both families.
pub fn start_director(net: &mut Net, ways: &[Way]) {
    start_director_with(net, ways, &[]);
}

/// The same, with more arguments for the director.
pub fn start_director_with(net: &mut Net, ways: &[Way], more: &[&str]) {
    let journal = net.files.join("director-journal").display().to_string();
    let vips: Vec<String> = ways.iter().flat_map(|way| way.vips()).map(|vip| vip.to_string()).collect();
    let mut command = vec![LVSD, "host", "director", "apply", "--journal", &journal, "--dev", "eth0"];
    command.extend(vips.iter().flat_map(|vip| ["--vip", vip.as_str()]));
    net.run("director", &command).good();
    let interfaces: &[&str] =
        if ways.contains(&NAT) { &["-i", "eth0", "-i", "eth1"] } else { &["-i", "eth0"] };
    net.run_director_with(&[interfaces, more].concat());
    for &way in ways {
        serve(net, way);
    }
}

/// The services of a way.
pub fn serve(net: &Net, way: Way) {
    for family in 0..2 {
        let vip = way.vips()[family];
        for (service, port) in [("-t", 80), ("-u", 7)] {
            let server =
                |server: u8| format!("{} {}", SocketAddr::new(way.rips(server)[family], port), way.option);
            net.serve(&format!("{service} {}", SocketAddr::new(vip, port)), "rr", &[&server(1), &server(2)]);
        }
    }
}

/// An address as command lines and URLs want it.
pub fn bracketed(address: IpAddr) -> String {
    if address.is_ipv6() { format!("[{address}]") } else { address.to_string() }
}
