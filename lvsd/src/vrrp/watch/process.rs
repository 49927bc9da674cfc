//! Processes that are looked for.

use std::path::Path;
use std::time::Instant;

use lvs_vrrp::Reading;
use lvs_vrrp::declared::TrackProcess;

/// Whether enough of a process runs, once that has been so for long enough.
#[derive(Debug)]
pub(super) struct Settled<'a> {
    process: &'a TrackProcess,
    last: Option<Reading>,
    since: Option<Instant>,
}

impl<'a> Settled<'a> {
    pub(super) const fn new(process: &'a TrackProcess) -> Self {
        Self { process, last: None, since: None }
    }

    pub(super) fn look(&mut self) -> Option<Reading> {
        let count = count(self.process);
        let is_enough =
            count >= self.process.quorum && self.process.quorum_max.is_none_or(|most| count <= most);
        let reading = if is_enough { Reading::Up } else { Reading::Down };
        if self.last.is_none() || self.last == Some(reading) {
            (self.last, self.since) = (Some(reading), None);
            return self.last;
        }
        let delay = if is_enough { self.process.fork_delay } else { self.process.terminate_delay };
        if self.since.get_or_insert_with(Instant::now).elapsed() >= delay {
            (self.last, self.since) = (Some(reading), None);
        }
        self.last
    }
}

/// How many processes are of this name and have these arguments.
fn count(process: &TrackProcess) -> u32 {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let is_it = |path: &Path| {
        let Ok(line) = std::fs::read(path.join("cmdline")) else { return false };
        let mut words = line.split(|&byte| byte == 0).map(String::from_utf8_lossy);
        let first = words.next().unwrap_or_default();
        let name = first.rsplit('/').next().unwrap_or_default();
        let wanted = &process.process;
        let is_named = if wanted.contains('/') { first == wanted.as_str() } else { name == wanted.as_str() };
        is_named
            && process.arguments.as_ref().is_none_or(|wanted| {
                words.zip(wanted).filter(|(word, wanted)| word == wanted.as_str()).count() == wanted.len()
            })
    };
    let found = entries.flatten().filter(|entry| {
        entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
            && is_it(&entry.path())
    });
    u32::try_from(found.count()).unwrap_or(u32::MAX)
}
