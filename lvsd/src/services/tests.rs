//! What the registry takes, what it refuses, and that a refusal changes nothing.

use std::net::IpAddr;
use std::sync::Arc;

use lvs_conntrack::Tick;
use lvs_forward::{Checksums, Mac, PortId};

use super::Registry;
use crate::director::Plane;
use crate::message::{
    Family, ForwardMethod, RealServer, Refusal, Request, Response, ServiceId, ServiceListing, Timeouts,
    Transport, TunnelChecksum, TunnelKind, VirtualService,
};
use crate::resolve::{Fib, Interface};

const NOW: Tick = Tick::from_millis(5_000);

fn registry() -> Registry {
    let mut registry = Registry::new(Arc::new(Plane::new(1, 100, 1)), 1);
    let interface = Interface {
        name: "inside".into(),
        index: 1,
        port: Some(PortId(0)),
        mac: Mac([2; 6]),
        mtu: 1500,
        checksums: Checksums::Computed,
        addresses: vec!["10.0.0.1/24".parse().unwrap()],
    };
    let routes = interface.connected().collect();
    registry.set_fib(Fib::new(vec![interface], routes, &[]));
    registry
}

fn id(vip: &str) -> ServiceId {
    ServiceId::Address { transport: Transport::Tcp, vip: vip.parse().unwrap(), port: 80 }
}

fn service(id: ServiceId) -> VirtualService {
    VirtualService {
        id,
        scheduler: "wlc".into(),
        flags: 0,
        persistent: None,
        netmask: if id.family() == Family::Ipv4 { 32 } else { 128 },
        persistence_engine: None,
        one_packet: false,
    }
}

