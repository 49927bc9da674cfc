//! Health checks in front of two web servers: one dies, comes back, is drained; clients go on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lvsd::message::HealthListing;
use net::trio::{self, NAT};
use net::{LVSD, Net, process, wait_for};

/// `delay-loop` of the checks, and the pause before their one retry.
const LOOP: Duration = Duration::from_millis(300);
const RETRY: Duration = Duration::from_millis(100);

/// The configuration: each server is asked for its page, pinged, and drained by a file.
fn configuration(net: &Net) -> String {
    let files = net.files.display();
    let timers = format!(
        "delay-loop = {}, delay-before-retry = {}, warmup = 0.1, connect-timeout = 1",
        LOOP.as_secs_f64(),
        RETRY.as_secs_f64()
    );
    let server = |name: &str, number: u8| {
        format!(
            "[[service.server]]\naddress = \"{}:80\"\nmethod = \"nat\"\nweight = 1\ncheck = [\n\
             {{ type = \"http\", {timers}, url = [{{ path = \"/\", regex = \"^{name}\" }}] }},\n\
             {{ type = \"ping\", {timers} }},\n\
             {{ type = \"file\", file = \"{files}/{name}-drain\", weight = -1, dynamic = true, {timers} }},\n]\n",
            NAT.rips(number)[0]
        )
    };
    format!(
        "interfaces = [\"eth0\", \"eth1\"]\n[health]\nnotify-fifo = \"{files}/fifo\"\n\
         [[service]]\naddress = \"{}:80\"\nscheduler = \"rr\"\n\
         [service.health]\nquorum-down = [\"/bin/sh\", \"-c\", \"echo down >> {files}/quorum\"]\n\
         quorum-up = [\"/bin/sh\", \"-c\", \"echo up >> {files}/quorum\"]\n{}{}",
        NAT.vips()[0],
        server("nat1", 1),
        server("nat2", 2)
    )
}

fn health(net: &Net) -> HealthListing {
    let socket = net.socket().display().to_string();
    let said = process::run_here(&[LVSD, "health", "--json", "--socket", &socket], net::PATIENCE).good();
    let mut listings: Vec<HealthListing> =
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in {said}"));
    listings.remove(0)
}

/// Waits until a server is in the service with this weight, or out of it.
fn wait_for_weight(net: &Net, server: usize, weight: Option<u32>) -> Duration {
    let began = Instant::now();
    wait_for("a server comes or goes", || health(net).servers[server].weight == weight);
    began.elapsed()
}

/// Ends the web server of a host, or kills it.
fn end_nginx(net: &Net, host: &str, signal: &str) {
    let place = net.files.join(host).join("pid").display().to_string();
    let kill = format!("master=$(cat {place}); kill -{signal} $master $(pgrep -P $master)");
    net.run(host, &["sh", "-c", &kill]).good();
}

/// A director before two servers.
fn start(configuration: fn(&Net) -> String) -> Net {
    let mut net = trio::build(&[NAT]);
    let file = net.write_file(&configuration(&net));
    let journal = net.files.join("director-journal").display().to_string();
    let vip = NAT.vips()[0].to_string();
    let host = [LVSD, "host", "director", "apply", "--journal", &journal, "--dev", "eth0", "--vip", &vip];
    net.run("director", &host).good();
    net.run_director_with(&["-c", &file]);
    net
}

/// Ends the asking, also where the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "needs root"]
fn a_server_that_dies_goes_and_comes_back_and_one_is_drained() {
    let mut net = start(configuration);
    let url = format!("http://{}/", NAT.vips()[0]);
    let mut both = net.curls("client", &url, 2);
    both.sort();
    assert_eq!(both, ["nat1", "nat2"], "they serve from the start");
    wait_for("every check has run", || {
        health(&net).servers.iter().flat_map(|server| &server.checks).all(|check| check.has_run)
    });

    // A client asks all the while.
    let is_over = AtomicBool::new(false);
    let (lost, asked) = std::thread::scope(|scope| {
        let over = Over(&is_over);
        let asking = scope.spawn(|| {
            let (mut lost, mut asked) = (0, 0);
            while !is_over.load(Ordering::Relaxed) {
                asked += 1;
                lost += usize::from(net.curl("client", &url).is_err());
            }
            (lost, asked)
        });
        end_nginx(&net, "nat1", "KILL");
        let out = wait_for_weight(&net, 0, None);
        // A second for a machine that has much to do.
        assert!(out < LOOP + RETRY + Duration::from_secs(1), "out after {out:?}");
        eprintln!("a killed server was out after {out:?} (delay_loop {LOOP:?}, one retry after {RETRY:?})");
        drop(over);
        asking.join().unwrap()
    });
    eprintln!("of {asked} requests meanwhile {lost} were lost");
    assert_eq!(net.curls("client", &url, 4), ["nat2"; 4]);
    let down = health(&net);
    let http = &down.servers[0].checks[0];
    assert!(!http.is_up && http.result.as_deref() == Some("connection refused"), "{http:?}");
    assert!(down.servers[0].checks[1].is_up, "its host is well");

    net.nginx("nat1");
    let back = wait_for_weight(&net, 0, Some(1));
    assert!(back < LOOP + Duration::from_secs(1), "back after {back:?}");
    let mut answers = net.curls("client", &url, 4);
    answers.sort();
    assert_eq!(answers, ["nat1", "nat1", "nat2", "nat2"]);

    fs::write(net.files.join("nat2-drain"), "1\n").unwrap();
    wait_for_weight(&net, 1, Some(0));
    assert_eq!(net.curls("client", &url, 4), ["nat1"; 4]);
    assert!(health(&net).servers[1].is_up, "drained is not down");
    let listed = net.adm("-Ln");
    let line = listed.lines().find(|line| line.contains(&NAT.rips(2)[0].to_string())).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("0"), "{listed}");
    fs::remove_file(net.files.join("nat2-drain")).unwrap();
    wait_for_weight(&net, 1, Some(1));

    // A host that answers no ping, though its web server does its work.
    let echo = |ignored: &str| net.host("nat2").sysctl("ipv4/icmp_echo_ignore_all", ignored).unwrap();
    echo("1");
    wait_for_weight(&net, 1, None);
    let silent = health(&net).servers[1].checks[1].clone();
    assert_eq!((silent.check.as_str(), silent.result.as_deref()), ("PING_CHECK", Some("nothing within 1 s")));
    echo("0");
    wait_for_weight(&net, 1, Some(1));

    assert!(health(&net).has_quorum);
    for server in ["nat1", "nat2"] {
        end_nginx(&net, server, "KILL");
    }
    wait_for("the quorum is lost", || !health(&net).has_quorum);
    wait_for("it is told of", || {
        fs::read_to_string(net.files.join("quorum")).unwrap_or_default() == "up\ndown\n"
    });
    told(&net);
    let text = net.run("director", &[LVSD, "health"]).good();
    assert!(text.contains("has lost its quorum: weight 0, quorum 1") && text.contains("refused"), "{text}");
    net.assert_balanced();
    net.stop_director();
}

