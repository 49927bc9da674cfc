//! What the newcomer sees: steps that are ticked off, answers, listings; plain text where it is no terminal.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

/// Standard output, as the lab writes to it. A closed pipe is nobody's error.
#[derive(Debug)]
pub struct Screen {
    is_terminal: bool,
}

impl Screen {
    /// The screen of this process.
    pub fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal() }
    }

    /// A heading.
    pub fn heading(&self, text: impl Display) {
        self.line(format_args!("\n{}", self.painted("1", text)));
    }

    /// A line as it is.
    pub fn line(&self, text: impl Display) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// A text of several lines, moved in.
    pub fn block(&self, text: &str) {
        for line in text.lines() {
            self.line(format_args!("    {line}"));
        }
    }

    /// Does a step and says how long it took; on a terminal the step is shown while it is being done.
    ///
    /// # Errors
    /// The step's own.
    pub fn step<R, E>(&self, what: impl Display, work: impl FnOnce() -> Result<R, E>) -> Result<R, E> {
        if self.is_terminal {
            let mut out = io::stdout().lock();
            let _ = write!(out, "  .. {what}").and_then(|()| out.flush());
        }
        let began = Instant::now();
        let result = work();
        let back = if self.is_terminal { "\r" } else { "" };
        let mark = self.mark(result.is_ok());
        let took = began.elapsed().as_secs_f32();
        self.line(format_args!("{back}  {mark} {what} ({took:.1} s)"));
        result
    }

    /// `ok` or `no`, in green or red.
    pub fn mark(&self, is_good: bool) -> String {
        if is_good { self.painted("32", "ok") } else { self.painted("31", "no") }
    }

    fn painted(&self, code: &str, text: impl Display) -> String {
        if self.is_terminal { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}
