//! The table's answers to an entry it does not take.

use std::fmt;

use thiserror::Error;

/// Why an entry was not made; gives the binding back.
#[derive(Error)]
pub enum InsertError<B> {
    /// The table holds as many entries as it may.
    #[error("the table is full")]
    Full(B),
    /// The flow (or one of the same hash) is in the table already.
    #[error("the flow is in the table already")]
    Exists(B),
}

impl<B> InsertError<B> {
    /// What the entry would have been bound to.
    pub fn into_binding(self) -> B {
        match self {
            Self::Full(binding) | Self::Exists(binding) => binding,
        }
    }
}

impl<B> fmt::Debug for InsertError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Exists(_) => "Exists",
        })
    }
}
