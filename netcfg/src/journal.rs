//! What will be changed on the host, written down before it is, so that it can always be taken back.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::libc::{O_CLOEXEC, O_NOFOLLOW};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::change::{Before, Change};

const VERSION: u32 = 1;
const OWNER_ONLY: u32 = 0o600;
/// No journal is longer, in bytes; what is, is no journal.
const LONGEST: u64 = 16 << 20;

/// One change with what stood in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) change: Change,
    pub(crate) before: Before,
    /// Whether the change was begun; whether it was finished nobody knows after a crash.
    pub(crate) begun: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    version: u32,
    /// The boot it was written in: a restart takes everything back by itself.
    boot: String,
    /// The network namespace it is about.
    namespace: u64,
    entries: Vec<Entry>,
}

/// The journal of one role, locked against other processes while it is open.
#[derive(Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
    path: PathBuf,
    content: Content,
    _lock: Flock<File>,
}

impl Journal {
    /// Opens the journal named `name`, empty when there is none.
    pub(crate) fn open(directory: &Path, name: &str) -> Result<Self, Error> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Journal { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(at(directory))?;
        let lock_path = directory.join(format!("{name}.lock"));
        let lock = options().write(true).create(true).truncate(false).open(&lock_path);
        let lock = Flock::lock(lock.map_err(at(&lock_path))?, FlockArg::LockExclusive)
            .map_err(|(_, errno)| at(&lock_path)(errno.into()))?;
        let path = directory.join(format!("{name}.json"));
        let mut content = read(&path)?.unwrap_or_default();
        let (boot, namespace) = (boot()?, namespace()?);
        if content.boot != boot {
            content = Content::default();
        } else if content.namespace != namespace && !content.entries.is_empty() {
            let reason = "it is about another network namespace".to_owned();
            return Err(Error::JournalContent { path, reason });
        }
        let content = Content { version: VERSION, boot, namespace, ..content };
        Ok(Self { directory: directory.to_owned(), path, content, _lock: lock })
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.content.entries
    }

    pub(crate) fn entries_mut(&mut self) -> &mut Vec<Entry> {
        &mut self.content.entries
    }

    /// Puts the journal on the disk as one step: a new file, synced, renamed over the old one.
    /// An empty journal is no file.
    pub(crate) fn save(&self) -> Result<(), Error> {
        let written = if self.content.entries.is_empty() { self.remove() } else { self.write() };
        written
            .and_then(|()| File::open(&self.directory)?.sync_all())
            .map_err(|source| Error::Journal { path: self.path.clone(), source })
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn write(&self) -> io::Result<()> {
        let fresh = self.path.with_extension("json.new");
        // Left over from a crash, or put there to mislead us: either way not ours to write through.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = options().write(true).create_new(true).open(&fresh)?;
        let mut text = serde_json::to_vec_pretty(&self.content)?;
        text.push(b'\n');
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(OWNER_ONLY).custom_flags(O_NOFOLLOW | O_CLOEXEC);
    options
}

/// Reads a journal; what another user could have written is refused, for root acts on it.
fn read(path: &Path) -> Result<Option<Content>, Error> {
    let failed = |source| Error::Journal { path: path.to_owned(), source };
    let refused = |reason: String| Err(Error::JournalContent { path: path.to_owned(), reason });
    let file = match options().read(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file()
        || metadata.uid() != nix::unistd::geteuid().as_raw()
        || metadata.mode() & 0o022 != 0
    {
        return refused("it is not a file that only this user can write".to_owned());
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    match serde_json::from_str::<Content>(&text) {
        Ok(content) if content.version == VERSION => Ok(Some(content)),
        Ok(content) => refused(format!("its version is {}, not {VERSION}", content.version)),
        Err(error) => refused(error.to_string()),
    }
}

fn boot() -> Result<String, Error> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = fs::read_to_string(path).map_err(|source| Error::Journal { path: path.to_owned(), source })?;
    Ok(text.trim().to_owned())
}

/// The number of the calling thread's network namespace.
fn namespace() -> Result<u64, Error> {
    let path = Path::new("/proc/thread-self/ns/net");
    let metadata = fs::metadata(path).map_err(|source| Error::Journal { path: path.to_owned(), source })?;
    Ok(metadata.ino())
}

#[cfg(test)]
mod tests;
