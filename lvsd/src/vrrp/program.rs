//! Programs that operators name: run as whom they say, and not at all where others could have changed them.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{self, Child, Stdio};

use lvs_vrrp::declared::{Command, Globals, RunAs};
use nix::unistd::{Group, User};

/// Starts a program, with these arguments behind its own, in a process group of its own.
///
/// # Errors
/// It cannot be started, its user is not known, or it is not safe to run as root.
pub(super) fn start(command: &Command, more: &[String], globals: &Globals) -> io::Result<Child> {
    let (program, arguments) = command.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let user = command.user.as_ref().or(globals.script_user.as_ref());
    let ids = user.map(ids).transpose()?;
    let is_root = ids.map_or_else(|| nix::unistd::geteuid().is_root(), |(uid, _)| uid == 0);
    if globals.script_security && is_root && !is_safe(Path::new(program)) {
        let why = format!("{program} runs as root, and others than root can change it");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut ready = process::Command::new(program);
    ready.args(arguments).args(more);
    ready.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    if let Some((uid, gid)) = ids {
        ready.uid(uid).gid(gid);
    }
    ready.spawn()
}

fn ids(who: &RunAs) -> io::Result<(u32, u32)> {
    let unknown = |name: &str| io::Error::new(io::ErrorKind::NotFound, format!("{name} is not known"));
    let user = User::from_name(&who.user)?.ok_or_else(|| unknown(&who.user))?;
    let gid = match &who.group {
        Some(group) => Group::from_name(group)?.ok_or_else(|| unknown(group))?.gid,
        None => user.gid,
    };
    Ok((user.uid.as_raw(), gid.as_raw()))
}

/// True when nobody but root can change the file or what leads to it.
fn is_safe(program: &Path) -> bool {
    let is_roots = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|found| {
            let is_shared_directory = found.is_dir() && found.mode() & 0o1000 != 0;
            found.uid() == 0 && (found.mode() & 0o022 == 0 || is_shared_directory)
        })
    };
    let Ok(whole) = program.canonicalize() else { return false };
    whole.ancestors().all(is_roots)
}
