//! Checks that go the way of the traffic, beside checks that go the host's: servers that are well themselves but do not
//! take, or do not answer, what the director forwards to them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};

use lvsd::message::HealthListing;
use net::trio::{self, DR, NAT, TUN, Way, bracketed};
use net::{LVSD, Net, process, wait_for};

const WAYS: [Way; 3] = [DR, TUN, NAT];
/// A UDP port where nobody listens.
const CLOSED: u16 = 9;
const TIMERS: &str = "delay-loop = 0.4, retry = 0, warmup = 0.1, connect-timeout = 1";

/// Of each way and family a web service and an echo service, each server checked both ways, and one of UDP that nobody
/// listens to. A page tells who answered.
fn configuration() -> String {
    let mut text = "interfaces = [\"eth0\", \"eth1\"]\n".to_owned();
    for (way, family) in WAYS.into_iter().flat_map(|way| [(way, 0), (way, 1)]) {
        let vip = way.vips()[family];
        let mut service = |port: u16, protocol: &str, check: &dyn Fn(&str) -> String| {
            let at = SocketAddr::new(vip, port);
            let _ = writeln!(
                text,
                "[[service]]\naddress = \"{at}\"\nprotocol = \"{protocol}\"\nscheduler = \"rr\""
            );
            for (name, number) in way.servers().iter().zip(1..) {
                let rip = way.rips(number)[family];
                let _ = writeln!(
                    text,
                    "[[service.server]]\naddress = \"{rip}\"\nmethod = \"{}\"\ncheck = [{}]",
                    way.name,
                    check(name)
                );
            }
        };
        service(80, "tcp", &|name| {
            let page = format!("{TIMERS}, type = \"http\", url = [{{ path = \"/\", regex = \"^{name}\" }}]");
            format!(
                "{{ {page}, check-path = \"data\" }}, {{ {page} }}, {{ {TIMERS}, type = \"tcp\", check-path = \"data\" }}"
            )
        });
        service(7, "udp", &|_| {
            format!("{{ {TIMERS}, type = \"udp\", reply = \"\", check-path = \"data\" }}")
        });
        service(CLOSED, "udp", &|_| format!("{{ {TIMERS}, type = \"udp\", check-path = \"data\" }}"));
    }
    text
}

fn health(net: &Net) -> Vec<HealthListing> {
    let socket = net.socket().display().to_string();
    let said = process::run_here(&[LVSD, "health", "--json", "--socket", &socket], net::PATIENCE).good();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in {said}"))
}

/// What each check of a server of the web service says, as far as it has run.
fn results(net: &Net, vip: IpAddr, server: usize) -> Vec<String> {
    let name = format!("[{vip}]:tcp:80");
    let listing = health(net).into_iter().find(|listing| listing.name == name).unwrap();
    let checks = listing.servers[server].checks.iter();
    checks.map(|check| check.result.clone().unwrap_or_else(|| "not yet".to_owned())).collect()
}

/// Waits until the checks of a server say this, in both families: by the way of the traffic, by the host's.
fn wait_for_results(net: &Net, way: Way, server: usize, expected: [&str; 2]) {
    for vip in way.vips() {
        let mut said = Vec::new();
        let deadline = std::time::Instant::now() + net::PATIENCE;
        while said != [expected[0], expected[1], expected[0]] {
            let about = format!("{} {vip} {server}: {said:?}\n{}", way.name, net.account());
            assert!(std::time::Instant::now() < deadline, "{about}");
            std::thread::sleep(std::time::Duration::from_millis(50));
            said = results(net, vip, server);
        }
    }
}

/// Only this server's answers, or both servers'.
fn assert_answers(net: &Net, way: Way, expected: &[&str]) {
    for vip in way.vips() {
        let mut said = net.curls("client", &format!("http://{}/", bracketed(vip)), 2);
        said.sort();
        said.dedup();
        assert_eq!(said, expected, "{}", net.account());
    }
}

fn start() -> Net {
    start_with("0")
}

/// With this `rp_filter` on the director's host: 1 has the kernel refuse what does not come in where an answer would go
/// out.
fn start_with(rp_filter: &str) -> Net {
    let mut net = trio::build(&WAYS);
    net.host("director").sysctl("ipv4/conf/all/rp_filter", rp_filter).unwrap();
    let file = net.write_file(&configuration());
    let journal = net.files.join("director-journal").display().to_string();
    let mut host = vec![LVSD, "host", "director", "apply", "--journal", &journal, "--dev", "eth0"];
    let vips: Vec<String> = WAYS.into_iter().flat_map(Way::vips).map(|vip| vip.to_string()).collect();
    host.extend(vips.iter().flat_map(|vip| ["--vip", vip.as_str()]));
    net.run("director", &host).good();
    net.run_director_with(&["-c", &file]);
    net
}

