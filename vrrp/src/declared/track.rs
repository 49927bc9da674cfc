//! What instances watch, and what it does to their priority.

use std::path::PathBuf;
use std::time::Duration;

use super::Command;

/// Something watched: an interface, script, file or process by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Its name.
    pub name: String,
    /// What it weighs; what its own declaration says when absent, and an interface then weighs 0.
    pub weight: Option<Weight>,
}

/// What a thing does to the priority of those that watch it.
///
/// ```text
/// value  reversed  while up      while down
///   0    no        -             fault
///   0    yes       fault         -
///  > 0   no        priority + v  -
///  < 0   no        -             priority - |v|
///  > 0   yes       priority - v  -
///  < 0   yes       -             priority + |v|
/// ```
///
/// Of a file the number in it counts, times the value (0: a number other than 0 is a fault).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weight {
    /// -253 to 253; -254 to 254 for files and processes.
    pub value: i16,
    /// Turned round (`reverse`).
    pub is_reversed: bool,
}

/// A program run again and again: its exit status says whether something is up (`vrrp_script`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// What is run.
    pub command: Command,
    /// From one start to the next.
    pub interval: Duration,
    /// How long it may run; the interval when absent.
    pub timeout: Option<Duration>,
    /// What it weighs for those that do not say.
    pub weight: Weight,
    /// Successes in a row until it is up, from 1.
    pub rise: u32,
    /// Failures in a row until it is down, from 1.
    pub fall: u32,
    /// Down until it has been up (`init_fail`).
    pub starts_down: bool,
}

impl Script {
    /// A script every second that one result of either kind decides.
    pub fn new(name: impl Into<String>, command: Command) -> Self {
        Self {
            name: name.into(),
            command,
            interval: Duration::from_secs(1),
            timeout: None,
            weight: Weight::default(),
            rise: 1,
            fall: 1,
            starts_down: false,
        }
    }
}

/// A file with a number in it, which is added to the priority (`track_file`, `vrrp_track_file`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackFile {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What it weighs for those that do not say; keepalived's default is 1.
    pub weight: Weight,
    /// Written at the start when the file is not there (`init_file`), and with `overwrite` also when it is.
    pub initial: Option<InitialNumber>,
}

/// A number written into a file at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitialNumber {
    /// The number.
    pub number: i64,
    /// Also over a number that is there.
    pub overwrites: bool,
}

/// A process that must run (`track_process`, `vrrp_track_process`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackProcess {
    /// Its name.
    pub name: String,
    /// The program's name or path, compared with the processes' first argument.
    pub process: String,
    /// Its arguments (`param_match`), when they count too.
    pub arguments: Option<Vec<String>>,
    /// What it weighs for those that do not say; keepalived's default is 1.
    pub weight: Weight,
    /// So many must run (`quorum`).
    pub quorum: u32,
    /// No more than so many may run (`quorum_max`).
    pub quorum_max: Option<u32>,
    /// How long too few must have run before it counts.
    pub fork_delay: Duration,
    /// How long enough must have run before it counts.
    pub terminate_delay: Duration,
}
