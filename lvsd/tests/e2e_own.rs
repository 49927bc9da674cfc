//! Real servers that are the director's own host, beside others: direct-routed ones, and masquerading ones at another
//! address and port, whose answers come through the director like any other's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use net::client::ask_udp;
use net::trio::bracketed;
use net::{LVSD, Net};

const VIPS: [&str; 2] = ["10.66.1.100", "fd66:0:0:1::100"];
/// The director's own address outside.
const OUTSIDE: [&str; 2] = ["10.66.1.1", "fd66:0:0:1::1"];
/// The director's own address inside, and the addresses of a masquerading and a direct-routed server.
const OWN: [&str; 2] = ["10.66.2.1", "fd66:0:0:2::1"];
const MASQUERADED: [&str; 2] = ["10.66.2.11", "fd66:0:0:2::11"];
const DIRECT: [&str; 2] = ["10.66.1.12", "fd66:0:0:1::12"];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn lengths(addresses: [&str; 2]) -> [String; 2] {
    [format!("{}/24", addresses[0]), format!("{}/64", addresses[1])]
}

fn plug(net: &Net, host: &str, interface: &str, bridge: &str, addresses: [&str; 2]) {
    let [v4, v6] = lengths(addresses);
    net.plug(host, interface, ("switch", bridge), &[&v4, &v6]);
}

/// ```text
/// client --+-- director -- masq     every one but the client has nginx and an echo server
///          `-- direct
/// ```
fn site() -> Net {
    let mut net = Net::new();
    net.add(&["switch", "client", "director", "masq", "direct"]);
    net.bridge("switch", "one");
    net.bridge("switch", "two");
    plug(&net, "client", "eth0", "one", ["10.66.1.10", "fd66:0:0:1::10"]);
    plug(&net, "director", "eth0", "one", OUTSIDE);
    plug(&net, "director", "eth1", "two", OWN);
    plug(&net, "masq", "eth0", "two", MASQUERADED);
    plug(&net, "direct", "eth0", "one", DIRECT);
    for (host, via) in [("client", OUTSIDE), ("masq", OWN)] {
        net.ip(host, &format!("route add default via {}\nroute add default via {}\n", via[0], via[1]));
    }
    let journal = net.files.join("direct-journal").display().to_string();
    let mut command = vec![LVSD, "host", "real-server", "apply", "--mode", "dr", "--journal", &journal];
    command.extend(["--vip", VIPS[0], "--vip", VIPS[1]]);
    net.run("direct", &command).good();
    let journal = net.files.join("director-journal").display().to_string();
    let mut command = vec![LVSD, "host", "director", "apply", "--journal", &journal, "--dev", "eth0"];
    command.extend(["--vip", VIPS[0], "--vip", VIPS[1]]);
    net.run("director", &command).good();
    for host in ["director", "masq", "direct"] {
        net.nginx(host);
    }
    for family in 0..2 {
        net.echo("director", ip(OWN[family]), 7);
        net.echo("director", ip(VIPS[family]), 70);
        net.echo("masq", ip(MASQUERADED[family]), 7);
        net.echo("direct", ip(VIPS[family]), 70);
    }
    net
}

/// Of each family a service for TCP and one for UDP by either way: one server is the director, one is not.
fn serve(net: &Net) {
    for family in 0..2 {
        let at = |address: &str, port: u16| SocketAddr::new(ip(address), port);
        let vip = |port| at(VIPS[family], port);
        let masquerading = |port| [OWN, MASQUERADED].map(|rips| format!("{} -m", at(rips[family], port)));
        let direct = |port| [OWN, DIRECT].map(|rips| format!("{} -g", at(rips[family], port)));
        for (service, servers) in [
            (format!("-t {}", vip(8080)), masquerading(80)),
            (format!("-u {}", vip(7007)), masquerading(7)),
            (format!("-t {}", vip(80)), direct(80)),
            (format!("-u {}", vip(70)), direct(70)),
        ] {
            net.serve(&service, "rr", &servers.each_ref().map(String::as_str));
        }
    }
}

fn assert_both_answer(net: &Net, answers: Vec<String>, other: &str) {
    assert!(answers.windows(2).all(|pair| pair[0] != pair[1]), "{answers:?}\n{}", net.account());
    let expected = ["director", other].map(str::to_owned);
    assert_eq!(answers.into_iter().collect::<BTreeSet<_>>(), expected.into(), "{}", net.account());
}

fn rules(net: &Net) -> Vec<String> {
    let said = ["-4", "-6"].map(|family| net.run("director", &["ip", family, "rule"]).good());
    said.iter()
        .flat_map(|said| said.lines())
        .filter(|line| line.starts_with("77:"))
        .map(str::to_owned)
        .collect()
}

