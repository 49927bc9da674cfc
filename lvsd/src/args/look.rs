//! Reading the running director: `lvsd proc` and `lvsd sysctl`.

use clap::Args;

use super::QueryArgs;
use crate::proc::File;

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

pub(super) const PROC_EXAMPLES: &str = "\
Examples:
  lvsd proc ip_vs                     services and servers, addresses in hexadecimal
  lvsd proc ip_vs_stats --json        the counters of all services together, for a program

The running director also keeps them as files under /run/lvsd/proc ([proc] in lvsd.toml): there \
`node_exporter --path.procfs=/run/lvsd/proc --collector.disable-defaults --collector.ipvs` finds them.";

pub(super) const SYSCTL_EXAMPLES: &str = "\
Examples:
  lvsd sysctl                                             all values
  lvsd sysctl net.ipv4.vs.expire_nodest_conn              one value
  lvsd sysctl expire_nodest_conn=1 net.ipv4.vs.sloppy_tcp=1

Several are set together or, if one is wrong, not at all. What has no effect in this director says so. What is set \
here is gone after a stop; [vs] in the file stays.";

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
