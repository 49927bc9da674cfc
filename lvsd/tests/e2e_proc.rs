//! The kernel's files under the run directory, as a running director keeps them and a real `node_exporter` reads them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use net::trio::{self, NAT};
use net::{LVSD, Net, wait_for};

const FILES: [&str; 6] =
    ["ip_vs", "ip_vs_conn", "ip_vs_conn_sync", "ip_vs_stats", "ip_vs_stats_percpu", "ip_vs_app"];

/// A director whose files are written every second, without those of connections once there are more than four.
fn start() -> (Net, PathBuf) {
    let mut net = trio::build(&[NAT]);
    let directory = net.files.join("proc");
    let config = net.files.join("lvsd.toml");
    let text = format!("[proc]\ndirectory = {:?}\ninterval = 1\nconnections = 4\n", directory.display());
    fs::write(&config, text).unwrap();
    trio::start_director_with(&mut net, &[NAT], &["-c", config.to_str().unwrap()]);
    (net, directory.join("net"))
}

/// A metric's value with these labels.
fn metric(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let is_it = |line: &&str| {
        let named = line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        named && labels.iter().all(|label| line.contains(label))
    };
    page.lines().find(is_it)?.rsplit(' ').next()?.parse().ok()
}

#[test]
#[ignore = "needs root"]
fn a_running_director_keeps_the_kernels_files_and_node_exporter_reads_them() {
    let (mut net, files) = start();
    let [vip, _] = NAT.vips();
    let [first, _] = NAT.rips(1);
    for name in FILES {
        wait_for(name, || files.join(name).exists());
        let mode = fs::metadata(files.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o444, "{name}");
    }
    net.curls("client", &format!("http://{vip}/"), 3);
    // Nothing moves any more but the clock, which these do not show.
    for name in ["ip_vs", "ip_vs_app"] {
        wait_for(name, || {
            let told = net.run("director", &[LVSD, "proc", name]).good();
            fs::read_to_string(files.join(name)).unwrap() == told
        });
    }
    let as_json = net.run("director", &[LVSD, "proc", "ip_vs_stats", "--json"]).good();
    let totals: lvsd::message::Totals = serde_json::from_str(&as_json).unwrap();
    assert_eq!((totals.total.conns, totals.workers[0].conns), (3, 3));
    let rows = fs::read_to_string(files.join("ip_vs_conn")).unwrap();
    assert!(rows.lines().count() > 3, "{rows}");

    let procfs = format!("--path.procfs={}", files.parent().unwrap().display());
    net.start(
        "director",
        &[
            "prometheus-node-exporter",
            &procfs,
            "--collector.disable-defaults",
            "--collector.ipvs",
            "--web.listen-address=127.0.0.1:9100",
        ],
    );
    let mut page = String::new();
    wait_for("node_exporter tells of three connections", || {
        page = net.curl("director", "http://127.0.0.1:9100/metrics").unwrap_or_default();
        metric(&page, "node_ipvs_connections_total", &[]) == Some(3.0)
    });
    for counter in ["incoming_packets_total", "outgoing_packets_total", "incoming_bytes_total"] {
        assert!(metric(&page, &format!("node_ipvs_{counter}"), &[]) > Some(0.0), "{counter}: {page}");
    }
    let (vip, rip) = (vip.to_string(), first.to_string());
    let labels =
        [("local_address", vip.as_str()), ("local_port", "80"), ("proto", "TCP"), ("remote_address", &rip)];
    assert_eq!(metric(&page, "node_ipvs_backend_weight", &labels), Some(1.0), "{page}");
    assert!(metric(&page, "node_ipvs_backend_connections_inactive", &labels) > Some(0.0), "{page}");
    assert_eq!(metric(&page, "node_scrape_collector_success", &[("collector", "ipvs")]), Some(1.0));

    // More connections than are to be listed: these two files are not there, the others are.
    net.curls("client", &format!("http://{vip}/"), 3);
    wait_for("the connections are not listed any more", || !files.join("ip_vs_conn").exists());
    wait_for("nor in the other file", || !files.join("ip_vs_conn_sync").exists());
    assert!(files.join("ip_vs").exists());
    let told = net.run("director", &[LVSD, "proc", "ip_vs_conn"]).good();
    assert_eq!(told.lines().count(), 7, "asked, it tells of all: {told}");

    net.stop_director();
    assert!(!files.parent().unwrap().exists(), "it left its files");
}
