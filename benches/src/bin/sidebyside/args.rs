//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// The director side by side with others, in network namespaces of their own.
///
/// It must be run as root, on a machine that does nothing else. Nothing is sent outside.
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[derive(Debug, Parser)]
#[command(name = "sidebyside", max_term_width = 100)]
pub(crate) struct Args {
    /// What to measure; everything when nothing is named
    #[arg(value_name = "SECTION")]
    pub(crate) sections: Vec<String>,
    /// Say what can be measured, and measure nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// Rounds that count
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) rounds: u16,
    /// So little that the figures mean nothing: to see that everything works
    #[arg(long)]
    pub(crate) quick: bool,
    /// Let samples count during which others had the processor
    #[arg(long)]
    pub(crate) keep_disturbed: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "markdown")]
    pub(crate) json: bool,
    /// Print Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
    /// Write the figures into README.md of this directory, and the chart beside it
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) write: Option<PathBuf>,
}
