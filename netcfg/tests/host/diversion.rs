//! What the host itself sends is diverted while there is a diversion, and not after it, however it ended.

use lvs_netcfg::{Diversion, Diverted, Interface};

use crate::namespace::Namespace;

fn rules(host: &Namespace) -> Vec<String> {
    let said = host.sh("ip -4 rule; ip -6 rule");
    said.lines().filter(|line| line.starts_with("77:")).map(str::to_owned).collect()
}

/// The interface that a packet of the host's own to elsewhere leaves through.
fn leaves_by(host: &Namespace, what: &str) -> String {
    let said = host.sh(&format!("ip route get {what}"));
    said.split_whitespace().skip_while(|word| *word != "dev").nth(1).unwrap_or_default().to_owned()
}

fn diverted(address: &str, protocol: u8, port: u16) -> Diverted {
    Diverted { address: address.parse().unwrap(), protocol, port }
}

#[test]
#[ignore = "needs root"]
fn only_packets_from_the_endpoints_are_diverted() {
    let peer = Namespace::new();
    let joins = [("eth0", "10.66.0.1/24", "10.66.0.2/24"), ("far", "10.67.0.1/24", "10.67.0.2/24")];
    let host = Namespace::joined(&peer, &joins);
    host.sh("ip addr add fd66::1/64 dev eth0 nodad; ip rule add pref 77 from 10.66.0.1 dport 9 lookup main");
    let operators = rules(&host);
    host.run(|| {
        let index = Interface::find("far").unwrap().index;
        let mut diversion = Diversion::open("far", index, 1400).unwrap();
        let all = [diverted("10.66.0.1", 6, 80), diverted("fd66::1", 17, 53)];
        diversion.divert(all, false).unwrap();
        let from = |port| format!("10.66.0.2 from 10.66.0.1 ipproto tcp sport {port} dport 4000");
        assert_eq!(leaves_by(&host, &from(80)), "far");
        assert_eq!(leaves_by(&host, &from(81)), "eth0");
        assert_eq!(leaves_by(&host, "10.66.0.2 from 10.66.0.1 ipproto udp sport 80"), "eth0");
        assert_eq!(leaves_by(&host, "fd66::2 from fd66::1 ipproto udp sport 53"), "far");
        assert_eq!(leaves_by(&host, "10.66.0.2"), "eth0");
        assert_eq!(rules(&host).len(), operators.len() + 4);
        diversion.divert(all, false).unwrap();
        assert_eq!(rules(&host).len(), operators.len() + 4, "what is there stays");
        diversion.divert([diverted("10.66.0.1", 6, 81)], false).unwrap();
        assert_eq!((leaves_by(&host, &from(80)), leaves_by(&host, &from(81))), ("eth0".into(), "far".into()));
        drop(diversion);
        assert_eq!(rules(&host), operators);
    });
}

/// An address of the host's own is reached over the device by a socket that is bound to it, and by no other.
#[test]
#[ignore = "needs root"]
fn what_is_bound_to_the_device_goes_out_of_it_even_to_the_hosts_own_addresses() {
    let peer = Namespace::new();
    let joins = [("eth0", "10.66.0.1/24", "10.66.0.2/24"), ("far", "10.67.0.1/24", "10.67.0.2/24")];
    let host = Namespace::joined(&peer, &joins);
    host.sh("ip addr add fd66::1/64 dev eth0 nodad");
    host.run(|| {
        let index = Interface::find("far").unwrap().index;
        let mut diversion = Diversion::open("far", index, 1400).unwrap();
        diversion.divert([], true).unwrap();
        for own in ["10.66.0.1", "fd66::1"] {
            assert_eq!(leaves_by(&host, &format!("{own} oif far")), "far");
            assert_eq!(leaves_by(&host, own), "lo");
        }
        diversion.divert([], false).unwrap();
        assert_eq!(rules(&host), Vec::<String>::new());
    });
}

#[test]
#[ignore = "needs root"]
fn what_a_crash_left_goes_with_the_next_diversion() {
    let host = Namespace::new();
    host.run(|| {
        host.sh("ip link add old type veth peer name oldp; ip link set old up");
        let old = Interface::find("old").unwrap().index;
        let mut diversion = Diversion::open("old", old, 1500).unwrap();
        diversion.divert([diverted("10.66.0.1", 6, 80)], true).unwrap();
        std::mem::forget(diversion);
        let left = rules(&host);
        assert_eq!(left.len(), 4);
        host.sh("ip link add new type veth peer name newp; ip link set new up");
        let new = Interface::find("new").unwrap().index;
        drop(Diversion::open("new", new, 1500).unwrap());
        assert_eq!(rules(&host), left, "another director's, for all one can know");
        host.sh("ip link del old");
        drop(Diversion::open("new", new, 1500).unwrap());
        assert_eq!(rules(&host), Vec::<String>::new());
    });
}
