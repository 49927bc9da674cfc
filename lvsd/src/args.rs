//! The command line of `lvsd`: what can be typed, and the help that says so.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use lvs_netcfg::JOURNAL_DIRECTORY;

use crate::config::{FlowCache, XdpMode};
use crate::control::DEFAULT_SOCKET;
use crate::mark::{MarkRule, PortRange, network};
use crate::message::Transport;
use crate::proc::File;

const EXIT_STATUS: &str = "\
Exit status:
  0  it worked
  1  it did not; why is on standard error
  2  the command line or a file has a mistake; nothing was started or changed
  3  `check` found something that is not as it should be";

/// The Linux Virtual Server in user space.
///
/// A director takes the packets of its virtual services from the network card (AF_XDP), chooses a real server for
/// each new connection and sends the packets on: by NAT, by direct routing or through a tunnel. Services are
/// managed with `lvsadm`, which speaks ipvsadm's language, or written into a file.
#[derive(Debug, Parser)]
#[command(name = "lvsd", version, propagate_version = true, max_term_width = 100, after_help = EXIT_STATUS)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `lvsd`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the director in the foreground
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Say what is wrong with a configuration, and what in it has no effect; nothing is started
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Let the running director read its files again: it changes what differs, or nothing where one has a mistake
    #[command(after_help = "SIGHUP does the same; what came of it is in the log then.")]
    Reload(QueryArgs),
    /// Set up, check or put back the host around a director or a real server
    #[command(subcommand)]
    Host(HostCommand),
    /// Try it: a client, a director and real servers on this machine, in network namespaces of their own
    #[command(after_help = LAB_EXAMPLES)]
    Lab(LabArgs),
    /// Give packets firewall marks, for services on marks (`lvsadm -f`)
    #[command(subcommand, after_help = MARK_EXAMPLES)]
    Mark(MarkCommand),
    /// Show how the running director does: its interfaces and where every packet went
    Status(QueryArgs),
    /// Show which packets the running director dropped, and why
    Drops(QueryArgs),
    /// Show what the kernel's IPVS shows in a file of /proc/net
    #[command(after_help = PROC_EXAMPLES)]
    Proc(ProcArgs),
    /// Show the real servers' checks: what each said last, when and why, and which quorum stands
    Health(QueryArgs),
    /// Show the virtual routers (VRRP): their states, masters and adverts
    Vrrp(QueryArgs),
    /// Takes the virtual addresses back when the daemon is gone; started by the daemon
    #[command(hide = true)]
    VrrpGuard,
    /// Show or set the values of net.ipv4.vs, by the kernel's names
    #[command(after_help = SYSCTL_EXAMPLES)]
    Sysctl(SysctlArgs),
    /// Play a timeline through the director, in memory and on the timeline's own clock
    Replay(ReplayArgs),
    /// A web server and an echo server that say who they are: the real servers of `lvsd lab`
    #[command(hide = true)]
    LabServer(LabServerArgs),
}

const RUN_EXAMPLES: &str = "\
Examples:
  lvsd run -i eth0                            direct routing or tunnel, one interface; services by lvsadm
  lvsd run -i eth0 -i eth1                    NAT between two interfaces
  lvsd run -i eth0 --rules /etc/ipvsadm.rules what `ipvsadm -S` saved
  lvsd run -c /etc/lvsd.toml                  everything from a file
  lvsd run --keepalived /etc/keepalived/keepalived.conf
                                              keepalived's file as it stands: services, checks, virtual routers

SIGINT or SIGTERM stops it: the XDP program is detached and the host is as it was before.
The environment variable RUST_LOG says what is logged (for example RUST_LOG=lvsd=debug).";

/// `lvsd run`
#[derive(Debug, Args, Default)]
pub struct RunArgs {
    /// Read the configuration from this file
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Take packets from this interface; may be given several times, and replaces the file's list
    #[arg(short, long = "interface", value_name = "IF")]
    pub interfaces: Vec<String>,
    /// Load services from this file, as `ipvsadm -S` writes it
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Take services, checks and virtual routers from this file, as keepalived reads it; without -i the interfaces
    /// of its virtual routers are served
    #[arg(long, value_name = "FILE")]
    pub keepalived: Option<PathBuf>,
    /// The name that `@` lines of keepalived.conf know this host by [default: the host's name up to the first dot]
    #[arg(long, value_name = "NAME", requires = "keepalived")]
    pub config_id: Option<String>,
    /// Listen for lvsadm on this socket [default: /run/lvsd/lvsd.sock]
    #[arg(long, value_name = "PATH", env = "LVSD_SOCKET")]
    pub socket: Option<PathBuf>,
    /// How the XDP program is attached; replaces the file's
    #[arg(long, value_enum)]
    pub mode: Option<XdpMode>,
    /// Serve this many queues of each interface, one worker each; all of them when not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub queues: Option<u32>,
    /// Let the XDP program forward established connections itself: on, off, or for at most so many flows
    #[arg(long, value_name = "on|off|FLOWS")]
    pub flow_cache: Option<FlowCache>,
    /// Log this and what is worse: error, warn, info, debug, trace, or a filter like lvsd=debug
    #[arg(long, value_name = "FILTER", env = "RUST_LOG")]
    pub log: Option<String>,
    /// Read the files, say what is wrong with them, and start nothing
    #[arg(long)]
    pub check: bool,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  lvsd check /etc/keepalived/keepalived.conf
  lvsd check --config-id main keepalived.conf
  lvsd check lvsd.toml
  lvsd check ipvsadm.rules

A name that ends in .toml is lvsd's own file, one in .rules what `ipvsadm -S` writes, any other, or one with
`keepalived` in it, keepalived's. Mistakes and warnings go to standard error with file, line and column.";

/// `lvsd check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The file
    pub file: PathBuf,
    /// The name that `@` lines of keepalived.conf know this host by [default: the host's name up to the first dot]
    #[arg(short = 'i', long, value_name = "NAME")]
    pub config_id: Option<String>,
}

