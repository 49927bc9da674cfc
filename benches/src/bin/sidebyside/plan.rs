//! How much is measured.

use std::io::Write;

/// How much is measured, and what is said meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Rounds that count.
    pub(crate) rounds: usize,
    /// So little that the figures mean nothing: to see that the program works.
    pub(crate) is_quick: bool,
    /// Disturbed samples count like others.
    pub(crate) keeps_disturbed: bool,
    /// Says on standard error what is going on.
    pub(crate) is_loud: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { rounds: 5, is_quick: false, keeps_disturbed: false, is_loud: false }
    }
}

impl Plan {
    /// Frames of a sample.
    pub(crate) const fn frames(&self) -> u32 {
        if self.is_quick { 20_000 } else { 600_000 }
    }

    /// A number of flows, or other things; a few when it is to be quick.
    pub(crate) fn flows(&self, count: u32) -> u32 {
        if self.is_quick { count.min(1_000) } else { count }
    }

    /// Says what is going on.
    pub(crate) fn say(&self, text: &str) {
        if self.is_loud {
            // Nobody may be listening.
            let _ = writeln!(std::io::stderr().lock(), "sidebyside: {text}");
        }
    }
}
