//! keepalived.conf as it stands: read, held against the table of keywords, and understood as a whole or not at all.
//!
//! ```text
//! text -> reader (includes, @conditions, $definitions) -> words -> tree -> check (table of keywords) -> model -> Declared
//! ```
//!
//! Every word knows its file, line and column on the whole way.

mod check;
mod keyword;
mod line;
mod model;
mod page;
mod reader;
mod source;
mod tree;
mod value;

use std::path::Path;

pub use keyword::{Block, Keyword, Standing, all as keywords};
pub use page::page;

use crate::config::{CheckedConfig, ConfigError, Mistakes, ServiceConfig};
use crate::message::Timeouts;
use reader::Reader;
use source::Findings;

/// What a keepalived.conf declares.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Declared {
    /// `lvs_timeouts`
    pub timeouts: Option<Timeouts>,
    /// The virtual services with all their real servers, in the file's order.
    pub services: Vec<ServiceConfig>,
    /// What holds for all checks.
    pub health: lvs_health::declared::Globals,
    /// The virtual servers as they are checked.
    pub checked: Vec<CheckedConfig>,
    /// The virtual routers.
    pub vrrp: lvs_vrrp::declared::Declared,
}

/// What was read, and what is to be told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What the file declares.
    pub declared: Declared,
    /// What in it has no effect, or not the one it may be thought to have.
    pub warnings: Mistakes,
    /// What was left out because it cannot be had; empty unless that was asked for.
    pub left_out: Mistakes,
}

/// What becomes of keywords that cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// They are mistakes.
    Refused,
    /// They are left out and told of; the rest is read.
    LeftOut,
}

/// Reads a file and those it includes. `config_id` is the name that `@` lines know this host by; its own name up to
/// the first dot when absent.
///
/// # Errors
/// A file cannot be read, or there are mistakes; each names file, line and column.
pub fn load(path: &Path, config_id: Option<&str>) -> Result<Reading, ConfigError> {
    load_with(path, config_id, Unavailable::Refused)
}

/// As [`load`]; `unavailable` says what becomes of keywords that cannot be had.
///
/// # Errors
/// As [`load`].
pub fn load_with(
    path: &Path,
    config_id: Option<&str>,
    unavailable: Unavailable,
) -> Result<Reading, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let own = config_id.map_or_else(host_name, str::to_owned);
    Ok(read(&path.display().to_string(), text, &own, true, unavailable)?)
}

/// Reads a text that is called `origin`; what it includes is not looked for.
///
/// # Errors
/// The text has mistakes.
pub fn parse(origin: &str, text: &str, config_id: &str) -> Result<Reading, Mistakes> {
    read(origin, text.to_owned(), config_id, false, Unavailable::Refused)
}

fn read(
    origin: &str,
    text: String,
    config_id: &str,
    reads_files: bool,
    unavailable: Unavailable,
) -> Result<Reading, Mistakes> {
    let left_out = (unavailable == Unavailable::LeftOut).then(Vec::new);
    let mut findings = Findings { left_out, ..Findings::default() };
    let mut reader = Reader::new(config_id, reads_files, &mut findings);
    reader.read(origin, text);
    let (sources, tokens) = reader.finish();
    let statements = tree::parse(tokens, &mut findings);
    check::check(&statements, &mut findings);
    let declared = model::declare(&statements, &mut findings);
    if !findings.mistakes.is_empty() {
        return Err(sources.show(findings.mistakes));
    }
    Ok(Reading {
        declared,
        warnings: sources.show(findings.warnings),
        left_out: sources.show(findings.left_out.unwrap_or_default()),
    })
}

/// The host's name, up to the first dot.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
