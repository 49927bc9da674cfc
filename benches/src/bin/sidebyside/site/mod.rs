//! The network of the runs with real connections: clients, servers, and a lane through each contender.
//!
//! ```text
//!                     .------------- a contender's namespace -------------.
//! clients:  gN ------- eth0 10.N.1.1         (forwards)         10.N.2.1 eth1 ------ sN  :servers
//! 10.N.4.1 .. .16      VIP 10.N.1.100:80                                             10.N.2.11, 10.N.2.12
//! ```

mod client;
mod server;
mod steady;

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use lvsd::lab::namespace::{self, Namespace};

pub(crate) use client::{Load, Talk};
pub(crate) use server::{SIZE, nanoseconds};
pub(crate) use steady::Steady;

use server::Answers;

use crate::daemon::Service;
use crate::failure::Failure;
use crate::world::{PREFIX, SERVER_PORT, sweep};

/// How long anything may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Addresses of clients in a lane: the ports of one would soon be used up.
pub(crate) const CLIENTS: u8 = 16;
/// The port of iperf3, at the service as at the servers.
pub(crate) const IPERF: u16 = 5201;

/// Clients and servers.
#[derive(Debug)]
pub(crate) struct Site {
    // In this order: what runs goes before what it runs in.
    answers: Answers,
    clients: Namespace,
    servers: Namespace,
    prefix: String,
    files: PathBuf,
}

impl Site {
    /// Makes it.
    pub(crate) fn build() -> Result<Self, Failure> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sweep();
        let prefix = format!("{PREFIX}{}-s{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let clients = Namespace::create(&format!("{prefix}-clients"))?;
        let servers = Namespace::create(&format!("{prefix}-servers"))?;
        for host in [&clients, &servers] {
            for (key, value) in [
                ("core/somaxconn", "8192"),
                ("ipv4/tcp_max_syn_backlog", "8192"),
                ("ipv4/ip_local_port_range", "1024 65535"),
            ] {
                host.sysctl(key, value)?;
            }
        }
        let files = std::env::temp_dir().join(&prefix);
        fs::create_dir_all(&files).map_err(Failure::system("cannot make a directory"))?;
        let answers = Answers::start(&servers, SERVER_PORT)?;
        Ok(Self { answers, clients, servers, prefix, files })
    }

    /// Where the clients are.
    pub(crate) const fn clients(&self) -> &Namespace {
        &self.clients
    }

    /// Where the servers are.
    pub(crate) const fn servers(&self) -> &Namespace {
        &self.servers
    }

    /// A directory that goes with the site.
    pub(crate) fn files(&self) -> &Path {
        &self.files
    }

    /// Makes a lane for a contender.
    pub(crate) fn lane(&self, name: &str, number: u8) -> Result<Lane, Failure> {
        let host = Namespace::create(&format!("{}-{name}", self.prefix))?;
        let net = 80 + number;
        let (near, far) = (format!("g{number}"), format!("s{number}"));
        for (outside, outer, inner) in [(&self.clients, &near, "eth0"), (&self.servers, &far, "eth1")] {
            outside.ip(&format!(
                "link add {outer} type veth peer name {inner} netns {}\nlink set {outer} up\n",
                host.name()
            ))?;
        }
        host.ip(&format!(
            "addr add 10.{net}.1.1/24 dev eth0\nlink set eth0 up\naddr add 10.{net}.2.1/24 dev eth1\n\
             link set eth1 up\nroute add 10.{net}.4.0/24 via 10.{net}.1.254\n"
        ))?;
        host.sysctl("ipv4/ip_forward", "1")?;
        let addresses: String = (1..=CLIENTS)
            .map(|client| format!("addr add 10.{net}.4.{client}/32 dev {near}\n"))
            .collect::<Vec<_>>()
            .concat();
        self.clients.ip(&format!(
            "addr add 10.{net}.1.254/24 dev {near}\n{addresses}route add 10.{net}.2.0/24 via 10.{net}.1.1\n"
        ))?;
        self.servers.ip(&format!(
            "addr add 10.{net}.2.11/24 dev {far}\naddr add 10.{net}.2.12/24 dev {far}\n\
             route add 10.{net}.1.0/24 via 10.{net}.2.1\nroute add 10.{net}.4.0/24 via 10.{net}.2.1\n"
        ))?;
        // A network card's queue holds back what its ring has no room for. A veth has none unless it is given one, and
        // drops what of a burst does not fit into its ring of 256 frames.
        for (host, interface) in [(&self.clients, near.as_str()), (&self.servers, &far)] {
            let command = ["netns", "exec", host.name(), "tc", "qdisc", "add", "dev", interface];
            namespace::run("ip", &[&command[..], &["root", "pfifo", "limit", "1000"]].concat(), "")?;
        }
        // Frames that an XDP program redirects are taken by a veth only where its peer has this on.
        let ends = [(&self.clients, near.as_str()), (&self.servers, &far), (&host, "eth0"), (&host, "eth1")];
        for (host, interface) in ends {
            namespace::run(
                "ip",
                &["netns", "exec", host.name(), "ethtool", "-K", interface, "gro", "on"],
                "",
            )?;
        }
        Ok(Lane { host, net, clients: self.clients.name().to_owned() })
    }

