//! The command line's end of the control socket.

use std::{
    io::{self, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::line::Lines;
use crate::{
    adm::{Backend, BackendError},
    message::{Request, Response},
};

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);
/// A connection that was silent for so long may have been closed by the daemon: a new one is made.
const STALE: Duration = Duration::from_secs(10);
/// The longest answer: some millions of connections.
const LONGEST_ANSWER: usize = 1 << 30;

/// Asks the daemon; connects when the first request is made.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    connection: Option<(Lines, UnixStream, Instant)>,
}

impl Client {
    /// A client of the daemon that listens on `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), connection: None }
    }

    fn ask(&mut self, request: &Request) -> io::Result<Response> {
        let (mut lines, mut stream) = match self.connection.take() {
            Some((lines, stream, used)) if used.elapsed() < STALE => (lines, stream),
            _ => {
                let stream = UnixStream::connect(&self.path)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                (Lines::new(stream.try_clone()?, LONGEST_ANSWER), stream)
            }
        };
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        // a daemon that turns the caller away answers without reading
        let sent = stream.write_all(&line);
        let answer = lines.next_line(PATIENCE)?;
        let Some(answer) = answer else {
            return Err(sent.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
        };
        let response = serde_json::from_slice(&answer)?;
        self.connection = Some((lines, stream, Instant::now()));
        Ok(response)
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "the rest is told in the system's words")]
    fn explain(&self, error: &io::Error) -> BackendError {
        let path = self.path.display();
        BackendError(match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => format!(
                "cannot reach lvsd: no daemon listens on {path}\n\
                 Start it with `lvsd run', or name its socket with --socket or {}.",
                super::SOCKET_VARIABLE
            ),
            io::ErrorKind::PermissionDenied => "Permission denied (you must be root)".to_owned(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                format!("lvsd did not answer on {path} within {} seconds", PATIENCE.as_secs())
            }
            io::ErrorKind::UnexpectedEof => format!("lvsd closed {path} without an answer"),
            _ => format!("cannot talk to lvsd on {path}: {error}"),
        })
    }
}

impl Backend for Client {
    fn call(&mut self, request: Request) -> Result<Response, BackendError> {
        self.ask(&request).map_err(|error| self.explain(&error))
    }
}
