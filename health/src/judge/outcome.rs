//! What came of an attempt: success, or failure with its reason.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The server did as it should.
    Success {
        /// What a dynamic check has to say about the weight: for a program the weight it wants the server to have, for
        /// a file what is added to it. Absent when it has nothing to say, and what was said before holds.
        weight: Option<i64>,
    },
    /// It did not.
    Failure(Failure),
}

impl Outcome {
    /// Success, and nothing about the weight.
    pub const SUCCESS: Self = Self::Success { weight: None };
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// The port is closed.
    #[error("connection refused")]
    Refused,
    /// The other side ended the connection with a reset.
    #[error("connection reset")]
    Reset,
    /// There is no way there.
    #[error("no route to it")]
    Unreachable,
    /// It took too long.
    #[error("nothing within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The other side ended before it had said all.
    #[error("ended too early")]
    Closed,
    /// TLS could not be agreed upon.
    #[error("TLS: {0}")]
    Tls(String),
    /// The status is not among those wanted.
    #[error("status {0}")]
    Status(u16),
    /// The page is another one: its MD5 is this.
    #[error("digest {0}")]
    Digest(String),
    /// The expression was not found, or was found where it must not be.
    #[error("{}", if *.0 { "the expression was found" } else { "the expression was not found" })]
    Pattern(bool),
    /// The answer is longer than we read, in bytes.
    #[error("more than {0} bytes")]
    TooLong(u64),
    /// The answer is not what the protocol says.
    #[error("not as the protocol wants it: {0}")]
    Malformed(String),
    /// The server answered that it cannot.
    #[error("answered: {0}")]
    Answer(String),
    /// The program ended with this status.
    #[error("exit status {0}")]
    Exit(i32),
    /// The program was ended by this signal.
    #[error("ended by signal {0}")]
    Signal(i32),
    /// The program or file may not be used, or cannot be.
    #[error("{0}")]
    Unusable(String),
    /// The file's number takes the server down.
    #[error("the file says {0}")]
    File(i64),
    /// Anything else of this host's own.
    #[error("{0}")]
    Host(String),
}
