//! Properties: what was saved restores the same table, and no argument vector ends in a panic.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::message::{
    Family, ForwardMethod, RealServer, ServiceId, Transport, TunnelChecksum, TunnelKind, VirtualService,
};

fn any_addr(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::Ipv4 => (0x0100_0000_u32..0xe000_0000).prop_map(|bits| IpAddr::V4(bits.into())).boxed(),
        Family::Ipv6 => any::<u128>()
            .prop_filter("unicast", |bits| *bits != 0 && bits >> 120 != 0xff)
            .prop_map(|bits| IpAddr::V6(bits.into()))
            .boxed(),
    }
}

fn any_family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)]
}

fn any_id() -> impl Strategy<Value = ServiceId> {
    let transport = prop_oneof![Just(Transport::Tcp), Just(Transport::Udp), Just(Transport::Sctp)];
    let address = (transport, any_family().prop_flat_map(any_addr), any::<u16>())
        .prop_map(|(transport, vip, port)| ServiceId::Address { transport, vip, port });
    let mark = (1_u32.., any_family()).prop_map(|(mark, family)| ServiceId::Mark { mark, family });
    prop_oneof![3 => address, 1 => mark]
}

fn any_service() -> impl Strategy<Value = VirtualService> {
    let scheduler = prop_oneof![Just("wlc"), Just("rr"), Just("sh"), Just("mh")];
    (any_id(), scheduler, 0_u8..8, proptest::option::of(1_u32..=2_678_400), 1_u8..=128, any::<bool>())
        .prop_map(|(id, scheduler, flags, persistent, netmask, one_packet)| {
            let (whole, may_be_zero) = match id.family() {
                Family::Ipv4 => (32, id),
                Family::Ipv6 => (128, id),
            };
            let needs_persistence = matches!(may_be_zero, ServiceId::Address { port: 0, .. });
            let persistent = if needs_persistence { persistent.or(Some(360)) } else { persistent };
            // the third flag of sh and mh has no name to be saved under
            let flags = if matches!(scheduler, "sh" | "mh") { flags & 3 } else { flags };
            VirtualService {
                id,
                scheduler: scheduler.to_owned(),
                flags,
                persistent,
                netmask: if persistent.is_some() { netmask.min(whole) } else { whole },
                persistence_engine: None,
                one_packet: one_packet
                    && !matches!(id, ServiceId::Address { transport: Transport::Tcp | Transport::Sctp, .. }),
            }
        })
}

fn any_method() -> impl Strategy<Value = ForwardMethod> {
    let plain = prop_oneof![Just(TunnelChecksum::None), Just(TunnelChecksum::Full)];
    let gue = (1_u16.., prop_oneof![3 => plain.clone(), 1 => Just(TunnelChecksum::Remote)])
        .prop_map(|(port, checksum)| ForwardMethod::Tunnel(TunnelKind::Gue { port, checksum }));
    prop_oneof![
        Just(ForwardMethod::Masquerade),
        Just(ForwardMethod::DirectRoute),
        Just(ForwardMethod::Tunnel(TunnelKind::Ipip)),
        plain.prop_map(|checksum| ForwardMethod::Tunnel(TunnelKind::Gre { checksum })),
        gue,
    ]
}

fn any_server(id: ServiceId) -> impl Strategy<Value = RealServer> {
    (any_method(), any_family(), any::<u16>(), 0_u32..=2_147_483_647).prop_flat_map(
        move |(method, family, own_port, weight)| {
            let is_tunnel = matches!(method, ForwardMethod::Tunnel(_));
            let family = if is_tunnel { family } else { id.family() };
            let port = match (id, method) {
                (ServiceId::Mark { .. }, _) | (_, ForwardMethod::Masquerade) => own_port,
                (ServiceId::Address { port, .. }, _) => port,
            };
            any_addr(family).prop_map(move |rip| RealServer {
                rip,
                port,
                method,
                weight,
                upper_threshold: 0,
                lower_threshold: 0,
            })
        },
    )
}

fn any_table() -> impl Strategy<Value = Vec<(VirtualService, Vec<RealServer>)>> {
    let entry = any_service().prop_flat_map(|service| {
        let servers = proptest::collection::vec(any_server(service.id), 0..4);
        (Just(service), servers)
    });
    proptest::collection::vec(entry, 0..6)
}

/// The table without its order, which a restore turns round.
fn contents(kernel: &Kernel) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<_> = kernel
        .services
        .iter()
        .map(|listing| {
            let mut servers: Vec<_> = listing.servers.iter().map(|s| format!("{:?}", s.server)).collect();
            servers.sort();
            (format!("{:?}", listing.service), servers)
        })
        .collect();
    all.sort();
    all
}

proptest! {
    #[test]
    fn what_was_saved_restores_the_same_table(table in any_table(), numeric in any::<bool>()) {
        let mut kernel = Kernel::default();
        for (service, servers) in table {
            let id = service.id;
            let _ = kernel.call(Request::AddService(service));
            for server in servers {
                let _ = kernel.call(Request::AddServer { id, server });
            }
        }
        let args: &[&str] = if numeric { &["-S", "-n"] } else { &["--save"] };
        let (status, rules, _) = run_on(&mut kernel, args, "");
        prop_assert_eq!(status, 0);
        let mut restored = Kernel::default();
        let (status, _, err) = run_on(&mut restored, &["--restore"], &rules);
        prop_assert_eq!((status, err.as_str()), (0, ""), "{}", rules);
        prop_assert_eq!(contents(&restored), contents(&kernel), "{}", rules);
    }

    #[test]
    fn no_argument_vector_ends_in_a_panic(args in proptest::collection::vec(any_argument(), 0..8)) {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (status, _, err) = run_on(&mut agree, &args, "");
        prop_assert!(matches!(status, 0..=2 | 255));
        prop_assert_eq!(status == 0, err.is_empty());
        let _ = socket(&args);
    }

    #[test]
    fn no_line_of_a_restore_ends_in_a_panic(lines in "(-[A-Za-z6] |[-:\\[\\].0-9a-z]{0,9}|\\PC| |\n){0,40}") {
        let (status, _, _) = run_on(&mut agree, &["-R"], &lines);
        prop_assert!(matches!(status, 0..=2 | 255));
    }
}

fn any_argument() -> impl Strategy<Value = String> {
    let table = option::TABLE.iter();
    let long: Vec<String> = table.clone().map(|spec| format!("--{}", spec.long)).collect();
    let short: Vec<String> = table.filter_map(|spec| spec.short).map(|c| format!("-{c}")).collect();
    let values =
        ["10.0.0.1:80", "[::1]:80", "[::1]", "7", "-1", "0", "gue", "sh-port", "master", "é", "=", "--", ""];
    prop_oneof![
        4 => proptest::sample::select(long),
        4 => proptest::sample::select(short),
        4 => proptest::sample::select(values.map(str::to_owned).to_vec()),
        1 => "-[A-Za-z6=]{0,5}\\PC{0,3}",
        1 => "\\PC{0,12}",
    ]
}
