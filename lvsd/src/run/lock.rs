//! One daemon for one interface: a second one is told so before it touches anything.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// The right to serve an interface. It belongs to the network namespace, as the interface does, and goes with the
/// process, however that ends.
#[derive(Debug)]
pub(super) struct Lock {
    _name: UnixListener,
}

impl Lock {
    /// Takes the right to serve an interface of the caller's namespace.
    ///
    /// # Errors
    /// `AddrInUse` while another daemon serves it.
    pub(super) fn take(interface: &str) -> io::Result<Self> {
        // An abstract name: there is no file to be left behind.
        let name = SocketAddr::from_abstract_name(format!("lvsd/interface/{interface}"))?;
        Ok(Self { _name: UnixListener::bind_addr(&name)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_has_one_daemon_at_a_time() {
        let name = format!("t{}", std::process::id());
        let first = Lock::take(&name).unwrap();
        assert_eq!(Lock::take(&name).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(Lock::take(&name).is_ok());
    }
}
