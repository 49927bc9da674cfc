//! What a configuration comes to, and what is wrong with it, found without starting anything.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::config::{Config, ConfigError, Mistakes, Told};

/// What was found in a file.
#[derive(Debug, Serialize)]
pub struct Checked<'a> {
    /// The file.
    pub file: &'a Path,
    /// Whether `lvsd run` would start with it.
    pub is_usable: bool,
    /// Virtual services in it.
    pub virtual_services: usize,
    /// Real servers of all of them.
    pub real_servers: usize,
    /// Virtual routers in it.
    pub virtual_routers: usize,
    /// Why it could not be read at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What keeps it from being used.
    pub mistakes: Vec<Told<'a>>,
    /// What in it has no effect, or not the one it may be thought to have.
    pub warnings: Vec<Told<'a>>,
}

impl<'a> Checked<'a> {
    /// What reading a file came to.
    pub fn of(file: &'a Path, read: &'a Result<(Config, Mistakes), ConfigError>) -> Self {
        let mut checked = Self {
            file,
            is_usable: read.is_ok(),
            virtual_services: 0,
            real_servers: 0,
            virtual_routers: 0,
            error: None,
            mistakes: Vec::new(),
            warnings: Vec::new(),
        };
        match read {
            Ok((config, warnings)) => {
                checked.virtual_services = config.services.len();
                checked.real_servers = config.services.iter().map(|service| service.servers.len()).sum();
                checked.virtual_routers = config.vrrp.instances.len();
                checked.warnings = warnings.told().collect();
            }
            Err(ConfigError::Mistaken(mistakes)) => checked.mistakes = mistakes.told().collect(),
            Err(error @ ConfigError::Unreadable { .. }) => checked.error = Some(error.to_string()),
        }
        checked
    }
}

impl fmt::Display for Checked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} virtual services, {} real servers, {} virtual routers; {} warnings",
            self.file.display(),
            self.virtual_services,
            self.real_servers,
            self.virtual_routers,
            self.warnings.len()
        )
    }
}
