//! Whatever is applied, and wherever it is interrupted: revert gives the host back as it was.

use std::io;
use std::net::IpAddr;

use lvs_netcfg::{
    Change, Decapsulator, Director, Error, Host, Method, NatSource, RealServer, Role, Snapshot, SourceNat,
    Undone, Vip,
};

use crate::namespace::Namespace;

/// Remembers what it was asked, as a program pinned in the kernel would.
#[derive(Default)]
struct Memory(Vec<(String, Vec<IpAddr>, Vec<IpAddr>)>);

impl Decapsulator for Memory {
    fn attach(&mut self, interface: &str, vips: &[IpAddr], own: &[IpAddr]) -> io::Result<()> {
        self.0.push((interface.to_owned(), vips.to_vec(), own.to_vec()));
        Ok(())
    }

    fn detach(&mut self, interface: &str) -> io::Result<()> {
        self.0.retain(|(name, ..)| name != interface);
        Ok(())
    }

    fn is_attached(&self, interface: &str) -> io::Result<bool> {
        Ok(self.0.iter().any(|(name, ..)| name == interface))
    }
}

fn vip(ip: &str) -> Vip {
    Vip { ip: ip.parse().unwrap(), interface: "ens33".into(), label: None }
}

fn director() -> Role {
    Role::Director(Director {
        vips: vec![vip("192.168.91.148"), vip("fd91::148")],
        forwarding: true,
        interfaces: vec!["ens37".into()],
        source_nat: vec![
            SourceNat {
                from: "192.168.81.0/24".parse().unwrap(),
                to: NatSource::Fixed("192.168.91.141".parse().unwrap()),
                out: Some("ens33".into()),
            },
            SourceNat { from: "fd81::/64".parse().unwrap(), to: NatSource::Masquerade, out: None },
            SourceNat { from: "10.9.8.7/32".parse().unwrap(), to: NatSource::Masquerade, out: None },
        ],
    })
}

fn real_server(method: Method) -> Role {
    let vips = ["192.168.91.148", "192.168.91.149", "fd91::148"];
    Role::RealServer(RealServer { method, vips: vips.iter().map(|ip| ip.parse().unwrap()).collect() })
}

fn tunnel() -> Role {
    real_server(Method::Tunnel { interfaces: vec!["ens33".into()] })
}

/// A host whose values are not the defaults, so that a careless revert shows.
fn host() -> (Namespace, Namespace) {
    let outside = Namespace::new();
    let inside = Namespace::joined(
        &outside,
        &[
            ("ens33", "192.168.91.141/24", "192.168.91.1/24"),
            ("ens37", "192.168.81.141/24", "192.168.81.142/24"),
        ],
    );
    inside.sh("cd /proc/sys/net/ipv4/conf
         echo 1 > ens37/forwarding; echo 0 > all/accept_redirects; echo 0 > ens37/send_redirects
         echo 2 > all/arp_ignore; echo 1 > ens33/rp_filter
         echo 1 > /proc/sys/net/ipv6/conf/ens37/forwarding
         ip -6 addr add fd91::141/64 dev ens33
         ip -6 route add fd99::/64 via fd91::1
         ip route add default via 192.168.91.1
         nft add table inet theirs");
    (inside, outside)
}

fn roles() -> [Role; 3] {
    [director(), real_server(Method::DirectRoute), tunnel()]
}

#[test]
#[ignore = "needs root"]
fn after_apply_the_check_is_clean_and_after_revert_the_host_is_as_before() {
    let (inside, _outside) = host();
    inside.run(|| {
        for role in roles() {
            let before = Snapshot::take().unwrap();
            let mut memory = Memory::default();
            let mut host = Host::open(&inside.journals()).unwrap().with_decapsulator(&mut memory);
            let findings = host.check(&role).unwrap();
            assert!(!findings.is_empty(), "{role:?}");
            assert!(findings.iter().all(|finding| !finding.mend.is_empty()), "{findings:?}");
            let planned = host.plan(&role).unwrap();
            assert_eq!(host.apply(&role).unwrap(), planned);
            assert_eq!(host.check(&role).unwrap(), [], "{role:?}");
            assert_eq!(host.plan(&role).unwrap(), []);
            let during = Snapshot::take().unwrap();
            assert_ne!(before.difference(&during), Vec::<String>::new());
            let reverted = host.revert(role.name()).unwrap();
            assert!(reverted.iter().all(|entry| !matches!(entry.undone, Undone::LeftAlone { .. })));
            assert_eq!(before.difference(&Snapshot::take().unwrap()), Vec::<String>::new(), "{role:?}");
            assert_eq!(host.revert(role.name()).unwrap(), []);
            drop(host);
            assert!(memory.0.is_empty());
        }
    });
}

#[test]
#[ignore = "needs root"]
fn the_decapsulator_is_told_the_vips_and_the_interface_s_own_addresses() {
    let (inside, _outside) = host();
    inside.run(|| {
        let mut memory = Memory::default();
        let mut host = Host::open(&inside.journals()).unwrap().with_decapsulator(&mut memory);
        host.apply(&tunnel()).unwrap();
        let (interface, vips, own) = memory.0[0].clone();
        assert_eq!((interface.as_str(), vips.len()), ("ens33", 3));
        assert!(
            own.contains(&"192.168.91.141".parse().unwrap()) && own.contains(&"fd91::141".parse().unwrap())
        );
        let mut blind = Host::open(&inside.journals()).unwrap();
        let findings = blind.check(&tunnel()).unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].to_string().contains("modprobe ipip"), "{}", findings[0]);
        // Without the decapsulator the rest is taken back, and the journal keeps what is left.
        assert!(matches!(blind.revert(tunnel().name()), Err(Error::NoDecapsulator(_))));
        drop(blind);
        let mut host = Host::open(&inside.journals()).unwrap().with_decapsulator(&mut memory);
        assert_eq!(host.revert(tunnel().name()).unwrap().len(), 1);
        drop(host);
        assert!(memory.0.is_empty());
    });
}