    /// Has the servers of a lane send datagrams back.
    pub(crate) fn echo(&mut self, lane: &Lane) -> Result<(), Failure> {
        lane.service().servers.into_iter().try_for_each(|server| self.answers.echo(&self.servers, server))
    }

    /// Has the ends of a lane cut what they send into frames of the MTU themselves, as if it came from a network card.
    pub(crate) fn cut(&self, number: u8) -> Result<(), Failure> {
        for (host, interface) in
            [(&self.clients, format!("g{number}")), (&self.servers, format!("s{number}"))]
        {
            let command =
                ["netns", "exec", host.name(), "ethtool", "-K", &interface, "tso", "off", "gso", "off"];
            namespace::run("ip", &command, "")?;
        }
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.files);
    }
}

/// A way from clients to servers through a contender.
#[derive(Debug)]
pub(crate) struct Lane {
    host: Namespace,
    net: u8,
    clients: String,
}

impl Lane {
    /// The contender's namespace.
    pub(crate) const fn host(&self) -> &Namespace {
        &self.host
    }

    /// The service, where the contender is a balancer.
    pub(crate) fn service(&self) -> Service {
        let servers =
            [11, 12].map(|host| SocketAddrV4::new(Ipv4Addr::new(10, self.net, 2, host), SERVER_PORT));
        let vip = SocketAddrV4::new(Ipv4Addr::new(10, self.net, 1, 100), 80);
        Service { vip, servers, more: vec![IPERF] }
    }

    /// The address of a client, from 1 to [`CLIENTS`].
    pub(crate) const fn client(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.net, 4, number)
    }

    /// Gives the host the service's address.
    pub(crate) fn take_vip(&self) -> Result<(), Failure> {
        Ok(self.host.ip(&format!("addr add {}/32 dev eth0\n", self.service().vip.ip()))?)
    }

    /// Gives a proxy's own connections all the ports there are, and lets it use them again soon.
    pub(crate) fn widen_ports(&self) -> Result<(), Failure> {
        for (key, value) in [
            ("core/somaxconn", "8192"),
            ("ipv4/ip_local_port_range", "1024 65535"),
            ("ipv4/tcp_tw_reuse", "1"),
        ] {
            self.host.sysctl(key, value)?;
        }
        Ok(())
    }

    /// Waits until a client can connect to the service.
    pub(crate) fn wait_for_service(&self) -> Result<(), Failure> {
        let vip = self.service().vip;
        let deadline = Instant::now() + PATIENCE;
        let connect = || TcpStream::connect_timeout(&vip.into(), Duration::from_secs(1));
        loop {
            match inside(&self.clients, connect)? {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(Failure::System { what: format!("{vip} does not answer"), source: error });
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

/// Does something in a namespace that is another's.
fn inside<R: Send>(name: &str, work: impl FnOnce() -> R + Send) -> Result<R, Failure> {
    let enter = || -> std::io::Result<R> {
        let file = fs::File::open(Path::new("/run/netns").join(name))?;
        nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET)?;
        Ok(work())
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(enter);
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
    .map_err(Failure::system(name))
}

/// The path of a program, which comes with a package of Debian's.
pub(crate) fn program(name: &str, package: &str) -> Result<PathBuf, Failure> {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin", "/bin"]
        .map(|directory| Path::new(directory).join(name))
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| Failure::Absent(format!("{name} is not here (apt-get install {package})")))
}
