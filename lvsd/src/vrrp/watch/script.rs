//! A script that is run again and again, and what its results in a row have made of it.

use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lvs_vrrp::Reading;
use lvs_vrrp::declared::{Globals, Script};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::super::program;
use super::sleep;

/// How often a running script is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

/// What a script's results in a row have made of it.
#[derive(Debug)]
struct Judgement {
    is_up: bool,
    /// Results in a row that speak against it.
    against: u32,
}

impl Judgement {
    /// `None` where nothing changes.
    fn hear(&mut self, is_good: bool, script: &Script) -> Option<Reading> {
        if is_good == self.is_up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if is_good { script.rise } else { script.fall };
        if self.against < needed.max(1) {
            return None;
        }
        *self = Self { is_up: is_good, against: 0 };
        Some(if is_good { Reading::Up } else { Reading::Down })
    }
}

pub(super) fn watch(script: &Script, globals: &Globals, stop: &AtomicBool, tell: impl Fn(Reading)) {
    // The first results count at once: nothing is known before.
    let mut judgement = Judgement { is_up: !script.starts_down, against: 0 };
    let mut is_first = true;
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let result = outcome(script, globals, stop);
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let is_good = result.unwrap_or_else(|error| {
            if is_first {
                tracing::error!(%error, script = script.name, "not run");
            }
            false
        });
        let changed = judgement.hear(is_good, script);
        if let Some(reading) = changed {
            tell(reading);
        } else if is_first {
            tell(if judgement.is_up { Reading::Up } else { Reading::Down });
        }
        is_first = false;
        sleep(script.interval.saturating_sub(started.elapsed()), stop);
    }
}

/// Runs the script once; true when it ended with status 0 in time. One that takes too long is killed with its
/// children.
fn outcome(script: &Script, globals: &Globals, stop: &AtomicBool) -> std::io::Result<bool> {
    let mut child = program::start(&script.command, &[], globals)?;
    let deadline = Instant::now() + script.timeout.unwrap_or(script.interval);
    let mut pause = Duration::from_millis(1);
    while Instant::now() < deadline && !stop.load(Ordering::Relaxed) {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LOOK);
    }
    kill_all(&mut child);
    Ok(false)
}

fn kill_all(child: &mut Child) {
    let group = i32::try_from(child.id()).map(Pid::from_raw);
    let _ = group.map(|group| killpg(group, Signal::SIGKILL));
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvs_vrrp::declared::Command;
    use std::path::Path;

    fn shell(text: &str) -> Command {
        Command { argv: ["/bin/sh", "-c", text].map(str::to_owned).to_vec(), user: None }
    }

    #[test]
    fn results_count_only_in_a_row() {
        let script = Script { rise: 2, fall: 3, ..Script::new("s", shell("true")) };
        let mut judgement = Judgement { is_up: true, against: 0 };
        let mut hear = |is_good| judgement.hear(is_good, &script);
        assert_eq!([hear(false), hear(false), hear(true)], [None; 3]);
        assert_eq!([hear(false), hear(false), hear(false)], [None, None, Some(Reading::Down)]);
        assert_eq!([hear(true), hear(true)], [None, Some(Reading::Up)]);
    }

    #[test]
    fn a_script_that_hangs_is_killed_with_its_children() {
        let mark = format!("/tmp/lvsd-vrrp-watch-{}", std::process::id());
        let mut script = Script::new("s", shell(&format!("(sleep 1; touch {mark}) & wait")));
        script.timeout = Some(Duration::from_millis(100));
        let started = Instant::now();
        assert!(!outcome(&script, &Globals::default(), &AtomicBool::new(false)).unwrap());
        assert!(started.elapsed() < Duration::from_secs(1));
        thread::sleep(Duration::from_millis(1200));
        assert!(!Path::new(&mark).exists());
    }
}
