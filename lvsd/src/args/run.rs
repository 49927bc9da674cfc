//! Starting the director and reading its files: `lvsd run` and `lvsd check`.

use std::path::PathBuf;

use clap::Args;

use crate::config::{FlowCache, XdpMode};

pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  lvsd run -i eth0                             direct routing or tunnel; services by lvsadm
  lvsd run -i eth0 -i eth1                     NAT between two interfaces
  lvsd run -i eth0 --rules /etc/ipvsadm.rules  what `ipvsadm -S` saved
  lvsd run -c /etc/lvsd.toml                   everything from a file
  lvsd run --keepalived /etc/keepalived/keepalived.conf
                                               keepalived's file: services, checks, VRRP

SIGINT or SIGTERM stops it: the XDP program is detached and the host is as it was before (`lvsd stop` has other ways). \
After a crash the XDP program goes on with the connections it knows; the next `lvsd run` takes them over, reads the \
files as ever and then makes again what lvsadm, `lvsd mark` and `lvsd sysctl` had changed: what they added is there, \
what they removed is not, and all they did not touch is as the files say now. Persistence is as it was a few seconds \
before. `lvsd clean` removes it all instead.

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

pub(super) const CHECK_EXAMPLES: &str = "\
Examples:
  lvsd check /etc/keepalived/keepalived.conf
  lvsd check --config-id main keepalived.conf
  lvsd check lvsd.toml
  lvsd check ipvsadm.rules

A name that ends in .toml is lvsd's own file, one in .rules what `ipvsadm -S` writes, any other, or one with \
`keepalived` in it, keepalived's. Mistakes and warnings go to standard error with file, line and column; with --json to \
standard output.";

/// `lvsd check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The file
    pub file: PathBuf,
    /// The name that `@` lines of keepalived.conf know this host by [default: the host's name up to the first dot]
    #[arg(short = 'i', long, value_name = "NAME")]
    pub config_id: Option<String>,
    /// Print JSON: what is in the file, its mistakes and its warnings
    #[arg(long)]
    pub json: bool,
}

pub(super) const IMPORT_EXAMPLES: &str = "\
Examples:
  lvsd import keepalived.conf                         the toml to standard output
  lvsd import keepalived.conf -o lvsd.toml            and then: lvsd run -c lvsd.toml
  lvsd import --partial keepalived.conf -o lvsd.toml  also where something is refused

The report goes to standard error. A file with a mistake, or with a keyword that lvsd refuses, is not carried over and \
the exit status is 2; with --partial what is refused is left out and told of, and the status is 3.";

/// `lvsd import`
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The keepalived.conf
    pub file: PathBuf,
    /// Write to this file instead of standard output; only its owner may read it
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the file where it is there
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Leave out what cannot be carried over
    #[arg(long)]
    pub partial: bool,
    /// The name that `@` lines of keepalived.conf know this host by [default: the host's name up to the first dot]
    #[arg(short = 'i', long, value_name = "NAME")]
    pub config_id: Option<String>,
    /// Report in JSON
    #[arg(long)]
    pub json: bool,
}