#[test]
#[ignore = "needs root"]
fn the_director_is_a_real_server_beside_others() {
    let mut net = site();
    // What a client of the director itself gets, without and then with the services.
    let own =
        |net: &Net, family: usize| net.curl("client", &format!("http://{}/", bracketed(ip(OWN[family]))));
    net.run_director(&["eth0", "eth1"]);
    assert_eq!(rules(&net), Vec::<String>::new(), "nothing is diverted before there is a reason");
    serve(&net);
    std::fs::write(net.files.join("www/large"), vec![b'x'; 3 << 20]).unwrap();
    for (family, vip) in VIPS.map(ip).into_iter().enumerate() {
        let url = |port: u16| format!("http://{}:{port}/", bracketed(vip));
        assert_both_answer(&net, net.curls("client", &url(8080), 4), "masq");
        assert_both_answer(&net, net.curls("client", &url(80), 4), "direct");
        let ask = |port, text: &str| {
            let asked = ask_udp(net.host("client"), SocketAddr::new(vip, port), text);
            asked.unwrap_or_else(|error| panic!("{vip} {port}: {error}\n{}", net.account()))
        };
        assert_both_answer(&net, (0..4).map(|_| ask(7007, "there?")).collect(), "masq");
        assert_both_answer(&net, (0..4).map(|_| ask(70, "there?")).collect(), "direct");
        let long = "long ".repeat(900);
        assert_both_answer(&net, (0..2).map(|_| ask(7007, &long)).collect(), "masq");
        for _ in 0..2 {
            let large = net.curl("client", &format!("{}large", url(8080))).unwrap();
            assert_eq!(large.len(), 3 << 20);
        }
        assert_eq!(
            own(&net, family),
            Ok("director".to_owned()),
            "who asks the server itself gets its answer"
        );
    }
    net.assert_balanced();
    // Each server of a masquerading service took and sent: the counters know the answers.
    for family in 0..2 {
        let service = SocketAddr::new(ip(VIPS[family]), 8080);
        let listed = net.adm(&format!("-Ln --stats --exact -t {service}"));
        let row = format!("  -> {} ", SocketAddr::new(ip(OWN[family]), 80));
        let row = listed.lines().find(|line| line.starts_with(&row)).unwrap();
        let counts: Vec<u64> = row.split_whitespace().skip(2).map(|count| count.parse().unwrap()).collect();
        assert_eq!(counts[0], 3, "{listed}");
        assert!(counts[2] > 4 && counts[4] > 3 << 20, "{listed}");
    }
    assert!(!rules(&net).is_empty());
    net.stop_director();
    assert_eq!(rules(&net), Vec::<String>::new());
    for family in 0..2 {
        assert_eq!(own(&net, family), Ok("director".to_owned()));
    }
}

#[test]
#[ignore = "needs root"]
fn a_client_hears_that_nobody_listens_on_the_director() {
    let mut net = site();
    net.run_director(&["eth0", "eth1"]);
    for family in 0..2 {
        let [vip, own] = [VIPS, OWN].map(|addresses| ip(addresses[family]));
        net.serve(
            &format!("-u {}", SocketAddr::new(vip, 53)),
            "rr",
            &[&format!("{} -m", SocketAddr::new(own, 5353))],
        );
        let refused = ask_udp(net.host("client"), SocketAddr::new(vip, 53), "who?").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "{refused}\n{}", net.account());
    }
    net.assert_balanced();
    net.stop_director();
}

#[test]
#[ignore = "needs root"]
fn what_a_crash_left_behind_does_no_harm_and_goes_with_the_next_start() {
    let mut net = site();
    net.run_director(&["eth0", "eth1"]);
    serve(&net);
    let left = rules(&net);
    assert!(!left.is_empty());
    net.director.as_mut().unwrap().kill();
    assert_eq!(rules(&net), left);
    let masq = format!("http://{}/", OWN[0]);
    assert_eq!(net.curl("masq", &masq), Ok("director".to_owned()), "the host answers by its own routes");
    // The table of a device that is no more, and behind it the rule that leads nowhere.
    net.ip(
        "director",
        "rule add pref 77 from 10.66.2.77 iif lo ipproto tcp sport 80 lookup 1819672694 protocol static\n",
    );
    net.run_director(&["eth0", "eth1"]);
    let own = rules(&net);
    assert_eq!(own.len(), left.len(), "of the services it found as they were: {own:?}");
    assert!(own.iter().all(|rule| !rule.contains("10.66.2.77")), "{own:?}");
    assert_both_answer(&net, net.curls("client", &format!("http://{}:8080/", VIPS[0]), 2), "masq");
    net.stop_director();
    assert_eq!(rules(&net), Vec::<String>::new());
}
