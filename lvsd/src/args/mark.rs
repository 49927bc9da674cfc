//! `lvsd mark`: rules that give packets their marks.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;

use super::QueryArgs;
use crate::control::DEFAULT_SOCKET;
use crate::mark::{MarkRule, PortRange, network};
use crate::message::Transport;

pub(super) const MARK_EXAMPLES: &str = "\
The first rule that fits a packet gives it its mark; a packet that none fits has none. Only the first packet of a \
connection is looked at: a change leaves the connections there are alone. The host's own firewall cannot mark, for the \
director takes its packets before. What is added here is gone after a stop; [[mark]] in the file stays.

Examples:
  lvsd mark add 1 --destination 192.0.2.10 --protocol tcp --ports 80,443
  lvsd mark add 2 --destination 2001:db8::/64 --ports 8000-8100 --source fd00::/8
  lvsd mark add 3 --destination 192.0.2.10 --interface eth1 --at 1
  lvsd mark list
  lvsd mark del --number 2
  lvsd mark del 1 --destination 192.0.2.10 --protocol tcp --ports 80,443
  lvsadm -A -f 1 -s rr -p 300 && lvsadm -A -f 2 -6 -s wlc";

/// `lvsd mark`
#[derive(Debug, Subcommand)]
pub enum MarkCommand {
    /// Add a rule, as the last one or where --at says
    Add {
        /// The rule.
        #[command(flatten)]
        rule: MarkArgs,
        /// Its place in the list, counted from 1
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
        at: Option<u32>,
        /// Ask the director that listens on this socket
        #[arg(long, value_name = "PATH", env = "LVSD_SOCKET", default_value = DEFAULT_SOCKET)]
        socket: PathBuf,
    },
    /// Remove a rule, named by its number or by all that it says
    Del {
        /// The rule's number, as `lvsd mark list` shows it
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
        #[arg(conflicts_with = "MarkArgs", required_unless_present = "mark")]
        number: Option<u32>,
        /// The rule.
        #[command(flatten)]
        rule: Option<MarkArgs>,
        /// Ask the director that listens on this socket
        #[arg(long, value_name = "PATH", env = "LVSD_SOCKET", default_value = DEFAULT_SOCKET)]
        socket: PathBuf,
    },
    /// Show the rules in their order
    List(QueryArgs),
}

/// A rule of `lvsd mark`
#[derive(Debug, Args)]
pub struct MarkArgs {
    /// The mark
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub mark: u32,
    /// Packets to this network or address
    #[arg(long, value_name = "NETWORK", value_parser = mark_network)]
    pub destination: Option<IpNet>,
    /// Packets from this network or address
    #[arg(long, value_name = "NETWORK", value_parser = mark_network)]
    pub source: Option<IpNet>,
    /// Packets of this protocol
    #[arg(long, value_enum)]
    pub protocol: Option<MarkProtocol>,
    /// Packets to these ports: numbers and ranges, separated by commas
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub ports: Vec<PortRange>,
    /// Packets from these ports
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub source_ports: Vec<PortRange>,
    /// Packets that come in through this interface
    #[arg(long, value_name = "IF")]
    pub interface: Option<String>,
}

/// A protocol whose packets can be marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MarkProtocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// SCTP
    Sctp,
}

impl From<&MarkArgs> for MarkRule {
    fn from(args: &MarkArgs) -> Self {
        Self {
            mark: args.mark,
            destination: args.destination,
            source: args.source,
            protocol: args.protocol.map(|protocol| match protocol {
                MarkProtocol::Tcp => Transport::Tcp,
                MarkProtocol::Udp => Transport::Udp,
                MarkProtocol::Sctp => Transport::Sctp,
            }),
            ports: args.ports.clone(),
            source_ports: args.source_ports.clone(),
            interface: args.interface.clone(),
        }
    }
}

fn mark_network(text: &str) -> Result<IpNet, String> {
    network(text).ok_or_else(|| {
        format!("`{text}` is no network; expected one such as 10.0.0.0/24, or an address for itself alone")
    })
}
