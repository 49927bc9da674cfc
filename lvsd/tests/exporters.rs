//! Programs that read the kernel's files read ours: what `node_exporter` and Octavia expect of `/proc/net/ip_vs`.
//!
//! The readers here do what those programs' parsers do, in their order and with their strictness, so that a column or
//! a blank that they would stumble over fails here.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod exporters {
    pub(crate) mod node;
    pub(crate) mod octavia;
}

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use exporters::{node, octavia};
use lvs_conntrack::Tick;
use lvsd::adm::{self, Names};
use lvsd::director::Plane;
use lvsd::message::{Request, Totals};
use lvsd::proc::File;
use lvsd::resolve::Fib;
use lvsd::services::Registry;

const RULES: &str = "\
-A -t 10.9.9.9:80 -s wlc -p 300
-a -t 10.9.9.9:80 -r 10.2.0.11:8080 -m -w 3
-a -t 10.9.9.9:80 -r 10.2.0.12:8080 -m -w 0
-A -u 10.9.9.9:53 -s rr -o
-a -u 10.9.9.9:53 -r 10.2.0.11:53 -g -w 1
-a -u 10.9.9.9:53 -r [2001:db8:2::53]:53 -i -w 7
-A -t [2001:db8:9::9]:443 -s mh -b mh-port
-a -t [2001:db8:9::9]:443 -r [2001:db8:2::11]:443 -i -w 2147483647
-A -u [2001:db8:9::9]:53 -s rr -p 60 -M 64
-a -u [2001:db8:9::9]:53 -r [2001:db8:2::12]:5353 -m -w 5
-A -f 268439552 -s rr -p 60
-a -f 268439552 -r 10.2.0.13:0 -g -w 4
";

fn registry() -> Registry {
    let mut registry = Registry::new(Arc::new(Plane::new(2, 100, 1)), 1);
    registry.set_fib(Fib::default());
    let mut backend = |request: Request| registry.apply(request, Tick::ZERO);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = adm::run(&["-R"], Names::BuiltIn, &mut RULES.as_bytes(), &mut backend, &mut out, &mut err);
    assert_eq!((status, String::from_utf8(err).unwrap()), (0, String::new()));
    registry
}

fn text(registry: &mut Registry, file: File) -> String {
    file.text(&registry.apply(file.request(), Tick::ZERO)).unwrap()
}

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse::<IpAddr>().unwrap(), port)
}

#[test]
fn node_exporter_finds_every_server_with_its_service() {
    let mut found = node::backends(&text(&mut registry(), File::Services)).unwrap();
    found.sort_by_key(|backend| (backend.proto.clone(), backend.remote));
    let backend = |proto: &str, local, mark: &str, remote: SocketAddr, weight| node::Backend {
        proto: proto.to_owned(),
        local,
        mark: mark.to_owned(),
        remote,
        weight,
        active: 0,
        inactive: 0,
    };
    let v4 = "10.9.9.9";
    let v6 = "2001:db8:9::9";
    let expected = [
        backend("FWM", None, "10001000", at("10.2.0.13", 0), 4),
        backend("TCP", Some(at(v4, 80)), "", at("10.2.0.11", 8080), 3),
        backend("TCP", Some(at(v4, 80)), "", at("10.2.0.12", 8080), 0),
        backend("TCP", Some(at(v6, 443)), "", at("2001:db8:2::11", 443), 2_147_483_647),
        backend("UDP", Some(at(v4, 53)), "", at("10.2.0.11", 53), 1),
        backend("UDP", Some(at(v6, 53)), "", at("2001:db8:2::12", 5353), 5),
        backend("UDP", Some(at(v4, 53)), "", at("2001:db8:2::53", 53), 7),
    ];
    assert_eq!(found, expected);
}

#[test]
fn node_exporter_finds_the_counters() {
    let mut totals = Totals::default();
    totals.total.conns = 0x16_aa37;
    totals.total.in_packets = 0xe33_656e_5e99;
    totals.total.out_packets = 0;
    totals.total.in_bytes = 0x51_d8c8_035a;
    totals.total.out_bytes = 1;
    let text = File::Counters.text(&lvsd::message::Response::Totals(totals)).unwrap();
    assert_eq!(node::counters(&text).unwrap(), [0x16_aa37, 0xe33_656e_5e99, 0, 0x51_d8c8_035a, 1]);
    assert_eq!(node::counters(&self::text(&mut registry(), File::Counters)).unwrap(), [0; 5]);
}

#[test]
fn octavia_finds_a_listeners_members() {
    let text = text(&mut registry(), File::Services);
    let members = octavia::members(&text, "UDP", "10.9.9.9:53".parse().unwrap()).unwrap();
    let expected =
        [("10.2.0.11:53", ["Route", "1", "0", "0"]), ("[2001:db8:2::53]:53", ["Tunnel", "7", "0", "0"])];
    let values = |columns: [&str; 4]| {
        let names = ["Forward", "Weight", "ActiveConn", "InActConn"];
        names.iter().zip(columns).map(|(name, value)| ((*name).to_owned(), value.to_owned())).collect()
    };
    let expected = expected.map(|(member, columns)| (member.to_owned(), values(columns)));
    assert_eq!(members, expected.into());
    let members = octavia::members(&text, "UDP", "[2001:db8:9::9]:53".parse().unwrap()).unwrap();
    assert_eq!(members, [("[2001:db8:2::12]:5353".to_owned(), values(["Masq", "5", "0", "0"]))].into());
    assert!(octavia::members(&text, "UDP", "10.9.9.9:54".parse().unwrap()).is_none());
}

#[test]
fn both_read_what_the_kernel_itself_wrote_and_find_in_ours_the_same() {
    let recorded = include_str!("timelines/more/proc-listings.jsonl");
    let mut answer = Vec::new();
    lvsd::replay::replay(recorded.as_bytes(), None, &mut answer).unwrap();
    let texts = |timeline: &str| -> Vec<String> {
        let lines = timeline.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let of_services = lines.filter(|line| line["args"] == "proc ip_vs");
        of_services.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    };
    let (theirs, ours) = (texts(recorded), texts(std::str::from_utf8(&answer).unwrap()));
    assert!(theirs.len() > 3, "{}", theirs.len());
    assert_eq!(theirs.len(), ours.len());
    for (their, our) in theirs.iter().zip(&ours) {
        // SCTP is unknown to this reader: it takes its servers for those of the service before, whatever that is.
        let backends = |text: &str| {
            let known = without_sctp(text);
            let mut backends = node::backends(&known).unwrap();
            backends.sort_by_key(|backend| (backend.proto.clone(), backend.local, backend.remote));
            backends
        };
        assert_eq!(backends(their), backends(our));
        let service = "10.9.9.9:53".parse().unwrap();
        assert_eq!(octavia::members(their, "UDP", service), octavia::members(our, "UDP", service));
    }
}

fn without_sctp(text: &str) -> String {
    let mut is_sctp = false;
    let mut kept = String::new();
    for line in text.lines() {
        is_sctp = line.starts_with("SCTP") || (is_sctp && line.starts_with("  ->"));
        if !is_sctp {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}
