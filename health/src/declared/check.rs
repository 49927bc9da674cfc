//! One check of one real server: what is asked of it, and from where.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{HttpCheck, KindDefaults, Script, Timing, UdpCheck};

/// A check of a real server.
///
/// Two checks that are equal are one: it is run once, whatever number of virtual servers asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Check {
    /// What is asked.
    pub kind: CheckKind,
    /// Whom, and from where. [`CheckKind::Misc`] and [`CheckKind::File`] ask nobody themselves, and look at nothing of
    /// it but the address, which tells the checks of different servers apart.
    pub endpoint: Endpoint,
    /// How often.
    pub timing: Timing,
}

/// What is asked of a real server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckKind {
    /// `TCP_CHECK`: a connection can be made.
    Tcp,
    /// `HTTP_GET` or, with [`HttpCheck::tls`], `SSL_GET`.
    Http(HttpCheck),
    /// `SMTP_CHECK`: a mail server greets and takes a HELO.
    Smtp {
        /// `helo_name`: the name we say HELO with; keepalived's own default is `smtpchecker.keepalived.org`.
        helo_name: String,
    },
    /// `DNS_CHECK`: a name server answers a question without an error.
    Dns {
        /// `type`
        kind: DnsType,
        /// `name`, `.` by default.
        name: String,
    },
    /// `UDP_CHECK`: a datagram is answered or, where no answer is wanted, not refused.
    Udp(UdpCheck),
    /// `PING_CHECK`: an ICMP echo is answered.
    Ping,
    /// `MISC_CHECK`: a program says how the server does.
    Misc(MiscCheck),
    /// `FILE_CHECK`: a file says how the server does.
    File(FileCheck),
}

impl CheckKind {
    /// The name as keepalived.conf spells it.
    pub const fn keyword(&self) -> &'static str {
        match self {
            Self::Tcp => "TCP_CHECK",
            Self::Http(check) if check.tls.is_some() => "SSL_GET",
            Self::Http(_) => "HTTP_GET",
            Self::Smtp { .. } => "SMTP_CHECK",
            Self::Dns { .. } => "DNS_CHECK",
            Self::Udp(_) => "UDP_CHECK",
            Self::Ping => "PING_CHECK",
            Self::Misc(_) => "MISC_CHECK",
            Self::File(_) => "FILE_CHECK",
        }
    }

    /// Which defaults this kind's timers have.
    pub const fn defaults(&self) -> KindDefaults {
        match self {
            Self::Http(_) => KindDefaults::Http,
            Self::Dns { .. } => KindDefaults::Dns,
            Self::Misc(_) => KindDefaults::Misc,
            Self::Tcp | Self::Smtp { .. } | Self::Udp(_) | Self::Ping | Self::File(_) => KindDefaults::Other,
        }
    }
}

/// Whom a check speaks to, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// The real server's address and port, or `connect_ip` and `connect_port` where those were given; by the way of the
    /// traffic ([`Path::Data`]) the virtual server's.
    pub address: SocketAddr,
    /// Which way its packets take there.
    #[serde(default)]
    pub path: Path,
    /// Where the check comes from.
    #[serde(default)]
    pub bind: Bind,
    /// `fwmark`: the mark the check's packets carry on this host; 0 for none.
    #[serde(default)]
    pub fwmark: u32,
}

impl Endpoint {
    /// An address reached in the ordinary way.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, path: Path::Host, bind: Bind::default(), fwmark: 0 }
    }
}

/// Which way the packets of a check take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// That of the host's own packets, by its routes.
    #[default]
    Host,
    /// That of the traffic: they are sent to the virtual server and, whichever server would be chosen, to this one, as
    /// the virtual server's packets are. For checks that speak TCP or UDP.
    Data(SocketAddr),
}

/// Where a check comes from; by default wherever the host's routes say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Bind {
    /// `bindto`
    pub address: Option<IpAddr>,
    /// `bind_if`
    pub interface: Option<String>,
    /// `bind_port`; 0 for any.
    pub port: u16,
}

/// The kind of record a `DNS_CHECK` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsType {
    /// An IPv4 address.
    A,
    /// A name server.
    Ns,
    /// An alias.
    Cname,
    /// The start of authority.
    #[default]
    Soa,
    /// A mail exchange.
    Mx,
    /// A text.
    Txt,
    /// An IPv6 address.
    Aaaa,
}

impl DnsType {
    /// Every kind there is.
    pub const ALL: [Self; 7] = [Self::A, Self::Ns, Self::Cname, Self::Soa, Self::Mx, Self::Txt, Self::Aaaa];

    /// Its name, as keepalived.conf spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Ns => "NS",
            Self::Cname => "CNAME",
            Self::Soa => "SOA",
            Self::Mx => "MX",
            Self::Txt => "TXT",
            Self::Aaaa => "AAAA",
        }
    }

    /// The kind of this name, in upper or lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

/// A program that says how a server does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MiscCheck {
    /// `misc_path` with `user`.
    pub script: Script,
    /// `misc_timeout`: how long it may run before it is killed with its children; `delay_loop` when not given.
    pub timeout: Duration,
    /// `misc_dynamic`: an exit status of 2 to 255 stands for a weight of 0 to 253.
    pub dynamic: bool,
}

/// A file that says how a server does, by the whole number in it.
///
/// The number times [`weight`](Self::weight), negated when [`reverse`](Self::reverse) is set, must not be under
/// -2147483647, or the server is down. With a weight of 0 the server is up while the number is 0 or, reversed, while
/// it is not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileCheck {
    /// The name of the `track_file` block.
    pub name: String,
    /// The file it names. One that is not there, or holds no number, counts as 0.
    pub path: PathBuf,
    /// `weight`: that of the check or, where it has none, that of the `track_file`.
    pub weight: i32,
    /// `reverse`
    pub reverse: bool,
    /// The product is added to the server's weight.
    pub dynamic: bool,
}
