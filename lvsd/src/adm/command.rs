//! A command line, understood.

use super::legal::{Topic, Topics};
use super::option::Verb;
use crate::message::{Request, ServiceId};

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// The help text.
    Help,
    /// The version line.
    Version,
    /// A request that is answered by nothing, or by a refusal.
    Change(Verb, Request),
    /// A listing.
    List(Listing, Format),
    /// Command lines from standard input.
    Restore,
}

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    /// One service, or all of them.
    Services(Option<ServiceId>),
    /// The connections.
    Connections,
    /// The timeouts.
    Timeouts,
    /// The synchronisation daemons.
    Daemons,
}

/// How it is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) columns: Columns,
    pub(super) numbers: Numbers,
    pub(super) digits: Digits,
    pub(super) order: Order,
    pub(super) encoding: Encoding,
}

/// Which columns; of several asked for, the first of these counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    /// As the command lines that restore it (`-S`).
    Rules,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    TunnelInfo,
    Plain,
}

/// Whether addresses and ports stay numbers (`-n`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    Numeric,
    Named,
}

/// Whether large counters are cut (`--exact`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digits {
    Exact,
    Short,
}

/// In which order (`--nosort`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Sorted,
    AsKept,
}

/// In which language (`--json`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Text,
    Json,
}

impl Format {
    /// What the options of a listing come to.
    pub(super) fn of(verb: Verb, topics: Topics) -> Self {
        let columns = [
            (Topic::Stats, Columns::Stats),
            (Topic::Rate, Columns::Rate),
            (Topic::Thresholds, Columns::Thresholds),
            (Topic::PersistentConn, Columns::PersistentConn),
            (Topic::TunnelInfo, Columns::TunnelInfo),
        ];
        let asked = columns.iter().find(|(topic, _)| topics.has(*topic)).map(|(_, columns)| *columns);
        Self {
            columns: if verb == Verb::Save { Columns::Rules } else { asked.unwrap_or(Columns::Plain) },
            numbers: if topics.has(Topic::Numeric) { Numbers::Numeric } else { Numbers::Named },
            digits: if topics.has(Topic::Exact) { Digits::Exact } else { Digits::Short },
            order: if topics.has(Topic::NoSort) { Order::AsKept } else { Order::Sorted },
            encoding: if topics.has(Topic::Json) { Encoding::Json } else { Encoding::Text },
        }
    }
}
