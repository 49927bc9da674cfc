//! One run at a time: two would disturb each other, and each take the other's settings of the host for the host's own.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use crate::failure::Failure;

/// The right to measure. It goes with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Alone {
    _name: UnixListener,
}

impl Alone {
    /// Takes it.
    ///
    /// # Errors
    /// Another run has it.
    pub(crate) fn take(name: &str) -> Result<Self, Failure> {
        // An abstract name: there is no file to be left behind.
        let listener = SocketAddr::from_abstract_name(name).and_then(|name| UnixListener::bind_addr(&name));
        match listener {
            Ok(listener) => Ok(Self { _name: listener }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(Failure::Wrong("another run is going on; they would disturb each other".to_owned()))
            }
            Err(error) => Err(Failure::system("cannot find out about other runs")(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Alone;

    #[test]
    fn there_is_one_run_at_a_time() {
        let name = format!("lvsb/test/{}", std::process::id());
        let first = Alone::take(&name).unwrap();
        assert!(Alone::take(&name).unwrap_err().to_string().contains("another run"));
        drop(first);
        assert!(Alone::take(&name).is_ok());
    }
}
