//! keepalived.conf: the files of a site as they stand, every keyword, and what is said about each mistake.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the functions around the tests are tests too"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lvs_health::declared::CheckKind;
use lvs_vrrp::declared::{Authentication, InitialState};
use lvsd::keepalived::{self, Block, Keyword, Reading, Standing};
use lvsd::message::{ForwardMethod, ServiceId, Transport};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keepalived")
}

fn load(path: &Path) -> Reading {
    keepalived::load(path, Some("main")).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_files_of_a_site_are_taken_as_they_stand() {
    for (name, state, priority) in [
        ("keepalived-master.conf", InitialState::Master, 100),
        ("keepalived-backup.conf", InitialState::Backup, 90),
    ] {
        let Reading { declared, warnings, .. } = load(&folder().join("site").join(name));
        assert!(warnings.is_empty(), "{warnings}");

        let [instance] = declared.vrrp.instances.as_slice() else { panic!("{:?}", declared.vrrp) };
        assert_eq!((instance.name.as_str(), instance.interface.as_str()), ("VI_1", "ens33"));
        assert_eq!((instance.initial, instance.priority, instance.virtual_router_id), (state, priority, 51));
        assert_eq!(instance.advert_interval, Duration::from_secs(1));
        assert_eq!(instance.authentication, Authentication::Password("1111".to_owned()));
        assert_eq!(instance.addresses[0].address, "192.168.91.148".parse::<std::net::IpAddr>().unwrap());

        let [service] = declared.services.as_slice() else { panic!("{:?}", declared.services) };
        let vip = "192.168.91.148".parse().unwrap();
        assert_eq!(service.service.id, ServiceId::Address { transport: Transport::Tcp, vip, port: 80 });
        assert_eq!((service.service.scheduler.as_str(), service.service.persistent), ("rr", None));
        assert_eq!(service.servers.len(), 2);
        assert!(service.servers.iter().all(|server| server.method == ForwardMethod::DirectRoute));

        let [checked] = declared.checked.as_slice() else { panic!("{:?}", declared.checked) };
        assert_eq!(checked.services, [service.service.id]);
        assert_eq!(checked.server.name, "[192.168.91.148]:tcp:80");
        for (server, address) in checked.server.servers.iter().zip(["192.168.91.146:80", "192.168.91.147:80"])
        {
            let [check] = server.checks.as_slice() else { panic!("{:?}", server.checks) };
            assert_eq!((&check.kind, check.endpoint.address), (&CheckKind::Tcp, address.parse().unwrap()));
            let timing = check.timing;
            assert_eq!((timing.connect_timeout.as_secs(), timing.retry), (10, 3));
            assert_eq!((timing.delay_before_retry.as_secs(), timing.delay_loop.as_secs()), (3, 6));
        }
    }
}

/// What is said about a file, under its own name instead of its path.
fn complaint(file: &Path) -> String {
    let told = match keepalived::load(file, Some("main")) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{}: expected a mistake", file.display()),
    };
    format!("{told}\n").replace(&format!("{}/", file.parent().unwrap().display()), "")
}

