//! Tells scripts and pipes of transitions, on a thread of its own: no script keeps an advert waiting.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::Child;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lvs_vrrp::declared::{Command, Fifo, Globals, Notify};
use nix::libc::{O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK};
use nix::sys::stat::Mode;

use super::program;

/// How often ended scripts are looked for.
const REAP: Duration = Duration::from_millis(500);
/// How long scripts of the end may take before the daemon goes without them.
const LAST: Duration = Duration::from_secs(5);

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    /// `INSTANCE` or `GROUP`.
    pub(super) kind: &'static str,
    /// Its name.
    pub(super) name: String,
    /// `MASTER`, `BACKUP`, `FAULT`, `STOP`, `DELETED`, or one that only pipes are told.
    pub(super) state: &'static str,
    /// The effective priority; 0 for a group.
    pub(super) priority: u8,
    /// What runs for this state, and for all.
    pub(super) commands: Vec<(Command, bool)>,
}

impl Notice {
    /// Of a state, with what `notify` runs for it.
    pub(super) fn new(
        kind: &'static str,
        name: &str,
        state: &'static str,
        priority: u8,
        notify: &Notify,
    ) -> Self {
        let own = match state {
            "MASTER" => &notify.on_master,
            "BACKUP" => &notify.on_backup,
            "FAULT" => &notify.on_fault,
            "STOP" => &notify.on_stop,
            "DELETED" => &notify.on_deleted,
            "MASTER_RX_LOWER_PRI" => &notify.on_lower_priority,
            _ => &None,
        };
        let any = notify.on_any.as_ref().filter(|_| !state.contains('_'));
        let own = own.iter().map(|command| (command.clone(), false));
        let commands = own.chain(any.map(|command| (command.clone(), true))).collect();
        Self { kind, name: name.to_owned(), state, priority, commands }
    }

    /// As keepalived writes it to its pipes.
    fn line(&self) -> String {
        format!("{} \"{}\" {} {}\n", self.kind, self.name, self.state, self.priority)
    }

    fn arguments(&self) -> [String; 4] {
        [self.kind.to_owned(), self.name.clone(), self.state.to_owned(), self.priority.to_string()]
    }
}

enum Message {
    Tell(Notice),
    Globals(Globals),
}

/// The way to the thread; dropping it waits for what was told last.
#[derive(Debug)]
pub(super) struct Notifier {
    sender: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl Notifier {
    pub(super) fn start(globals: Globals) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let thread = thread::Builder::new().name("lvsd-vrrp-tell".to_owned()).spawn(move || {
            let mut teller = Teller::new(globals);
            loop {
                match receiver.recv_timeout(REAP) {
                    Ok(Message::Tell(notice)) => teller.tell(&notice),
                    Ok(Message::Globals(globals)) => teller.change(globals),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break teller.end(),
                }
                teller.reap();
            }
        })?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    pub(super) fn tell(&self, notice: Notice) {
        self.send(Message::Tell(notice));
    }

    pub(super) fn change(&self, globals: Globals) {
        self.send(Message::Globals(globals));
    }

    fn send(&self, message: Message) {
        let sent = self.sender.as_ref().is_some_and(|sender| sender.send(message).is_ok());
        if !sent {
            tracing::error!("scripts and pipes are told no more");
        }
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.sender = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that tells scripts had panicked");
        }
    }
}

struct Teller {
    globals: Globals,
    pipes: Vec<Pipe>,
    running: Vec<Child>,
}

struct Pipe {
    declared: Fifo,
    file: File,
    reader: Option<Child>,
}

impl Teller {
    fn new(globals: Globals) -> Self {
        let mut teller = Self { globals: Globals::default(), pipes: Vec::new(), running: Vec::new() };
        teller.change(globals);
        teller
    }

