//! What apply makes is what the usual shell scripts make.

use std::time::Duration;

use lvs_netcfg::{Director, Host, Method, NatSource, RealServer, Role, Snapshot, SourceNat, Vip};

use crate::namespace::Namespace;

/// Runs `script` on one host and applies `role` to another like it; gives both states.
fn by_script_and_by_role(script: &str, role: &Role) -> (Snapshot, Snapshot) {
    let states = [Some(script), None].map(|script| {
        let outside = Namespace::new();
        let host = Namespace::joined(
            &outside,
            &[
                ("ens33", "192.168.91.141/24", "192.168.91.1/24"),
                ("ens37", "192.168.81.141/24", "192.168.81.142/24"),
            ],
        );
        host.run(|| {
            match script {
                Some(script) => {
                    host.sh(script);
                    // The kernel makes the local route of an IPv6 address in the background.
                    std::thread::sleep(Duration::from_millis(200));
                }
                None => drop(Host::open(&host.journals()).unwrap().apply(role).unwrap()),
            }
            Snapshot::take().unwrap()
        })
    });
    let [by_script, by_role] = states;
    (by_script, by_role)
}

fn is_redirect(line: &str) -> bool {
    line.contains("send_redirects")
}

fn is_ruleset(line: &str) -> bool {
    line.starts_with("nft ")
}

fn vip() -> Vip {
    Vip { ip: "192.168.91.148".parse().unwrap(), interface: "ens33".into(), label: None }
}

#[test]
#[ignore = "needs root"]
fn a_director_for_direct_routing_is_as_the_script_leaves_it() {
    let script = "echo 1 > /proc/sys/net/ipv4/ip_forward
        vip=192.168.91.148
        ifconfig ens33:0 down || true
        ifconfig ens33:0 $vip broadcast $vip netmask 255.255.255.255 up
        route add -host $vip dev ens33:0";
    let role = Role::Director(Director { vips: vec![vip()], forwarding: true, ..Director::default() });
    let (by_script, by_role) = by_script_and_by_role(script, &role);
    // Redirects are switched off besides, which that script leaves to the operator.
    let (by_script, by_role) = (by_script.without(is_redirect), by_role.without(is_redirect));
    assert_eq!(by_script.difference(&by_role), Vec::<String>::new());
    assert!(by_role.to_string().contains("ens33:0"));
}

#[test]
#[ignore = "needs root"]
fn a_real_server_for_direct_routing_is_as_the_script_leaves_it() {
    let script = r#"vip=192.168.91.148
        ifconfig lo:0 $vip broadcast $vip netmask 255.255.255.255 up
        route add -host $vip lo:0
        echo "1" > /proc/sys/net/ipv4/conf/lo/arp_ignore
        echo "2" > /proc/sys/net/ipv4/conf/lo/arp_announce
        echo "1" > /proc/sys/net/ipv4/conf/all/arp_ignore
        echo "2" > /proc/sys/net/ipv4/conf/all/arp_announce"#;
    let vips = vec!["192.168.91.148".parse().unwrap()];
    let role = Role::RealServer(RealServer { method: Method::DirectRoute, vips });
    let (by_script, by_role) = by_script_and_by_role(script, &role);
    assert_eq!(by_script.difference(&by_role), Vec::<String>::new());
    assert!(by_role.to_string().contains("lo:0"));
}

#[test]
#[ignore = "needs root"]
fn a_director_for_nat_is_as_the_commands_by_hand_leave_it() {
    let script = "echo 1 > /proc/sys/net/ipv4/ip_forward
        for place in all default ens33 ens37; do
            echo 0 > /proc/sys/net/ipv4/conf/$place/send_redirects
        done
        iptables -t nat -A POSTROUTING -s 192.168.81.0/24 -o ens33 -j SNAT --to-source 192.168.91.141";
    let role = Role::Director(Director {
        forwarding: true,
        interfaces: vec!["ens33".into(), "ens37".into()],
        source_nat: vec![SourceNat {
            from: "192.168.81.0/24".parse().unwrap(),
            to: NatSource::Fixed("192.168.91.141".parse().unwrap()),
            out: Some("ens33".into()),
        }],
        ..Director::default()
    });
    let (by_script, by_role) = by_script_and_by_role(script, &role);
    // The rules stand in tables of other names; what they do is tested with packets.
    let (by_script, by_role) = (by_script.without(is_ruleset), by_role.without(is_ruleset));
    assert_eq!(by_script.difference(&by_role), Vec::<String>::new());
}

#[test]
#[ignore = "needs root"]
fn the_dry_run_s_commands_make_the_same_host() {
    let director = Role::Director(Director {
        vips: vec![vip(), Vip { ip: "fd91::148".parse().unwrap(), ..vip() }],
        forwarding: true,
        interfaces: vec!["ens37".into()],
        source_nat: vec![
            SourceNat {
                from: "192.168.81.0/24".parse().unwrap(),
                to: NatSource::Masquerade,
                out: Some("ens33".into()),
            },
            SourceNat {
                from: "fd81::/64".parse().unwrap(),
                to: NatSource::Fixed("fd91::141".parse().unwrap()),
                out: None,
            },
        ],
    });
    let vips = vec!["192.168.91.148".parse().unwrap(), "fd91::148".parse().unwrap()];
    let server = Role::RealServer(RealServer { method: Method::DirectRoute, vips });
    for role in [director, server] {
        let commands = role.dry_run().unwrap().join("\n");
        let (by_commands, by_role) = by_script_and_by_role(&commands, &role);
        assert_eq!(by_commands.difference(&by_role), Vec::<String>::new(), "{commands}");
    }
}

#[test]
#[ignore = "needs root"]
fn the_revert_s_commands_take_back_what_apply_made() {
    let outside = Namespace::new();
    let host = Namespace::joined(&outside, &[("ens33", "192.168.91.141/24", "192.168.91.1/24")]);
    host.run(|| {
        let before = Snapshot::take().unwrap();
        let role = Role::Director(Director {
            vips: vec![vip()],
            forwarding: true,
            interfaces: Vec::new(),
            source_nat: vec![SourceNat {
                from: "192.168.81.0/24".parse().unwrap(),
                to: NatSource::Masquerade,
                out: None,
            }],
        });
        let mut lvsd = Host::open(&host.journals()).unwrap();
        lvsd.apply(&role).unwrap();
        let commands = lvsd.revert_commands(role.name()).unwrap();
        host.sh(&commands.join("\n"));
        assert_eq!(before.difference(&Snapshot::take().unwrap()), Vec::<String>::new());
        let reverted = lvsd.revert(role.name()).unwrap();
        assert!(reverted.iter().all(|entry| entry.undone == lvs_netcfg::Undone::Nothing), "{reverted:?}");
    });
}
