//! What a check found wrong, and the commands that mend it.

use std::fmt;

/// One thing that is not as its role wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: String,
    /// The commands that mend it, in order; none when no command can.
    pub mend: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)?;
        if !self.mend.is_empty() {
            write!(f, "; mend it with: {}", self.mend.join(" && "))?;
        }
        Ok(())
    }
}
