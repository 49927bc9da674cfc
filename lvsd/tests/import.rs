//! keepalived.conf as lvsd.toml: the same services, checks and virtual routers, or told what is not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the functions around the tests are tests too"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lvsd::config::Config;
use lvsd::import::import;
use lvsd::keepalived::{self, Block, Standing, Unavailable};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// What a keepalived.conf says, once by itself and once by way of a toml; and that toml.
fn both(declared: keepalived::Declared) -> (Config, Result<Config, String>, String) {
    let mut config = Config::default();
    config.take(declared);
    config.serve_routers();
    let toml = config.to_toml();
    let again = Config::parse("lvsd.toml", &toml).map_err(|mistakes| mistakes.to_string());
    (config, again, toml)
}

/// The parts that differ.
fn difference(one: &Config, other: &Config) -> String {
    fn pairs<T: std::fmt::Debug + PartialEq>(one: &[T], other: &[T]) -> Vec<String> {
        let different = one.iter().zip(other).filter(|(one, other)| one != other);
        different.map(|(one, other)| format!("{one:?}\n{other:?}")).collect()
    }
    let counts = |config: &Config| (config.services.len(), config.checked.len());
    let mut told = pairs(&one.services, &other.services);
    told.extend(pairs(&one.checked, &other.checked));
    told.extend(pairs(std::slice::from_ref(&one.vrrp), std::slice::from_ref(&other.vrrp)));
    told.extend(pairs(std::slice::from_ref(&one.health), std::slice::from_ref(&other.health)));
    format!("{}\n{:?} {:?}", told.join("\n"), counts(one), counts(other))
}

/// The toml, if it says the same.
fn same(declared: keepalived::Declared) -> Result<String, String> {
    let (config, again, toml) = both(declared);
    let again = again.map_err(|mistakes| format!("{mistakes}\n{toml}"))?;
    if config == again { Ok(toml) } else { Err(format!("{}\n{toml}", difference(&config, &again))) }
}

#[test]
fn the_files_of_a_site_say_the_same_as_toml() {
    for name in ["keepalived-master.conf", "keepalived-backup.conf"] {
        let path = tests().join("keepalived/site").join(name);
        let imported = import(&path, Some("main"), Unavailable::Refused).unwrap();
        assert!(imported.is_whole());
        assert_eq!(Config::parse("lvsd.toml", &imported.toml).unwrap(), imported.config);
        let expected = path.with_extension("toml");
        let text = imported.toml.replace(&format!("{}/", path.parent().unwrap().display()), "");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected, &text).unwrap();
        }
        assert_eq!(fs::read_to_string(&expected).unwrap_or_default(), text);
    }
}

#[test]
fn every_example_says_the_same_as_toml() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/keepalived");
    let mut count = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        if let Ok(reading) = keepalived::parse("corpus.conf", &text, "main") {
            count += 1;
            same(reading.declared).unwrap_or_else(|told| panic!("{}: {told}", path.display()));
        }
    }
    assert!(count >= 3, "only {count} files");
}

/// A block's samples, as they stand in the keywords' test: what must be there before, and the line itself.
fn samples(block: Block) -> Vec<(String, String)> {
    let file = |ending: &str| tests().join("keepalived/keywords").join(format!("{block:?}.{ending}"));
    let template = fs::read_to_string(file("conf")).unwrap();
    let written = |line: &str| {
        let (before, line) = line.split_once(" >> ").unwrap_or(("", line));
        let line = line.replace(" ; ", "\n").replace("{ ", "{\n").replace(" }", "\n}");
        let inside = format!("{}\n{line}", before.replace(" ; ", "\n"));
        (line, template.replace("@@", &inside))
    };
    fs::read_to_string(file("lines")).unwrap().lines().map(written).collect()
}

