//! Addresses that are closed: nothing reaches them, neighbours are answered, and no rule outlives the filter.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lvs_netcfg::{Closed, InputFilter, Snapshot};
use nix::errno::Errno;

use crate::namespace::{Namespace, eventually};

const ADDRESSES: [&str; 3] = ["10.1.0.1", "fd01::1", "fe80::1"];

fn closed(ifindex: u32, addresses: &[&str]) -> BTreeSet<Closed> {
    addresses.iter().map(|address| Closed::new(address.parse().unwrap(), ifindex)).collect()
}

/// Which of the addresses answer, and which of them the other end knows a neighbour for.
fn heard(other: &Namespace) -> Vec<String> {
    other.sh("ip neigh flush dev eth0 nud all");
    let scan = |address: &str| {
        let zone = if address.starts_with("fe80") { "%eth0" } else { "" };
        let answers = other.sh(&format!("ping -c1 -W1 {address}{zone} >/dev/null && echo answers || true"));
        let neighbour = other.sh(&format!("ip neigh show {address} dev eth0"));
        let knows = if neighbour.contains("lladdr") { "known" } else { "unknown" };
        format!("{address} {knows} {}", answers.trim()).trim().to_owned()
    };
    ADDRESSES.map(scan).to_vec()
}

fn interface(host: &Namespace, name: &str) -> u32 {
    host.sh(&format!("cat /sys/class/net/{name}/ifindex")).trim().parse().unwrap()
}

#[test]
#[ignore = "needs root"]
fn a_closed_address_takes_nothing_and_answers_its_neighbours() {
    let other = Namespace::new();
    let host = Namespace::joined(&other, &[("eth0", "10.1.0.1/24", "10.1.0.2/24")]);
    host.sh("ip addr add fd01::1/64 dev eth0; ip addr add fe80::1/64 dev eth0");
    other.sh("ip addr add fd01::2/64 dev eth0; ip addr add fe80::2/64 dev eth0");
    let ifindex = interface(&host, "eth0");
    let before = host.run(Snapshot::take).unwrap();
    let rules = || host.sh("nft list ruleset");
    host.run(|| {
        let mut filter = InputFilter::open().unwrap();
        assert!(!filter.close(BTreeSet::new()).unwrap());
        assert_eq!(rules(), "", "where nothing is closed there is no table");
        let began = Instant::now();
        assert!(filter.close(closed(ifindex, &ADDRESSES)).unwrap());
        assert!(began.elapsed().as_millis() < 100, "{:?}", began.elapsed());
        assert_eq!(heard(&other), ADDRESSES.map(|address| format!("{address} known")));
        // Whoever knows an address asks it directly from time to time whether it is still there.
        for address in ADDRESSES {
            other.sh(&format!("ip neigh change {address} dev eth0 nud probe"));
            let is_reachable =
                || other.sh(&format!("ip neigh show {address} dev eth0")).contains("REACHABLE");
            assert!(eventually(Duration::from_secs(8), is_reachable), "{address} does not answer");
        }
        // A firewall that is loaded anew begins with this.
        host.sh("nft flush ruleset");
        assert_eq!(heard(&other), ADDRESSES.map(|address| format!("{address} known")));

        assert!(filter.close(closed(ifindex, &["10.1.0.1"])).unwrap());
        let told = rules();
        assert!(told.contains("ip daddr @v4 drop") && told.contains("10.1.0.1"), "{told}");
        assert!(!told.contains("fd01::1") && !told.contains("fe80::1"), "{told}");
        assert_eq!(heard(&other), ["10.1.0.1 known", "fd01::1 known answers", "fe80::1 known answers"]);
        // A link-local address is closed on its own link only.
        filter.close(closed(ifindex + 1, &["fe80::1"])).unwrap();
        assert_eq!(heard(&other), ADDRESSES.map(|address| format!("{address} known answers")));

        filter.close(BTreeSet::new()).unwrap();
        assert_eq!(rules(), "");
        filter.close(closed(ifindex, &ADDRESSES)).unwrap();
    });
    // With the filter everything is gone.
    assert_eq!(before.difference(&host.run(Snapshot::take).unwrap()), Vec::<String>::new());
}

#[test]
#[ignore = "needs root"]
fn thousands_of_addresses_are_closed_at_once_and_a_foreign_table_is_left_alone() {
    let host = Namespace::new();
    host.run(|| {
        InputFilter::probe().unwrap();
        assert_eq!(host.sh("nft list ruleset"), "");
        let mut filter = InputFilter::open().unwrap();
        let many = (1..=3000_u32)
            .map(|number| Closed::new(std::net::Ipv4Addr::from(0x0a00_0000 + number).into(), 1));
        filter.close(many.collect()).unwrap();
        assert_eq!(host.sh("nft list ruleset").matches("10.0.").count(), 3000);
        // Each has a table of its own. Where the name is another's that one stays as it is, and the refusal is told.
        let mut second = InputFilter::open().unwrap();
        let table = second.table().to_owned();
        assert_ne!(table, filter.table());
        host.sh(&format!("nft add table inet {table}"));
        let refused = second.close(closed(1, &["10.9.9.9"])).unwrap_err();
        assert!(refused.is_refusal(Errno::EOPNOTSUPP), "{refused}");
        assert!(refused.to_string().contains(&table), "{refused}");
        host.sh(&format!("nft delete table inet {table}"));
        second.close(closed(1, &["10.9.9.9"])).unwrap();
        assert_eq!(host.sh("nft list ruleset").matches("10.0.").count(), 3000);
    });
}