/// The pipe was told of everything, in keepalived's words.
fn told(net: &Net) {
    let nonblocking = 0o4000;
    let mut pipe =
        fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(net.files.join("fifo")).unwrap();
    let mut bytes = vec![0; 65536];
    let length = pipe.read(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    let (vs, rs) = (format!("[{}]:tcp:80", NAT.vips()[0]), format!("[{}]:tcp:80", NAT.rips(1)[0]));
    let lines: Vec<&str> =
        text.lines().filter(|line| line.starts_with("VS ") || line.contains(&rs)).collect();
    let expected = [
        format!("VS {vs} UP"),
        format!("RS {rs} {vs} DOWN"),
        format!("RS {rs} {vs} UP"),
        format!("RS {rs} {vs} DOWN"),
    ];
    assert_eq!(lines[..4], expected, "{text}");
    assert!(text.contains(&format!("VS {vs} DOWN\n")), "{text}");
}

/// One server, which has to show that it is well before it serves, and one that serves in its place; checked where the
/// service's address is.
fn with_sorry(_: &Net) -> String {
    let [vip, first, second] = [NAT.vips()[0], NAT.rips(1)[0], NAT.rips(2)[0]];
    format!(
        "interfaces = [\"eth0\", \"eth1\"]\n[[service]]\naddress = \"{vip}:80\"\n\
         health = {{ sorry-server = {{ address = \"{second}\", method = \"nat\" }}, inhibit-on-failure = true, \
         ha-suspend = true }}\n\
         check = [{{ type = \"tcp\", delay-loop = 0.3, retry = 0, warmup = 1, alpha = true }}]\n\
         server = [{{ address = \"{first}:80\", method = \"nat\" }}]\n"
    )
}

#[test]
#[ignore = "needs root"]
fn the_sorry_server_answers_while_the_other_cannot() {
    let mut net = start(with_sorry);
    let (vip, url) = (NAT.vips()[0], format!("http://{}/", NAT.vips()[0]));
    let first = NAT.rips(1)[0].to_string();
    let weight = |net: &Net| {
        let listed = net.adm("-Ln");
        let line = listed.lines().find(|line| line.contains(&first));
        line.map(|line| line.split_whitespace().nth(3).unwrap().to_owned())
    };
    assert_eq!(net.curl("client", &url), Ok("nat2".to_owned()), "nothing is known of the first");
    wait_for("it has shown that it is well", || weight(&net) == Some("1".to_owned()));
    assert_eq!(net.curls("client", &url, 2), ["nat1"; 2]);
    end_nginx(&net, "nat1", "KILL");
    wait_for("the sorry server serves", || health(&net).is_sorry);
    assert_eq!(weight(&net), Some("0".to_owned()), "its connections keep it");
    assert_eq!(net.curls("client", &url, 2), ["nat2"; 2]);

    net.ip("director", &format!("addr del {vip}/32 dev eth0\n"));
    wait_for("nothing is checked", || health(&net).is_suspended);
    net.nginx("nat1");
    std::thread::sleep(3 * LOOP);
    assert!(health(&net).is_sorry, "nobody looked");
    net.ip("director", &format!("addr add {vip}/32 dev eth0\n"));
    wait_for("the first serves again", || weight(&net) == Some("1".to_owned()));
    assert_eq!(net.curls("client", &url, 2), ["nat1"; 2]);
    net.assert_balanced();
    net.stop_director();
}
