//! The command line of `lvsd`: what can be typed, and the help that says so.

mod host;
mod lab;
mod look;
mod mark;
mod run;
mod stop;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::control::DEFAULT_SOCKET;

pub use host::{DirectorArgs, HostAction, HostCommand, RealServerArgs, RealServerMode};
pub use lab::{LabArgs, LabMode, LabServerArgs, ReplayArgs};
pub use look::{ProcArgs, SysctlArgs};
pub use mark::{MarkArgs, MarkCommand, MarkProtocol};
pub use run::{CheckArgs, ImportArgs, RunArgs};
pub use stop::{CleanArgs, StopArgs};

use lab::LAB_EXAMPLES;
use look::{PROC_EXAMPLES, SYSCTL_EXAMPLES};
use mark::MARK_EXAMPLES;
use run::{CHECK_EXAMPLES, IMPORT_EXAMPLES, RUN_EXAMPLES};
use stop::{CLEAN_NOTES, STOP_EXAMPLES};

const EXIT_STATUS: &str = "\
Exit status:
  0  it worked
  1  it did not; why is on standard error
  2  the command line or a file has a mistake; nothing was started or changed
  3  `host .. check` found something amiss, or `import --partial` left something out";

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
    /// Write a keepalived.conf as an lvsd.toml, and say what was carried over and what was not
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(ImportArgs),
    /// Let the running director read its files again: it changes what differs, or nothing where one has a mistake
    #[command(after_help = "SIGHUP does the same; what came of it is in the log then.")]
    Reload(QueryArgs),
    /// End the running director: when its connections have ended, at once, or for a successor
    #[command(after_help = STOP_EXAMPLES)]
    Stop(StopArgs),
    /// Remove all that a director left which is gone: XDP programs, the flow cache, the host's set-up, files
    #[command(after_help = CLEAN_NOTES)]
    Clean(CleanArgs),
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_first_line_of_help() {
        fn walk(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            command.get_subcommands().filter(|sub| sub.get_name() != "help").for_each(walk);
        }
        walk(&Cli::command());
    }

    /// A paragraph in one line is wrapped to the terminal; one that has lines of its own is torn.
    #[test]
    fn what_stands_behind_the_options_fits_any_terminal() {
        fn walk(command: &clap::Command) {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            for pair in lines.windows(2) {
                let is_torn =
                    |line: &str| !line.is_empty() && !line.starts_with("  ") && !line.ends_with(':');
                assert!(!(is_torn(pair[0]) && is_torn(pair[1])), "{}: {pair:?}", command.get_name());
            }
            let example = lines.iter().find(|line| line.starts_with("  ") && line.chars().count() > 100);
            assert_eq!(example, None, "{}", command.get_name());
            command.get_subcommands().for_each(walk);
        }
        walk(&Cli::command());
    }
}