const MARK_EXAMPLES: &str = "\
The first rule that fits a packet gives it its mark; a packet that none fits has none. Only the first packet of a
connection is looked at: a change leaves the connections there are alone. The host's own firewall cannot mark, for the
director takes its packets before. What is added here is gone after a restart; [[mark]] in the file stays.

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

/// `lvsd reload`, `lvsd status`, `lvsd drops`, `lvsd sysctl` and `lvsd mark list`
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// Ask the director that listens on this socket
    #[arg(long, value_name = "PATH", env = "LVSD_SOCKET", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `lvsd proc` takes.
#[derive(Debug, Args)]
pub struct ProcArgs {
    /// The file's name
    #[arg(value_name = "NAME")]
    pub file: File,
    /// Whom to ask, and how to print.
    #[command(flatten)]
    pub query: QueryArgs,
}

const PROC_EXAMPLES: &str = "\
Examples:
  lvsd proc ip_vs                     services and servers, addresses and ports in hexadecimal digits
  lvsd proc ip_vs_stats --json        the counters of all services together, for a program

The running director also keeps them as files under /run/lvsd/proc ([proc] in lvsd.toml): there
`node_exporter --path.procfs=/run/lvsd/proc --collector.disable-defaults --collector.ipvs` finds them.";

const SYSCTL_EXAMPLES: &str = "\
Examples:
  lvsd sysctl                                             all values
  lvsd sysctl net.ipv4.vs.expire_nodest_conn              one value
  lvsd sysctl expire_nodest_conn=1 net.ipv4.vs.sloppy_tcp=1

Several are set together or, if one is wrong, not at all. What has no effect in this director says so. What is set
here is gone after a restart; [vs] in the file stays.";

/// `lvsd sysctl`
#[derive(Debug, Args)]
pub struct SysctlArgs {
    /// A name to read, or NAME=VALUE to set; the names may lack their net.ipv4.vs.
    #[arg(value_name = "NAME[=VALUE]")]
    pub settings: Vec<String>,
    /// Ask the director that listens on this socket
    #[command(flatten)]
    pub query: QueryArgs,
}

/// `lvsd replay`
#[derive(Debug, Args)]
#[command(after_help = "The answering timeline goes to standard output, one JSON object a line.")]
pub struct ReplayArgs {
    /// The timeline: one JSON object a line
    pub timeline: PathBuf,
    /// The hosts around the director
    #[arg(long, value_name = "FILE")]
    pub topology: Option<PathBuf>,
}

const LAB_EXAMPLES: &str = "\
Examples:
  lvsd lab              all three ways of forwarding, one after the other, then everything is taken down
  lvsd lab nat          NAT alone
  lvsd lab dr --keep    leave it up to look around; it says how to enter and how to remove it

It must be run as root. It touches nothing of this machine's own network, and sends nothing outside.";

/// `lvsd lab`
#[derive(Debug, Args)]
pub struct LabArgs {
    /// Which way of forwarding to try
    #[arg(value_enum, default_value_t = LabMode::All)]
    pub mode: LabMode,
    /// Leave everything up afterwards
    #[arg(long)]
    pub keep: bool,
    /// Real servers for each way of forwarding
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub servers: u8,
    /// Take down a lab that was left up with --keep, by its number
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["mode", "keep"])]
    pub remove: Option<u32>,
}

/// What `lvsd lab` tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LabMode {
    /// NAT: packets pass the director both ways
    Nat,
    /// Direct routing: real servers answer the client themselves
    Dr,
    /// Tunnel: as direct routing, but the real servers are in another network
    Tun,
    /// All three
    All,
}

/// `lvsd lab-server`
#[derive(Debug, Args)]
pub struct LabServerArgs {
    /// The name it answers with
    #[arg(long)]
    pub name: String,
    /// Answer datagrams that are sent to this address; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub echo: Vec<IpAddr>,
}

/// `lvsd host`
#[derive(Debug, Subcommand)]
pub enum HostCommand {
    /// The director's host: service addresses, forwarding, redirects, source NAT
    #[command(after_help = DIRECTOR_EXAMPLES)]
    Director(DirectorArgs),
    /// A real server's host: the service's address where nobody asks for it, or the way back through the director
    #[command(after_help = REAL_SERVER_EXAMPLES)]
    RealServer(RealServerArgs),
}