/// With `UPDATE_EXPECTED` in the environment the texts are written anew, to be read before they are committed.
#[test]
fn every_mistake_is_told_with_its_place_and_what_was_expected() {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder().join("mistakes")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    assert!(files.len() >= 30, "only {} files", files.len());
    let mut differences = Vec::new();
    for file in files {
        let told = complaint(&file);
        assert!(told.contains('^'), "{told}");
        let place = told.lines().find_map(|line| line.trim_start().strip_prefix("--> ")).unwrap();
        assert!(place.rsplitn(3, ':').take(2).all(|part| part.parse::<u32>().is_ok()), "{place}");
        let expected = file.with_extension("txt");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected, &told).unwrap();
        }
        if fs::read_to_string(&expected).unwrap_or_default() != told {
            differences.push(format!("{}:\n{told}", file.display()));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// A block's keywords, each on a line that shows it. What stands before ` >> ` must be there for it to have an
/// effect; ` ; ` stands for a line's end.
fn samples(block: Block) -> (String, Vec<(String, String, String)>) {
    let file = |ending: &str| folder().join("keywords").join(format!("{block:?}.{ending}"));
    let read = |path: PathBuf| {
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let lines = read(file("lines"));
    let sample = |line: &str| {
        let (before, line) = line.split_once(" >> ").unwrap_or(("", line));
        let keyword = line.split_whitespace().next().unwrap().to_owned();
        let before = before.replace(" ; ", "\n");
        (
            keyword,
            before.clone(),
            format!("{before}\n{}", line.replace(" ; ", "\n").replace("{ ", "{\n").replace(" }", "\n}")),
        )
    };
    (read(file("conf")), lines.lines().map(sample).collect())
}

/// Every keyword of the table has a sample, and does there what the table says of it.
#[test]
fn every_keyword_is_what_the_table_says() {
    let mut wrong = Vec::new();
    for block in Block::ALL {
        let (template, samples) = samples(block);
        let parse = |inside: &str| keepalived::parse("sample.conf", &template.replace("@@", inside), "main");
        for keyword in keepalived::keywords().filter(|keyword| keyword.block == block) {
            let place = format!("{block:?} {}", keyword.name);
            let Some((_, before, with)) = samples.iter().find(|(name, ..)| name == keyword.name) else {
                wrong.push(format!("{place}: there is no sample"));
                continue;
            };
            // Only a machine that has just been started waits.
            if keyword.name == "vrrp_delay_after_boot" {
                continue;
            }
            let without = parse(before);
            let (told, is_changed) = match (parse(with), without) {
                (Ok(with), Ok(without)) => (with.warnings.to_string(), with.declared != without.declared),
                (Ok(with), Err(_)) => (with.warnings.to_string(), true),
                (Err(mistakes), _) => (format!("mistake: {mistakes}"), false),
            };
            let standing = keyword.outcome();
            let is_right = match standing {
                Standing::Honoured => is_changed && !told.contains("has no effect"),
                Standing::Refused(_) => told.starts_with("mistake: ") && told.contains("cannot be had"),
                Standing::Opens(_) => is_changed,
                Standing::Noted(_) => told.contains("` has no effect") && !is_changed,
                Standing::Means(_) => false,
            };
            if !is_right {
                wrong.push(format!("{place} is {standing:?}, but (changed: {is_changed}) {told}"));
            }
        }
        let known: Vec<&str> = keepalived::keywords().filter(|k| k.block == block).map(|k| k.name).collect();
        wrong.extend(
            samples.iter().filter(|(name, ..)| !known.contains(&name.as_str())).map(|(name, ..)| {
                format!("{block:?} {name}: a sample of a keyword that is not in the table")
            }),
        );
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The keywords of keepalived's manual, a line for each block.
#[test]
fn every_keyword_of_the_manual_is_in_the_table() {
    let manual = fs::read_to_string(folder().join("manual.txt")).unwrap();
    let mut missing = Vec::new();
    let mut count = 0;
    for line in manual.lines() {
        let (block, names) = line.split_once(": ").unwrap();
        for name in names.split_whitespace() {
            count += 1;
            let is_there = |keyword: &&Keyword| keyword.block.name() == block && keyword.name == name;
            if keepalived::keywords().find(is_there).is_none() {
                missing.push(format!("{block}: {name}"));
            }
        }
    }
    assert!(count > 330, "only {count} keywords");
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_page_of_keywords_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("KEEPALIVED.md");
    let page = keepalived::page();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == page, "write it anew with UPDATE_EXPECTED=1");
}

#[path = "../fuzz/entry.rs"]
mod entry;

#[test]
fn what_the_fuzzer_tried_is_read_without_a_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/keepalived");
    let mut count = 0;
    for file in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        entry::run(&bytes);
        // Cut anywhere, and with a piece missing in the middle, it is a text all the same.
        for at in (0..bytes.len()).step_by(7) {
            entry::run(&bytes[..at]);
            entry::run(&[&bytes[..at / 2], &bytes[at..]].concat());
        }
        count += 1;
    }
    assert!(count >= 9, "only {count} files");
}

#[test]
fn definitions_conditions_and_repetitions_are_carried_out() {
    let text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/keepalived/everything.conf"),
    );
    let Reading { declared, warnings, .. } =
        keepalived::parse("everything.conf", &text.unwrap(), "main").unwrap_or_else(|told| panic!("{told}"));
    assert!(warnings.is_empty(), "{warnings}");
    let routers = declared.vrrp.instances.iter().map(|instance| {
        let addresses: Vec<String> =
            instance.addresses.iter().map(|address| address.address.to_string()).collect();
        format!("{} {} {} {}", instance.name, instance.interface, instance.priority, addresses.join(" "))
    });
    assert_eq!(
        routers.collect::<Vec<_>>(),
        ["VI_1 eth0.1 130 10.0.1.1 10.0.1.2 10.0.1.3", "VI_2 eth0.2 130 10.0.2.1 10.0.2.2 10.0.2.3",]
    );
    assert_eq!(declared.services.len(), 4, "three addresses and a mark");
    let [web] = declared.checked.as_slice() else { panic!("{:?}", declared.checked) };
    assert_eq!(web.server.name, "WEB");
    assert_eq!(web.server.servers[0].address, "10.2.0.1:80".parse().unwrap());
    let CheckKind::Misc(misc) = &web.server.servers[0].checks[0].kind else { panic!("{web:?}") };
    assert_eq!(misc.script.command, ["/usr/bin/test", "-e", "/run/a b", "AA"]);
    assert_eq!(declared.vrrp.files.len(), 2);
}

