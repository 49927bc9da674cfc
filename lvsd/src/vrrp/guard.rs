//! A small process that takes the addresses off the host when the daemon is gone, however it ended.
//!
//! The daemon tells it what it holds before it takes it. The pipe between them ends with the daemon: the guard then
//! undoes what is still held, the latest first, and ends.

use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use lvs_netcfg::{Address, Editor, PolicyRule, Route};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigSet, Signal};
use serde::{Deserialize, Serialize};

/// Bytes that the pipe to the guard holds.
const ROOM: i32 = 1 << 20;

/// Something on the host that must not outlive the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Held {
    /// A virtual address.
    Address(Address),
    /// A route.
    Route(Route),
    /// A rule of policy routing.
    Rule(PolicyRule),
    /// A virtual interface.
    Link {
        /// Its number.
        ifindex: u32,
        /// Its name.
        name: String,
    },
    /// A parameter, with what it was before.
    Sysctl {
        /// Its path under `/proc/sys`.
        path: String,
        /// What it was.
        before: String,
    },
}

impl Held {
    /// True for a route or a rule that says of itself who set it, so that it is no operator's.
    pub(super) fn is_marked(&self) -> bool {
        match self {
            Self::Route(Route { protocol, .. }) | Self::Rule(PolicyRule { protocol, .. }) => {
                *protocol == lvs_vrrp::declared::KEEPALIVED
            }
            Self::Address(_) | Self::Link { .. } | Self::Sysctl { .. } => false,
        }
    }

    /// Takes it off the host; fine where it is gone already.
    pub(super) fn undo(&self, editor: &mut Editor) -> Result<(), lvs_netcfg::Error> {
        match self {
            Self::Address(address) => editor.delete_address(address).map(drop),
            Self::Route(route) => editor.delete_route(route).map(drop),
            Self::Rule(rule) => editor.delete_rule(rule).map(drop),
            Self::Link { ifindex, .. } => editor.delete_link(*ifindex).map(drop),
            Self::Sysctl { path, before } => {
                // The interface it belongs to may be gone, and the parameter with it.
                let _ = std::fs::write(format!("/proc/sys/{path}"), before);
                Ok(())
            }
        }
    }
}

/// What the daemon tells its guard.
#[derive(Debug, Serialize, Deserialize)]
enum Told {
    Held(Held),
    Gone(Held),
}

/// The daemon's end.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    pipe: ChildStdin,
}

impl Guard {
    /// Starts a guard, in the calling thread's network namespace. `program` is lvsd itself.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(program: &Path) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg("vrrp-guard")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // A group of its own: what is sent to the daemon's group is not for it.
            .process_group(0)
            .spawn()?;
        let pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        // Nothing the guard does may keep an advert waiting.
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        // Hundreds of routes may be told of before it reads the first.
        if let Err(error) = fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(ROOM)) {
            tracing::debug!(%error, "the pipe to the guard is a small one");
        }
        Ok(Self { child, pipe })
    }

    /// Tells it of something that is about to be held.
    pub(super) fn hold(&mut self, held: &Held) -> io::Result<()> {
        self.tell(&Told::Held(held.clone()))
    }

    /// Tells it of something that is no longer held.
    pub(super) fn let_go(&mut self, held: &Held) -> io::Result<()> {
        self.tell(&Told::Gone(held.clone()))
    }

    fn tell(&mut self, told: &Told) -> io::Result<()> {
        let mut line = serde_json::to_vec(told)?;
        line.push(b'\n');
        self.pipe.write_all(&line)
    }

    /// True while it runs.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it; it undoes what is still held.
    pub(super) fn end(mut self) {
        drop(self.pipe);
        if let Err(error) = self.child.wait() {
            tracing::warn!(%error, "the guard's end");
        }
    }
}

/// The guard itself: reads what is held, and once the daemon is gone undoes it.
///
/// # Errors
/// The kernel cannot be asked; something could not be undone.
pub fn run(told: impl BufRead) -> Result<(), lvs_netcfg::Error> {
    // It goes when the daemon goes, and not before.
    let mut deaf = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGPIPE] {
        deaf.add(signal);
    }
    let _ = deaf.thread_block();
    let mut editor = Editor::open()?;
    let mut outcome = Ok(());
    for held in left_over(told).iter().rev() {
        if let Err(error) = held.undo(&mut editor) {
            outcome = Err(error);
        }
    }
    outcome
}

/// What is still held once the pipe ends.
fn left_over(told: impl BufRead) -> Vec<Held> {
    let mut all: Vec<Held> = Vec::new();
    for line in told.lines() {
        let Ok(line) = line else { break };
        match serde_json::from_str(&line) {
            Ok(Told::Held(held)) => all.push(held),
            Ok(Told::Gone(gone)) => {
                if let Some(place) = all.iter().rposition(|held| *held == gone) {
                    all.remove(place);
                }
            }
            // Half a line: the daemon ended while it wrote.
            Err(_) => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sysctl(path: &str) -> Held {
        Held::Sysctl { path: path.to_owned(), before: "0".to_owned() }
    }

    #[test]
    fn what_was_let_go_is_left_alone_and_half_a_line_does_no_harm() {
        let mut text = Vec::new();
        let mut tell = |told: &Told| {
            text.extend(serde_json::to_vec(told).unwrap());
            text.push(b'\n');
        };
        tell(&Told::Held(sysctl("a")));
        tell(&Told::Held(sysctl("b")));
        tell(&Told::Held(sysctl("a")));
        tell(&Told::Gone(sysctl("a")));
        tell(&Told::Gone(sysctl("never held")));
        text.extend(b"{\"Held\":{\"Sys");
        assert_eq!(left_over(&text[..]), [sysctl("a"), sysctl("b")]);
    }
}
