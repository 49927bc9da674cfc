//! What ends a command line before anybody was asked: a text for standard error and an exit status.

/// The exit status of a command line that contradicts itself or lacks something.
pub(super) const USAGE: u8 = 2;
/// The exit status of a command line that could not be read, or whose request was refused.
pub(super) const REFUSED: u8 = 255;

/// Why a command line was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The whole text, line ends included.
    pub(super) text: String,
    /// The exit status.
    pub(super) status: u8,
    /// Whether the lines after it are still read (`-R`).
    pub(super) goes_on: bool,
}

impl Failure {
    /// A mistake in the options or their values: ends a whole restore.
    pub(super) fn usage(message: impl std::fmt::Display) -> Self {
        Self { text: format!("{message}\n"), status: USAGE, goes_on: false }
    }

    /// The first option is not a command.
    pub(super) fn no_command() -> Self {
        let text = "Try `ipvsadm -h' or 'ipvsadm --help' for more information.\n".to_owned();
        Self { text, status: REFUSED, goes_on: false }
    }

    /// An option that is not there, or that lacks its value or has one too many.
    pub(super) fn unreadable(option: &str, complaint: &str) -> Self {
        Self { text: format!("{option}: {complaint}\n"), status: REFUSED, goes_on: true }
    }
}
