//! From a command line of `lvsd` to an exit status.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command, ReplayArgs, RunArgs};
use crate::config::{Config, ConfigError};

/// It did not work.
const FAILED: u8 = 1;
/// The command line or a file has a mistake; nothing was started or changed.
const MISTAKEN: u8 = 2;

/// Runs the program's command line.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Replay(args) => replay(&args),
        Command::Host(_)
        | Command::Lab(_)
        | Command::Status(_)
        | Command::Drops(_)
        | Command::LabServer(_) => complain("this command is not built yet", FAILED),
    }
}

fn run(args: &RunArgs) -> ExitCode {
    match configuration(args) {
        Ok(_) if args.check => ExitCode::SUCCESS,
        Ok(_) => complain("this command is not built yet", FAILED),
        Err(error) => complain(error, MISTAKEN),
    }
}

fn replay(args: &ReplayArgs) -> ExitCode {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match crate::replay::run(&args.timeline, args.topology.as_deref(), &mut out) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => complain(error, MISTAKEN),
    }
}

/// The files of a command line with what the command line itself says put on top.
fn configuration(args: &RunArgs) -> Result<Config, ConfigError> {
    let mut config = match &args.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    if let Some(path) = &args.rules {
        config.load_rules(path)?;
    }
    if !args.interfaces.is_empty() {
        config.interfaces.clone_from(&args.interfaces);
    }
    config.mode = args.mode.unwrap_or(config.mode);
    config.queues = args.queues.or(config.queues);
    config.socket = args.socket.clone().or(config.socket);
    config.log = args.log.clone().or(config.log);
    Ok(config)
}

/// Says what went wrong; nobody may be listening any more.
fn complain(what: impl Display, status: u8) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "lvsd: {what}");
    ExitCode::from(status)
}