fn server(rip: &str) -> RealServer {
    RealServer {
        rip: rip.parse().unwrap(),
        port: 80,
        method: ForwardMethod::DirectRoute,
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

fn listed(registry: &mut Registry) -> Vec<ServiceListing> {
    let Response::Services { services } = registry.apply(Request::List { id: None }, NOW) else {
        panic!("no listing");
    };
    services
}

fn refused(registry: &mut Registry, request: Request) -> Refusal {
    let before = listed(registry);
    let response = registry.apply(request, NOW);
    assert_eq!(listed(registry), before, "a refusal changes nothing");
    let Response::Refused { error } = response else { panic!("{response:?}") };
    error
}

fn done(registry: &mut Registry, request: Request) {
    assert_eq!(registry.apply(request, NOW), Response::Done);
}

#[test]
fn a_service_is_refused_as_the_kernel_refuses_it() {
    let mut registry = registry();
    let four = id("192.0.2.1");
    done(&mut registry, Request::AddService(service(four)));
    let six = service(id("2001:db8::1"));
    for (declared, error) in [
        (service(four), Refusal::Exists),
        (VirtualService { scheduler: "nosuch".into(), ..six.clone() }, Refusal::NoEntry),
        (VirtualService { persistence_engine: Some("nosuch".into()), ..six.clone() }, Refusal::NoEntry),
        (VirtualService { netmask: 0, ..six.clone() }, Refusal::Invalid),
        (VirtualService { netmask: 129, ..six.clone() }, Refusal::Invalid),
    ] {
        assert_eq!(refused(&mut registry, Request::AddService(declared.clone())), error, "{declared:?}");
    }
    assert_eq!(refused(&mut registry, Request::EditService(six)), Refusal::NoService);
    let away = id("192.0.2.9");
    assert_eq!(refused(&mut registry, Request::DeleteService { id: away }), Refusal::NoService);
    assert_eq!(refused(&mut registry, Request::Zero { id: Some(away) }), Refusal::NoService);
    assert_eq!(refused(&mut registry, Request::List { id: Some(away) }), Refusal::NoService);
}

#[test]
fn a_server_is_refused_as_the_kernel_refuses_it() {
    let mut registry = registry();
    let id = id("192.0.2.1");
    done(&mut registry, Request::AddService(service(id)));
    done(&mut registry, Request::AddServer { id, server: server("10.0.0.5") });
    let gue = |port| ForwardMethod::Tunnel(TunnelKind::Gue { port, checksum: TunnelChecksum::None });
    let other = server("10.0.0.6");
    for (declared, error) in [
        (server("10.0.0.5"), Refusal::Exists),
        (server("10.0.0.255"), Refusal::Invalid),
        (server("224.0.0.5"), Refusal::Invalid),
        (server("2001:db8::5"), Refusal::Invalid),
        (RealServer { method: gue(0), ..other }, Refusal::Invalid),
        (RealServer { weight: 1 << 31, ..other }, Refusal::Range),
        (RealServer { upper_threshold: 3, lower_threshold: 4, ..other }, Refusal::Range),
    ] {
        assert_eq!(
            refused(&mut registry, Request::AddServer { id, server: declared }),
            error,
            "{declared:?}"
        );
    }
    assert_eq!(refused(&mut registry, Request::EditServer { id, server: other }), Refusal::NoEntry);
    let rip: IpAddr = other.rip;
    assert_eq!(refused(&mut registry, Request::DeleteServer { id, rip, port: 80 }), Refusal::NoEntry);
    let tunnelled = RealServer { method: gue(6080), ..server("2001:db8::5") };
    done(&mut registry, Request::AddServer { id, server: tunnelled });
    done(
        &mut registry,
        Request::AddServer { id, server: RealServer { weight: i32::MAX.unsigned_abs(), ..other } },
    );
}

#[test]
fn the_newest_server_stands_first() {
    let mut registry = registry();
    let id = id("192.0.2.1");
    done(&mut registry, Request::AddService(service(id)));
    for last in [5, 6, 7] {
        done(&mut registry, Request::AddServer { id, server: server(&format!("10.0.0.{last}")) });
    }
    done(&mut registry, Request::EditServer { id, server: RealServer { weight: 9, ..server("10.0.0.5") } });
    let order = |registry: &mut Registry| -> Vec<String> {
        listed(registry)[0].servers.iter().map(|server| server.server.rip.to_string()).collect()
    };
    assert_eq!(order(&mut registry), ["10.0.0.7", "10.0.0.6", "10.0.0.5"], "an edit moves nobody");
    done(&mut registry, Request::DeleteServer { id, rip: "10.0.0.6".parse().unwrap(), port: 80 });
    done(&mut registry, Request::AddServer { id, server: server("10.0.0.6") });
    assert_eq!(order(&mut registry), ["10.0.0.6", "10.0.0.7", "10.0.0.5"]);
}

#[test]
fn an_edit_replaces_the_whole_declaration() {
    let mut registry = registry();
    let id = id("192.0.2.1");
    let persistent = VirtualService { persistent: Some(300), ..service(id) };
    done(&mut registry, Request::AddService(persistent));
    done(&mut registry, Request::EditService(VirtualService { scheduler: "rr".into(), ..service(id) }));
    let now = listed(&mut registry).remove(0).service;
    assert_eq!((now.scheduler.as_str(), now.persistent), ("rr", None));
}

#[test]
fn a_timeout_of_zero_keeps_what_was_and_one_too_long_is_refused() {
    let mut registry = registry();
    done(&mut registry, Request::SetTimeouts(Timeouts { tcp: 0, tcp_fin: 60, udp: 0 }));
    let now = Response::Timeouts(Timeouts { tcp: 900, tcp_fin: 60, udp: 300 });
    assert_eq!(registry.apply(Request::Timeouts, NOW), now);
    let long = Timeouts { tcp: 8_589_935, tcp_fin: 1, udp: 1 };
    assert_eq!(refused(&mut registry, Request::SetTimeouts(long)), Refusal::Invalid);
    assert_eq!(registry.apply(Request::Timeouts, NOW), now);
}

/// Runs ipvsadm command lines; the status, standard output and standard error of the last.
fn typed(registry: &mut Registry, lines: &[&str]) -> (u8, String, String) {
    let mut said = (0, String::new(), String::new());
    for line in lines {
        let args: Vec<&str> = line.split_whitespace().collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut backend = |request: Request| registry.apply(request, NOW);
        let names = crate::adm::Names::BuiltIn;
        let status = crate::adm::run(&args, names, &mut std::io::empty(), &mut backend, &mut out, &mut err);
        said = (status, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
    }
    said
}

#[test]
fn there_is_no_synchronisation_daemon_and_each_command_says_so_in_ipvsadms_words() {
    let mut registry = registry();
    let options = "--mcast-interface eth0 --syncid 1 --sync-maxlen 1400 --mcast-group 224.0.0.82 --mcast-port 8849 \
                   --mcast-ttl 2";
    for role in ["master", "backup"] {
        let start = typed(&mut registry, &[&format!("--start-daemon {role} {options}")]);
        assert_eq!(start, (255, String::new(), "Protocol not available\n".to_owned()), "{role}");
        let stop = typed(&mut registry, &[&format!("--stop-daemon {role} --syncid 1")]);
        assert_eq!(stop, (255, String::new(), "No daemon is running\n".to_owned()), "{role}");
        assert_eq!(typed(&mut registry, &["-L --daemon"]), (0, String::new(), String::new()), "{role}");
    }
}

#[test]
fn zeroing_one_service_leaves_the_others_and_the_totals_as_they_are() {
    let mut registry = registry();
    typed(&mut registry, &["-A -t 10.9.9.9:80", "-A -u 10.9.9.9:53"]);
    for entry in registry.entries.iter() {
        entry.stats().conn(0);
        entry.stats().packet_in(0, 40);
    }
    let conns = |registry: &mut Registry| -> Vec<u64> {
        let Response::Totals(totals) = registry.apply(Request::Totals, NOW) else { panic!("no totals") };
        let of_services = listed(registry).into_iter().map(|listing| listing.stats.conns);
        of_services.chain([totals.total.conns, totals.workers[0].conns]).collect()
    };
    assert_eq!(conns(&mut registry), [1, 1, 2, 2]);
    typed(&mut registry, &["-Z -t 10.9.9.9:80"]);
    assert_eq!(conns(&mut registry), [0, 1, 2, 2]);
    typed(&mut registry, &["-D -t 10.9.9.9:80"]);
    assert_eq!(conns(&mut registry), [1, 2, 2], "what a service has counted outlives it");
    registry.tick(NOW);
    assert_eq!(conns(&mut registry), [1, 2, 2], "and is kept as a sum");
    typed(&mut registry, &["-Z"]);
    assert_eq!(conns(&mut registry), [0, 0, 2], "a worker's row is never zeroed");
}

#[test]
fn nosort_lists_the_newest_server_first_and_sort_changes_nothing() {
    let mut registry = registry();
    typed(
        &mut registry,
        &["-A -t 10.9.9.9:80", "-a -t 10.9.9.9:80 -r 10.0.0.11", "-a -t 10.9.9.9:80 -r 10.0.0.12"],
    );
    let order = |registry: &mut Registry, line: &str| -> Vec<String> {
        let (_, out, _) = typed(registry, &[line]);
        let rows = out.lines().filter_map(|row| row.strip_prefix("  -> 10."));
        rows.map(|row| row.split(':').next().unwrap().to_owned()).collect()
    };
    assert_eq!(order(&mut registry, "-Ln"), ["0.0.11", "0.0.12"]);
    assert_eq!(order(&mut registry, "-Ln --sort"), ["0.0.11", "0.0.12"]);
    assert_eq!(order(&mut registry, "-Ln --nosort"), ["0.0.12", "0.0.11"]);
}