/// Interrupts apply after every number of steps, goes on with `then`, and reverts.
fn interrupted_everywhere(role: &Role, then: impl Fn(&mut Host<'_>)) -> usize {
    let before = Snapshot::take().unwrap();
    let journals =
        std::env::temp_dir().join(format!("lvst-{}-{:?}", std::process::id(), std::thread::current().id()));
    let mut memory = Memory::default();
    for steps in 0.. {
        let mut host = Host::open(&journals).unwrap().with_decapsulator(&mut memory).interrupted_after(steps);
        let outcome = host.apply(role);
        drop(host);
        let is_whole = outcome.is_ok();
        assert!(is_whole || matches!(outcome, Err(Error::Interrupted)), "{outcome:?}");
        let mut host = Host::open(&journals).unwrap().with_decapsulator(&mut memory);
        then(&mut host);
        host.revert(role.name()).unwrap();
        drop(host);
        let after = Snapshot::take().unwrap();
        assert_eq!(before.difference(&after), Vec::<String>::new(), "after {steps} steps");
        if is_whole {
            std::fs::remove_dir_all(&journals).unwrap();
            return steps;
        }
    }
    0
}

#[test]
#[ignore = "needs root"]
fn a_crash_between_any_two_steps_of_apply_can_be_taken_back() {
    let (inside, _outside) = host();
    inside.run(|| {
        for role in roles() {
            let steps = interrupted_everywhere(&role, |_| {});
            assert!(steps > 20, "{steps}");
        }
    });
}

#[test]
#[ignore = "needs root"]
fn an_apply_after_a_crash_finishes_the_work_and_keeps_the_first_values() {
    let (inside, _outside) = host();
    inside.run(|| {
        for role in roles() {
            interrupted_everywhere(&role, |host| {
                host.apply(&role).unwrap();
                assert_eq!(host.check(&role).unwrap(), []);
            });
        }
    });
}

#[test]
#[ignore = "needs root"]
fn a_crash_between_any_two_steps_of_revert_can_be_taken_back() {
    let (inside, _outside) = host();
    inside.run(|| {
        let before = Snapshot::take().unwrap();
        for steps in 0.. {
            Host::open(&inside.journals()).unwrap().apply(&director()).unwrap();
            let mut host = Host::open(&inside.journals()).unwrap().interrupted_after(steps);
            let is_whole = host.revert(director().name()).is_ok();
            Host::open(&inside.journals()).unwrap().revert(director().name()).unwrap();
            assert_eq!(before.difference(&Snapshot::take().unwrap()), Vec::<String>::new(), "after {steps}");
            if is_whole {
                assert!(steps > 10);
                break;
            }
        }
    });
}

#[test]
#[ignore = "needs root"]
fn what_was_there_before_stays() {
    let (inside, _outside) = host();
    inside.sh("ip addr add 192.168.91.148/32 dev ens33
         ip route add 192.168.91.148 dev ens33
         echo 1 > /proc/sys/net/ipv4/ip_forward
         nft add table inet lvsd; nft add chain inet lvsd theirs");
    inside.run(|| {
        let before = Snapshot::take().unwrap();
        let mut host = Host::open(&inside.journals()).unwrap();
        let changed = host.apply(&director()).unwrap();
        assert!(!changed.iter().any(|change| matches!(
            change, Change::Address { ip, .. } | Change::HostRoute { ip, .. } if ip.is_ipv4()
        )));
        assert_eq!(host.check(&director()).unwrap(), []);
        host.revert(director().name()).unwrap();
        assert_eq!(before.difference(&Snapshot::take().unwrap()), Vec::<String>::new());
    });
}

#[test]
#[ignore = "needs root"]
fn applying_twice_changes_nothing_and_applying_less_takes_the_rest_back() {
    let (inside, _outside) = host();
    inside.run(|| {
        let before = Snapshot::take().unwrap();
        let mut host = Host::open(&inside.journals()).unwrap();
        let few = Role::Director(Director { vips: vec![vip("192.168.91.148")], ..Director::default() });
        host.apply(&few).unwrap();
        let with_few = Snapshot::take().unwrap();
        host.apply(&director()).unwrap();
        let with_all = Snapshot::take().unwrap();
        assert_eq!(host.apply(&director()).unwrap(), []);
        assert_eq!(with_all.difference(&Snapshot::take().unwrap()), Vec::<String>::new());
        host.apply(&few).unwrap();
        assert_eq!(with_few.difference(&Snapshot::take().unwrap()), Vec::<String>::new());
        host.revert(few.name()).unwrap();
        assert_eq!(before.difference(&Snapshot::take().unwrap()), Vec::<String>::new());
    });
}

#[test]
#[ignore = "needs root"]
fn a_value_someone_else_set_since_is_reported_and_left_alone() {
    let (inside, _outside) = host();
    inside.run(|| {
        let mut host = Host::open(&inside.journals()).unwrap();
        let role = real_server(Method::DirectRoute);
        host.apply(&role).unwrap();
        inside.sh("echo 8 > /proc/sys/net/ipv4/conf/lo/arp_ignore; ip addr del 192.168.91.149/32 dev lo");
        let findings = host.check(&role).unwrap();
        assert!(
            findings[0].to_string().contains("sysctl -w net.ipv4.conf.lo.arp_ignore=1"),
            "{}",
            findings[0]
        );
        let reverted = host.revert(role.name()).unwrap();
        let left: Vec<_> = reverted
            .iter()
            .filter(|entry| matches!(&entry.undone, Undone::LeftAlone { found } if found == "8"))
            .collect();
        assert_eq!(left.len(), 1, "{reverted:?}");
        assert_eq!(inside.sh("cat /proc/sys/net/ipv4/conf/lo/arp_ignore").trim(), "8");
    });
}

#[test]
#[ignore = "needs root"]
fn a_change_that_fails_takes_those_before_it_back() {
    let (inside, _outside) = host();
    // The host route cannot be added: another interface has it.
    inside.sh("ip route add 192.168.91.148 dev ens37");
    inside.run(|| {
        let before = Snapshot::take().unwrap();
        let mut host = Host::open(&inside.journals()).unwrap();
        let error = host.apply(&director()).unwrap_err();
        assert!(error.to_string().contains("in the way"), "{error}");
        assert_eq!(before.difference(&Snapshot::take().unwrap()), Vec::<String>::new());
        assert_eq!(host.revert(director().name()).unwrap(), []);
    });
}

#[test]
#[ignore = "needs root"]
fn an_interface_that_is_down_or_missing_is_named_and_nothing_is_done() {
    let (inside, _outside) = host();
    inside.run(|| {
        let mut host = Host::open(&inside.journals()).unwrap();
        inside.sh("ip link set ens37 down");
        let before = Snapshot::take().unwrap();
        let error = host.apply(&director()).unwrap_err();
        assert!(error.to_string().contains("ip link set ens37 up"), "{error}");
        let findings = host.check(&director()).unwrap();
        assert_eq!(findings[0].mend, ["ip link set ens37 up"]);
        inside.sh("ip link set ens37 name other");
        assert!(matches!(host.apply(&director()), Err(Error::NoInterface(name)) if name == "ens37"));
        inside.sh("ip link set other name ens37");
        assert_eq!(before.difference(&Snapshot::take().unwrap()), Vec::<String>::new());
    });
}

#[test]
#[ignore = "needs root"]
fn routes_learned_from_router_advertisements_survive_ipv6_forwarding() {
    let (inside, _outside) = host();
    // What a router advertisement leaves: its protocol number is the mark apply goes by.
    inside.sh("ip -6 route add fd77::/64 dev ens33 proto ra");
    inside.run(|| {
        let before = Snapshot::take().unwrap();
        let mut host = Host::open(&inside.journals()).unwrap();
        host.apply(&director()).unwrap();
        assert_eq!(inside.sh("cat /proc/sys/net/ipv6/conf/ens33/accept_ra").trim(), "2");
        assert_eq!(host.apply(&director()).unwrap(), []);
        assert_eq!(inside.sh("cat /proc/sys/net/ipv6/conf/ens37/accept_ra").trim(), "1");
        host.revert(director().name()).unwrap();
        assert_eq!(before.difference(&Snapshot::take().unwrap()), Vec::<String>::new());
    });
}
