//! Configuration files: what each can say, and what is said about each mistake, word for word.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the functions around the tests are tests too")]

use std::fs;
use std::path::{Path, PathBuf};

use lvsd::config::{Config, ConfigError, ProcConfig, XdpMode};
use lvsd::message::{Family, ForwardMethod, ServiceId, Timeouts, TunnelChecksum, TunnelKind};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config")
}

/// What is said about a file, under its own name instead of its path.
fn complaint(file: &Path) -> String {
    let name = file.file_name().unwrap().to_str().unwrap();
    let outcome = if file.extension().is_some_and(|extension| extension == "rules") {
        Config::default().load_rules(file)
    } else {
        Config::load(file).map(drop)
    };
    match outcome {
        Err(ConfigError::Mistaken(mistakes)) => format!("{mistakes}\n").replace(file.to_str().unwrap(), name),
        other => panic!("{name}: expected a mistake, got {other:?}"),
    }
}

/// With `UPDATE_EXPECTED` in the environment the texts are written anew, to be read before they are committed.
#[test]
fn every_mistake_is_told_with_its_place_and_what_was_expected() {
    let mut differences = Vec::new();
    let mut count = 0;
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder().join("mistakes")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension != "txt")) {
        count += 1;
        let told = complaint(file);
        let expected = file.with_extension("txt");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected, &told).unwrap();
        }
        if fs::read_to_string(&expected).unwrap_or_default() != told {
            differences.push(format!("{}:\n{told}", file.display()));
        }
    }
    assert!(count >= 30, "only {count} files");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_mistake_names_line_and_column() {
    for entry in fs::read_dir(folder().join("mistakes")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension != "txt") {
            let told = complaint(&file);
            let place = told.lines().find_map(|line| line.trim_start().strip_prefix("--> ")).unwrap();
            let mut parts = place.rsplitn(3, ':').take(2);
            assert!(parts.all(|part| part.parse::<u32>().is_ok()), "{place}");
            assert!(told.contains('^'), "{told}");
        }
    }
}

#[test]
fn a_file_can_say_everything_the_rules_can() {
    let config = Config::load(&folder().join("everything.toml")).unwrap();
    assert_eq!(config.interfaces, ["eth0", "eth1"]);
    assert_eq!(config.mode, XdpMode::Generic);
    assert_eq!(config.queues, Some(2));
    assert_eq!(config.connection_limit, Some(1_000_000));
    assert_eq!(config.timeouts, Some(Timeouts { tcp: 900, tcp_fin: 120, udp: 300 }));
    let sysctls = [("expire_nodest_conn", "1".to_owned()), ("sync_threshold", "5 60".to_owned())];
    assert_eq!(config.sysctls, sysctls);
    let proc = ProcConfig { directory: Some("/run/lvsd-a/proc".into()), interval: 10, connections: 0 };
    assert_eq!(config.proc, proc);
    assert_eq!(config.host.vips.len(), 2);
    assert_eq!(config.host.source_nat[0].to, Some("192.0.2.1".parse().unwrap()));

    assert_eq!(
        config.marks[0].to_string(),
        "7 --destination 2001:db8:1::/64 --source 2001:db8:c::/48 --protocol tcp --ports 80,443,8000-8100 \
         --source-ports 1024-65535 --interface eth0"
    );

    let [web, dns, marked] = config.services.as_slice() else { panic!("{:?}", config.services) };
    assert_eq!((web.service.persistent, web.service.netmask), (Some(360), 24));
    assert_eq!((web.servers[0].port, web.servers[0].weight, web.servers[0].upper_threshold), (8080, 2, 1000));
    assert_eq!((web.servers[1].port, web.servers[1].weight), (80, 1));
    assert_eq!((dns.service.flags, dns.service.one_packet, dns.service.netmask), (2, true, 128));
    assert_eq!(dns.servers[0].method, ForwardMethod::DirectRoute);
    assert_eq!(marked.service.id, ServiceId::Mark { mark: 7, family: Family::Ipv6 });
    assert_eq!(marked.service.scheduler, "wlc");
    let tunnel = TunnelKind::Gue { port: 6080, checksum: TunnelChecksum::Full };
    assert_eq!(marked.servers[0].method, ForwardMethod::Tunnel(tunnel));
}
