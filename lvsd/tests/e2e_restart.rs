//! A director that ends without a word, and its successor: what was changed meanwhile is so again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use net::trio::NAT;
use net::{Net, nat, pairs};

#[test]
#[ignore = "needs root"]
fn a_crash_loses_no_service_no_change_and_no_persistence() {
    let mut net = nat::build();
    let before = net.snapshot("director");
    let file = nat::write_file(&net, &[("tcp", 81)], 1);
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

fn echo(net: &Net) {
    for server in NAT.servers() {
        pairs::echo(net, &server, 81);
    }
}

fn connect(net: &Net) -> std::io::Result<TcpStream> {
    pairs::connect(net, SocketAddr::new(NAT.vips()[0], 81))
}

fn ask(stream: &mut TcpStream) {
    pairs::everybody_answers(std::slice::from_mut(stream), 7).unwrap();
}

/// The director has ended, a moment ago at most.
fn ended(net: &mut Net) {
    net::wait_for("the director has ended", || !net.director.as_mut().unwrap().is_running());
}

/// A connection whose flows are in the cache.
fn cached(net: &Net) -> TcpStream {
    let mut stream = connect(net).unwrap();
    ask(&mut stream);
    net::wait_for("the connection is in the cache", || {
        net.status().cache.is_some_and(|cache| cache.flows >= 2)
    });
    ask(&mut stream);
    stream
}

#[test]
#[ignore = "needs root"]
fn what_a_killed_director_left_is_removed_on_demand_and_not_while_one_lives() {
    let mut net = nat::build();
    echo(&net);
    let before = net.snapshot("director");
    let file = nat::write_file(&net, &[("tcp", 81)], 1);
    net.run_director_with(&["-c", &file]);
    let _stream = cached(&net);
    let refused = net.run("director", &[net::LVSD, "clean"]);
    assert!(refused.status == Some(1) && refused.err.contains("lvsd stop"), "{refused:?}");
    let status = net.run("director", &[net::LVSD, "status"]).good();
    assert!(status.contains("kept after a crash by"), "{status}");

    net.director.take().unwrap().kill();
    assert_ne!(net.snapshot("director"), before, "the program and the address are there");
    let said = net.run("director", &[net::LVSD, "clean"]).good();
    for what in ["took the XDP program off eth0", "took the XDP program off eth1", "took back: ", "lvsd.sock"]
    {
        assert!(said.contains(what), "{what}: {said}");
    }
    net.assert_unchanged("director", &before);
    let names = fs::read_dir(&net.files).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    let ours = ["bpf", "changes", "persistence", "host", "lvsd.sock"];
    assert!(!names.iter().any(|name| ours.iter().any(|our| name == our)), "{names:?}");
    assert_eq!(net.run("director", &[net::LVSD, "clean"]).good(), "nothing was left\n");
    // The next one begins anew.
    net.run_director_with(&["-c", &file]);
    assert_eq!(net.status().connections, 0);
    net.stop_director();
    net.assert_unchanged("director", &before);
}

#[test]
#[ignore = "needs root"]
fn a_director_that_hands_over_leaves_its_connections_to_the_program_and_to_its_successor() {
    let mut net = nat::build();
    echo(&net);
    let before = net.snapshot("director");
    let file = nat::write_file(&net, &[("tcp", 81)], 1);
    net.run_director_with(&["-c", &file]);
    net.adm(&format!("-A -u {}:5 -s rr", NAT.vips()[0]));
    let mut stream = cached(&net);
    net.run("director", &[net::LVSD, "stop", "--hand-over"]).good();
    ended(&mut net);
    ask(&mut stream);
    net.run_director_with(&["-c", &file]);
    ask(&mut stream);
    assert_eq!(net.status().connections, 1);
    assert!(net.adm("-Sn").contains(":5 "), "what lvsadm added is handed over, too");
    ask(&mut connect(&net).unwrap());
    net.run("director", &[net::LVSD, "stop", "--now"]).good();
    ended(&mut net);
    net.assert_unchanged("director", &before);
}

#[test]
#[ignore = "needs root"]
fn a_director_that_drains_takes_no_connection_and_ends_with_the_last_one() {
    let mut net = nat::build();
    echo(&net);
    let before = net.snapshot("director");
    let file = nat::write_file(&net, &[("tcp", 81)], 1);
    net.run_director_with(&["-c", &file]);
    let mut stream = cached(&net);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let stop = scope.spawn(|| {
            net.run_within("director", &[net::LVSD, "stop", "--timeout", "30"], Duration::from_secs(40))
        });
        net::wait_for("no server gets connections", || {
            let listing = net.adm("-Ln");
            listing.lines().filter(|line| line.contains("Masq")).all(|line| line.contains("Masq    0"))
        });
        assert!(connect(&net).is_err(), "a new connection");
        std::thread::sleep(Duration::from_millis(500));
        ask(&mut stream);
        assert!(!stop.is_finished());
        drop(stream);
        stop.join().unwrap().good();
    });
    assert!(began.elapsed() < Duration::from_secs(20));
    ended(&mut net);
    net.assert_unchanged("director", &before);

    // One that does not end is not waited for longer than was said.
    net.run_director_with(&["-c", &file]);
    let _stream = cached(&net);
    net.run("director", &[net::LVSD, "stop", "--timeout", "1"]).good();
    net.assert_unchanged("director", &before);
}
