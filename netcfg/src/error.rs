//! What can go wrong while the host is read or changed, in words an operator can act on.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;
use thiserror::Error;

/// A failure of an operation on the host.
#[derive(Debug, Error)]
pub enum Error {
    /// The kernel refused a netlink request.
    #[error("{action}: {}", meaning(*errno))]
    Refused {
        /// What was asked for, naming the object.
        action: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A netlink socket could not be opened, written or read.
    #[error("netlink: {0}")]
    Socket(#[source] io::Error),
    /// The kernel's answer could not be understood.
    #[error("netlink: {0}")]
    Answer(String),
    /// No interface has this name.
    #[error("no interface is named {0}")]
    NoInterface(String),
    /// The interface is down, so neither routes nor addresses on it would work.
    #[error("interface {0} is down; bring it up with: ip link set {0} up")]
    InterfaceDown(String),
    /// The role asks for something no host can be given.
    #[error("{0}")]
    Unfit(String),
    /// A sysctl could not be read or written.
    #[error("sysctl {key}: {source}")]
    Sysctl {
        /// Slash-separated name below `/proc/sys`.
        key: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The `nft` command could not be run or refused.
    #[error("nft: {0}")]
    Nft(String),
    /// The journal could not be read or written.
    #[error("journal {}: {source}", path.display())]
    Journal {
        /// The file or directory concerned.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The journal holds something this version cannot use.
    #[error("journal {}: {reason}", path.display())]
    JournalContent {
        /// The file concerned.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The decapsulator refused.
    #[error("decapsulation on {interface}: {source}")]
    Decapsulation {
        /// The interface concerned.
        interface: String,
        /// The decapsulator's answer.
        source: io::Error,
    },
    /// The role needs a decapsulator and none was given.
    #[error("decapsulation on {0}: this program has no decapsulator")]
    NoDecapsulator(String),
    /// A test asked for an interruption here.
    #[error("interrupted")]
    Interrupted,
}

/// Says what an errno of rtnetlink means to somebody who sets up a host.
fn meaning(errno: Errno) -> String {
    let hint = if errno == Errno::EPERM || errno == Errno::EACCES {
        "; this needs root or CAP_NET_ADMIN"
    } else if errno == Errno::ENETUNREACH {
        "; no interface leads there"
    } else if errno == Errno::ENETDOWN {
        "; the interface is down"
    } else if errno == Errno::EADDRNOTAVAIL {
        "; the address is not on that interface"
    } else if errno == Errno::ESRCH {
        "; there is no such route"
    } else if errno == Errno::EEXIST {
        "; it is there already"
    } else if errno == Errno::ENODEV {
        "; the interface is gone"
    } else if errno == Errno::EOPNOTSUPP {
        "; the kernel was built without it"
    } else {
        ""
    };
    format!("{} ({errno:?}){hint}", errno.desc())
}

impl Error {
    /// Whether the kernel gave `errno` as its answer.
    pub fn is_refusal(&self, wanted: Errno) -> bool {
        matches!(self, Self::Refused { errno, .. } if *errno == wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_object_and_what_the_errno_means() {
        let error = Error::Refused { action: "add address 10.0.0.1/32 to eth0".into(), errno: Errno::EPERM };
        assert_eq!(
            error.to_string(),
            "add address 10.0.0.1/32 to eth0: Operation not permitted (EPERM); this needs root or CAP_NET_ADMIN"
        );
    }
}
