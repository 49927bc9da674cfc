//! What is declared in files, or was by a predecessor's operators: made so, and written down for a successor.

use super::Control;
use crate::config::Config;
use crate::message::{Refusal, Request, Response};
use crate::run::difference::{self, Difference};
use crate::run::ledger::{Change, Ledger};
use crate::services::Sysctls;

/// What came of adding and changing services.
#[derive(Debug)]
pub(in crate::run) struct Gained {
    /// How many changes there are, what is to be lost among them.
    pub(in crate::run) changes: usize,
    /// What is no longer wanted.
    pub(in crate::run) losses: Vec<Request>,
}

impl Control {
    /// Loads the services of the configuration; servers that are checked come by the checks.
    ///
    /// # Errors
    /// The first that the registry refuses, by name.
    pub(in crate::run) fn load(&mut self, config: &Config) -> Result<(), (String, Refusal)> {
        if let Some(timeouts) = config.timeouts {
            self.applied(Request::SetTimeouts(timeouts), || "timeouts".to_owned())?;
        }
        self.look_at_memory();
        for (name, value) in &config.sysctls {
            self.registry.set_sysctl(name, value).map_err(|error| (format!("vs.{name}"), error))?;
        }
        let gained = self.gain(&Config::default(), config)?;
        self.lose(gained.losses);
        Ok(())
    }

    /// Makes the changes that a predecessor made while it ran, and writes down those to come.
    pub(in crate::run) fn resume(&mut self, ledger: Ledger) {
        let count = ledger.changes().len();
        for change in ledger.changes() {
            self.again(change.clone());
        }
        if count > 0 {
            tracing::info!(changes = count, "made again as a predecessor had made them");
        }
        self.ledger = Some(ledger);
    }

    fn again(&mut self, change: Change) {
        let now = self.clock.now();
        let request = match change {
            Change::Marks(rules) => {
                if let Err(error) = self.registry.set_marks(rules) {
                    tracing::warn!(%error, "the rules for marks are those of the files");
                }
                return;
            }
            Change::Request(request) => request,
        };
        let edit = if let Request::AddService(service) = &request {
            Some(Request::EditService(service.clone()))
        } else if let Request::AddServer { id, server } = &request {
            Some(Request::EditServer { id: *id, server: *server })
        } else {
            None
        };
        let mut response = self.registry.apply(request, now);
        // The files may have it by now.
        if let (Response::Refused { error: Refusal::Exists }, Some(edit)) = (&response, edit) {
            response = self.registry.apply(edit, now);
        }
        if let Response::Refused { error } = response {
            // What it was about may be gone from the files.
            tracing::debug!(%error, "a change of a predecessor's has nothing to change");
        }
    }

    /// Adds and changes services so that they are as `new` declares, where `old` was declared before. What is no
    /// longer wanted is left for [`lose`](Self::lose); servers that are checked come by the checks.
    ///
    /// # Errors
    /// The first that the registry refuses, by name; then nothing was changed.
    pub(in crate::run) fn gain(&mut self, old: &Config, new: &Config) -> Result<Gained, (String, Refusal)> {
        let Difference { gains, losses } = Difference::between(&self.services(), old, new);
        let changes = gains.len() + losses.len();
        if gains.is_empty() {
            return Ok(Gained { changes, losses });
        }
        let (requests, undo): (Vec<Request>, Vec<Request>) = gains.into_iter().unzip();
        let answers = self.registry.apply_all(requests.clone(), self.clock.now());
        let refused = answers.iter().zip(requests).find_map(|(answer, request)| {
            let Response::Refused { error } = answer else { return None };
            Some((difference::name(&request), *error))
        });
        let Some(refused) = refused else { return Ok(Gained { changes, losses }) };
        let done = answers.iter().zip(undo).filter(|(answer, _)| **answer == Response::Done);
        let undo: Vec<Request> = done.map(|(_, undo)| undo).collect();
        self.registry.apply_all(undo.into_iter().rev().collect(), self.clock.now());
        Err(refused)
    }

    /// Removes what is no longer wanted, and lets the XDP program know of all changes.
    pub(in crate::run) fn lose(&mut self, losses: Vec<Request>) {
        if !losses.is_empty() {
            self.registry.apply_all(losses, self.clock.now());
        }
        if let Err(error) = self.claim() {
            tracing::error!(%error, "the XDP program was not told of a change; it will be again");
        }
    }

    /// Changes what else may change while the daemon runs: marks, timeouts and sysctls. Each was found good.
    pub(in crate::run) fn settle(&mut self, old: &Config, new: &Config) {
        if old.marks != new.marks
            && let Err(error) = self.registry.set_marks(new.marks.clone())
        {
            tracing::error!(%error, "the rules for marks stay as they were");
        }
        if let Some(timeouts) = new.timeouts.filter(|_| old.timeouts != new.timeouts) {
            self.registry.apply(Request::SetTimeouts(timeouts), self.clock.now());
        }
        let defaults = Sysctls::default();
        let gone = old.sysctls.iter().filter(|(name, _)| new.sysctls.iter().all(|(other, _)| other != name));
        let back = gone.filter_map(|(name, _)| Some((*name, defaults.text(name)?)));
        let changed = new.sysctls.iter().filter(|setting| !old.sysctls.contains(setting)).cloned();
        for (name, value) in back.chain(changed).collect::<Vec<_>>() {
            if let Err(error) = self.registry.set_sysctl(name, &value) {
                tracing::error!(%error, "net.ipv4.vs.{name} stays as it was");
            }
        }
    }

    fn applied(&mut self, request: Request, what: impl FnOnce() -> String) -> Result<(), (String, Refusal)> {
        if let Response::Refused { error } = self.registry.apply(request, self.clock.now()) {
            return Err((what(), error));
        }
        Ok(())
    }
}
