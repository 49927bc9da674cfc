//! A real server owns the virtual address and takes its packets, but answers nobody who asks for it;
//! and one behind NAT answers through the director.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use lvs_netcfg::{Host, Interface, Method, RealServer, Role, Watcher};

use crate::namespace::{Namespace, eventually};

fn network() -> (Namespace, Namespace) {
    let client = Namespace::new();
    let server = Namespace::joined(&client, &[("eth0", "192.168.91.146/24", "192.168.91.1/24")]);
    server.sh("ip addr add fd91::146/64 dev eth0");
    client.sh("ip addr add fd91::1/64 dev eth0
         echo 50 > /proc/sys/net/ipv4/neigh/eth0/retrans_time_ms
         echo 50 > /proc/sys/net/ipv6/neigh/eth0/retrans_time_ms");
    (server, client)
}

/// Whether anybody on the client's link answers for `ip`.
fn is_answered(client: &Namespace, ip: &str) -> bool {
    let ip: IpAddr = ip.parse().unwrap();
    let answered = client.run(|| {
        let index = Interface::find("eth0").unwrap().index;
        let mut watcher = Watcher::open().unwrap();
        watcher.ask_neighbour(index, ip).unwrap();
        eventually(Duration::from_millis(800), || {
            watcher.wait(Duration::from_millis(50)).unwrap();
            watcher.view().mac(index, ip).is_some()
        })
    });
    client.sh(&format!("ip neigh flush to {ip}"));
    answered
}

#[test]
#[ignore = "needs root"]
fn arp_for_a_vip_of_a_real_server_is_not_answered() {
    let (server, client) = network();
    assert!(is_answered(&client, "192.168.91.146"));
    // Without the role the kernel does answer for an address of another interface.
    server.sh("ip addr add 192.168.91.148/32 dev lo");
    assert!(is_answered(&client, "192.168.91.148"));
    server.sh("ip addr del 192.168.91.148/32 dev lo");
    let vips = vec!["192.168.91.148".parse().unwrap()];
    let role = Role::RealServer(RealServer { method: Method::DirectRoute, vips });
    server.run(|| Host::open(&server.journals()).unwrap().apply(&role).unwrap());
    assert!(!is_answered(&client, "192.168.91.148"));
    assert!(is_answered(&client, "192.168.91.146"));
    // Nor does the server ask with the VIP as sender, which would teach it to those who listen.
    server.sh("ip neigh flush dev eth0");
    server.run(|| UdpSocket::bind("192.168.91.148:0").unwrap().send_to(b"x", "192.168.91.1:9").unwrap());
    std::thread::sleep(Duration::from_millis(200));
    assert!(!client.sh("ip neigh show 192.168.91.148").contains("lladdr"));
}

#[test]
#[ignore = "needs root"]
fn neighbour_solicitations_for_a_vip_of_a_real_server_are_not_answered() {
    let (server, client) = network();
    assert!(is_answered(&client, "fd91::146"));
    let vips = vec!["fd91::148".parse().unwrap()];
    let role = Role::RealServer(RealServer { method: Method::DirectRoute, vips });
    server.run(|| Host::open(&server.journals()).unwrap().apply(&role).unwrap());
    assert!(!is_answered(&client, "fd91::148"));
    assert!(is_answered(&client, "fd91::146"));
    // A unicast solicitation, as a stale entry is probed with, is not answered either.
    client.sh("ip neigh replace fd91::148 lladdr 02:00:00:00:01:00 dev eth0 nud probe");
    assert!(eventually(Duration::from_secs(5), || {
        let state = client.sh("ip neigh show fd91::148");
        state.contains("FAILED") || state.contains("INCOMPLETE") || state.is_empty()
    }));
    // The sender's own address stands in what the server asks itself.
    server.sh("ip neigh flush dev eth0");
    server.run(|| UdpSocket::bind("[fd91::148]:0").unwrap().send_to(b"x", "[fd91::1]:9").unwrap());
    std::thread::sleep(Duration::from_millis(200));
    assert!(!client.sh("ip neigh show fd91::148").contains("REACHABLE"));
}

#[test]
#[ignore = "needs root"]
fn a_real_server_takes_packets_to_its_vip() {
    let (server, client) = network();
    let vips = vec!["192.168.91.148".parse().unwrap(), "fd91::148".parse().unwrap()];
    let role = Role::RealServer(RealServer { method: Method::DirectRoute, vips });
    server.run(|| Host::open(&server.journals()).unwrap().apply(&role).unwrap());
    // The director's part: frames with the server's hardware address.
    client.sh("ip neigh replace 192.168.91.148 lladdr 02:00:00:00:01:00 dev eth0
         ip neigh replace fd91::148 lladdr 02:00:00:00:01:00 dev eth0");
    for vip in ["192.168.91.148:5000", "[fd91::148]:5000"] {
        let socket = server.run(|| UdpSocket::bind(vip).unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        client.run(|| {
            let any = if vip.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
            UdpSocket::bind(any).unwrap().send_to(b"hello", vip).unwrap()
        });
        let mut room = [0; 16];
        let (length, _) = socket.recv_from(&mut room).unwrap();
        assert_eq!(&room[..length], b"hello");
    }
}

#[test]
#[ignore = "needs root"]
fn a_vip_on_another_interface_of_a_real_server_is_found() {
    let (server, _client) = network();
    server.sh("ip addr add 192.168.91.148/24 dev eth0");
    let vips = vec!["192.168.91.148".parse().unwrap()];
    let role = Role::RealServer(RealServer { method: Method::DirectRoute, vips });
    let findings = server.run(|| Host::open(&server.journals()).unwrap().check(&role).unwrap());
    let mend: Vec<&str> = findings.last().unwrap().mend.iter().map(String::as_str).collect();
    assert_eq!(mend, ["ip addr del 192.168.91.148/24 dev eth0"]);
}

#[test]
#[ignore = "needs root"]
fn a_real_server_behind_nat_must_answer_through_the_director() {
    let (server, _client) = network();
    let check = |directors: &[&str], clients: &[&str]| {
        let parse = |all: &[&str]| all.iter().map(|ip| ip.parse().unwrap()).collect();
        let method = Method::Masquerade { directors: parse(directors), clients: parse(clients) };
        let role = Role::RealServer(RealServer { method, vips: Vec::new() });
        server.run(|| {
            let mut host = Host::open(&server.journals()).unwrap();
            assert_eq!(host.plan(&role).unwrap(), []);
            host.check(&role).unwrap()
        })
    };
    let findings = check(&["192.168.91.141"], &[]);
    assert!(findings[0].problem.contains("no route"), "{}", findings[0]);
    assert_eq!(findings[0].mend, ["ip route replace default via 192.168.91.141"]);
    server.sh("ip route add default via 192.168.91.1");
    let findings = check(&["192.168.91.141"], &[]);
    assert!(findings[0].problem.contains("goes via 192.168.91.1,"), "{}", findings[0]);
    server.sh(&findings[0].mend[0]);
    assert_eq!(check(&["192.168.91.141"], &[]), []);
    // A client of the server's own network is answered directly, past the director.
    let findings = check(&["192.168.91.141"], &["10.0.0.1", "192.168.91.9"]);
    assert_eq!(findings.len(), 1);
    assert!(findings[0].problem.contains("straight"), "{}", findings[0]);
    let findings = check(&["fd91::141"], &[]);
    assert_eq!(findings[0].mend, ["ip -6 route replace default via fd91::141"]);
    server.sh(&findings[0].mend[0]);
    assert_eq!(check(&["fd91::141", "192.168.91.141"], &[]), []);
}
