//! The files the daemon was told of on its command line, read as one; a reload reads them again.

use std::path::{Path, PathBuf};

use super::{Config, ConfigError, FlowCache, Mistakes, XdpMode};
use crate::args::RunArgs;
use crate::keepalived;

/// Where the configuration comes from.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// A file of lvsd's own (TOML).
    own: Option<PathBuf>,
    /// A file as `ipvsadm -S` writes it.
    rules: Option<PathBuf>,
    /// A file as keepalived reads it, and the name that its `@` lines know this host by.
    keepalived: Option<PathBuf>,
    config_id: Option<String>,
    /// What the command line itself says: it counts more than the files.
    interfaces: Vec<String>,
    mode: Option<XdpMode>,
    flow_cache: Option<FlowCache>,
    queues: Option<u32>,
    socket: Option<PathBuf>,
    log: Option<String>,
}

impl Files {
    /// What a command line names.
    pub fn of(args: &RunArgs) -> Self {
        Self {
            own: args.config.clone(),
            rules: args.rules.clone(),
            keepalived: args.keepalived.clone(),
            config_id: args.config_id.clone(),
            interfaces: args.interfaces.clone(),
            mode: args.mode,
            flow_cache: args.flow_cache,
            queues: args.queues,
            socket: args.socket.clone(),
            log: args.log.clone(),
        }
    }

    /// One file, whose name says of which kind it is.
    pub fn only(file: &Path, config_id: Option<String>) -> Self {
        let path = Some(file.to_owned());
        let is_keepalived =
            file.file_name().is_some_and(|name| name.to_string_lossy().contains("keepalived"));
        match file.extension().and_then(|extension| extension.to_str()) {
            _ if is_keepalived => Self { keepalived: path, config_id, ..Self::default() },
            Some("toml") => Self { own: path, ..Self::default() },
            Some("rules") => Self { rules: path, ..Self::default() },
            _ => Self { keepalived: path, config_id, ..Self::default() },
        }
    }

    /// Reads them; what they say and what is to be warned of.
    ///
    /// # Errors
    /// One cannot be read, or has mistakes.
    pub fn read(&self) -> Result<(Config, Mistakes), ConfigError> {
        let mut config = match &self.own {
            Some(path) => Config::load(path)?,
            None => Config::default(),
        };
        if let Some(path) = &self.rules {
            config.load_rules(path)?;
        }
        let warnings = match &self.keepalived {
            Some(path) => config.load_keepalived(path, self.config_id.as_deref())?,
            None => Mistakes::default(),
        };
        if !self.interfaces.is_empty() {
            config.interfaces.clone_from(&self.interfaces);
        }
        config.serve_routers();
        config.mode = self.mode.unwrap_or(config.mode);
        config.flow_cache = self.flow_cache.or(config.flow_cache);
        config.queues = self.queues.or(config.queues);
        config.socket = self.socket.clone().or(config.socket);
        config.log = self.log.clone().or(config.log);
        Ok((config, warnings))
    }
}

impl Config {
    /// Adds what a keepalived.conf declares; returns what in it is to be warned of.
    ///
    /// # Errors
    /// The file cannot be read, or has mistakes; the configuration is then as it was.
    pub fn load_keepalived(&mut self, path: &Path, config_id: Option<&str>) -> Result<Mistakes, ConfigError> {
        let keepalived::Reading { declared, warnings, .. } = keepalived::load(path, config_id)?;
        self.take(declared);
        Ok(warnings)
    }

    /// Adds what a keepalived.conf declares.
    pub fn take(&mut self, declared: keepalived::Declared) {
        self.timeouts = declared.timeouts.or(self.timeouts);
        self.services.extend(declared.services);
        self.health = declared.health;
        self.checked.extend(declared.checked);
        self.vrrp = declared.vrrp;
    }

    /// Serves the interfaces of the virtual routers where none is named.
    pub fn serve_routers(&mut self) {
        if self.interfaces.is_empty() && !self.services.is_empty() {
            for instance in &self.vrrp.instances {
                if !self.interfaces.contains(&instance.interface) {
                    self.interfaces.push(instance.interface.clone());
                }
            }
        }
    }
}
