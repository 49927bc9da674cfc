//! Plays a recorded timeline through the director, in memory and on the timeline's own clock, and writes the
//! answering timeline.
//!
//! ```text
//! {"op": "in", "n": 0, "if": "dc", "frame": ".."}      -> the same line, and behind it
//!                                                         {"op": "out", ..} | {"op": "host", ..} | {"op": "drop", ..}
//! {"op": "ipvsadm", "args": "..", "rc": 0, "text": ""} -> with our own rc and text
//! {"op": "list", "args": "-Ln", "text": ".."}          -> with our own text
//! {"op": "list", "args": "proc ip_vs", "text": ".."}   -> the same, of a file of /proc/net
//! ```

mod card;
mod host;
mod stage;
mod timeline;
mod topology;

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use topology::Topology;

use crate::director::Account;
use stage::Stage;
use timeline::{Case, Step};

/// Why a timeline could not be played to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A file could not be read.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// Reading the timeline or writing the answer failed.
    #[error(transparent)]
    Stream(#[from] io::Error),
    /// The topology is not one.
    #[error("the topology: {0}")]
    Topology(String),
    /// The XDP program.
    #[error(transparent)]
    Program(#[from] lvs_forward::io::xdp::ProgramError),
    /// A line of the timeline is not one.
    #[error("line {line}: {what}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

/// Plays the timeline file `timeline` for `lvsd replay`, with the topology of a file or the built-in one.
///
/// # Errors
/// [`ReplayError`]
pub fn run(timeline: &Path, topology: Option<&Path>, out: &mut dyn Write) -> Result<Account, ReplayError> {
    let named = |path: &Path| {
        let path = path.to_path_buf();
        move |error| ReplayError::File { path, error }
    };
    let topology = match topology {
        Some(path) => Some(Topology::parse(&std::fs::read_to_string(path).map_err(named(path))?)?),
        None => None,
    };
    let file = std::fs::File::open(timeline).map_err(named(timeline))?;
    replay(io::BufReader::new(file), topology, out)
}

/// Plays `timeline` and writes the answer to `out`; returns the accounts of the packets.
///
/// # Errors
/// [`ReplayError`]; the answer up to there has been written.
pub fn replay(
    timeline: impl BufRead,
    topology: Option<Topology>,
    out: &mut dyn Write,
) -> Result<Account, ReplayError> {
    play(timeline, topology, false, out)
}

/// As [`replay`], with the flow cache: the XDP program runs over each frame first. It is loaded into the kernel for
/// this, and attached to interfaces of the calling thread's network namespace, which have to be there, with the
/// names of the topology's; no frame is sent through them.
///
/// # Errors
/// [`ReplayError`]; the answer up to there has been written.
pub fn replay_cached(
    timeline: impl BufRead,
    topology: Option<Topology>,
    out: &mut dyn Write,
) -> Result<Account, ReplayError> {
    play(timeline, topology, true, out)
}

fn play(
    timeline: impl BufRead,
    topology: Option<Topology>,
    is_cached: bool,
    out: &mut dyn Write,
) -> Result<Account, ReplayError> {
    let topology = topology.map_or_else(Topology::builtin, Ok)?;
    let mut stage = Stage::new(topology, &Case::default(), is_cached)?;
    for (number, line) in (1..).zip(timeline.lines()) {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |what: String| ReplayError::Line { line: number, what };
        let mut object: Value = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        let step = Step::deserialize(&object).map_err(|error| wrong(error.to_string()))?;
        match step.op.as_str() {
            // What the kernel did is not ours to repeat.
            "out" | "host" | "drop" => continue,
            "case" => {
                let case = Case::deserialize(&object).map_err(|error| wrong(error.to_string()))?;
                stage = stage.reset(&case)?;
            }
            _ => {}
        }
        let after = stage.play(&step, &mut object).map_err(wrong)?;
        writeln!(out, "{object}")?;
        for line in after {
            writeln!(out, "{line}")?;
        }
    }
    Ok(stage.account())
}

use serde::Deserialize as _;
