//! What can go wrong on the way to packets, in words that name the interface and the remedy.

use std::error::Error;
use std::io;

use libbpf_rs::{ErrorKind, MapCore, MapHandle};

/// Why the XDP program could not be loaded, attached or told what to do.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The kernel did not take the program.
    #[error("loading the XDP program {program}: {source}{}", capability(source))]
    Load {
        /// The program's name.
        program: &'static str,
        /// The kernel's reason.
        source: libbpf_rs::Error,
    },
    /// The compiled object lacks a map or program: it is not of this version.
    #[error("the compiled XDP program has no {0}")]
    Missing(&'static str),
    /// No such interface, or it could not be asked about.
    #[error("interface {interface}: {source}")]
    Interface {
        /// The interface.
        interface: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Another XDP program is attached.
    #[error(
        "interface {interface}: the XDP program {name} (id {id}) is attached already; \
         detach it (ip link set dev {interface} xdp off) or use another interface"
    )]
    Occupied {
        /// The interface.
        interface: String,
        /// The other program's name, as `bpftool prog` shows it.
        name: String,
        /// The other program's number.
        id: u32,
    },
    /// The interface did not take the program.
    #[error("interface {interface}: attaching the XDP program: {source}{}", capability(source))]
    Attach {
        /// The interface.
        interface: String,
        /// The kernel's reason.
        source: libbpf_rs::Error,
    },
    /// The program is not attached to the interface.
    #[error("interface {0}: the XDP program is not attached")]
    NotAttached(String),
    /// More interfaces or queues than the program's map of sockets has room for.
    #[error(
        "interface {interface}: no room for its queues: at most {most} interfaces of {queues} queues each"
    )]
    TooManyQueues {
        /// The interface.
        interface: String,
        /// The most interfaces one program serves.
        most: u32,
        /// The most queues an interface may have.
        queues: u32,
    },
    /// A predecessor's flows have another layout.
    #[error(
        "a predecessor left flows of layout {found}, which this lvsd cannot read (it has {ours}): their connections go \
         on as they are. Run the lvsd that made them, or remove them with `lvsd clean`: the connections end then"
    )]
    OtherVersion {
        /// The layout of what is there.
        found: u32,
        /// The layout that is known here.
        ours: u32,
    },
    /// The names in the `bpf` file system.
    #[error("the bpf file system at {directory}: {source}", directory = directory.display())]
    Pin {
        /// Where it is mounted.
        directory: std::path::PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A map could not be read or written.
    #[error("BPF map {map}: {source}{}", capability(source))]
    Map {
        /// The map's name.
        map: String,
        /// The kernel's reason.
        source: libbpf_rs::Error,
    },
}

impl ProgramError {
    pub(super) fn map(map: &MapHandle, source: libbpf_rs::Error) -> Self {
        Self::Map { map: map.name().to_string_lossy().into_owned(), source }
    }
}

fn capability(error: &libbpf_rs::Error) -> &'static str {
    if error.kind() == ErrorKind::PermissionDenied { " (CAP_BPF and CAP_NET_ADMIN are needed)" } else { "" }
}

/// Why the sockets of a worker could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration cannot be carried out.
    #[error("{0}")]
    Config(String),
    /// No such interface, or it could not be asked about.
    #[error("interface {interface}: {source}")]
    Interface {
        /// The interface.
        interface: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The packet memory could not be registered.
    #[error("packet memory of {bytes} bytes: {source}{}", memory_hint(source))]
    Memory {
        /// Its size.
        bytes: u64,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A socket could not be bound to its queue.
    #[error("interface {interface} queue {queue}: AF_XDP socket: {source}{}", socket_hint(source))]
    Socket {
        /// The interface.
        interface: String,
        /// The queue's number.
        queue: u32,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The XDP program does not know the interface, or its map did not take the socket.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

fn memory_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOBUFS) => {
            " (more than this process may lock: raise LimitMEMLOCK, or ulimit -l, or grant CAP_IPC_LOCK)"
        }
        Some(libc::EPERM) => " (CAP_NET_RAW is needed)",
        Some(libc::EAFNOSUPPORT) => " (this kernel was built without AF_XDP)",
        _ => "",
    }
}

fn socket_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EBUSY) => " (another AF_XDP socket has this queue)",
        Some(libc::EPERM) => " (CAP_NET_RAW and CAP_NET_ADMIN are needed)",
        Some(libc::EINVAL) => " (the interface may have no such queue)",
        Some(libc::ENOBUFS) => " (raise LimitMEMLOCK, or ulimit -l, or grant CAP_IPC_LOCK)",
        _ => "",
    }
}

/// The system's error behind one of xsk-rs's, whose own text hides it.
pub(super) fn system_error(error: &(dyn Error + 'static)) -> io::Error {
    let inner = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match inner.and_then(io::Error::raw_os_error) {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_lockable_memory_names_the_remedy() {
        let error = OpenError::Memory { bytes: 1, source: io::Error::from_raw_os_error(libc::ENOBUFS) };
        assert!(error.to_string().contains("LimitMEMLOCK"), "{error}");
    }

    #[test]
    fn a_taken_queue_is_named() {
        let source = io::Error::from_raw_os_error(libc::EBUSY);
        let error = OpenError::Socket { interface: "eth7".to_owned(), queue: 3, source };
        assert!(error.to_string().starts_with("interface eth7 queue 3: "), "{error}");
        assert!(error.to_string().contains("another AF_XDP socket"), "{error}");
    }
}
