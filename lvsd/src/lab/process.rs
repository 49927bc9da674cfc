//! The lab's own processes: started inside a namespace, ended when dropped.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::namespace::Namespace;

/// How long a process gets to end by itself.
const PATIENCE: Duration = Duration::from_secs(8);

/// A process of the lab's; dropping it ends it, gently first.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    is_kept: bool,
}

impl Process {
    /// Starts `program` inside a namespace; what it says goes to the file `log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start<S: AsRef<OsStr>>(
        namespace: &Namespace,
        program: &Path,
        args: &[S],
        log: PathBuf,
    ) -> io::Result<Self> {
        let said = File::create(&log)?;
        // In a process group of its own: an interrupt from the terminal is for the lab, which then ends the others.
        let child = Command::new("ip")
            .args(["netns", "exec", namespace.name()])
            .arg(program)
            .args(args)
            .env_remove("LVSD_SOCKET")
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .process_group(0)
            .spawn()?;
        Ok(Self { child, log, is_kept: false })
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The last lines of what it said.
    pub fn last_words(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
    }

    /// Leaves it running when this value is dropped.
    pub const fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Asks it to end and waits until it has; true when it ended by itself and well.
    pub fn stop(&mut self) -> bool {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.success(),
                Ok(None) => thread::sleep(Duration::from_millis(10)),
                Err(_) => return false,
            }
        }
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
        false
    }

    fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_kept && self.is_running() {
            self.stop();
        }
    }
}
