//! What a run finds: figures beside what was wanted of them, and rates for the chart.

use serde::Serialize;

use crate::median::median;
use crate::race::Results;

/// What is wanted of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wanted {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
}

/// What a figure is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    /// A ratio.
    Times,
    /// Nanoseconds.
    Nanoseconds,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Percent of a processor.
    Percent,
    /// Octets.
    Bytes,
    /// Things.
    Count,
}

impl Unit {
    /// A value as people write it.
    pub(crate) fn write(self, value: f64) -> String {
        match self {
            Self::Times => format!("{value:.2}x"),
            Self::Nanoseconds => format!("{value:.0} ns"),
            Self::Microseconds => format!("{value:.1} µs"),
            Self::Milliseconds => format!("{value:.0} ms"),
            Self::Percent => format!("{value:.2} %"),
            Self::Bytes => format!("{value:.0} bytes"),
            Self::Count => format!("{value:.0}"),
        }
    }

    /// The value as it is written, so that what reads as reached is reached.
    fn rounded(self, value: f64) -> f64 {
        let steps = match self {
            Self::Times | Self::Percent => 100.0,
            Self::Microseconds => 10.0,
            Self::Nanoseconds | Self::Milliseconds | Self::Bytes | Self::Count => 1.0,
        };
        (value * steps).round() / steps
    }
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// What the reason for falling short is found by.
    pub(crate) id: &'static str,
    /// What was measured.
    pub(crate) what: String,
    /// What is wanted.
    pub(crate) wanted: Wanted,
    /// What it is counted in.
    pub(crate) unit: Unit,
    /// The median; none where every sample was disturbed, or a contender is not there.
    pub(crate) measured: Option<f64>,
    /// The rounds.
    pub(crate) rounds: Vec<f64>,
    /// What stands behind it, in words.
    pub(crate) detail: String,
}

impl Figure {
    /// A figure by its rounds.
    pub(crate) fn new(id: &'static str, what: impl Into<String>, wanted: Wanted, unit: Unit) -> Self {
        Self { id, what: what.into(), wanted, unit, measured: None, rounds: vec![], detail: String::new() }
    }

    /// The same, with the values of its rounds.
    pub(crate) fn of(mut self, rounds: Vec<f64>) -> Self {
        self.measured = median(&rounds);
        self.rounds = rounds;
        self
    }

    /// The same, with words about what stands behind it.
    pub(crate) fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The ratio of two contenders of a race, with their rates.
    pub(crate) fn ratio(
        id: &'static str,
        what: impl Into<String>,
        least: f64,
        results: &Results,
        (ours, theirs): (&str, &str),
    ) -> Self {
        let rate = |name| results.median(name).map_or_else(|| "none".to_owned(), write_rate);
        Self::new(id, what, Wanted::AtLeast(least), Unit::Times)
            .of(results.ratios(ours, theirs))
            .because(format!("{ours} {}, {theirs} {}", rate(ours), rate(theirs)))
    }

    /// True where it was measured and is as wanted.
    pub(crate) fn is_reached(&self) -> bool {
        let Some(measured) = self.measured.map(|value| self.unit.rounded(value)) else { return false };
        match self.wanted {
            Wanted::AtLeast(least) => measured >= least,
            Wanted::AtMost(most) => measured <= most,
        }
    }

    /// What is wanted, as people write it.
    pub(crate) fn wanted(&self) -> String {
        match self.wanted {
            Wanted::AtLeast(least) => format!("≥ {}", self.unit.write(least)),
            Wanted::AtMost(most) => format!("≤ {}", self.unit.write(most)),
        }
    }

    /// What was measured, as people write it.
    pub(crate) fn measured(&self) -> String {
        self.measured.map_or_else(|| "not measured".to_owned(), |value| self.unit.write(value))
    }
}

/// A rate in things a second.
pub(crate) fn write_rate(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{:.2} M/s", value / 1e6),
        _ if value >= 1e4 => format!("{:.0} k/s", value / 1e3),
        _ if value >= 1e3 => format!("{:.1} k/s", value / 1e3),
        _ => format!("{value:.0} /s"),
    }
}

/// A contender's rate, for the chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Bar {
    /// What stands together.
    pub(crate) group: String,
    /// Whose it is.
    pub(crate) name: String,
    /// In packets a second.
    pub(crate) rate: f64,
}

/// What sections found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Findings {
    /// The table.
    pub(crate) figures: Vec<Figure>,
    /// The chart.
    pub(crate) bars: Vec<Bar>,
    /// What could not be measured, and why.
    pub(crate) skipped: Vec<String>,
}

impl Findings {
    /// Notes the rates of all contenders of a race for the chart.
    pub(crate) fn chart(&mut self, group: &str, results: &Results) {
        let bar = |name: &&str| {
            Some(Bar { group: group.to_owned(), name: (*name).to_owned(), rate: results.median(name)? })
        };
        self.bars.extend(results.names().iter().filter_map(bar));
    }

    /// Adds what another section found.
    pub(crate) fn add(&mut self, mut other: Self) {
        self.figures.append(&mut other.figures);
        self.bars.append(&mut other.bars);
        self.skipped.append(&mut other.skipped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(wanted: Wanted, measured: f64) -> Figure {
        Figure::new("x", "x", wanted, Unit::Times).of(vec![measured])
    }

    #[test]
    fn a_figure_is_reached_by_what_is_written() {
        assert!(figure(Wanted::AtLeast(2.0), 1.996).is_reached());
        assert!(!figure(Wanted::AtLeast(2.0), 1.994).is_reached());
        assert!(figure(Wanted::AtMost(0.5), 0.504).is_reached());
        assert!(!figure(Wanted::AtMost(0.5), 0.51).is_reached());
        assert!(!Figure::new("x", "x", Wanted::AtMost(1.0), Unit::Count).is_reached(), "not measured");
    }

    #[test]
    fn rates_are_written_shortly() {
        assert_eq!(write_rate(3_670_000.0), "3.67 M/s");
        assert_eq!(write_rate(166_000.0), "166 k/s");
        assert_eq!(write_rate(1_234.0), "1.2 k/s");
        assert_eq!(write_rate(12.0), "12 /s");
    }
}
