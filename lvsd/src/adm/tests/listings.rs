//! Listings against recorded ones.

use serde::Deserialize;

use super::*;
use crate::adm::names::Names;
use crate::message::{ConnectionListing, SyncDaemon, SyncRole};

#[derive(Deserialize)]
struct Step {
    op: String,
    #[serde(default)]
    args: String,
    #[serde(default)]
    rc: u8,
    #[serde(default)]
    text: String,
}

/// Plays a recording: every command's text and status, every listing's text.
fn play(recording: &str) {
    let mut kernel = Kernel::default();
    let mut wrong = Vec::new();
    for line in recording.lines() {
        let step: Step = serde_json::from_str(line).unwrap();
        let (line, stdin) = step.args.split_once(" <<'EOT'\n").unwrap_or((&step.args, ""));
        let args: Vec<&str> = line.split_whitespace().collect();
        let (status, out, err) = run_on(&mut kernel, &args, stdin.trim_end_matches("EOT"));
        let is_wrong = match step.op.as_str() {
            "ipvsadm" => (status, out.clone() + &err) != (step.rc, step.text.clone()),
            "list" => out.clone() + &err != step.text,
            _ => false,
        };
        if is_wrong {
            wrong.push(format!("{}: {} {}\nours: {status} {out}{err}", step.args, step.rc, step.text));
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_table_of_every_kind_of_service_and_server_is_listed_as_recorded() {
    // the one difference on purpose: a saved mark is one that can be restored
    play(&include_str!("table.jsonl").replace("-A -f -1 -s", "-A -f 4294967295 -s"));
}

#[test]
fn restores_go_as_recorded() {
    play(include_str!("restore.jsonl"));
}

#[test]
fn the_recorded_administration_errors_come_back() {
    play(include_str!("admin-errors.jsonl"));
}

fn counted() -> Kernel {
    let mut kernel = Kernel::default();
    run_on(&mut kernel, &["-A", "-t", "10.0.0.1:80"], "");
    run_on(&mut kernel, &["-a", "-t", "10.0.0.1:80", "-r", "10.0.0.2", "-m"], "");
    let listing = &mut kernel.services[0];
    listing.stats.conns = 99_999_999;
    listing.stats.in_packets = 100_000_000;
    listing.stats.out_packets = 1_000_000_000;
    listing.stats.in_bytes = 100_000_000_000;
    listing.stats.out_bytes = 100_000_000_000_000;
    listing.stats.cps = 123_456_789;
    listing.servers[0].stats = listing.stats;
    listing.servers[0].stats.in_bps = 1_234_567_890;
    kernel
}

#[test]
fn large_counters_are_cut_to_a_unit_unless_they_are_to_be_exact() {
    let (_, short, _) = run_on(&mut counted(), &["-Ln", "--stats"], "");
    let row = short.lines().nth(3).unwrap();
    assert_eq!(row, "TCP  10.0.0.1:80                  99999999  100000K    1000M     100G     100T");
    let (_, exact, _) = run_on(&mut counted(), &["-Ln", "--stats", "--exact"], "");
    let row = exact.lines().nth(4).unwrap();
    assert_eq!(
        row,
        "  -> 10.0.0.2:80                  99999999 100000000 1000000000 100000000000 100000000000000"
    );
}

#[test]
fn a_servers_rates_of_connections_and_packets_are_never_cut() {
    let (_, text, _) = run_on(&mut counted(), &["-Ln", "--rate"], "");
    let rows: Vec<&str> = text.lines().skip(3).collect();
    assert_eq!(rows[0], "TCP  10.0.0.1:80                   123456K        0        0        0        0");
    assert_eq!(rows[1], "  -> 10.0.0.2:80                  123456789        0        0    1234M        0");
}

#[test]
fn names_replace_numbers_without_n_and_long_ones_are_cut() {
    let mut kernel = Kernel::default();
    for line in [
        "-A -t 255.255.255.255:ms-wbt-server",
        "-a -t 255.255.255.255:ms-wbt-server -r 222.222.222.222:ms-wbt-server -m",
        "-A -f 80",
        "-a -f 80 -r 10.0.0.1:80 -m",
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        assert_eq!(run_on(&mut kernel, &args, "").0, 0, "{line}");
    }
    let (_, text, _) = run_on(&mut kernel, &[], "");
    let rows: Vec<&str> = text.lines().skip(3).collect();
    assert_eq!(rows[0], "TCP  255.255.255.255:ms-wbt-serve wlc");
    assert_eq!(rows[1], "  -> 222.222.222.222:ms-wbt-serve Masq    1      0          0         ");
    assert_eq!(rows[2], "FWM  80 wlc");
    assert_eq!(rows[3], "  -> 10.0.0.1:80                  Masq    1      0          0         ");
}

fn connections() -> Vec<ConnectionListing> {
    let connection = |proto, expires, state: &str, addrs: [&str; 3], ports: [u16; 3]| ConnectionListing {
        proto,
        expires,
        state: state.to_owned(),
        cip: addrs[0].parse().unwrap(),
        client_port: ports[0],
        vip: addrs[1].parse().unwrap(),
        service_port: ports[1],
        rip: addrs[2].parse().unwrap(),
        server_port: ports[2],
        persistence: None,
    };
    let v4 = ["192.0.2.224", "10.9.9.9", "10.2.0.12"];
    let v6 = ["2001:db8:c::e3", "2001:db8:9::9", "2001:db8:2::12"];
    let mut all = vec![
        connection(6, 896, "ESTABLISHED", v4, [57634, 80, 8080]),
        connection(6, 36000, "NONE", v4, [0, 80, 8080]),
        connection(0, 7, "NONE", ["192.0.2.224", "0.0.0.9", "10.2.0.12"], [0, 0, 0]),
        connection(132, 7, "ESTABLISHED", v4, [1, 36412, 36412]),
        connection(6, 56, "SYN_RECV", v6, [1711, 443, 443]),
        connection(17, 5, "UDP", v4, [57634, 5060, 5060]),
    ];
    all[5].persistence = Some(("sip".to_owned(), "1234@x".to_owned()));
    all
}

// These rows are what ipvsadm made of the same entries in /proc/net/ip_vs_conn.
#[test]
fn connections_are_listed_as_ipvsadm_lists_them() {
    let mut backend = |_| Response::Connections { connections: connections() };
    let (_, numeric, _) = run_on(&mut backend, &["-Lcn"], "");
    assert_eq!(
        numeric,
        "IPVS connection entries\n\
         pro expire state       source             virtual            destination\n\
         TCP 14:56  ESTABLISHED 192.0.2.224:57634  10.9.9.9:80        10.2.0.12:8080\n\
         TCP 600:00 NONE        192.0.2.224:0      10.9.9.9:80        10.2.0.12:8080\n\
         IP  00:07  NONE        192.0.2.224:0      0.0.0.9:0          10.2.0.12:0\n\
         SCTP 00:07  ESTABLISHED 192.0.2.224:1      10.9.9.9:36412     10.2.0.12:36412\n\
         TCP 00:56  SYN_RECV    [2001:db8:c::e3]:1711 [2001:db8:9::9]:443 [2001:db8:2::12]:443\n\
         UDP 00:05  UDP         192.0.2.224:57634  10.9.9.9:5060      10.2.0.12:5060\n"
    );
    let (_, named, _) = run_on(&mut backend, &["-Lc"], "");
    assert!(
        named.contains("TCP 14:56  ESTABLISHED 192.0.2.224:57634  10.9.9.9:http      10.2.0.12:http-alt\n")
    );
    assert!(named.contains("IP  00:07  NONE        192.0.2.224:0      0.0.0.9:0          10.2.0.12:0\n"));
    let (_, engines, _) = run_on(&mut backend, &["-Lcn", "--persistent-conn"], "");
    assert!(engines.contains(
        "pro expire state       source             virtual            destination        pe name          pe_data\n"
    ));
    assert!(engines.ends_with(
        "UDP 00:05  UDP         192.0.2.224:57634  10.9.9.9:5060      10.2.0.12:5060   sip                1234@x\n"
    ));
}

#[test]
fn daemons_are_listed_master_first_and_without_what_is_not_set() {
    let bare = SyncDaemon {
        role: SyncRole::Backup,
        interface: "dr".to_owned(),
        syncid: 8,
        maxlen: 0,
        group: None,
        port: 0,
        ttl: 0,
    };
    let full = SyncDaemon {
        role: SyncRole::Master,
        interface: "eth0".to_owned(),
        syncid: 1,
        maxlen: 1472,
        group: Some("224.0.0.81".parse().unwrap()),
        port: 8848,
        ttl: 1,
    };
    let mut backend = |_| Response::Daemons { daemons: vec![bare.clone(), full.clone()] };
    let (_, text, _) = run_on(&mut backend, &["-L", "--daemon"], "");
    assert_eq!(
        text,
        "master sync daemon (mcast=eth0, syncid=1, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)\n\
         backup sync daemon (mcast=dr, syncid=8)\n"
    );
}

// As recorded: what `--nosort` printed, and what sorting made of it. No order puts 230.0.0.1 before 1.0.0.1, 100.0.0.1
// before 130.0.0.1 and 200.0.0.1 last; ipvsadm's comparison does.
#[test]
fn far_apart_addresses_and_marks_are_sorted_as_ipvsadm_sorts_them() {
    let kept = [
        "-t 50.0.0.1:80",
        "-t 250.0.0.1:80",
        "-t 230.0.0.1:80",
        "-t 200.0.0.1:80",
        "-t 160.0.0.1:80",
        "-t 130.0.0.1:80",
        "-t 100.0.0.1:80",
        "-t 1.0.0.1:80",
        "-t 10.9.9.9:80",
        "-f 2147483647",
        "-f 4294967295",
        "-f 2147483648",
        "-f 2147483649",
        "-f 1 -6",
        "-f 2",
    ];
    let mut kernel = Kernel::default();
    for service in kept {
        let args: Vec<&str> = ["-A"].into_iter().chain(service.split(' ')).collect();
        assert_eq!(run_on(&mut kernel, &args, "").0, 0);
    }
    let sorted = "TCP  230.0.0.1:80 wlc\nTCP  250.0.0.1:80 wlc\nTCP  1.0.0.1:80 wlc\nTCP  10.9.9.9:80 wlc\n\
                  TCP  50.0.0.1:80 wlc\nTCP  100.0.0.1:80 wlc\nTCP  130.0.0.1:80 wlc\nTCP  160.0.0.1:80 wlc\n\
                  TCP  200.0.0.1:80 wlc\nFWM  1 IPv6 wlc\nFWM  2 wlc\nFWM  2147483647 wlc\n\
                  FWM  -2147483648 wlc\nFWM  -2147483647 wlc\nFWM  -1 wlc\n";
    let (_, text, _) = run_on(&mut kernel, &["-Ln"], "");
    assert_eq!(text.splitn(4, '\n').nth(3), Some(sorted));
    let (_, text, _) = run_on(&mut kernel, &["-Ln", "--nosort"], "");
    assert!(text.contains("Conn\nTCP  50.0.0.1:80 wlc\nTCP  250.0.0.1:80 wlc\n"), "{text}");
    let (_, rules, _) = run_on(&mut kernel, &["-S"], "");
    assert!(rules.starts_with("-A -t 230.0.0.1:http -s wlc\n"), "{rules}");
    assert!(rules.ends_with("-A -f 2147483649 -s wlc\n-A -f 4294967295 -s wlc\n"), "{rules}");
}

#[test]
fn host_names_are_those_of_the_system() {
    let loopback = "127.0.0.1".parse().unwrap();
    if let Some(name) = Names::System.host(loopback) {
        assert!(name.parse::<std::net::IpAddr>().is_err(), "{name} is a number");
    }
    assert_eq!(Names::BuiltIn.host(loopback), None);
}
