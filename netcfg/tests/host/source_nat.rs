//! Servers reach the outside with the director's address, as the iptables rule does it.

use std::net::UdpSocket;
use std::time::Duration;

use lvs_netcfg::{Director, Host, NatSource, Role, SourceNat};

use crate::namespace::Namespace;

#[test]
#[ignore = "needs root"]
fn what_servers_send_of_themselves_comes_from_the_director() {
    let outside = Namespace::new();
    let server = Namespace::new();
    let director = Namespace::joined(&outside, &[("ens33", "192.168.91.141/24", "192.168.91.1/24")]);
    director.join(&server, &[("ens37", "192.168.81.141/24", "192.168.81.142/24")]);
    director.sh("ip addr add 192.168.91.140/24 dev ens33
         ip addr add fd91::141/64 dev ens33; ip addr add fd81::141/64 dev ens37");
    outside.sh("ip addr add fd91::1/64 dev ens33; ip route add 192.168.81.0/24 via 192.168.91.141");
    server.sh("ip addr add fd81::142/64 dev ens37
         ip route add default via 192.168.81.141; ip -6 route add default via fd81::141");
    let source = |to: &str| {
        let listener = outside.run(|| UdpSocket::bind(to).unwrap());
        listener.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        server.run(|| {
            let any = if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
            UdpSocket::bind(any).unwrap().send_to(b"x", to).unwrap()
        });
        listener.recv_from(&mut [0; 4]).map(|(_, from)| from.ip().to_string()).unwrap_or_default()
    };
    let apply = |to_v4, to_v6| {
        let rule = |from: &str, to| SourceNat { from: from.parse().unwrap(), to, out: Some("ens33".into()) };
        let role = Role::Director(Director {
            forwarding: true,
            source_nat: vec![rule("192.168.81.0/24", to_v4), rule("fd81::/64", to_v6)],
            ..Director::default()
        });
        director.run(|| {
            let mut host = Host::open(&director.journals()).unwrap();
            host.apply(&role).unwrap();
            assert_eq!(host.check(&role).unwrap(), []);
        });
    };
    director.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
    assert_eq!(source("192.168.91.1:5000"), "192.168.81.142");
    apply(NatSource::Fixed("192.168.91.140".parse().unwrap()), NatSource::Masquerade);
    assert_eq!(source("192.168.91.1:5001"), "192.168.91.140");
    assert_eq!(source("[fd91::1]:5001"), "fd91::141");
    // Changed rules replace the old ones.
    apply(NatSource::Masquerade, NatSource::Fixed("fd91::141".parse().unwrap()));
    assert_eq!(source("192.168.91.1:5002"), "192.168.91.141");
    assert_eq!(source("[fd91::1]:5002"), "fd91::141");
}
