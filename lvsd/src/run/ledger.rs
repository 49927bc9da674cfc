//! What was changed while the director ran, written down before it is answered: a successor does it again.
//!
//! After a crash the files are read as at any start, and then every change that `lvsadm`, `lvsd mark` or `lvsd sysctl`
//! made meanwhile is made again, in its order. So what was added is there, what was removed is not, and what the files
//! say now holds for all that nobody touched. Changes of the checks and of `lvsd reload` are not written down: the
//! checks and the files make them anew.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::mark::MarkRule;
use crate::message::{Request, ServiceId, Timeouts};

/// The file's name, in the directory of the control socket.
pub(super) const NAME: &str = "changes";
/// So many changes are written before the file is looked through for those that a later one makes needless.
const MANY: usize = 256;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Change {
    /// A request that was carried out.
    Request(Request),
    /// The rules for marks, all of them.
    Marks(Vec<MarkRule>),
}

/// What a change is about, so that a later one about the same can take its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    Service(ServiceId),
    Server(ServiceId, IpAddr, u16),
    Timeouts,
    Sysctl(String),
    Marks,
}

/// The changes, in memory and in their file.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    /// Which start of the machine this is: what was written before another one is void.
    boot: String,
    changes: Vec<Change>,
    file: Option<File>,
    /// How many there were when needless ones were looked for last.
    looked: usize,
}

impl Ledger {
    /// The ledger in a directory, with the changes that a predecessor left there since the machine started.
    pub(super) fn open(directory: &Path) -> Self {
        let path = directory.join(NAME);
        let boot = boot();
        let changes = read(&path, &boot).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%error, file = %path.display(), "what a predecessor changed cannot be read");
            }
            Vec::new()
        });
        let looked = changes.len();
        Self { path, boot, changes, file: None, looked }
    }

    /// The changes, the first one first.
    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Writes a change down. One that cannot be written is told of: it is lost if the director does not end well.
    pub(super) fn note(&mut self, change: Change) {
        let written = self.append(&change);
        self.changes.push(change);
        let written = written.and_then(|()| {
            if self.changes.len() < self.looked * 2 + MANY {
                return Ok(());
            }
            self.changes = needed(std::mem::take(&mut self.changes));
            self.looked = self.changes.len();
            self.write_anew()
        });
        if let Err(error) = written {
            tracing::warn!(%error, file = %self.path.display(), "a change would not outlive a crash");
            // The next change tries with a file that is whole.
            self.file = None;
        }
    }

    /// There is nobody to tell any more.
    pub(super) fn remove(&mut self) {
        self.file = None;
        self.changes.clear();
        remove(&self.path);
    }

    fn append(&mut self, change: &Change) -> io::Result<()> {
        if self.file.is_none() {
            self.write_anew()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut line = serde_json::to_vec(change)?;
        line.push(b'\n');
        // One call: a line is there or not, wherever the process ends.
        file.write_all(&line)
    }

    fn write_anew(&mut self) -> io::Result<()> {
        let mut text = serde_json::to_vec(&self.boot)?;
        text.push(b'\n');
        for change in &self.changes {
            serde_json::to_writer(&mut text, change)?;
            text.push(b'\n');
        }
        replace(&self.path, &text)?;
        self.file = Some(File::options().append(true).open(&self.path)?);
        Ok(())
    }
}