#[test]
#[ignore = "needs root"]
fn a_server_that_takes_no_traffic_goes_though_it_is_well_itself() {
    let mut net = start();
    for way in WAYS {
        for server in 0..2 {
            wait_for_results(&net, way, server, ["ok", "ok"]);
        }
        let (first, second) = (format!("{}1", way.name), format!("{}2", way.name));
        assert_answers(&net, way, &[&first, &second]);
    }
    // Nobody's connection was counted for it.
    let nat = format!("-Ln --stats --exact -u {}", SocketAddr::new(NAT.vips()[0], 7));
    assert!(net.adm(&nat).lines().skip(3).all(|line| line.split_whitespace().nth(2) == Some("0")));

    // Direct routing: the service's address is not the server's. The tunnel: it is, but nobody unwraps. NAT: the
    // director is not its gateway.
    for (way, server) in [(DR, "dr2"), (TUN, "tun2")] {
        let journal = net.files.join(format!("{server}-journal")).display().to_string();
        net.run(server, &[LVSD, "host", "real-server", "revert", "--journal", &journal]).good();
        if way == TUN {
            for (vip, length) in way.vips().into_iter().zip([32, 128]) {
                net.ip(server, &format!("addr add {vip}/{length} dev lo\n"));
            }
        }
    }
    net.ip("nat2", "route del 0.0.0.0/0\nroute del ::/0\n");
    for way in WAYS {
        wait_for_results(&net, way, 1, ["nothing within 1 s", "ok"]);
        wait_for_results(&net, way, 0, ["ok", "ok"]);
        assert_answers(&net, way, &[&format!("{}1", way.name)]);
    }
    let text = net.run("director", &[LVSD, "health"]).good();
    let says =
        |line: &str| line.contains("HTTP_GET 10.66.1.102:80 ") && line.contains(" data  nothing within");
    assert!(text.lines().any(says), "{text}");

    // What is put right comes back.
    let [v4, v6] = DR.vips().map(|vip| vip.to_string());
    let journal = net.files.join("dr2-again").display().to_string();
    let again = ["host", "real-server", "apply", "--mode", "dr", "--journal", &journal];
    net.run("dr2", &[&[LVSD], &again[..], &["--vip", &v4, "--vip", &v6]].concat()).good();
    wait_for_results(&net, DR, 1, ["ok", "ok"]);
    net.assert_balanced();
    let rules = ["-4", "-6"].map(|family| net.run("director", &["ip", family, "rule"]).good());
    assert!(rules.iter().all(|rules| rules.contains("77:")), "{rules:?}");
    net.stop_director();
    let rules = ["-4", "-6"].map(|family| net.run("director", &["ip", family, "rule"]).good());
    assert!(rules.iter().all(|rules| !rules.contains("77:")), "{rules:?}");
}

#[test]
#[ignore = "needs root"]
fn a_server_that_listens_at_its_own_address_only_refuses_the_traffic() {
    let mut net = start_with("1");
    wait_for_results(&net, DR, 0, ["ok", "ok"]);
    let place = net.files.join("dr1").display().to_string();
    let [v4, v6] = DR.rips(1);
    let narrow = format!(
        "kill $(cat {place}/pid); sed -i 's/0.0.0.0:80/{v4}:80/; s/\\[::\\]:80/[{v6}]:80/' {place}/nginx.conf"
    );
    net.run("dr1", &["sh", "-c", &narrow]).good();
    wait_for("nginx ended", || !fs::exists(format!("{place}/pid")).unwrap());
    net.start("dr1", &["nginx", "-p", &place, "-e", "/dev/null", "-c", &format!("{place}/nginx.conf")]);
    wait_for_results(&net, DR, 0, ["connection refused", "ok"]);
    // Datagrams: an answer is heard, and so is that nobody is there.
    wait_for("each check of UDP says how it is", || {
        let all = health(&net);
        let of = |port: u16| all.iter().filter(move |pool| pool.name.ends_with(&format!(":udp:{port}")));
        let says = |port, what: &str| {
            let mut checks = of(port).flat_map(|pool| &pool.servers).flat_map(|server| &server.checks);
            checks.all(|check| check.result.as_deref() == Some(what) && check.path == "data")
        };
        says(7, "ok") && says(CLOSED, "connection refused")
    });
    net.assert_balanced();
    net.stop_director();
}
