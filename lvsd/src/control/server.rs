//! The daemon's end of the control socket.
//!
//! ```text
//! accept thread -> one thread a connection (reads a line, waits for its answer) --channel--> Server::serve_for
//! ```
//!
//! A peer can be slow, silent or hostile without holding up anyone else: a line has a length and a deadline, an
//! answer that is not taken has one too, and the number of connections is limited.

use std::{
    fs,
    io::{self, Write},
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sys::socket::{Shutdown, getsockopt, shutdown, sockopt::PeerCredentials};
use std::os::fd::AsRawFd;

use super::line::Lines;
use crate::message::{Refusal, Request, Response};

/// The longest request in bytes; real ones have a few hundred.
const LONGEST_REQUEST: usize = 64 * 1024;
/// How long a connection may be silent, or a line take to become whole.
const IDLE: Duration = Duration::from_secs(30);
/// How long an answer may wait to be taken.
const UNREAD: Duration = Duration::from_secs(10);
/// Connections at a time.
const MOST_CONNECTIONS: usize = 64;
/// Who may read and write the socket: its owner and its group.
const MODE: u32 = 0o660;

/// A bound control socket; dropping it removes the socket.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    inode: u64,
    listener: UnixListener,
    asked: Receiver<Asked>,
    accepting: Option<JoinHandle<()>>,
}

/// A request and where its answer goes.
#[derive(Debug)]
struct Asked {
    request: Request,
    answer: SyncSender<Response>,
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
    /// Something that is no socket is in the way; it is left alone.
    #[error("{path} exists and is not a socket")]
    NotASocket {
        /// What is in the way.
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
    /// When another daemon answers there, something else is in the way, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        make_way(path)?;
        let failed = |source| BindError::Io { path: path.to_owned(), source };
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(MODE)).map_err(failed)?;
        let inode = fs::symlink_metadata(path).map_err(failed)?.ino();
        let accepted = listener.try_clone().map_err(failed)?;
        let (sender, asked) = mpsc::sync_channel(MOST_CONNECTIONS);
        let accepting = thread::Builder::new()
            .name("control-accept".to_owned())
            .spawn(move || accept(&accepted, &sender))
            .map_err(failed)?;
        Ok(Self { path: path.to_owned(), inode, listener, asked, accepting: Some(accepting) })
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers requests with `answer`, on this thread and one at a time, until `patience` has passed; an answer is
    /// never cut off by it. Between two calls the caller does its own periodic work.
    pub fn serve_for(&mut self, patience: Duration, answer: &mut dyn FnMut(Request) -> Response) {
        let deadline = Instant::now() + patience;
        while let Ok(asked) = self.asked.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            // whoever asked may have gone away meanwhile
            let _ = asked.answer.send(answer(asked.request));
            if Instant::now() >= deadline {
                return;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // a daemon that was started over this one keeps its socket
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
        let woken = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
        if let (Ok(()), Some(accepting)) = (woken, self.accepting.take()) {
            let _ = accepting.join();
        }
    }
}

/// Makes the directory and removes a dead daemon's socket.
fn make_way(path: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::Io { path: path.to_owned(), source };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
        Ok(_) => Err(BindError::InUse { path: path.to_owned() }),
    }
}

/// One of the places for connections; dropping it gives it back.
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(taken: &Arc<AtomicUsize>) -> Option<Self> {
        let seat = Self(Arc::clone(taken));
        (taken.fetch_add(1, Ordering::Relaxed) < MOST_CONNECTIONS).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn accept(listener: &UnixListener, asked: &SyncSender<Asked>) {
    let seats = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            // the server was dropped and shut the listener down
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the control socket");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        if !is_trusted(&stream) {
            turn_away(stream, &Response::Refused { error: Refusal::NotPermitted });
            continue;
        }
        let Some(seat) = Seat::take(&seats) else {
            turn_away(stream, &malformed("too many connections"));
            continue;
        };
        let asked = asked.clone();
        let spawned = thread::Builder::new().name("control".to_owned()).spawn(move || {
            let _seat = seat;
            if let Err(error) = converse(&stream, &asked) {
                tracing::debug!(%error, "a control connection ended");
            }
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "cannot serve a control connection");
        }
    }
}

/// Root, the daemon's own user, or its group.
fn is_trusted(stream: &UnixStream) -> bool {
    getsockopt(stream, PeerCredentials).is_ok_and(|peer| {
        peer.uid() == 0
            || peer.uid() == nix::unistd::geteuid().as_raw()
            || peer.gid() == nix::unistd::getegid().as_raw()
    })
}

/// Says why and hangs up, without waiting.
fn turn_away(stream: UnixStream, response: &Response) {
    let _ = stream.set_nonblocking(true);
    let _ = reply(&stream, response);
    drop(stream);
}

fn converse(stream: &UnixStream, asked: &SyncSender<Asked>) -> io::Result<()> {
    stream.set_write_timeout(Some(UNREAD))?;
    let mut lines = Lines::new(stream.try_clone()?, LONGEST_REQUEST);
    loop {
        let line = match lines.next_line(IDLE) {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(()),
            Err(error) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    reply(stream, &malformed("the line is too long"))?;
                }
                return Err(error);
            }
        };
        let response = match serde_json::from_slice(&line) {
            Ok(request) => {
                let (answer, answered) = mpsc::sync_channel(1);
                if asked.send(Asked { request, answer }).is_err() {
                    return Ok(());
                }
                // an error here: the server is gone, and the daemon with it
                let Ok(response) = answered.recv() else { return Ok(()) };
                response
            }
            Err(error) => malformed(&error.to_string()),
        };
        reply(stream, &response)?;
    }
}

fn malformed(message: &str) -> Response {
    Response::Malformed { message: message.to_owned() }
}

fn reply(mut stream: &UnixStream, response: &Response) -> io::Result<()> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    stream.write_all(&line)
}
