//! Why a run could not be made.

use std::io;

use lvsd::lab::namespace::NamespaceError;

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The network of namespaces.
    #[error(transparent)]
    Network(#[from] NamespaceError),
    /// A BPF program or one of its maps.
    #[error("{what}: {source}")]
    Bpf {
        /// What was tried.
        what: &'static str,
        /// Why it did not work.
        source: libbpf_rs::Error,
    },
    /// Anything of the system's.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// Why it did not work.
        source: io::Error,
    },
    /// A contender that cannot take part.
    #[error("{0}")]
    Absent(String),
    /// Something did not do what it was there for.
    #[error("{0}")]
    Wrong(String),
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// What became of trying `what` against BPF.
    pub(crate) fn bpf(what: &'static str) -> impl FnOnce(libbpf_rs::Error) -> Self {
        move |source| Self::Bpf { what, source }
    }

    /// What became of trying `what`.
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}