/// How long it takes is printed: `cargo test --release -p lvsd --test keepalived -- --nocapture`.
#[test]
fn two_thousand_virtual_servers_with_thirty_seven_thousand_real_servers_are_read() {
    use std::fmt::Write as _;
    let mut text = String::new();
    let mut servers = 0;
    for number in 0..2000 {
        let (high, low) = (number / 250, number % 250 + 1);
        let _ = writeln!(text, "virtual_server 10.1.{high}.{low} 80 {{\n    delay_loop 6\n    lb_algo rr");
        let _ = writeln!(text, "    lb_kind NAT\n    protocol TCP");
        for server in 0..(37_000 * (number + 1) / 2000 - servers) {
            let _ = writeln!(text, "    real_server 10.2.{high}.{} 80 {{\n        weight 1", server + 1);
            let _ = writeln!(text, "        TCP_CHECK {{\n            connect_timeout 3\n        }}\n    }}");
        }
        servers = 37_000 * (number + 1) / 2000;
        text.push_str("}\n");
    }
    let began = std::time::Instant::now();
    let reading = keepalived::parse("large.conf", &text, "main").unwrap();
    let took = began.elapsed();
    let count: usize = reading.declared.services.iter().map(|service| service.servers.len()).sum();
    assert_eq!((reading.declared.services.len(), count), (2000, 37_000));
    let mut out = std::io::stdout().lock();
    let _ = std::io::Write::write_fmt(&mut out, format_args!("{} bytes read in {took:?}\n", text.len()));
}

#[test]
fn a_strict_instance_takes_packets_as_the_owner_alone() {
    let read = |lines: &str| {
        let text = format!(
            "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {{\n 192.0.2.1\n }}\n{lines}}}\n"
        );
        let reading = keepalived::parse("accept.conf", &text, "main").unwrap();
        let instance = &reading.declared.vrrp.instances[0];
        (instance.accepts, instance.is_closed(), reading.warnings.to_string().contains("has no effect"))
    };
    assert_eq!(read(""), (true, false, false));
    assert_eq!(read("no_accept\n"), (false, true, false));
    assert_eq!(read("strict_mode\n"), (false, true, false));
    assert_eq!(read("strict_mode\npriority 255\n"), (true, false, false));
    assert_eq!(read("strict_mode\nversion 3\naccept\n"), (true, false, false));
    assert_eq!(read("strict_mode\naccept\n"), (false, true, true), "version 2 has no accept mode");
    assert_eq!(read("no_accept\npriority 255\n"), (true, false, true));
}
