//! Programs on the hosts of a test: run to their end within a time, or ended with the test.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lvsd::lab::namespace::Namespace;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// What a program said, and how it ended: none where a signal did it, or where it took too long.
#[derive(Debug)]
pub struct Finished {
    pub command: String,
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Finished {
    /// What it said; it must have ended well.
    pub fn good(self) -> String {
        assert_eq!(self.status, Some(0), "{}: {}{}", self.command, self.out, self.err);
        self.out
    }
}

/// A program that runs beside the test; dropping it ends it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program in a namespace; what it says goes to the file `log`, behind what is there.
    pub fn start(host: &Namespace, command: &[&str], variables: &[(&str, &str)], log: PathBuf) -> Self {
        let said = File::options().create(true).append(true).open(&log).unwrap();
        let child = entering(host, command, variables)
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, log }
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The last lines of what it said.
    pub fn said(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap().join("\n")
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// Asks it to end (SIGTERM) and waits; true when it ended well.
    pub fn stop(&mut self) -> bool {
        self.end(Signal::SIGTERM).is_some_and(|status| status.success())
    }

    /// Ends it on the spot (SIGKILL) and waits.
    pub fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    fn end(&mut self, signal: Signal) -> Option<std::process::ExitStatus> {
        let _ = kill(self.pid(), signal);
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                ended => return ended.ok().flatten(),
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.stop();
        }
    }
}

/// Runs a program in a namespace to its end.
pub fn run(host: &Namespace, command: &[&str], variables: &[(&str, &str)], patience: Duration) -> Finished {
    finish(entering(host, command, variables), command, patience)
}

/// Runs a program to its end.
pub fn run_here(command: &[&str], patience: Duration) -> Finished {
    let (program, args) = command.split_first().unwrap();
    let mut ready = Command::new(program);
    ready.args(args);
    prepare(&mut ready);
    finish(ready, command, patience)
}

fn entering(host: &Namespace, command: &[&str], variables: &[(&str, &str)]) -> Command {
    // `ip netns exec` becomes the program: the number is the program's.
    let mut ready = Command::new("ip");
    ready.args(["netns", "exec", host.name()]).args(command);
    prepare(&mut ready);
    ready.envs(variables.iter().copied());
    ready
}

fn prepare(command: &mut Command) {
    for variable in ["LVSD_SOCKET", "RUST_LOG", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(variable);
    }
    // A group of its own: all of it can be ended, and nothing but it.
    command.stdin(Stdio::null()).process_group(0);
}

fn finish(mut ready: Command, command: &[&str], patience: Duration) -> Finished {
    let mut child = ready
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let out = std::thread::spawn(move || text(&mut out));
    let err = std::thread::spawn(move || text(&mut err));
    let deadline = Instant::now() + patience;
    let mut is_late = false;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline && !is_late {
            is_late = true;
            let _ = killpg(group, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let mut err = err.join().unwrap();
    if is_late {
        err.push_str("(it took too long)");
    }
    Finished { command: command.join(" "), status: status.code(), out: out.join().unwrap(), err }
}

fn text(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