/// Leaves out what a later change makes needless.
fn needed(changes: Vec<Change>) -> Vec<Change> {
    let mut kept: Vec<Option<Change>> = Vec::new();
    let mut places: HashMap<Subject, usize> = HashMap::new();
    for change in changes {
        let ends = |subject: &Subject| match (&change, subject) {
            (Change::Request(Request::Flush), Subject::Service(_) | Subject::Server(..)) => true,
            (Change::Request(Request::DeleteService { id }), Subject::Server(of, ..)) => id == of,
            _ => false,
        };
        if matches!(change, Change::Request(Request::Flush | Request::DeleteService { .. })) {
            let ended: Vec<usize> =
                places.extract_if(|subject, _| ends(subject)).map(|(_, place)| place).collect();
            for place in ended {
                kept[place] = None;
            }
        }
        for (subject, change) in parts(change) {
            let Some(subject) = subject else {
                kept.push(Some(change));
                continue;
            };
            // A service that was removed comes without the servers it had.
            let is_new = matches!(change, Change::Request(Request::AddService(_)));
            let place = places.get(&subject).filter(|&&place| !(is_new && is_removal(kept[place].as_ref())));
            let before = place.and_then(|&place| Some((place, kept[place].take()?)));
            let (place, change) = match before {
                // In its old place: others may build on it.
                Some((place, before)) => (place, joined(before, change)),
                None => (kept.len(), change),
            };
            if place == kept.len() {
                kept.push(None);
            }
            kept[place] = Some(change);
            places.insert(subject, place);
        }
    }
    kept.into_iter().flatten().collect()
}

fn is_removal(change: Option<&Change>) -> bool {
    matches!(change, Some(Change::Request(Request::DeleteService { .. })))
}

/// A change in parts that are each about one thing.
fn parts(change: Change) -> Vec<(Option<Subject>, Change)> {
    let subject = match &change {
        Change::Marks(_) => Some(Subject::Marks),
        Change::Request(Request::AddService(service) | Request::EditService(service)) => {
            Some(Subject::Service(service.id))
        }
        Change::Request(Request::DeleteService { id }) => Some(Subject::Service(*id)),
        Change::Request(Request::AddServer { id, server } | Request::EditServer { id, server }) => {
            Some(Subject::Server(*id, server.rip, server.port))
        }
        Change::Request(Request::DeleteServer { id, rip, port }) => Some(Subject::Server(*id, *rip, *port)),
        Change::Request(Request::SetTimeouts(_)) => Some(Subject::Timeouts),
        Change::Request(Request::Sysctls { settings }) => {
            let one = |setting: &crate::message::SysctlSetting| {
                let settings = vec![setting.clone()];
                (Some(Subject::Sysctl(setting.name.clone())), Change::Request(Request::Sysctls { settings }))
            };
            return settings.iter().filter(|setting| setting.value.is_some()).map(one).collect();
        }
        Change::Request(_) => None,
    };
    vec![(subject, change)]
}

/// What one change and a later one about the same come to.
fn joined(before: Change, after: Change) -> Change {
    match (before, after) {
        (Change::Request(Request::AddService(_)), Change::Request(Request::EditService(service))) => {
            Change::Request(Request::AddService(service))
        }
        (Change::Request(Request::AddServer { .. }), Change::Request(Request::EditServer { id, server })) => {
            Change::Request(Request::AddServer { id, server })
        }
        (Change::Request(Request::SetTimeouts(before)), Change::Request(Request::SetTimeouts(after))) => {
            let newer = |before, after| if after == 0 { before } else { after };
            Change::Request(Request::SetTimeouts(Timeouts {
                tcp: newer(before.tcp, after.tcp),
                tcp_fin: newer(before.tcp_fin, after.tcp_fin),
                udp: newer(before.udp, after.udp),
            }))
        }
        (_, after) => after,
    }
}

fn read(path: &Path, boot: &str) -> io::Result<Vec<Change>> {
    let mut lines = BufReader::new(File::open(path)?).lines();
    let first: String = serde_json::from_str(&lines.next().transpose()?.unwrap_or_default())?;
    if first != boot {
        return Ok(Vec::new());
    }
    let mut changes = Vec::new();
    for line in lines {
        match serde_json::from_str(&line?) {
            Ok(change) => changes.push(change),
            Err(error) => tracing::warn!(%error, "a change of a predecessor's is left out"),
        }
    }
    Ok(changes)
}

/// Which start of the machine this is.
pub(super) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Writes a file whole or not at all.
pub(super) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, path)
}

/// Removes a file that may not be there.
pub(super) fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, file = %path.display(), "not removed");
        }
        Ok(()) | Err(_) => {}
    }
}

#[cfg(test)]
mod tests;