    /// Pipes that stay are left open.
    fn change(&mut self, globals: Globals) {
        let mut before = std::mem::take(&mut self.pipes);
        for fifo in &globals.notify_fifos {
            if let Some(place) = before.iter().position(|pipe| pipe.declared == *fifo) {
                self.pipes.push(before.swap_remove(place));
                continue;
            }
            match open(&fifo.path) {
                Ok(file) => {
                    let path = fifo.path.display().to_string();
                    let reader = fifo.reader.as_ref().map(|reader| program::start(reader, &[path], &globals));
                    let reader = reader.transpose().unwrap_or_else(|error| {
                        tracing::error!(%error, fifo = %fifo.path.display(), "its reader was not started");
                        None
                    });
                    self.pipes.push(Pipe { declared: fifo.clone(), file, reader });
                }
                Err(error) => tracing::error!(%error, fifo = %fifo.path.display(), "not opened"),
            }
        }
        before.into_iter().for_each(Pipe::close);
        self.globals = globals;
    }

    fn tell(&mut self, notice: &Notice) {
        let line = notice.line();
        for pipe in &mut self.pipes {
            if let Err(error) = pipe.file.write_all(line.as_bytes()) {
                tracing::warn!(%error, fifo = %pipe.declared.path.display(), "nobody reads it");
            }
        }
        for (command, is_any) in &notice.commands {
            let more = if *is_any { notice.arguments().to_vec() } else { Vec::new() };
            match program::start(command, &more, &self.globals) {
                Ok(child) => self.running.push(child),
                Err(error) => tracing::error!(%error, script = command.argv.join(" "), "not run"),
            }
        }
    }

    fn reap(&mut self) {
        self.running.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        self.pipes.iter_mut().for_each(|pipe| drop(pipe.reader.as_mut().map(Child::try_wait)));
    }

    /// Waits a while for the scripts of the end.
    fn end(mut self) {
        let deadline = Instant::now() + LAST;
        while !self.running.is_empty() && Instant::now() < deadline {
            self.reap();
            thread::sleep(Duration::from_millis(10));
        }
        self.pipes.into_iter().for_each(Pipe::close);
    }
}

impl Pipe {
    fn close(mut self) {
        if let Some(mut reader) = self.reader.take() {
            let pid = i32::try_from(reader.id()).map(nix::unistd::Pid::from_raw);
            let _ = pid.map(|pid| nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM));
            let _ = reader.wait();
        }
    }
}

/// Opens a pipe, made where it is not there; open for reading too, so that it is open whether or not anyone reads.
fn open(path: &Path) -> io::Result<File> {
    match nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)
        .open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no pipe"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn pipes_and_scripts_are_told_as_keepalived_tells_them() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        let fifo = Fifo { path: place.join("fifo"), reader: None };
        let globals = Globals { notify_fifos: vec![fifo.clone()], ..Globals::default() };
        let shell = |script: &str| Command {
            argv: ["/bin/sh", "-c", script, "notify"].map(str::to_owned).to_vec(),
            user: None,
        };
        let said = place.join("said");
        let notify = Notify {
            on_master: Some(shell(&format!("echo own $# >> {}", said.display()))),
            on_any: Some(shell(&format!("sleep 0.1; echo any $* >> {}", said.display()))),
            ..Notify::default()
        };
        let notifier = Notifier::start(globals).unwrap();
        notifier.tell(Notice::new("INSTANCE", "VI 1", "MASTER", 100, &notify));
        notifier.tell(Notice::new("INSTANCE", "VI 1", "MASTER_RX_LOWER_PRI", 100, &notify));
        let mut pipe = loop {
            if let Ok(pipe) = open(&fifo.path) {
                break pipe;
            }
        };
        let mut told = String::new();
        let deadline = Instant::now() + Duration::from_secs(20);
        while told.lines().count() < 2 && Instant::now() < deadline {
            let mut buffer = [0; 256];
            if let Ok(length) = pipe.read(&mut buffer) {
                told += std::str::from_utf8(&buffer[..length]).unwrap();
            }
        }
        drop(notifier);
        let scripts = std::fs::read_to_string(&said).unwrap();
        assert_eq!(told, "INSTANCE \"VI 1\" MASTER 100\nINSTANCE \"VI 1\" MASTER_RX_LOWER_PRI 100\n");
        assert_eq!(scripts, "own 0\nany INSTANCE VI 1 MASTER 100\n");
    }
}
