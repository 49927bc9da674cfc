//! The network of a run, in namespaces of its own: a world that packets come from and go to, and a place in it for
//! each contender.
//!
//! ```text
//!                       .------------- a contender's namespace -------------.
//! world:  gN  ---------- eth0 10.77.1.1        (forwards)        10.77.2.1 eth1 ---------- sN  :world
//!  generator             VIP 10.77.1.100                                                  sink
//!  clients 198.18.0.0/15 by 10.77.1.254                  servers 10.77.2.11, 10.77.2.12
//! ```
//!
//! Every neighbour is written down beforehand: nobody asks, so that nobody has to answer.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lvsd::lab::namespace::{self, Namespace};

use crate::core::Core;
use crate::failure::Failure;
use crate::generator::{CLIENTS, Flows, Generator, Target};
use crate::interrupt;
use crate::sample::{Sample, Watch};
use crate::segment::Bursts;
use crate::sink::Sink;

/// The namespaces of all runs begin so; the process's number follows.
pub(crate) const PREFIX: &str = "lvsb-";
/// The service.
pub(crate) const SERVICE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 1, 100), 80);
/// The network of the servers.
pub(crate) const SERVERS: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 0);
/// Where the servers serve, behind NAT.
pub(crate) const SERVER_PORT: u16 = 8080;
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 254);

/// The address of a server, 1 or 2.
pub(crate) const fn server(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 2, 10 + number)
}

/// The world: what is not a contender's.
#[derive(Debug)]
pub(crate) struct World {
    generator: Generator,
    outside: Namespace,
    prefix: String,
    files: PathBuf,
}

impl World {
    /// Makes it, and clears away what a killed predecessor left.
    pub(crate) fn build() -> Result<Self, Failure> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sweep();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("{PREFIX}{}-{number}", std::process::id());
        let outside = Namespace::create(&format!("{prefix}-world"))?;
        outside.sysctl("ipv6/conf/default/disable_ipv6", "1")?;
        let files = std::env::temp_dir().join(&prefix);
        fs::create_dir_all(&files).map_err(Failure::system("cannot make a directory"))?;
        Ok(Self { generator: Generator::load()?, outside, prefix, files })
    }

    /// A directory that goes with the world.
    pub(crate) fn files(&self) -> &Path {
        &self.files
    }

    /// Makes a place for a contender.
    pub(crate) fn place(&self, name: &str, number: u8) -> Result<Place, Failure> {
        let host = Namespace::create(&format!("{}-{name}", self.prefix))?;
        let place = Place { name: name.to_owned(), number, host, sink: None };
        let (near, far) = (place.near(), place.far());
        let [gate, eth0, eth1, servers] = [1, 2, 3, 4].map(|end| written(place.mac(end)));
        let wire = |outer: &str, outer_mac: &str, inner: &str, inner_mac: &str| {
            format!(
                "link add {outer} address {outer_mac} numtxqueues 1 numrxqueues 1 type veth \
                 peer name {inner} address {inner_mac} numtxqueues 1 numrxqueues 1 netns {}\n\
                 link set {outer} up\n",
                place.host.name()
            )
        };
        self.outside.ip(&wire(&near, &gate, "eth0", &eth0))?;
        self.outside.ip(&wire(&far, &servers, "eth1", &eth1))?;
        place.host.ip(&format!(
            "addr add 10.77.1.1/24 dev eth0\nlink set eth0 up\naddr add 10.77.2.1/24 dev eth1\nlink set eth1 up\n\
             neigh add {GATEWAY} lladdr {gate} dev eth0 nud permanent\n\
             neigh add {} lladdr {servers} dev eth1 nud permanent\n\
             neigh add {} lladdr {servers} dev eth1 nud permanent\n\
             route add {CLIENTS} via {GATEWAY}\n",
            server(1),
            server(2),
        ))?;
        place.host.sysctl("ipv4/ip_forward", "1")?;
        // Without it, and without an XDP program, a veth takes no frames that were never a packet of the kernel's.
        for (host, interface) in [(&place.host, "eth0"), (&self.outside, near.as_str())] {
            namespace::run(
                "ip",
                &["netns", "exec", host.name(), "ethtool", "-K", interface, "gro", "on"],
                "",
            )?;
        }
        Ok(place)
    }

    /// Puts the sink behind a place; it expects packets to a network.
    pub(crate) fn sink(&self, place: &mut Place, network: Ipv4Addr, prefix: u32) -> Result<(), Failure> {
        let far = place.far();
        let sink = self.outside.inside(|| Sink::attach(&far))??;
        sink.expect(network, prefix)?;
        place.sink = Some(sink);
        Ok(())
    }

    /// Sends frames through a contender's place; the packets a second that reached its sink as they should.
    pub(crate) fn measure(
        &self,
        place: &Place,
        destination: SocketAddrV4,
        flows: Flows,
        frames: u32,
    ) -> Result<Sample, Failure> {
        interrupt::check()?;
        let sink =
            place.sink.as_ref().ok_or_else(|| Failure::Wrong(format!("{} has no sink", place.name)))?;
        let before = sink.good()?;
        let (nanoseconds, delay) = self.send(place, destination, flows, frames)?;
        // The last burst's way through the kernel may end a moment later.
        std::thread::sleep(Duration::from_millis(2));
        let came = sink.good()? - before;
        let seconds = nanoseconds * f64::from(frames) / 1e9;
        if came == 0 {
            let elsewhere = sink.elsewhere()?;
            let name = &place.name;
            return Err(Failure::Wrong(format!(
                "{name}: of {frames} packets none arrived ({elsewhere} went elsewhere)"
            )));
        }
        #[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52 packets")]
        Ok(Sample { value: came as f64 / seconds, delay })
    }

    /// Sends frames to a contender; nanoseconds for each, and the share of time the thread waited.
    pub(crate) fn send(
        &self,
        place: &Place,
        destination: SocketAddrV4,
        flows: Flows,
        frames: u32,
    ) -> Result<(f64, f64), Failure> {
        let near = place.near();
        let send = || {
            Core::Measured.stay();
            let target = target(place, &near, destination)?;
            let watch = Watch::start();
            let nanoseconds = self.generator.send(&target, flows, frames)?;
            Ok((nanoseconds, watch.delay()))
        };
        self.outside.inside(send)?
    }

    /// Bursts of packets to a contender, to be sent by whoever forwards them as well.
    pub(crate) fn bursts(
        &self,
        place: &Place,
        destination: SocketAddrV4,
        flows: Flows,
    ) -> Result<Bursts, Failure> {
        let near = place.near();
        self.outside.inside(|| Bursts::open(&near, &target(place, &near, destination)?, flows))?
    }
}

