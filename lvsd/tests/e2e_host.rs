//! The director's host beside the director: its own traffic, a server that goes away, and what is left behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use net::Net;
use net::client::ask_http;
use net::trio::{self, DR, NAT, address};

const PORT_OF_THE_HOST: u16 = 2222;

/// A service of the director's own host, and a connection to it: what is said comes back.
struct Shell(TcpStream);

impl Shell {
    fn open(net: &Net) -> Self {
        let at = SocketAddr::new(address(1, 1)[0], PORT_OF_THE_HOST);
        let listener = net.host("director").inside(|| TcpListener::bind(at)).unwrap().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            let mut said = vec![0; 4096];
            loop {
                match stream.read(&mut said)? {
                    0 => return io::Result::Ok(()),
                    len => stream.write_all(&said[..len])?,
                }
            }
        });
        let stream = connect(net, at, Duration::from_secs(5)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self(stream)
    }

    fn assert_alive(&mut self, word: &str) {
        let text = word.repeat(300);
        self.0.write_all(text.as_bytes()).unwrap();
        let mut echoed = vec![0; text.len()];
        self.0.read_exact(&mut echoed).unwrap_or_else(|error| panic!("{word}: {error}"));
        assert_eq!(String::from_utf8(echoed).unwrap(), text);
    }
}

fn connect(net: &Net, at: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    net.host("client").inside(|| TcpStream::connect_timeout(&at, patience)).unwrap()
}

fn service(way: trio::Way) -> SocketAddr {
    SocketAddr::new(way.vips()[0], 80)
}

fn ask(net: &Net, way: trio::Way) -> io::Result<String> {
    connect(net, service(way), Duration::from_secs(5)).and_then(ask_http)
}

fn ping(net: &Net, to: &str) {
    net.run("client", &["ping", "-c", "3", "-i", "0.05", "-W", "2", to]).good();
}