#[test]
fn every_keyword_that_is_honoured_says_the_same_as_toml() {
    let (mut count, mut wrong) = (0, Vec::new());
    for block in Block::ALL {
        for (line, text) in samples(block) {
            let name = line.split_whitespace().next().unwrap();
            let keyword = keepalived::keywords().find(|other| other.block == block && other.name == name);
            if matches!(keyword.unwrap().outcome(), Standing::Refused(_)) {
                continue;
            }
            let reading = keepalived::parse("sample.conf", &text, "main");
            let reading = reading.unwrap_or_else(|mistakes| panic!("{block:?} {line}: {mistakes}"));
            wrong.extend(same(reading.declared).err().map(|told| format!("{block:?} {line}:\n{told}")));
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 300, "only {count} keywords");
}

#[test]
fn a_group_of_services_keeps_its_servers_together() {
    let text = "virtual_server_group WEB {\n 192.0.2.1-3 80\n 2001:db8::1 443\n fwmark 7\n}\n\
                virtual_server group WEB {\n protocol TCP\n lvs_method TUN\n persistence_timeout 9\n\
                real_server 10.0.0.1 80 {\n TCP_CHECK {\n }\n }\n\
                real_server 10.0.0.2 8080 {\n lvs_method NAT\n weight 3\n }\n}\n";
    let text = text.replace(" 2001:db8::1 443\n", "");
    let reading = keepalived::parse("group.conf", &text, "main").unwrap();
    let toml = same(reading.declared).unwrap();
    assert_eq!(toml.matches("follows = \"WEB\"").count(), 3, "{toml}");
    assert_eq!(toml.matches("[[service.server]]").count(), 2, "said once: {toml}");
}

fn lvsd(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lvsd")).args(args).env_remove("RUST_LOG").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const REFUSED: &str = "global_defs {\n    router_id one\n}\nvrrp_instance VI_1 {\n    interface eth0\n    \
                       virtual_router_id 1\n    virtual_ipaddress {\n        192.0.2.1\n    }\n    vrf blue\n}\n";

#[test]
fn what_cannot_be_carried_over_is_told_with_its_place_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (conf, toml) = (folder.path().join("keepalived.conf"), folder.path().join("lvsd.toml"));
    let (conf, output) = (conf.to_str().unwrap(), toml.to_str().unwrap());
    fs::write(conf, REFUSED).unwrap();

    let refused = lvsd(&["import", conf, "-o", output]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("keepalived.conf:10:5"), "{}", text(&refused.stderr));
    assert!(!toml.exists());

    let partial = lvsd(&["import", "--partial", conf, "-o", output]);
    assert_eq!(partial.status.code(), Some(3), "{}", text(&partial.stderr));
    let told = text(&partial.stderr);
    assert!(told.contains("not carried over"), "{told}");
    assert!(told.contains(&format!("{conf}:10:5: `vrf` cannot be had")), "{told}");
    assert!(told.contains(&format!("{conf}:2:5: `router_id` has no effect here")), "{told}");
    assert!(told.contains("1 virtual router\n"), "{told}");
    assert_eq!(fs::metadata(&toml).unwrap().permissions().mode() & 0o777, 0o600);
    let checked = lvsd(&["check", output]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));

    let again = lvsd(&["import", "--partial", conf, "-o", output]);
    assert_eq!(again.status.code(), Some(1), "there is a file already");
    let forced = lvsd(&["import", "--partial", "--force", "--json", conf, "-o", output]);
    assert_eq!(forced.status.code(), Some(3), "{}", text(&forced.stderr));
    let report: serde_json::Value = serde_json::from_slice(&forced.stderr).unwrap();
    assert_eq!(report["virtual_routers"], 1);
    assert_eq!(report["left_out"][0]["line"], 10);
    assert_eq!(report["warnings"][0]["column"], 5);
}

#[test]
fn a_check_says_to_programs_what_it_says_to_people() {
    let site = tests().join("keepalived/site/keepalived-master.conf");
    let good = lvsd(&["check", "--json", site.to_str().unwrap()]);
    assert_eq!((good.status.code(), text(&good.stderr)), (Some(0), String::new()));
    let found: serde_json::Value = serde_json::from_slice(&good.stdout).unwrap();
    assert_eq!(found["is_usable"], true);
    assert_eq!((&found["virtual_services"], &found["real_servers"]), (&1.into(), &2.into()));
    assert_eq!((&found["virtual_routers"], &found["warnings"]), (&1.into(), &serde_json::json!([])));

    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("keepalived.conf");
    fs::write(&conf, REFUSED).unwrap();
    let bad = lvsd(&["check", "--json", conf.to_str().unwrap()]);
    assert_eq!((bad.status.code(), text(&bad.stderr)), (Some(2), String::new()));
    let found: serde_json::Value = serde_json::from_slice(&bad.stdout).unwrap();
    assert_eq!(found["is_usable"], false);
    assert_eq!((&found["mistakes"][0]["line"], &found["mistakes"][0]["column"]), (&10.into(), &5.into()));

    let missing = folder.path().join("missing.toml");
    let none = lvsd(&["check", "--json", missing.to_str().unwrap()]);
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stdout).contains("missing.toml: No such file"), "{}", text(&none.stdout));
}

#[test]
fn the_toml_of_a_site_is_printed_and_taken_as_it_is() {
    let conf = tests().join("keepalived/site/keepalived-master.conf");
    let printed = lvsd(&["import", conf.to_str().unwrap()]);
    assert_eq!(printed.status.code(), Some(0), "{}", text(&printed.stderr));
    let config = Config::parse("printed", &text(&printed.stdout)).unwrap();
    assert_eq!((config.services.len(), config.vrrp.instances.len()), (1, 1));
    assert_eq!(config.interfaces, ["ens33"]);
    let told = text(&printed.stderr);
    assert!(told.contains("2 real servers\n  2 TCP_CHECKs\n"), "{told}");
}

/// The example of the page of keywords.
#[test]
fn the_example_that_is_shown_is_taken() {
    let page = keepalived::page();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let example = example.replace("hex:0011..", &format!("hex:{}", "0011".repeat(16)));
    let config = Config::parse("page.toml", &example).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!((config.services.len(), config.checked.len()), (2, 1));
    assert_eq!(config.checked[0].services.len(), 2);
    assert_eq!(config.services[0].servers, config.services[1].servers);
    assert_eq!((config.vrrp.instances.len(), config.vrrp.groups.len()), (1, 1));
}
