//! What the daemon was told to be, read as a whole before anything is started or changed.

mod files;
mod mistake;
mod rules;
mod schema;
mod validate;
mod write;

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use ipnet::IpNet;
use lvs_forward::io::xdp::Families;
use lvs_vrrp::declared::Declared;
use serde::Deserialize;

use crate::mark::MarkRule;
use crate::message::{RealServer, ServiceId, Timeouts, VirtualService};

pub use files::Files;
pub(crate) use mistake::nearest;
pub use mistake::{Mistake, Mistakes, Told};

/// Everything the daemon runs by.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// The interfaces packets are taken from.
    pub interfaces: Vec<String>,
    /// How the XDP program is attached.
    pub mode: XdpMode,
    /// Queues of each interface to serve, one worker each; all of them when absent.
    pub queues: Option<u32>,
    /// Where the control socket lies; [`DEFAULT_SOCKET`](crate::control::DEFAULT_SOCKET) when absent.
    pub socket: Option<PathBuf>,
    /// What is logged.
    pub log: Option<String>,
    /// Connections the table may hold; the daemon's own default when absent.
    pub connection_limit: Option<u32>,
    /// Whether the XDP program forwards established connections; the daemon's own default when absent.
    pub flow_cache: Option<FlowCache>,
    /// Timeouts to start with.
    pub timeouts: Option<Timeouts>,
    /// Values of `net.ipv4.vs` to start with: names without that prefix, and values as text.
    pub sysctls: Vec<(&'static str, String)>,
    /// The files in the format of `/proc/net/ip_vs` and its neighbours.
    pub proc: ProcConfig,
    /// What is set up on the director's host while the daemon runs.
    pub host: HostConfig,
    /// The virtual routers.
    pub vrrp: Declared,
    /// Which packets carry which firewall mark: the first rule that fits counts.
    pub marks: Vec<MarkRule>,
    /// The virtual services with their real servers, in the file's order.
    pub services: Vec<ServiceConfig>,
    /// What holds for all checks of real servers.
    pub health: lvs_health::declared::Globals,
    /// The virtual servers whose real servers are checked.
    pub checked: Vec<CheckedConfig>,
}

/// A virtual service with its real servers.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceConfig {
    /// The service.
    pub service: VirtualService,
    /// Its servers, in the order they are added.
    pub servers: Vec<RealServer>,
}

/// The files in the format of `/proc/net/ip_vs` and its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcConfig {
    /// Where they lie, in a directory `net` of this one. When absent, in `/run/lvsd/proc` if the control socket lies
    /// at its own place too, and nowhere otherwise.
    pub directory: Option<PathBuf>,
    /// How often they are written, in seconds; 0 for never.
    pub interval: u32,
    /// While there are more connections and templates than this, the files that list them are not there.
    pub connections: u32,
}

impl Default for ProcConfig {
    fn default() -> Self {
        Self { directory: None, interval: 5, connections: 10_000 }
    }
}

/// A virtual server as its real servers' checks know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedConfig {
    /// Its real servers with their checks, and what follows from them.
    pub server: lvs_health::declared::VirtualServer,
    /// The services it stands for: one, or those of a group.
    pub services: Vec<ServiceId>,
    /// How packets reach its sorry server; port 0 behind a service that gathers all ports.
    pub sorry: Option<RealServer>,
}

/// What is set up on the director's host.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HostConfig {
    /// Service addresses to put on interfaces.
    pub vips: Vec<VipConfig>,
    /// Source NAT for what the servers themselves ask of others.
    pub source_nat: Vec<SourceNatConfig>,
}

impl HostConfig {
    /// True when the host is to be left as it is.
    pub const fn is_empty(&self) -> bool {
        self.vips.is_empty() && self.source_nat.is_empty()
    }
}

/// A service address on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VipConfig {
    /// The address.
    pub address: IpAddr,
    /// The interface that carries it.
    pub interface: String,
    /// The address's label, such as `eth0:0`.
    pub label: Option<String>,
}

