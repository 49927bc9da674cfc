//! Trying it out: `lvsd lab` and `lvsd replay`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub(super) const LAB_EXAMPLES: &str = "\
Examples:
  lvsd lab              all three ways of forwarding in turn; then all is taken down
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
