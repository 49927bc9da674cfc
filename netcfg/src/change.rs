//! One thing to change on the host, as data: what it is called, and the command an operator would type.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{nft, sysctl};

/// One change to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// A kernel parameter gets a value.
    Sysctl {
        /// Slash-separated name below `/proc/sys`.
        key: String,
        /// The value in the kernel's notation.
        value: String,
    },
    /// An address is put on an interface, for itself alone (/32 or /128).
    Address {
        /// The interface's name.
        interface: String,
        /// The address.
        ip: IpAddr,
        /// The IPv4 label, such as `eth0:0`.
        label: Option<String>,
    },
    /// The route to an address through an interface (`route add -host`).
    HostRoute {
        /// The interface's name.
        interface: String,
        /// The address.
        ip: IpAddr,
    },
    /// Our nftables table holds these rules of source NAT.
    SourceNat {
        /// The rules in nftables' words.
        rules: Vec<String>,
    },
    /// Tunnelled packets lose their outer header.
    Decapsulation {
        /// The interface they come in through.
        interface: String,
        /// The inner destinations it is for.
        vips: Vec<IpAddr>,
    },
}

/// What stood in a change's place before it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Before {
    /// Nothing: undoing is removing.
    Absent,
    /// A kernel parameter's value, and the values of those a write to it changes too.
    Values {
        /// The parameter's own value.
        value: String,
        /// The others, by key.
        others: Vec<(String, String)>,
    },
    /// An nftables table with this text.
    Table(String),
}

impl Change {
    pub(crate) fn sysctl(key: impl Into<String>, value: &str) -> Self {
        Self::Sysctl { key: key.into(), value: value.to_owned() }
    }

    /// Whether both concern the same object of the host, whatever they make of it.
    pub(crate) fn is_about_same(&self, other: &Self) -> bool {
        self.object() == other.object()
    }

    /// Kind, name and address of what the change is about.
    fn object(&self) -> (&'static str, &str, Option<IpAddr>) {
        match self {
            Self::Sysctl { key, .. } => ("sysctl", key, None),
            Self::Address { interface, ip, .. } => ("address", interface, Some(*ip)),
            Self::HostRoute { interface, ip } => ("route", interface, Some(*ip)),
            Self::SourceNat { .. } => ("source-nat", nft::TABLE, None),
            Self::Decapsulation { interface, .. } => ("decapsulation", interface, None),
        }
    }

    /// The commands that make the change on a machine without lvsd.
    pub fn commands(&self) -> Vec<String> {
        match self {
            Self::Sysctl { key, value } => vec![format!("sysctl -w {}={value}", sysctl::dotted(key))],
            Self::Address { interface, ip: ip @ IpAddr::V4(_), label } => {
                let label = label.as_ref().map(|label| format!(" label {label}")).unwrap_or_default();
                vec![format!("ip addr add {ip}/32 broadcast {ip} dev {interface}{label}")]
            }
            Self::Address { interface, ip, .. } => {
                vec![format!("ip -6 addr add {ip}/128 dev {interface} nodad")]
            }
            Self::HostRoute { interface, ip } => {
                vec![format!("ip route add {ip} dev {interface} scope link src {ip}")]
            }
            Self::SourceNat { rules } => nft::commands(rules),
            Self::Decapsulation { vips, .. } => tunnel_devices(vips),
        }
    }

    /// The commands that take the change back to what was `before`.
    pub fn undo_commands(&self, before: &Before) -> Vec<String> {
        match (self, before) {
            (Self::Sysctl { key, .. }, Before::Values { value, others }) => {
                let own = (key.clone(), value.clone());
                let all = std::iter::once(&own).chain(others);
                all.map(|(key, value)| format!("sysctl -w {}={value}", sysctl::dotted(key))).collect()
            }
            (Self::Sysctl { .. }, Before::Absent | Before::Table(_)) => Vec::new(),
            (Self::Address { interface, ip, .. }, _) => {
                vec![format!("ip addr del {} dev {interface}", IpNet::from(*ip))]
            }
            (Self::HostRoute { interface, ip }, _) => vec![format!("ip route del {ip} dev {interface}")],
            (Self::SourceNat { .. }, Before::Table(text)) => {
                vec![format!("nft delete table {}", nft::TABLE), format!("nft -f - <<'EOF'\n{text}EOF")]
            }
            (Self::SourceNat { .. }, Before::Absent | Before::Values { .. }) => {
                vec![format!("nft delete table {}", nft::TABLE)]
            }
            (Self::Decapsulation { interface, .. }, _) => {
                vec![format!("ip link set dev {interface} xdp off")]
            }
        }
    }

    /// What is wrong while the change is not in place.
    pub(crate) fn complaint(&self, found: Option<&str>) -> String {
        match self {
            Self::Sysctl { key, value } => {
                let key = sysctl::dotted(key);
                match found {
                    Some(found) => format!("{key} is {found}, it must be {value}"),
                    None => format!("{key} does not exist, it must be {value}"),
                }
            }
            Self::Address { interface, ip, .. } => format!("{ip} is not on {interface}"),
            Self::HostRoute { interface, ip } => format!("there is no route to {ip} through {interface}"),
            Self::SourceNat { .. } => match found {
                Some(_) => format!("the nftables table {} holds other rules", nft::TABLE),
                None => "the servers' own traffic gets no source NAT".to_owned(),
            },
            Self::Decapsulation { interface, .. } => {
                format!("nothing takes the outer header off tunnelled packets on {interface}")
            }
        }
    }
}

/// The kernel's own tunnel devices, for a machine whose kernel has them.
fn tunnel_devices(vips: &[IpAddr]) -> Vec<String> {
    let mut commands = Vec::new();
    if vips.iter().any(IpAddr::is_ipv4) {
        commands.push("modprobe ipip".to_owned());
        commands.push("ip link set tunl0 up".to_owned());
        commands.push("sysctl -w net.ipv4.conf.tunl0.rp_filter=0".to_owned());
    }
    if vips.iter().any(IpAddr::is_ipv6) {
        commands.push("modprobe ip6_tunnel".to_owned());
        commands.push("ip link set ip6tnl0 up".to_owned());
    }
    commands
}
