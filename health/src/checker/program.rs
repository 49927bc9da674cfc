//! Programs: those of `MISC_CHECK` and those that are told of changes.
//!
//! Each runs in a process group of its own, as the user it names, and is ended with that whole group when it takes too
//! long: first politely, then not.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Group, Pid, User as Account, geteuid};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::declared::{MiscCheck, Script, User};
use crate::judge::{Failure, Outcome};

/// How long a program has to end after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// What holds for all programs.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// As whom those run that name nobody.
    pub(super) user: Option<User>,
    /// None runs as root that somebody else could change.
    pub(super) is_strict: bool,
}

/// `MISC_CHECK`
pub(super) async fn check(check: &MiscCheck, rules: &Rules) -> Outcome {
    let status = match run(&check.script, check.timeout, rules).await {
        Ok(status) => status,
        Err(failure) => return Outcome::Failure(failure),
    };
    match status {
        0 => Outcome::SUCCESS,
        2.. if check.dynamic => Outcome::Success { weight: Some(i64::from(status) - 2) },
        _ => Outcome::Failure(Failure::Exit(status)),
    }
}

/// Runs a program to its end; its exit status.
pub(super) async fn run(script: &Script, patience: Duration, rules: &Rules) -> Result<i32, Failure> {
    let mut child = start(script, rules)?;
    let Some(group) = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw) else {
        return Err(Failure::Host("the program has no process".to_owned()));
    };
    let ended = Ended(group);
    let Ok(status) = timeout(patience, child.wait()).await else {
        // Not being there any more is what is wanted.
        let _ = killpg(group, Signal::SIGTERM);
        let _ = timeout(GRACE, child.wait()).await;
        drop(ended);
        let _ = child.wait().await;
        return Err(Failure::Timeout(patience));
    };
    std::mem::forget(ended);
    let status = status.map_err(|error| Failure::Host(error.to_string()))?;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(code),
        (None, signal) => Err(Failure::Signal(signal.unwrap_or_default())),
    }
}

/// A process group that is ended when this is dropped: also when nobody waits for the program any more.
struct Ended(Pid);

impl Drop for Ended {
    fn drop(&mut self) {
        // Not being there any more is what is wanted.
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

fn start(script: &Script, rules: &Rules) -> Result<Child, Failure> {
    let Some((program, arguments)) = script.command.split_first() else {
        return Err(Failure::Unusable("no program is named".to_owned()));
    };
    let user = script.user.as_ref().or(rules.user.as_ref());
    let mut command = Command::new(program);
    command.args(arguments).process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut is_root = geteuid().is_root();
    if let Some(user) = user {
        let account = account(user)?;
        is_root = account.0 == 0;
        if account.0 != geteuid().as_raw() {
            command.uid(account.0).gid(account.1);
        }
    }
    if rules.is_strict && is_root {
        safe(Path::new(program))?;
    }
    command.spawn().map_err(|error| Failure::Unusable(format!("{program}: {error}")))
}

/// The numbers of a user and its group.
fn account(user: &User) -> Result<(u32, u32), Failure> {
    let unknown = |what: &str, name: &str| Failure::Unusable(format!("there is no {what} {name}"));
    let account = Account::from_name(&user.name).ok().flatten().ok_or_else(|| unknown("user", &user.name))?;
    let group = match &user.group {
        None => account.gid,
        Some(name) => Group::from_name(name).ok().flatten().ok_or_else(|| unknown("group", name))?.gid,
    };
    Ok((account.uid.as_raw(), group.as_raw()))
}

/// Nobody but root can change the program, nor put another in its place (`enable_script_security`).
fn safe(program: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt;
    let unusable = |what: String| Failure::Unusable(format!("{}: {what}", program.display()));
    let path = program.canonicalize().map_err(|error| unusable(error.to_string()))?;
    for part in path.ancestors() {
        let metadata = part.symlink_metadata().map_err(|error| unusable(error.to_string()))?;
        // Where the sticky bit is set, others may write beside it but not put something in its place.
        let is_sticky = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
        if metadata.uid() != 0 || (metadata.mode() & 0o022 != 0 && !is_sticky) {
            return Err(unusable(format!("others than root can change {}", part.display())));
        }
    }
    Ok(())
}
