//! A director that runs by keepalived.conf: a bad reload changes nothing, a good one only what differs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::fs;
use std::thread;
use std::time::Duration;

use lvsd::message::VrrpListing;
use net::process::{Finished, run_here};
use net::trio::{self, NAT};
use net::{LVSD, Net, PATIENCE, wait_for};

/// The configuration: a virtual router on the outside, one virtual server with these lines in it.
fn configuration(scheduler: &str, servers: &[(u8, u32)]) -> String {
    let vip = NAT.vips()[0];
    let server = |&(number, weight): &(u8, u32)| {
        format!(
            "    real_server {} 80 {{\n        weight {weight}\n        TCP_CHECK {{\n            connect_timeout 1\n        \
             }}\n    }}\n",
            NAT.rips(number)[0]
        )
    };
    format!(
        "vrrp_instance VI_1 {{\n    interface eth0\n    virtual_router_id 51\n    version 3\n    advert_int 0.1\n    \
         virtual_ipaddress {{\n        {vip}/24\n    }}\n}}\nvirtual_server {vip} 80 {{\n    delay_loop 1\n    \
         warmup 0\n    lb_algo {scheduler}\n    lb_kind NAT\n    protocol TCP\n{}}}\n",
        servers.iter().map(server).collect::<String>()
    )
}

fn reload(net: &Net) -> Finished {
    run_here(&[LVSD, "reload", "--socket", &net.socket().display().to_string()], PATIENCE)
}

/// How often the virtual router became master, and what it is now.
fn router(net: &Net) -> (u64, String) {
    let socket = net.socket().display().to_string();
    let said = run_here(&[LVSD, "vrrp", "--json", "--socket", &socket], PATIENCE).good();
    let listing: VrrpListing = serde_json::from_str(&said).unwrap();
    (listing.instances[0].became_master, listing.instances[0].state.clone())
}

fn has_vip(net: &Net) -> bool {
    net.run("director", &["ip", "-br", "address", "show", "dev", "eth0"])
        .good()
        .contains(&NAT.vips()[0].to_string())
}

/// The services and servers, without the counts of connections.
fn services(net: &Net) -> String {
    net.adm("-S -n")
}

#[test]
#[ignore = "needs root"]
fn a_reload_changes_what_differs_or_nothing_and_loses_no_connection() {
    let mut net = trio::build(&[NAT]);
    let file = net.files.join("keepalived.conf");
    fs::write(&file, configuration("rr", &[(1, 1), (2, 1)])).unwrap();
    net.run_director_with(&["--keepalived", file.to_str().unwrap(), "-i", "eth0", "-i", "eth1"]);
    let net = net;
    wait_for("the virtual address", || has_vip(&net));
    let url = format!("http://{}/", NAT.vips()[0]);
    wait_for("an answer", || net.curl("client", &url).is_ok());
    let before = services(&net);
    assert_eq!(before.lines().count(), 3, "{before}");

    let pages = format!("{url}?[1-16]");
    thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let command =
                ["curl", "-sS", "--max-time", "5", "--rate", "120/m", "-w", "%{num_connects}\n", &pages];
            net.run_within("client", &command, Duration::from_secs(30))
        });
        thread::sleep(Duration::from_secs(1));

        fs::write(&file, configuration("rr", &[(1, 1)]).replace("vrrp_instance", "vrp_instance")).unwrap();
        let refused = reload(&net);
        assert_eq!(refused.status, Some(2), "{refused:?}");
        assert!(refused.err.contains("keepalived.conf:1:1"), "{}", refused.err);
        assert!(refused.err.contains("did you mean `vrrp_instance`?"), "{}", refused.err);
        assert_eq!(services(&net), before);
        assert!(has_vip(&net));

        fs::write(&file, configuration("wlc", &[(1, 5), (2, 1)])).unwrap();
        let taken = reload(&net);
        assert_eq!(taken.status, Some(0), "{taken:?}");
        let after = services(&net);
        assert!(after.contains("-s wlc") && after.contains("-w 5"), "{after}");
        assert_eq!(after.lines().count(), 3, "{after}");
        assert!(has_vip(&net));

        let answers = asked.join().unwrap().good();
        let connects: Vec<&str> = answers.lines().filter(|line| line.parse::<u32>().is_ok()).collect();
        assert_eq!(connects.len(), 16, "{answers}");
        assert_eq!(
            connects.iter().filter(|count| **count != "0").count(),
            1,
            "one connection for all: {answers}"
        );
    });

    fs::write(&file, configuration("wlc", &[(2, 1)])).unwrap();
    let pid = net.director.as_ref().unwrap().pid().to_string();
    run_here(&["kill", "-HUP", &pid], PATIENCE).good();
    wait_for("one server less", || services(&net).lines().count() == 2);
    assert_eq!(router(&net), (1, "MASTER".to_owned()));
    net.assert_balanced();
}
