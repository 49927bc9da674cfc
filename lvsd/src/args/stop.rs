//! `lvsd stop` and `lvsd clean`: the ways in which a director ends, and what it may leave.

use std::path::PathBuf;

use clap::Args;

use crate::control::DEFAULT_SOCKET;

pub(super) const STOP_EXAMPLES: &str = "\
Without an option no server gets new connections any more (as with weight 0), and the director ends once no TCP \
connection is established, or when the time is over; then the host is as it was before. UDP is not waited for, and a \
persistent client is sent to its server until the end. Virtual addresses (VRRP) go at the end.

Examples:
  lvsd stop                  wait a minute at most
  lvsd stop --timeout 3600   wait an hour at most
  lvsd stop --now            as SIGTERM
  lvsd stop --hand-over && lvsd run -c /etc/lvsd.toml
                             a new version; established connections go on meanwhile";

/// `lvsd stop`
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Wait for connections so many seconds at most
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u32,
    /// Do not wait for connections: they end
    #[arg(long)]
    pub now: bool,
    /// Leave the connections to the XDP program, and the host as it is set up: the next `lvsd run` takes all over.
    /// Until then new connections wait. Virtual routers give their addresses to their peers
    #[arg(long, conflicts_with = "now")]
    pub hand_over: bool,
    /// End the director that listens on this socket
    #[arg(long, value_name = "PATH", env = "LVSD_SOCKET", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
}

pub(super) const CLEAN_NOTES: &str = "\
For after a crash or `lvsd stop --hand-over` when no director is to follow: established connections end. It says what \
it removes, and nothing when there is nothing. While a director lives it refuses; interfaces that another director \
serves are left alone.";

/// `lvsd clean`
#[derive(Debug, Args)]
pub struct CleanArgs {
    /// The socket that the director listened on: its files are in the same directory
    #[arg(long, value_name = "PATH", env = "LVSD_SOCKET", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
}