/// What to do with a host's set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HostAction {
    /// Set it up; what was there before is written down first
    Apply,
    /// Say what is not as it should be, and the command that mends it; changes nothing
    Check,
    /// Put back exactly what was there before
    Revert,
}

const DIRECTOR_EXAMPLES: &str = "\
Examples:
  lvsd host director apply --vip 192.0.2.10 --dev eth0
  lvsd host director apply --vip 192.0.2.10 --dev eth0 --label eth0:0 --masquerade 10.0.0.0/24
  lvsd host director apply --vip 192.0.2.10 --dev eth0 --snat 10.0.0.0/24=192.0.2.1 --dry-run
  lvsd host director check --vip 192.0.2.10 --dev eth0
  lvsd host director revert";

/// `lvsd host director`
#[derive(Debug, Args)]
pub struct DirectorArgs {
    /// What to do
    #[arg(value_enum)]
    pub action: HostAction,
    /// A service's address (VIP); may be given several times
    #[arg(long = "vip", value_name = "ADDRESS")]
    pub vips: Vec<IpAddr>,
    /// The interface that carries the service addresses
    #[arg(long, value_name = "IF")]
    pub dev: Option<String>,
    /// The label of an IPv4 service address, such as eth0:0
    #[arg(long, value_name = "LABEL")]
    pub label: Option<String>,
    /// Send what the servers of this network ask of others under the address of the interface it leaves through
    #[arg(long, value_name = "NETWORK")]
    pub masquerade: Vec<IpNet>,
    /// Send what the servers of this network ask of others under this address
    #[arg(long, value_name = "NETWORK=ADDRESS", value_parser = source_nat)]
    pub snat: Vec<(IpNet, IpAddr)>,
    /// Source NAT only for what leaves through this interface
    #[arg(long, value_name = "IF")]
    pub out: Option<String>,
    /// Print the commands that would do the same, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Where it is written down what was there before
    #[arg(long, value_name = "DIR", default_value = JOURNAL_DIRECTORY)]
    pub journal: PathBuf,
}

const REAL_SERVER_EXAMPLES: &str = "\
Examples:
  lvsd host real-server apply --mode dr --vip 192.0.2.10
  lvsd host real-server apply --mode tun --vip 192.0.2.10 --vip 2001:db8::10 --dev eth0
  lvsd host real-server check --mode nat --director 10.0.0.1
  lvsd host real-server apply --mode dr --vip 192.0.2.10 --dry-run
  lvsd host real-server revert";

/// `lvsd host real-server`
#[derive(Debug, Args)]
pub struct RealServerArgs {
    /// What to do
    #[arg(value_enum)]
    pub action: HostAction,
    /// How the director sends packets here
    #[arg(long, value_enum)]
    pub mode: Option<RealServerMode>,
    /// A service's address (VIP); may be given several times
    #[arg(long = "vip", value_name = "ADDRESS")]
    pub vips: Vec<IpAddr>,
    /// The label of an IPv4 service address, such as lo:0
    #[arg(long, value_name = "LABEL")]
    pub label: Option<String>,
    /// The interface that tunnelled packets come in through
    #[arg(long, value_name = "IF")]
    pub dev: Option<String>,
    /// The director's address on the servers' network, which must be the gateway (NAT)
    #[arg(long, value_name = "ADDRESS")]
    pub director: Vec<IpAddr>,
    /// Print the commands that would do the same, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Where it is written down what was there before
    #[arg(long, value_name = "DIR", default_value = JOURNAL_DIRECTORY)]
    pub journal: PathBuf,
}

/// How packets reach a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RealServerMode {
    /// NAT: its gateway must be the director
    Nat,
    /// Direct routing: the service's address on lo, not answered for
    Dr,
    /// Tunnel: as direct routing, and the outer header is taken off
    Tun,
}

fn source_nat(text: &str) -> Result<(IpNet, IpAddr), String> {
    let (network, address) =
        text.split_once('=').ok_or("expected NETWORK=ADDRESS, such as 10.0.0.0/24=192.0.2.1")?;
    let network: IpNet = network
        .parse()
        .map_err(|_| format!("`{network}` is not a network; expected one such as 10.0.0.0/24"))?;
    let address: IpAddr = address
        .parse()
        .map_err(|_| format!("`{address}` is not an address; expected one such as 192.0.2.1"))?;
    if network.addr().is_ipv4() == address.is_ipv4() {
        Ok((network, address))
    } else {
        Err(format!("{network} and {address} are not of one address family"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_source_nat_names_its_network_and_address() {
        assert!(source_nat("10.0.0.0/24=192.0.2.1").is_ok());
        for wrong in ["10.0.0.0/24", "10.0.0.0/33=192.0.2.1", "10.0.0.0/24=fd00::1", "10.0.0.0/24=x"] {
            assert!(source_nat(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_command_has_a_first_line_of_help() {
        fn walk(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            command.get_subcommands().filter(|sub| sub.get_name() != "help").for_each(walk);
        }
        walk(&Cli::command());
    }
}
