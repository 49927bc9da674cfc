//! Values of `net.ipv4.vs` that need a host: its memory, and its routing by marks.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use net::{LVSD, Net, wait_for};

const VIP: &str = "10.66.1.100";
const ORIGIN: &str = "10.66.2.11";

/// A client and a server on networks of their own, and a director between them that is the router, too.
fn site() -> Net {
    let mut net = Net::new();
    net.add(&["switch", "client", "director", "origin"]);
    for bridge in ["one", "two"] {
        net.bridge("switch", bridge);
    }
    net.plug("client", "eth0", ("switch", "one"), &["10.66.1.10/24"]);
    net.ip("client", &format!("route add default via {VIP}\n"));
    net.plug("director", "eth0", ("switch", "one"), &[&format!("{VIP}/24")]);
    net.plug("director", "eth1", ("switch", "two"), &["10.66.2.1/24"]);
    net.host("director").sysctl("ipv4/ip_forward", "1").unwrap();
    net.plug("origin", "eth0", ("switch", "two"), &[&format!("{ORIGIN}/24")]);
    net.ip("origin", "route add default via 10.66.2.1\n");
    net.nginx("origin");
    net.run_director(&["eth0", "eth1"]);
    net
}

fn sysctl(net: &Net, words: &[&str]) -> String {
    let mut command = vec![LVSD, "sysctl"];
    command.extend(words);
    net.run("director", &command).good()
}

#[test]
#[ignore = "needs root"]
fn the_hosts_memory_makes_the_automatic_modes_work() {
    let mut net = site();
    net.serve(&format!("-t {VIP}:80"), "rr", &[&format!("{ORIGIN} -m")]);
    let url = format!("http://{VIP}/");
    assert_eq!(net.curl("client", &url).unwrap(), "origin");
    // As short as can be: one new packet in one is refused.
    let set = sysctl(&net, &["net.ipv4.vs.amemthresh=2147483647", "net.ipv4.vs.drop_packet=1"]);
    assert!(set.contains("drop_packet = 2"), "{set}");
    net.curl("client", &url).unwrap_err();
    assert!(net.drops().contains("defence"), "{}", net.drops());
    sysctl(&net, &["net.ipv4.vs.amemthresh=0"]);
    wait_for("memory is plenty", || sysctl(&net, &["net.ipv4.vs.drop_packet"]).contains("drop_packet = 1"));
    assert_eq!(net.curl("client", &url).unwrap(), "origin");
    net.assert_balanced();
    net.stop_director();
}

#[test]
#[ignore = "needs root"]
fn cache_bypass_lets_a_marked_packet_pass_that_the_host_takes_in() {
    let mut net = site();
    net.adm("-A -f 7 -s rr");
    net.run("director", &[LVSD, "mark", "add", "7", "--destination", "10.66.2.0/24", "--protocol", "tcp"])
        .good();
    let url = format!("http://{ORIGIN}/");
    assert_eq!(net.curl("client", &url).unwrap(), "origin", "the host forwards what it does not take in");
    net.ip("director", "rule add fwmark 7 lookup 100\nroute add local default dev lo table 100\n");
    wait_for("the rule is heeded", || net.curl("client", &url).is_err());
    sysctl(&net, &["net.ipv4.vs.cache_bypass=1"]);
    assert_eq!(net.curl("client", &url).unwrap(), "origin");
    let shown = net.adm("-Lcn");
    assert!(shown.contains("0.0.0.0:0"), "{shown}");
    net.assert_balanced();
    net.stop_director();
}
