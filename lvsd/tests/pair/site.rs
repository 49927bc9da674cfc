//! The site: two directors, two web servers that have the address on their loopback, and a client, all on one network.
//!
//! ```text
//!  client .10 --+-- master .141   ens33, keepalived-master.conf
//!               |-- backup .142   ens33, keepalived-backup.conf
//!               |-- rs1    .146   nginx; lvs_dr_rs.sh
//!               `-- rs2    .147   nginx; lvs_dr_rs.sh
//! ```

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::holder::Holder;
use crate::load::{Load, PATIENCE};
use crate::net::process::{Process, run_here};
use crate::net::site::run_script;
use crate::net::{self, LVSADM, LVSD, Net, test_file, wait_for};

/// The virtual service of the files, and its real servers.
const VIP: &str = "192.168.91.148";
pub(crate) const RIPS: [&str; 2] = ["192.168.91.146", "192.168.91.147"];

fn service() -> SocketAddr {
    (VIP.parse::<IpAddr>().unwrap(), 80).into()
}

/// The site as it runs. What looks at the network goes before the network does.
#[derive(Debug)]
pub(crate) struct Site {
    load: Option<Load>,
    holders: BTreeMap<&'static str, Holder>,
    directors: BTreeMap<&'static str, Process>,
    pub(crate) net: Net,
}

impl Site {
    /// The hosts and the web servers; no director runs yet.
    pub(crate) fn new() -> Self {
        let mut net = Net::new();
        net.add(&["switch", "client", "master", "backup", "rs1", "rs2"]);
        net.bridge("switch", "lan");
        for (host, number) in [("client", 10), ("master", 141), ("backup", 142), ("rs1", 146), ("rs2", 147)] {
            net.plug(host, "ens33", ("switch", "lan"), &[&format!("192.168.91.{number}/24")]);
        }
        for server in ["rs1", "rs2"] {
            net.nginx(server);
            run_script(&net, server, &test_file("site/lvs_dr_rs.sh")).good();
        }
        let watch = |name: &'static str| (name, Holder::watch(net.host(name), service().ip()));
        let holders = [watch("master"), watch("backup")].into();
        Self { load: None, holders, directors: BTreeMap::new(), net }
    }

    /// Starts a director by its file, and waits until it answers.
    pub(crate) fn start(&mut self, director: &'static str) {
        let file = test_file("keepalived/site").join(format!("keepalived-{director}.conf"));
        let socket = self.socket(director);
        let command = [LVSD, "run", "--keepalived", file.to_str().unwrap(), "--socket", &socket];
        let log = self.net.files.join(format!("{director}.log"));
        let mut process = Process::start(self.net.host(director), &command, &[], log);
        wait_for("the director answers", || {
            assert!(process.is_running(), "the director ended: {}", process.said());
            run_here(&[LVSD, "status", "--socket", &socket], net::PATIENCE).status == Some(0)
        });
        self.directors.insert(director, process);
    }

    fn socket(&self, director: &str) -> String {
        self.net.files.join(format!("{director}.sock")).display().to_string()
    }

    /// A director that is about to end.
    pub(crate) fn take(&mut self, director: &str) -> Process {
        self.directors.remove(director).unwrap()
    }

    /// Clients begin to ask.
    pub(crate) fn ask(&mut self) {
        self.load = Some(Load::start(self.net.host("client"), service()));
    }

    pub(crate) fn load(&self) -> &Load {
        self.load.as_ref().unwrap()
    }

    /// Waits until a director holds the address and the other does not.
    pub(crate) fn wait_for_holder(&self, director: &str, patience: Duration) {
        let began = Instant::now();
        while self.holders.iter().any(|(name, holder)| holder.holds() != (*name == director)) {
            assert!(began.elapsed() < patience, "{director} is not master\n{}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the address is gone from a director's host.
    pub(crate) fn wait_for_release(&self, director: &str, patience: Duration) {
        let began = Instant::now();
        while self.holders[director].holds() {
            assert!(began.elapsed() <= patience, "the address stays on {director}\n{}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The longest time in which both directors held the address.
    pub(crate) fn longest_with_two(&self) -> Duration {
        self.holders["master"].longest_with(&self.holders["backup"])
    }

    /// Ends a web server on the spot, with its worker.
    pub(crate) fn kill_server(&self, host: &str) {
        let place = self.net.files.join(host).join("pid").display().to_string();
        let kill = format!("master=$(cat {place}); kill -KILL $master $(pgrep -P $master)");
        self.net.run(host, &["sh", "-c", &kill]).good();
    }

    /// Waits until a director's checks have a server in with this weight, or out.
    pub(crate) fn wait_for_weight(&self, director: &str, rip: &str, weight: Option<u32>, patience: Duration) {
        let began = Instant::now();
        while self.weight(director, rip) != weight {
            assert!(began.elapsed() < patience, "{rip} is not as {weight:?}\n{}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The weight that the director's table has for a server, as its listing says.
    fn weight(&self, director: &str, rip: &str) -> Option<u32> {
        let listing = self.adm(director, &["-Ln"]);
        let line = listing.lines().find(|line| line.contains(&format!("-> {rip}:80 ")))?.to_owned();
        Some(line.split_whitespace().nth(3).unwrap().parse().unwrap())
    }

    fn adm(&self, director: &str, arguments: &[&str]) -> String {
        let socket = self.socket(director);
        run_here(&[&[LVSADM, "--socket", &socket], arguments].concat(), net::PATIENCE).good()
    }

    /// Gives a server this weight by hand.
    pub(crate) fn set_weight(&self, director: &str, rip: &str, weight: u32) {
        let (service, server) = (format!("{VIP}:80"), format!("{rip}:80"));
        self.adm(director, &["-e", "-t", &service, "-r", &server, "-g", "-w", &weight.to_string()]);
    }

    /// A connection to this server, held open.
    pub(crate) fn connect(&self, server: &str) -> TcpStream {
        let connect = || TcpStream::connect_timeout(&service(), PATIENCE).unwrap();
        let mut connections = (0..4).map(|_| self.net.host("client").inside(connect).unwrap());
        connections.find_map(|mut one| (ask_again(&mut one) == server).then_some(one)).unwrap()
    }

    fn said(&self) -> String {
        let of = |name: &str| {
            let socket = self.socket(name);
            let told = run_here(&[LVSD, "vrrp", "--socket", &socket], net::PATIENCE);
            let log = self.directors.get(name).map(Process::said).unwrap_or_default();
            format!("--- {name}\n{}{log}\n", told.out)
        };
        of("master") + &of("backup")
    }
}

/// Asks on a connection that stays open; who answered.
pub(crate) fn ask_again(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: site\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap().trim().to_owned()
}
