//! `lvsd import`: a keepalived.conf as an lvsd.toml, and a report of what was carried over and what was not.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;

use crate::config::{Config, ConfigError, Mistakes, Told};
use crate::keepalived::{self, Reading, Unavailable};

/// A file that was carried over.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// What it declares.
    pub config: Config,
    /// The same as the text of an lvsd.toml.
    pub toml: String,
    /// The file it came from.
    from: String,
    /// What has no effect here, or not the one it may be thought to have.
    warnings: Mistakes,
    /// What cannot be had, and was left out.
    left_out: Mistakes,
}

/// Reads a keepalived.conf with all that it includes; `config_id` is the name that `@` lines know this host by, and
/// `unavailable` says what becomes of keywords that cannot be had.
///
/// # Errors
/// As [`keepalived::load`].
pub fn import(
    path: &Path,
    config_id: Option<&str>,
    unavailable: Unavailable,
) -> Result<Imported, ConfigError> {
    let Reading { declared, warnings, left_out } = keepalived::load_with(path, config_id, unavailable)?;
    let mut config = Config::default();
    config.take(declared);
    config.serve_routers();
    let from = path.display().to_string();
    let toml = format!("# {from}, carried over by `lvsd import`\n\n{}", config.to_toml());
    Ok(Imported { config, toml, from, warnings, left_out })
}

impl Imported {
    /// True when nothing was left out.
    pub const fn is_whole(&self) -> bool {
        self.left_out.is_empty()
    }

    /// What was carried over, and what was not.
    pub fn report(&self) -> Report<'_> {
        let checks = self.config.checked.iter().flat_map(|checked| &checked.server.servers);
        let mut kinds = BTreeMap::new();
        for check in checks.flat_map(|server| &server.checks) {
            *kinds.entry(check.kind.keyword()).or_default() += 1;
        }
        Report {
            from: &self.from,
            virtual_servers: self.config.checked.len(),
            services: self.config.services.len(),
            real_servers: self.config.checked.iter().map(|checked| checked.server.servers.len()).sum(),
            checks: kinds,
            virtual_routers: self.config.vrrp.instances.len(),
            sync_groups: self.config.vrrp.groups.len(),
            scripts: self.config.vrrp.scripts.len(),
            track_files: self.config.vrrp.files.len(),
            track_processes: self.config.vrrp.processes.len(),
            interfaces: &self.config.interfaces,
            left_out: self.left_out.told().collect(),
            warnings: self.warnings.told().collect(),
        }
    }
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report<'a> {
    /// The file.
    pub from: &'a str,
    /// Virtual servers.
    pub virtual_servers: usize,
    /// The services they stand for.
    pub services: usize,
    /// Real servers.
    pub real_servers: usize,
    /// Checks of each kind.
    pub checks: BTreeMap<&'static str, usize>,
    /// Virtual routers (`vrrp_instance`).
    pub virtual_routers: usize,
    /// Sync groups.
    pub sync_groups: usize,
    /// Tracked scripts.
    pub scripts: usize,
    /// Tracked files.
    pub track_files: usize,
    /// Tracked processes.
    pub track_processes: usize,
    /// The interfaces that are served.
    pub interfaces: &'a [String],
    /// What cannot be had, and was left out.
    pub left_out: Vec<Told<'a>>,
    /// What has no effect, here or anywhere.
    pub warnings: Vec<Told<'a>>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: carried over", self.from)?;
        let mut count = |count: usize, noun: &str| match count {
            0 => Ok(()),
            1 => writeln!(f, "  1 {noun}"),
            _ => writeln!(f, "  {count} {noun}s"),
        };
        count(self.virtual_servers, "virtual server")?;
        if self.services != self.virtual_servers {
            count(self.services, "service")?;
        }
        count(self.real_servers, "real server")?;
        for (keyword, &number) in &self.checks {
            count(number, keyword)?;
        }
        count(self.virtual_routers, "virtual router")?;
        count(self.sync_groups, "sync group")?;
        count(self.scripts, "tracked script")?;
        count(self.track_files, "tracked file")?;
        count(self.track_processes, "tracked process")?;
        if self.interfaces.is_empty() {
            writeln!(f, "no interface is served yet: add `interfaces = [..]`, or start lvsd with -i")?;
        }
        list(f, "not carried over: there is no equivalent", &self.left_out)?;
        list(f, "to be known of, here as with the file itself", &self.warnings)
    }
}

fn list(f: &mut fmt::Formatter<'_>, title: &str, all: &[Told<'_>]) -> fmt::Result {
    if all.is_empty() {
        return Ok(());
    }
    writeln!(f, "{title}:")?;
    for told in all {
        writeln!(f, "  {}:{}:{}: {}: {}", told.file, told.line, told.column, told.title, told.label)?;
        if let Some(help) = told.help {
            writeln!(f, "      {help}")?;
        }
    }
    Ok(())
}

/// Writes a file that only its owner can read, for there may be passwords in it; one that is there is replaced as a
/// whole where `replaces` allows it.
///
/// # Errors
/// It is there and must not be replaced, or cannot be written.
pub fn write(path: &Path, text: &str, replaces: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    if !replaces {
        return options.open(path)?.write_all(text.as_bytes());
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let written = options.open(beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| fs::rename(beside, path));
    if replaced.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists) {
        let _ = fs::remove_file(beside);
    }
    replaced
}
