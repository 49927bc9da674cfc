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

#[test]
fn a_file_can_say_what_is_checked_and_what_follows() {
    use lvs_health::declared::{CheckKind, DnsType, HttpProtocol, Path as CheckPath, User};
    let config = Config::load(&folder().join("everything.toml")).unwrap();
    let user = Some(User { name: "nobody".to_owned(), group: Some("nogroup".to_owned()) });
    assert_eq!(config.health.script_user, user);
    assert!(config.health.script_security && config.health.rs_init_notifies);
    assert_eq!(config.health.fifos[0].path, Path::new("/run/lvsd/health.fifo"));
    let [web, dns] = config.checked.as_slice() else { panic!("{:?}", config.checked) };
    assert_eq!((web.server.name.as_str(), web.services.len()), ("[192.0.2.10]:tcp:80", 1));
    let policy = &web.server.policy;
    assert_eq!((policy.quorum, policy.hysteresis, policy.omega, policy.ha_suspend), (3, 1, true, true));
    assert_eq!(policy.quorum_down.as_ref().unwrap().command, ["/usr/local/bin/tell", "quorum", "down"]);
    assert!(policy.sorry.unwrap().inhibit);
    assert_eq!(web.sorry.unwrap().method, ForwardMethod::Masquerade);

    let [own, other] = web.server.servers.as_slice() else { panic!("{:?}", web.server.servers) };
    let kinds: Vec<&str> = own.checks.iter().map(|check| check.kind.keyword()).collect();
    assert_eq!(kinds, ["TCP_CHECK", "PING_CHECK", "SMTP_CHECK", "FILE_CHECK"], "instead of the service's");
    assert_eq!(own.checks[0].endpoint.address, "10.0.0.1:8080".parse().unwrap());
    let (here, mail) = ("10.0.0.1:8080".parse().unwrap(), &own.checks[2].endpoint);
    assert_eq!((mail.address, mail.path), ("192.0.2.10:80".parse().unwrap(), CheckPath::Data(here)));
    assert_eq!((own.weight, other.weight, own.inhibit_on_failure), (2, 1, true));
    let [page, program] = other.checks.as_slice() else { panic!("{:?}", other.checks) };
    let (endpoint, timing) = (&page.endpoint, &page.timing);
    assert_eq!((endpoint.address, endpoint.fwmark), ("10.1.0.1:443".parse().unwrap(), 5));
    assert_eq!((endpoint.bind.port, endpoint.bind.interface.as_deref()), (2000, Some("eth1")));
    assert_eq!((timing.retry, timing.delay_before_retry.as_millis(), timing.alpha), (3, 500, true));
    assert_eq!((timing.connect_timeout.as_secs(), timing.warmup.as_secs()), (2, 0));
    let CheckKind::Http(http) = &page.kind else { panic!("{page:?}") };
    assert_eq!((http.protocol, http.fast_recovery), (HttpProtocol::Http10Close, true));
    assert_eq!(http.tls.as_ref().unwrap().name.as_deref(), Some("www.example.org"));
    assert_eq!(http.urls[0].status, [200..=200, 300..=399]);
    assert_eq!(http.urls[0].digest.unwrap()[..2], [0x9b, 0x3a]);
    assert_eq!(http.urls[0].pattern.as_ref().unwrap().max_offset, Some(20));
    let CheckKind::Misc(misc) = &program.kind else { panic!("{program:?}") };
    assert_eq!((misc.timeout.as_secs(), misc.dynamic, program.timing.retry), (3, true, 0));

    let checks = &dns.server.servers[0].checks;
    assert_eq!(checks[0].kind, CheckKind::Dns { kind: DnsType::A, name: "example.org".to_owned() });
    assert_eq!(checks[0].timing.retry, 3);
    let CheckKind::Udp(udp) = &checks[1].kind else { panic!("{checks:?}") };
    let reply = udp.reply.as_ref().unwrap();
    assert_eq!((udp.payload.as_deref(), reply.min_length), (Some(b"He".as_slice()), 2));
    assert!(reply.pattern[0].matches(0x4f) && !reply.pattern[0].matches(0x5f) && reply.pattern[1].matches(9));
}
