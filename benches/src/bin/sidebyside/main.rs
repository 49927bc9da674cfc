//! The side-by-side runs: the director beside the kernel's own forwarding and balancing, beside proxies, and beside
//! the least that AF_XDP and XDP can do.
//!
//! ```sh
//! cargo run --release -p lvs-benches --bin sidebyside            # everything, about ten minutes
//! cargo run --release -p lvs-benches --bin sidebyside -- --list  # what there is
//! cargo run --release -p lvs-benches --bin sidebyside -- nat     # one section
//! ```

mod alone;
mod args;
mod bpf;
mod chart;
mod contender;
mod core;
mod daemon;
mod failure;
mod figure;
mod generator;
mod interrupt;
mod median;
mod page;
mod plan;
mod race;
mod reason;
mod sample;
mod section;
mod segment;
mod sink;
mod site;
mod table;
mod world;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use alone::Alone;
use args::Args;
use daemon::DAEMON;
use failure::Failure;
use figure::Findings;
use plan::Plan;
use section::{ALL, Section};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).peekable();
    if words.peek().is_some_and(|word| word == DAEMON) {
        // The contender: the daemon as it is, without the need to have built it beside this program.
        return lvsd::command::main_of(words);
    }
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr().lock(), "sidebyside: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    if args.list {
        let lines: Vec<String> =
            ALL.iter().map(|section| format!("{:10}{}\n", section.name, section.about)).collect();
        return print(&lines.concat());
    }
    let sections = chosen(&args.sections)?;
    let _alone = Alone::take("lvsb")?;
    interrupt::watch()?;
    let plan = Plan {
        rounds: args.rounds.into(),
        is_quick: args.quick,
        keeps_disturbed: args.keep_disturbed,
        is_loud: true,
    };
    let (mut findings, mut failed) = (Findings::default(), Vec::new());
    for section in sections {
        match (section.run)(&plan) {
            Ok(found) => findings.add(found),
            Err(Failure::Absent(why)) => {
                plan.say(&format!("{}: skipped: {why}", section.name));
                findings.skipped.push(format!("{}: {why}", section.name));
            }
            Err(Failure::Interrupted) => return Err(Failure::Interrupted),
            Err(failure) => {
                // The other sections may take long enough to be worth going on.
                plan.say(&format!("{}: failed: {failure}", section.name));
                findings.skipped.push(format!("{}: it failed", section.name));
                failed.push(section.name);
            }
        }
    }
    if let Some(directory) = &args.write {
        page::write(directory, &findings)?;
    }
    print(&if args.json {
        let json = serde_json::to_string_pretty(&findings).unwrap_or_default();
        format!("{json}\n")
    } else if args.markdown {
        table::markdown(&findings)
    } else {
        table::text(&findings)
    })?;
    if failed.is_empty() { Ok(()) } else { Err(Failure::Wrong(format!("failed: {}", failed.join(", ")))) }
}

/// The sections of these names, or all.
fn chosen(names: &[String]) -> Result<Vec<Section>, Failure> {
    if names.is_empty() {
        return Ok(ALL.to_vec());
    }
    let find = |name: &String| {
        let known = || ALL.map(|section| section.name).join(", ");
        let found = ALL.iter().find(|section| section.name == name).copied();
        found.ok_or_else(|| Failure::Wrong(format!("there is no section {name}; there are {}", known())))
    };
    names.iter().map(find).collect()
}

fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Who has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Failure::system("cannot print")),
    }
}
