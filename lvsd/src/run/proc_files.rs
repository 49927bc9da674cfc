//! The files under the run directory that stand for those of `/proc/net`, written anew every few seconds.
//!
//! A reader finds a whole file at any time: each is written beside its place and moved there. They are gone once the
//! daemon has stopped.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

use super::control::Control;
use crate::config::ProcConfig;
use crate::control::DEFAULT_SOCKET;
use crate::proc::File;

/// Where they lie when nothing else is said.
const DIRECTORY: &str = "/run/lvsd/proc";
/// Anybody may read them, as the kernel's.
const MODE: u32 = 0o444;
const DIRECTORY_MODE: u32 = 0o755;

/// The files; dropping it removes them.
#[derive(Debug)]
pub(super) struct ProcFiles {
    directory: PathBuf,
    stop: Arc<AtomicBool>,
    writer: Option<JoinHandle<()>>,
}

impl ProcFiles {
    /// Writes the files from now on, on a thread of their own. The director works without them: what stands in the
    /// way is logged.
    pub(super) fn start(config: &ProcConfig, socket: &Path, control: &Arc<Mutex<Control>>) -> Option<Self> {
        let default = || (socket == Path::new(DEFAULT_SOCKET)).then(|| PathBuf::from(DIRECTORY));
        let directory = config.directory.clone().or_else(default)?;
        if config.interval == 0 {
            return None;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let writing = Writing {
            net: directory.join("net"),
            most: config.connections.try_into().unwrap_or(usize::MAX),
            control: Arc::clone(control),
        };
        let interval = Duration::from_secs(config.interval.into());
        let stopped = Arc::clone(&stop);
        let write = move || writing.keep_on(interval, &stopped);
        match thread::Builder::new().name("lvsd-proc".to_owned()).spawn(write) {
            Ok(writer) => Some(Self { directory, stop, writer: Some(writer) }),
            Err(error) => {
                tracing::warn!(%error, "no files in the format of /proc/net");
                None
            }
        }
    }
}

impl Drop for ProcFiles {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(writer) = self.writer.take() {
            writer.thread().unpark();
            let _ = writer.join();
        }
        let net = self.directory.join("net");
        for file in File::ALL {
            let _ = fs::remove_file(net.join(file.name()));
        }
        // What others put there stays, and the directories with it.
        let _ = fs::remove_dir(&net).and_then(|()| fs::remove_dir(&self.directory));
    }
}

/// What the thread needs.
struct Writing {
    net: PathBuf,
    most: usize,
    control: Arc<Mutex<Control>>,
}

impl Writing {
    fn keep_on(&self, interval: Duration, stop: &AtomicBool) {
        let mut was_told = false;
        while !stop.load(Ordering::Relaxed) {
            match self.write_all() {
                Ok(()) => was_told = false,
                Err(error) if !was_told => {
                    tracing::warn!(%error, directory = %self.net.display(), "files in the format of /proc/net");
                    was_told = true;
                }
                Err(_) => {}
            }
            thread::park_timeout(interval);
        }
    }

    fn write_all(&self) -> io::Result<()> {
        fs::create_dir_all(&self.net)?;
        for directory in self.net.ancestors().take(2) {
            fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE))?;
        }
        for file in File::ALL {
            let path = self.net.join(file.name());
            match self.text(file) {
                Some(text) => replace(&path, &text)?,
                None => match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    Ok(()) | Err(_) => {}
                },
            }
        }
        Ok(())
    }

    /// The file's text; `None` while it would be too long. The lock is held for the listing only.
    fn text(&self, file: File) -> Option<String> {
        let lists_connections = matches!(file, File::Connections | File::ConnectionsSync);
        let mut control = self.control.lock();
        if lists_connections && control.connections() > self.most {
            return None;
        }
        let listing = control.answer(file.request());
        drop(control);
        file.text(&listing)
    }
}

/// Puts a file with this text in the place of the one that is there.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // A link that somebody put there is not followed: the file must be a new one.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_takes_the_old_ones_place_and_a_link_in_the_way_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let [path, beside, other] = ["ip_vs", "ip_vs.new", "other"].map(|name| directory.path().join(name));
        fs::write(&other, "other").unwrap();
        std::os::unix::fs::symlink(&other, &beside).unwrap();
        replace(&path, "first").unwrap();
        std::os::unix::fs::symlink(&other, &beside).unwrap();
        replace(&path, "second").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(fs::read_to_string(&other).unwrap(), "other");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
    }
}
