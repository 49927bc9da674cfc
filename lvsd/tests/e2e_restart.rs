//! A director that ends without a word, and its successor: what was changed meanwhile is so again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use net::Net;
use net::trio::{self, NAT};

/// The network, with a director whose interfaces take redirected frames.
fn build() -> Net {
    let net = trio::build(&[NAT]);
    for leg in ["directoreth0", "directoreth1"] {
        net.run("router", &["ethtool", "-K", leg, "gro", "on"]).good();
    }
    net
}

/// A file with the service's address, and a service on port 81 with both servers.
fn configuration(net: &Net) -> String {
    let vip = NAT.vips()[0];
    let mut text = "interfaces = [\"eth0\", \"eth1\"]\n".to_owned();
    let _ = writeln!(text, "[[host.vip]]\naddress = \"{vip}\"\ninterface = \"eth0\"");
    let _ = writeln!(text, "[[service]]\nprotocol = \"tcp\"\naddress = \"{vip}:81\"\nscheduler = \"rr\"");
    for server in [1, 2] {
        let rip = NAT.rips(server)[0];
        let _ = writeln!(text, "[[service.server]]\naddress = \"{rip}\"\nmethod = \"nat\"");
    }
    let file = net.files.join("lvsd.toml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs root"]
fn a_crash_loses_no_service_no_change_and_no_persistence() {
    let mut net = build();
    let before = net.snapshot("director");
    let file = configuration(&net);
    let vip = NAT.vips()[0];
    let [first, second] = [1, 2].map(|server| NAT.rips(server)[0]);
    net.run_director_with(&["-c", &file]);
    net.adm(&format!("-A -t {vip}:80 -s rr -p 300"));
    for rip in [first, second] {
        net.adm(&format!("-a -t {vip}:80 -r {rip}:80 -m"));
    }
    net.adm(&format!("-e -t {vip}:81 -r {first}:81 -m -w 7"));
    net.adm(&format!("-d -t {vip}:81 -r {second}:81"));
    net.adm("--set 1000 0 0");
    net.run("director", &[net::LVSD, "mark", "add", "9", "--destination", "192.0.2.9"]).good();
    net.run("director", &[net::LVSD, "sysctl", "conn_reuse_mode=0"]).good();
    let url = format!("http://{vip}/");
    let server = net.curls("client", &url, 1).remove(0);
    net::wait_for("the client is written down", || net.files.join("persistence").exists());
    let service = (vip, 80).into();
    let _held: TcpStream = net
        .host("client")
        .inside(|| TcpStream::connect_timeout(&service, Duration::from_secs(5)).unwrap())
        .unwrap();
    let ask = |net: &Net| {
        let sysctl = net.run("director", &[net::LVSD, "sysctl", "conn_reuse_mode"]).good();
        let marks = net.run("director", &[net::LVSD, "mark", "list"]).good();
        format!("{}{}{marks}{sysctl}", net.adm("-Sn"), net.adm("-L --timeout"))
    };
    let was = ask(&net);
    assert!(was.contains("-w 7") && was.contains("1000") && was.contains("192.0.2.9"), "{was}");

    for _ in 0..2 {
        net.director.take().unwrap().kill();
        net.run_director_with(&["-c", &file]);
        assert_eq!(ask(&net), was);
        let listing = net.adm("-Lnc");
        assert!(
            listing.lines().any(|line| line.contains(&format!("{vip}:80")) && line.contains(":0 ")),
            "{listing}"
        );
        // The other server's turn it would be.
        assert!(net.curls("client", &url, 3).iter().all(|name| *name == server), "{}", net.account());
    }
    // Who is told to end has nothing to hand on.
    net.stop_director();
    net.assert_unchanged("director", &before);
    net.run_director_with(&["-c", &file]);
    assert!(!net.adm("-Sn").contains(":80 "), "{}", net.adm("-Sn"));
    net.stop_director();
}
