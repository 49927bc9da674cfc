//! Telling others of changes: the log, named pipes in keepalived's words, programs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lvs_health::checker::Checkers;
use lvs_health::declared::{Fifo, Script};
use lvs_health::judge::{Notice, Subject};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::task::JoinSet;

/// How long a program may take to be told.
const PATIENCE: Duration = Duration::from_mins(1);

/// Tells of changes; what takes time is done beside.
#[derive(Debug, Default)]
pub(super) struct Messenger {
    fifos: Vec<Fifo>,
    pipes: Vec<File>,
    scripts: JoinSet<()>,
}

impl Messenger {
    /// Whether other pipes are asked for than are open.
    pub(super) fn is_other(&self, fifos: &[Fifo]) -> bool {
        self.fifos != fifos
    }

    /// Tells of all these changes, in their order.
    pub(super) fn tell(&mut self, notices: Vec<Notice>, fifos: &[Fifo], checkers: &Arc<Checkers>) {
        self.open(fifos, checkers);
        while self.scripts.try_join_next().is_some() {}
        for notice in notices {
            log(&notice);
            let line = line(&notice);
            for pipe in &mut self.pipes {
                if let Err(error) = pipe.write_all(line.as_bytes()) {
                    tracing::warn!(%error, "a line could not be written to the notification pipe");
                }
            }
            if let Some(script) = notice.script {
                self.run(script, checkers);
            }
        }
    }

    /// Waits until every program has ended.
    pub(super) async fn all_told(&mut self) {
        while self.scripts.join_next().await.is_some() {}
    }

    fn open(&mut self, fifos: &[Fifo], checkers: &Arc<Checkers>) {
        if !self.is_other(fifos) {
            return;
        }
        self.fifos = fifos.to_vec();
        self.pipes.clear();
        for fifo in fifos {
            match open(&fifo.path) {
                Ok(pipe) => self.pipes.push(pipe),
                Err(error) => {
                    tracing::error!(%error, fifo = %fifo.path.display(), "cannot be written to");
                    continue;
                }
            }
            if let Some(script) = &fifo.script {
                let mut script = script.clone();
                script.command.push(fifo.path.display().to_string());
                self.start(script, checkers, Duration::MAX);
            }
        }
    }

    fn run(&mut self, script: Script, checkers: &Arc<Checkers>) {
        self.start(script, checkers, PATIENCE);
    }

    fn start(&mut self, script: Script, checkers: &Arc<Checkers>, patience: Duration) {
        let checkers = Arc::clone(checkers);
        self.scripts.spawn(async move {
            if let Err(failure) = checkers.run(&script, patience).await {
                tracing::warn!(script = script.command.join(" "), %failure, "the notification's program failed");
            }
        });
    }
}

/// Opens a named pipe, made where it is not there, so that nobody need be reading it.
fn open(path: &Path) -> io::Result<File> {
    match mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    let pipe = OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(path)?;
    if !pipe.metadata()?.file_type().is_fifo() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no named pipe"));
    }
    Ok(pipe)
}

/// The line a named pipe is told, as keepalived words it.
fn line(notice: &Notice) -> String {
    let state = if notice.is_up { "UP" } else { "DOWN" };
    match &notice.subject {
        Subject::Quorum { virtual_server } => format!("VS {virtual_server} {state}\n"),
        Subject::Server { virtual_server, address } => {
            // A real server is spoken of with its virtual server's protocol.
            let protocol = virtual_server.rsplit(':').nth(1).unwrap_or("tcp");
            format!("RS [{}]:{protocol}:{} {virtual_server} {state}\n", address.ip(), address.port())
        }
    }
}

fn log(notice: &Notice) {
    let state = if notice.is_up { "up" } else { "down" };
    let reason = notice.reason.as_str();
    match &notice.subject {
        Subject::Quorum { virtual_server } => {
            tracing::info!(virtual_server = %virtual_server, reason, "quorum {state}");
        }
        Subject::Server { virtual_server, address } => {
            tracing::info!(virtual_server = %virtual_server, server = %address, reason, "server {state}");
        }
    }
}