#[test]
#[ignore = "needs root"]
fn what_is_the_hosts_own_goes_on_as_if_no_director_were_there() {
    let mut net = trio::build(&[NAT, DR]);
    let mut shell = Shell::open(&net);
    shell.assert_alive("before ");
    trio::start_director(&mut net, &[NAT, DR]);
    shell.assert_alive("while it runs ");

    let own = address(1, 1).map(|address| address.to_string());
    let vips = NAT.vips().map(|vip| vip.to_string());
    for to in own.iter().chain(&vips) {
        ping(&net, to);
    }
    // Resolved from nothing, in both families, from both sides.
    for host in ["director", "router", "dr1", "nat1"] {
        net.ip(host, "neigh flush all\n");
    }
    for to in own.iter().chain(&vips) {
        ping(&net, to);
    }
    let [router, ..] = address(1, 254).map(|address| address.to_string());
    net.run("director", &["ping", "-c", "1", "-W", "2", &router]).good();
    assert_eq!(net.curls("client", &format!("http://{}/", DR.vips()[0]), 2).len(), 2);

    // No service at this port: the host says so itself, and at once.
    for vip in NAT.vips() {
        let asked = Instant::now();
        let refused = connect(&net, SocketAddr::new(vip, 81), Duration::from_secs(5)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{vip}");
        assert!(asked.elapsed() < Duration::from_millis(500), "{vip}: {:?}", asked.elapsed());
    }
    shell.assert_alive("in between ");
    net.assert_balanced();
    net.stop_director();
    shell.assert_alive("afterwards ");
}

#[test]
#[ignore = "needs root"]
fn a_server_whose_link_is_down_spoils_only_its_own_connections() {
    for way in [NAT, DR] {
        let mut net = trio::build(&[way]);
        trio::start_director(&mut net, &[way]);
        let [first, second] = way.servers();
        let url = format!("http://{}/", way.vips()[0]);
        assert_eq!(net.curls("client", &url, 4).len(), 4);

        net.ip(&first, "link set eth0 down\n");
        // The director has forgotten where the server was, or will soon: both must do.
        net.ip("director", "neigh flush all\n");
        let quick = Duration::from_millis(1500);
        let answers: Vec<_> =
            (0..4).map(|_| connect(&net, service(way), quick).and_then(ask_http).ok()).collect();
        let answered = answers.iter().flatten().filter(|name| **name == second).count();
        assert_eq!(answered, 2, "{answers:?}\n{}", net.account());
        assert_eq!(answers.iter().flatten().count(), 2, "{answers:?}");

        let id = format!("-t {}", service(way));
        let server = format!("-r {}:80 {}", way.rips(1)[0], way.option);
        net.adm(&format!("-e {id} {server} -w 0"));
        assert_eq!(net.curls("client", &url, 4), vec![second.clone(); 4]);

        net.ip(&first, "link set eth0 up\n");
        if way == NAT {
            // Linux forgets the routes of a link that was down.
            let gateway = address(2, 1)[0];
            net.ip(&first, &format!("route replace default via {gateway}\n"));
        } else {
            net.ip(&first, &format!("route replace default via {}\n", address(1, 254)[0]));
        }
        net.adm(&format!("-e {id} {server} -w 1"));
        let back = Instant::now();
        net::wait_for("the server is used again", || ask(&net, way).is_ok_and(|name| name == first));
        assert!(back.elapsed() < Duration::from_secs(10), "{:?}", back.elapsed());
        let mut answers = net.curls("client", &url, 8);
        answers.sort();
        let expected = [vec![first; 4], vec![second; 4]].concat();
        assert_eq!(answers, expected, "{}", net.account());
        net.assert_balanced();
        net.stop_director();
    }
}

#[test]
#[ignore = "needs root"]
fn a_director_that_ends_leaves_the_host_as_it_was() {
    let mut net = trio::build(&[NAT]);
    let before = net.snapshot("director");
    let file = net.write_file(&configuration());
    let args = ["-c", &file];

    for _ in 0..2 {
        net.run_director_with(&args);
        assert!(!before.0.difference(&net.snapshot("director").0).is_empty(), "it did not set the host up");
        for _ in 0..4 {
            ask(&net, NAT).unwrap();
        }
        net.assert_balanced();
        net.stop_director();
        net.assert_unchanged("director", &before);
        assert!(!net.socket().exists());
    }
}

#[test]
#[ignore = "needs root"]
fn a_director_that_was_killed_is_never_taken_for_a_refusal_and_its_successor_serves_at_once() {
    let mut net = trio::build(&[NAT]);
    let before = net.snapshot("director");
    let file = net.write_file(&configuration());
    let args = ["-c", &file];
    let mut shell = Shell::open(&net);
    net.run_director_with(&args);
    ask(&net, NAT).unwrap();
    let mut open = connect(&net, service(NAT), Duration::from_secs(5)).unwrap();
    open.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();

    net.director.take().unwrap().kill();
    shell.assert_alive("beside a dead director ");
    ping(&net, &address(1, 1)[0].to_string());
    // Neither a new connection nor one that is open may hear that there is nobody: the successor comes soon.
    let new = connect(&net, service(NAT), Duration::from_millis(1500)).unwrap_err();
    assert_eq!(new.kind(), ErrorKind::TimedOut);
    open.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let silence = open.read(&mut [0; 16]).unwrap_err();
    assert!(matches!(silence.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence}");

    net.run_director_with(&args);
    for _ in 0..4 {
        ask(&net, NAT).unwrap_or_else(|error| panic!("{error}\n{}", net.account()));
    }
    shell.assert_alive("beside its successor ");
    net.assert_balanced();
    net.stop_director();
    net.assert_unchanged("director", &before);
    shell.assert_alive("afterwards ");
}

/// A director whose host is set up by itself, source NAT included.
fn configuration() -> String {
    let vip = NAT.vips()[0];
    let mut text = format!(
        "interfaces = [\"eth0\", \"eth1\"]\n\
         [[host.vip]]\naddress = \"{vip}\"\ninterface = \"eth0\"\nlabel = \"eth0:0\"\n\
         [[host.source-nat]]\nfrom = \"10.66.2.0/24\"\nout = \"eth0\"\n\
         [[service]]\nprotocol = \"tcp\"\naddress = \"{vip}:80\"\nscheduler = \"rr\"\n"
    );
    for server in [1, 2] {
        let rip = NAT.rips(server)[0];
        writeln!(text, "[[service.server]]\naddress = \"{rip}\"\nmethod = \"nat\"").unwrap();
    }
    text
}
