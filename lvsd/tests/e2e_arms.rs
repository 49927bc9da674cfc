//! Directors with one interface for everything, and with several queues and as many workers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::net::SocketAddr;

use net::Net;
use net::client::{ask_all_at_once, ask_udp};

const VIP: &str = "10.66.1.100";

/// A client and two servers on networks of their own, and a director between them: on one wire for both (`arms` is
/// one interface) or on two. `more` is said of the director's interfaces.
fn masquerading_site(arms: &[&str], more: &str) -> Net {
    let mut net = Net::new();
    net.add(&["switch", "client", "director", "rs1", "rs2"]);
    net.bridge("switch", "one");
    let inside = if arms.len() == 1 { "one" } else { "two" };
    if inside == "two" {
        net.bridge("switch", "two");
    }
    net.plug("client", "eth0", ("switch", "one"), &["10.66.1.10/24"]);
    for (arm, (bridge, address)) in arms.iter().zip([("one", "10.66.1.100/24"), (inside, "10.66.2.1/24")]) {
        net.plug_with("director", arm, ("switch", bridge), &[address], more);
    }
    if arms.len() == 1 {
        net.ip("director", &format!("addr add 10.66.2.1/24 dev {}\n", arms[0]));
    }
    net.host("director").sysctl("ipv4/ip_forward", "1").unwrap();
    for (server, address) in [("rs1", "10.66.2.11"), ("rs2", "10.66.2.12")] {
        net.plug(server, "eth0", ("switch", inside), &[&format!("{address}/24")]);
        net.ip(server, "route add default via 10.66.2.1\n");
        net.nginx(server);
        net.echo(server, address.parse().unwrap(), 7);
    }
    net.run_director(arms);
    for service in [format!("-t {VIP}:80"), format!("-u {VIP}:7")] {
        net.serve(&service, "rr", &["10.66.2.11 -m", "10.66.2.12 -m"]);
    }
    net
}

fn assert_serves(net: &Net, count: usize) {
    let answers = net.curls("client", &format!("http://{VIP}/"), 4);
    assert!(answers.windows(2).all(|pair| pair[0] != pair[1]), "{answers:?}");
    let echo = SocketAddr::new(VIP.parse().unwrap(), 7);
    ask_udp(net.host("client"), echo, "there?").unwrap_or_else(|error| panic!("{error}\n{}", net.account()));
    let counts = ask_all_at_once(net.host("client"), SocketAddr::new(VIP.parse().unwrap(), 80), count);
    let expected = ["rs1", "rs2"].map(|server| (server.to_owned(), count / 2)).into();
    assert_eq!(counts, expected, "{}", net.account());
    net.assert_balanced();
}

#[test]
#[ignore = "needs root"]
fn a_director_with_one_interface_masquerades_over_it() {
    let mut net = masquerading_site(&["eth0"], "");
    assert_serves(&net, 100);
    net.stop_director();
}

#[test]
#[ignore = "needs root"]
fn every_queue_has_a_worker_and_all_share_the_connections() {
    let mut net = masquerading_site(&["eth0", "eth1"], "numrxqueues 2 numtxqueues 2");
    let status = net.status();
    assert!(status.interfaces.iter().all(|interface| interface.queues == 2), "{status:?}");
    assert_serves(&net, 400);
    net.stop_director();
}
