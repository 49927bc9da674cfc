//! `lvsd clean`: what a director left that did not end well, or handed over to nobody, is removed.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use lvs_forward::io::xdp::{self, Pins, ProgramError};
use lvs_netcfg::{Diversion, Error, Host, RoleName, Undone, Watcher};

use super::lock::Lock;
use super::start::{PINS, directory, journal};
use super::{clients, ledger};

/// Why the traces could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// A director answers there.
    #[error("a director answers on {0}: `lvsd stop` first")]
    Alive(String),
    /// The XDP program.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The host.
    #[error(transparent)]
    Host(#[from] Error),
    /// A file or directory.
    #[error("{0}: {1}")]
    File(String, io::Error),
}

/// Removes what the director that listened on `socket` left in this network namespace; `say` is told of each thing.
///
/// # Errors
/// [`CleanError`]; what was told of is removed then, and the rest is there.
pub fn remove(socket: &Path, mut say: impl FnMut(String)) -> Result<(), CleanError> {
    if UnixStream::connect(socket).is_ok() {
        return Err(CleanError::Alive(socket.display().to_string()));
    }
    let directory = directory(socket);
    programs(&directory.join(PINS), &mut say)?;
    host(socket, &mut say)?;
    for name in [ledger::NAME, clients::NAME] {
        file(&directory.join(name), &mut say)?;
    }
    file(socket, &mut say)?;
    let files = directory.join("proc");
    if files.join("net").exists() {
        fs::remove_dir_all(&files).map_err(|error| CleanError::File(files.display().to_string(), error))?;
        say(format!("removed {}", files.display()));
    }
    // It stays where somebody else has something in it.
    if fs::remove_dir(directory).is_ok() {
        say(format!("removed {}", directory.display()));
    }
    Ok(())
}

/// Takes the program off the interfaces that no director serves, and its names away.
fn programs(names: &Path, say: &mut impl FnMut(String)) -> Result<(), CleanError> {
    let watcher = Watcher::open()?;
    for interface in watcher.view().interfaces().filter(|interface| interface.mac.is_some()) {
        // Held until it is done: nobody begins to serve it meanwhile.
        let Ok(_lock) = Lock::take(&interface.name) else { continue };
        if xdp::take_off(&interface.name)? {
            say(format!("took the XDP program off {}", interface.name));
        }
    }
    if let Some(pins) = Pins::find(names) {
        pins.remove().map_err(|error| CleanError::File(names.display().to_string(), error))?;
        say(format!("removed the flow cache and its file system at {}", names.display()));
    } else {
        // A directory where it could not be mounted.
        let _ = fs::remove_dir(names);
    }
    Ok(())
}

/// Puts the host back by its journal.
fn host(socket: &Path, say: &mut impl FnMut(String)) -> Result<(), CleanError> {
    // Rules whose device is gone go when another diversion is opened.
    drop(Diversion::open("", 0, 1500)?);
    let journal = journal(socket);
    if !journal.exists() {
        return Ok(());
    }
    for reverted in Host::open(&journal)?.revert(RoleName::Director)? {
        let change = reverted.change.commands().join(" && ");
        if reverted.undone == Undone::Restored {
            say(format!("took back: {change}"));
        } else {
            say(format!("left alone: {change} ({:?})", reverted.undone));
        }
    }
    let _ = fs::remove_dir_all(&journal);
    Ok(())
}

fn file(path: &Path, say: &mut impl FnMut(String)) -> Result<(), CleanError> {
    match fs::remove_file(path) {
        Ok(()) => say(format!("removed {}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(CleanError::File(path.display().to_string(), error)),
    }
    Ok(())
}
