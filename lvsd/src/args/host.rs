//! `lvsd host`: the host around a director or a real server.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;
use lvs_netcfg::JOURNAL_DIRECTORY;

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
    use super::*;

    #[test]
    fn a_source_nat_names_its_network_and_address() {
        assert!(source_nat("10.0.0.0/24=192.0.2.1").is_ok());
        for wrong in ["10.0.0.0/24", "10.0.0.0/33=192.0.2.1", "10.0.0.0/24=fd00::1", "10.0.0.0/24=x"] {
            assert!(source_nat(wrong).is_err(), "{wrong}");
        }
    }
}