/// Source NAT of one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceNatConfig {
    /// The servers' network.
    pub from: IpNet,
    /// Only what leaves through this interface.
    pub out: Option<String>,
    /// The address it leaves under; that of the interface when absent.
    pub to: Option<IpAddr>,
}

/// Whether the XDP program forwards the packets of established connections by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowCache {
    /// It does not: the director's workers see every packet.
    Off,
    /// It does.
    On,
    /// It does, for at most so many flows of IPv4, and of IPv6 where that is said; a connection of NAT has two.
    Flows(u32, Option<u32>),
}

impl FlowCache {
    /// Flows when nothing else is said. Their memory is taken when the director starts: 53 octets for one of IPv4 and
    /// 107 for one of IPv6.
    const FLOWS: Families = Families { v4: 1 << 18, v6: 1 << 16 };

    /// How many flows there may be; `None` where it is off.
    pub fn flows(self) -> Option<Families> {
        match self {
            Self::Off => None,
            Self::On => Some(Self::FLOWS),
            Self::Flows(v4, v6) => Some(Families { v4, v6: v6.unwrap_or_else(|| v4.min(Self::FLOWS.v6)) }),
        }
    }
}

impl FromStr for FlowCache {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::On),
            number => match number.parse() {
                Ok(flows @ 1..=0x0400_0000) => Ok(Self::Flows(flows, None)),
                Ok(_) | Err(_) => Err("expected on, off, or a number of flows up to 67108864".to_owned()),
            },
        }
    }
}

/// How the XDP program is attached to an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum XdpMode {
    /// Native where the driver can, generic otherwise
    #[default]
    Auto,
    /// In the driver
    Native,
    /// In the kernel's generic path: slower, works everywhere
    Generic,
}

/// A file that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It could not be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It has mistakes.
    #[error(transparent)]
    Mistaken(#[from] Mistakes),
}

impl Config {
    /// Reads a configuration file (TOML).
    ///
    /// # Errors
    /// The file cannot be read, or has mistakes; each names its line and column.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Ok(Self::parse(&path.display().to_string(), &read(path)?)?)
    }

    /// Reads a configuration out of `source`; `origin` names it in messages.
    ///
    /// # Errors
    /// The text has mistakes.
    pub fn parse(origin: &str, source: &str) -> Result<Self, Mistakes> {
        schema::parse(source)
            .map_err(|mistake| vec![mistake])
            .and_then(validate::config)
            .map_err(|mistakes| Mistakes::new(origin, source, mistakes))
    }

    /// Adds the services of a file in the format of `ipvsadm -S`.
    ///
    /// # Errors
    /// The file cannot be read, or has mistakes; the configuration is then as it was.
    pub fn load_rules(&mut self, path: &Path) -> Result<(), ConfigError> {
        let source = read(path)?;
        let services = rules::parse(&source, &self.services)
            .map_err(|mistakes| Mistakes::new(&path.display().to_string(), &source, mistakes))?;
        self.services = services;
        Ok(())
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

/// The names of the persistence engines there are.
pub(crate) const PERSISTENCE_ENGINES: [&str; 1] = ["sip"];
/// A scheduler flag's name, its bit in [`VirtualService::flags`], and the one scheduler it belongs to.
pub(crate) const SCHEDULER_FLAGS: [(&str, u8, Option<&str>); 7] = [
    ("flag-1", 1, None),
    ("flag-2", 2, None),
    ("flag-3", 4, None),
    ("sh-fallback", 1, Some("sh")),
    ("sh-port", 2, Some("sh")),
    ("mh-fallback", 1, Some("mh")),
    ("mh-port", 2, Some("mh")),
];

/// The names of the schedulers there are.
fn schedulers() -> Vec<&'static str> {
    lvs_sched::Kind::ALL.into_iter().map(lvs_sched::Kind::name).collect()
}
