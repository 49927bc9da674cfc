use super::*;
use crate::director::Vip;
use crate::nft::{NatSource, SourceNat};

fn lines(role: &Role) -> String {
    role.dry_run().unwrap().join("\n")
}

#[test]
fn a_director_s_dry_run_is_what_an_operator_would_type() {
    let role = Role::Director(Director {
        vips: vec![Vip { ip: "192.168.91.148".parse().unwrap(), interface: "ens33".into(), label: None }],
        forwarding: true,
        interfaces: vec!["ens37".into()],
        source_nat: vec![SourceNat {
            from: "192.168.81.0/24".parse().unwrap(),
            to: NatSource::Fixed("192.168.91.141".parse().unwrap()),
            out: Some("ens33".into()),
        }],
    });
    let expected = "\
sysctl -w net.ipv4.ip_forward=1
sysctl -w net.ipv4.conf.all.send_redirects=0
sysctl -w net.ipv4.conf.default.send_redirects=0
sysctl -w net.ipv4.conf.ens37.send_redirects=0
sysctl -w net.ipv4.conf.ens33.send_redirects=0
nft add table inet lvsd
nft 'add chain inet lvsd postrouting { type nat hook postrouting priority srcnat; policy accept; }'
nft 'add rule inet lvsd postrouting ip saddr 192.168.81.0/24 oifname \"ens33\" snat ip to 192.168.91.141'
ip addr add 192.168.91.148/32 broadcast 192.168.91.148 dev ens33 label ens33:0
ip route add 192.168.91.148 dev ens33 scope link src 192.168.91.148";
    assert_eq!(lines(&role), expected);
}

#[test]
fn a_real_server_s_dry_run_silences_arp_first() {
    let vips = vec!["192.168.91.148".parse().unwrap(), "fd00::148".parse().unwrap()];
    let role = Role::RealServer(RealServer { method: Method::DirectRoute, vips });
    let expected = "\
sysctl -w net.ipv4.conf.lo.arp_ignore=1
sysctl -w net.ipv4.conf.lo.arp_announce=2
sysctl -w net.ipv4.conf.all.arp_ignore=1
sysctl -w net.ipv4.conf.all.arp_announce=2
ip addr add 192.168.91.148/32 broadcast 192.168.91.148 dev lo label lo:0
ip route add 192.168.91.148 dev lo scope link src 192.168.91.148
ip -6 addr add fd00::148/128 dev lo nodad";
    assert_eq!(lines(&role), expected);
}

#[test]
fn a_real_server_behind_nat_is_only_given_its_gateway() {
    let directors = vec!["192.168.81.141".parse().unwrap(), "fd01::141".parse().unwrap()];
    let method = Method::Masquerade { directors, clients: Vec::new() };
    let role = Role::RealServer(RealServer { method, vips: Vec::new() });
    let expected = "\
ip route replace default via 192.168.81.141
ip -6 route replace default via fd01::141";
    assert_eq!(lines(&role), expected);
}

#[test]
fn several_addresses_of_one_interface_get_labels_of_their_own() {
    let vip = |ip: &str, label: Option<&str>| Vip {
        ip: ip.parse().unwrap(),
        interface: "eth0".into(),
        label: label.map(str::to_owned),
    };
    let vips = vec![
        vip("10.0.0.1", None),
        vip("fd00::1", None),
        vip("10.0.0.2", None),
        vip("10.0.0.3", Some("eth0:web")),
    ];
    let text = lines(&Role::Director(Director { vips, ..Director::default() }));
    for label in ["eth0:0\n", "eth0:1\n", "eth0:web\n"] {
        assert!(text.contains(label), "{label} in {text}");
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_done() {
    let vip = |ip: &str, interface: &str, label: &str| {
        let label = Some(label.to_owned());
        let vips = vec![Vip { ip: ip.parse().unwrap(), interface: interface.to_owned(), label }];
        Role::Director(Director { vips, ..Director::default() }).dry_run()
    };
    assert!(vip("127.0.0.1", "eth0", "eth0:0").is_err());
    assert!(vip("10.0.0.1", "../eth0", "../eth0:0").is_err());
    assert!(vip("10.0.0.1", "eth0", "eth1:0").is_err());
    assert!(vip("10.0.0.1", "eth0", "eth0:0").is_ok());
}