fn target(place: &Place, near: &str, service: SocketAddrV4) -> Result<Target, Failure> {
    let interface =
        nix::net::if_::if_nametoindex(near).map_err(|errno| Failure::system(near)(errno.into()))?;
    Ok(Target { interface, source: place.mac(1), destination: place.mac(2), service })
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.files);
    }
}

/// A contender's place.
#[derive(Debug)]
pub(crate) struct Place {
    name: String,
    number: u8,
    host: Namespace,
    sink: Option<Sink>,
}

impl Place {
    /// Whose it is.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    pub(crate) const fn host(&self) -> &Namespace {
        &self.host
    }

    /// The world's interface that leads to eth0.
    pub(crate) fn near(&self) -> String {
        format!("g{}", self.number)
    }

    /// The world's interface that leads to eth1.
    pub(crate) fn far(&self) -> String {
        format!("s{}", self.number)
    }

    /// The hardware address of an end: 1 the world's towards eth0, 2 eth0, 3 eth1, 4 the world's towards eth1.
    pub(crate) const fn mac(&self, end: u8) -> [u8; 6] {
        [2, 0, 0, 77, self.number, end]
    }

    /// Packets that came to the sink as they should.
    pub(crate) fn arrived(&self) -> Result<u64, Failure> {
        self.sink.as_ref().map_or(Ok(0), Sink::good)
    }

    /// Runs a command in it to its end, with something on its standard input.
    pub(crate) fn run(&self, command: &[&str], input: &str) -> Result<(), Failure> {
        namespace::run("ip", &[&["netns", "exec", self.host.name()], command].concat(), input)?;
        Ok(())
    }
}

fn written(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

/// Removes the namespaces of runs whose process is no more.
pub(crate) fn sweep() {
    for name in namespace::list(PREFIX).unwrap_or_default() {
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()).unwrap_or_default();
        if !Path::new("/proc").join(process).exists() {
            let _ = namespace::run("ip", &["netns", "del", &name], "");
        }
    }
}
