//! Two directors on one network that floods: a frame for one of them reaches the other as well, which serves the same
//! addresses and has to leave it alone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use lvsd::message::Status;
use net::process::{Process, run_here};
use net::{LVSADM, LVSD, Net, wait_for};

const VIP: &str = "10.5.0.100:7";
const DATAGRAMS: usize = 300;

struct Site {
    net: Net,
    directors: Vec<(&'static str, Process)>,
}

impl Site {
    /// ```text
    ///  client .10 --+-- hub --+-- master .1: has the address
    ///               |         |-- backup .2: has not
    ///               |         '-- server .3: behind direct routing
    /// ```
    fn new() -> Self {
        let mut net = Net::new();
        net.add(&["links", "client", "master", "backup", "server"]);
        net.bridge("links", "hub");
        // A bridge that remembers nothing sends every frame to all.
        net.ip("links", "link set hub type bridge ageing_time 0\n");
        for (host, number) in [("client", 10), ("master", 1), ("backup", 2), ("server", 3)] {
            net.plug(host, "eth0", ("links", "hub"), &[&format!("10.5.0.{number}/24")]);
            net.run("links", &["ethtool", "-K", &format!("{host}eth0"), "gro", "on"]).good();
        }
        net.ip("server", "addr add 10.5.0.100/32 dev lo\n");
        net.run("server", &["sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1"]).good();
        Self { net, directors: Vec::new() }
    }

    fn socket(&self, director: &str) -> String {
        // In a directory of its own: beside it stands what a successor finds.
        let directory = self.net.files.join(director);
        std::fs::create_dir_all(&directory).unwrap();
        directory.join("lvsd.sock").display().to_string()
    }

    fn start(&mut self, director: &'static str, interface: &str) {
        let socket = self.socket(director);
        let command = [LVSD, "run", "-i", interface, "--socket", &socket];
        let log = self.net.files.join(format!("{director}.log"));
        let mut process = Process::start(self.net.host(director), &command, &[], log);
        wait_for("the director answers", || {
            assert!(process.is_running(), "the director ended: {}", process.said());
            run_here(&[LVSD, "status", "--socket", &socket], net::PATIENCE).status == Some(0)
        });
        self.directors.push((director, process));
        for line in [format!("-A -u {VIP} -s rr"), format!("-a -u {VIP} -r 10.5.0.3 -g")] {
            let words: Vec<&str> = line.split(' ').collect();
            let command = [&[LVSADM][..], &words].concat();
            net::process::run(self.net.host(director), &command, &[("LVSD_SOCKET", &socket)], net::PATIENCE)
                .good();
        }
    }

    fn status(&self, director: &str) -> Status {
        let said =
            run_here(&[LVSD, "status", "--json", "--socket", &self.socket(director)], net::PATIENCE).good();
        serde_json::from_str(&said).unwrap()
    }

    /// Datagrams of one flow and of others that come to the server; each is to come once.
    fn received(&self) -> usize {
        let server = self.net.host("server").inside(|| UdpSocket::bind(VIP)).unwrap().unwrap();
        server.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let client = || self.net.host("client").inside(|| UdpSocket::bind("10.5.0.10:0")).unwrap().unwrap();
        let service: SocketAddr = VIP.parse().unwrap();
        let one = client();
        wait_for("what is sent arrives", || {
            one.send_to(b"once", service).unwrap();
            server.recv(&mut [0; 64]).is_ok()
        });
        let arrived =
            || std::iter::repeat_with(|| server.recv(&mut [0; 64])).take_while(Result::is_ok).count();
        arrived();
        let mut received = 0;
        for number in 0..DATAGRAMS {
            let other = if number % 10 == 0 { client() } else { one.try_clone().unwrap() };
            other.send_to(b"once", service).unwrap();
            std::thread::sleep(Duration::from_millis(5));
            // The socket has not room for all.
            if number % 100 == 99 {
                received += arrived();
            }
        }
        received
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for (_, process) in &mut self.directors {
            process.stop();
        }
    }
}

#[test]
#[ignore = "needs root"]
fn a_frame_for_another_director_is_not_served() {
    let mut site = Site::new();
    site.net.ip("master", "addr add 10.5.0.100/32 dev eth0\n");
    for director in ["master", "backup"] {
        site.start(director, "eth0");
    }
    assert_eq!(site.received(), DATAGRAMS);
    let (master, backup) = (site.status("master"), site.status("backup"));
    assert!(master.cache.as_ref().unwrap().forwarded > 150, "{master:?}");
    assert_eq!((backup.received, backup.cache.unwrap().forwarded), (0, 0));
}

#[test]
#[ignore = "needs root"]
fn frames_for_a_macvlan_that_comes_later_are_served_until_it_goes() {
    let mut site = Site::new();
    site.start("master", "eth0");
    // As VRRP's virtual address is: on an interface of its own, with an address of its own.
    site.net.ip(
        "master",
        "link add link eth0 name virtual address 00:00:5e:00:01:07 type macvlan mode private\n\
         link set virtual up\n\
         addr add 10.5.0.100/32 dev virtual\n",
    );
    site.net.ip("client", "neigh add 10.5.0.100 lladdr 00:00:5e:00:01:07 dev eth0\n");
    assert_eq!(site.received(), DATAGRAMS);
    let before = site.status("master");
    assert!(before.cache.as_ref().unwrap().forwarded > 150, "{before:?}");
    site.net.ip("master", "link del virtual\n");
    wait_for("its address is the interface's no more", || {
        let before = site.status("master");
        let one = site.net.host("client").inside(|| UdpSocket::bind("10.5.0.10:0")).unwrap().unwrap();
        one.send_to(b"nobody's", VIP).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        site.status("master").received == before.received
    });
    // Another address of the interface's own.
    site.net.ip("master", "link set eth0 address 02:00:00:00:05:07\naddr add 10.5.0.100/32 dev eth0\n");
    site.net.ip("client", "neigh replace 10.5.0.100 lladdr 02:00:00:00:05:07 dev eth0\n");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(site.received(), DATAGRAMS);
}
