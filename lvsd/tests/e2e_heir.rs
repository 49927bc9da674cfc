//! A director that takes over what a killed one left, and cannot start: nothing is lost by it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::fs;
use std::net::SocketAddr;

use net::trio::{self, NAT};
use net::{LVSD, Net, pairs};

/// A file with the service's address, and a service on port 81.
fn configuration(net: &Net) -> String {
    let (vip, rip) = (NAT.vips()[0], NAT.rips(1)[0]);
    let text = format!(
        "interfaces = [\"eth0\", \"eth1\"]\n[[host.vip]]\naddress = \"{vip}\"\ninterface = \"eth0\"\n\
         [[service]]\nprotocol = \"tcp\"\naddress = \"{vip}:81\"\nscheduler = \"rr\"\n\
         [[service.server]]\naddress = \"{rip}\"\nmethod = \"nat\"\n"
    );
    let file = net.files.join("lvsd.toml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Starts a director that can do everything but make its TUN device, the last but few of its steps.
fn start_in_vain(net: &Net, file: &str) {
    let socket = net.socket();
    let script = format!(
        "mount --bind /dev/null /dev/net/tun && exec {LVSD} run --socket {} -c {file}",
        socket.display()
    );
    let ended = net.run("director", &["unshare", "--mount", "sh", "-c", &script]);
    assert!(ended.status == Some(1) && ended.err.contains("TUN"), "{ended:?}");
}

#[test]
#[ignore = "needs root"]
fn a_start_that_fails_leaves_the_connections_of_the_one_before_to_the_one_after() {
    let mut net = trio::build(&[NAT]);
    for leg in ["directoreth0", "directoreth1"] {
        net.run("router", &["ethtool", "-K", leg, "gro", "on"]).good();
    }
    pairs::echo(&net, &NAT.servers()[0], 81);
    let before = net.snapshot("director");
    let file = configuration(&net);

    // There is nothing to be taken over: all is as it was.
    start_in_vain(&net, &file);
    net.assert_unchanged("director", &before);

    net.run_director_with(&["-c", &file]);
    let mut streams = vec![pairs::connect(&net, SocketAddr::new(NAT.vips()[0], 81)).unwrap()];
    pairs::everybody_answers(&mut streams, 1).unwrap();
    net::wait_for("the connection is in the cache", || {
        net.status().cache.is_some_and(|cache| cache.flows == 2)
    });
    let served = net.snapshot("director");
    net.director.take().unwrap().kill();
    for number in 2..5 {
        pairs::everybody_answers(&mut streams, number).unwrap();
        start_in_vain(&net, &file);
        pairs::everybody_answers(&mut streams, number).unwrap();
    }
    let still = net.snapshot("director");
    assert_eq!(served.1.lines().count(), still.1.lines().count(), "{served:?}\n{still:?}");

    net.run_director_with(&["-c", &file]);
    assert_eq!(net.status().connections, 1, "{}", net.account());
    pairs::everybody_answers(&mut streams, 5).unwrap();
    streams.push(pairs::connect(&net, SocketAddr::new(NAT.vips()[0], 81)).unwrap());
    pairs::everybody_answers(&mut streams, 6).unwrap();
    net.stop_director();
    net.assert_unchanged("director", &before);
}
