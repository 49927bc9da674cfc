//! What the daemon changed and must put back, whatever happens in between.
//!
//! What a predecessor left that ended without a word is put back only by a daemon that has started: until then it goes
//! on forwarding the connections it has, and the next one that is started takes it over.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lvs_forward::io::xdp::{Mode, Pins, Program, ProgramError, is_on};
use lvs_netcfg::{Error, Host, Role, RoleName, Undone};

/// The XDP program on its interfaces, with its names; dropping it takes it off.
#[derive(Debug)]
pub(super) struct Attached {
    program: Arc<Program>,
    interfaces: Vec<String>,
    /// Those on which a predecessor had left its program.
    inherited: Vec<String>,
    pins: Option<Pins>,
    stays: bool,
}

impl Attached {
    /// Attaches nothing yet.
    pub(super) const fn new(program: Arc<Program>) -> Self {
        Self { program, interfaces: Vec::new(), inherited: Vec::new(), pins: None, stays: false }
    }

    /// Attaches the program to one more interface.
    ///
    /// # Errors
    /// The program's own; those attached before stay so.
    pub(super) fn attach(&mut self, interface: &str, wish: Option<Mode>) -> Result<Mode, ProgramError> {
        let is_inherited = is_on(interface)?;
        let mode = self.program.attach(interface, wish)?;
        let list = if is_inherited { &mut self.inherited } else { &mut self.interfaces };
        list.push(interface.to_owned());
        Ok(mode)
    }

    /// The daemon has started: what a predecessor left is its own.
    pub(super) fn own(&mut self) {
        self.interfaces.append(&mut self.inherited);
    }

    /// Gives the program and its maps names in a file system at `directory`. Says what keeps the flows from now on.
    pub(super) fn pin(&mut self, directory: &Path) -> String {
        let failed = |source| ProgramError::Pin { directory: directory.to_owned(), source };
        let pinned = Pins::mount(directory).map_err(failed).and_then(|pins| {
            let result = self.program.pin(&pins);
            self.pins = Some(pins);
            result
        });
        match pinned {
            Ok(()) => format!("by names under {} and by the program on the interfaces", directory.display()),
            Err(error) => {
                tracing::info!(%error, "the flow cache has no names; the attached program keeps it");
                format!("by the program on the interfaces alone ({error})")
            }
        }
    }

    /// Leaves the program where it is, for a successor.
    pub(super) fn leave(mut self) {
        self.stays = true;
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        for interface in &self.interfaces {
            if let Err(error) = self.program.detach(interface) {
                tracing::warn!(%error, interface, "the XDP program could not be detached");
            }
        }
        let pins = self.pins.take().filter(|_| self.inherited.is_empty());
        if let Some(error) = pins.and_then(|pins| pins.remove().err()) {
            tracing::warn!(%error, "the bpf file system could not be removed");
        }
    }
}

/// The host's set-up; dropping it puts the host back.
#[derive(Debug)]
pub(super) struct HostSetUp {
    journal: PathBuf,
    stays: bool,
}

impl HostSetUp {
    /// Sets the host up for a role; `None` leaves it as it is (a predecessor's set-up is put back then). What is
    /// `inherited` stays as it is set up until the daemon has started.
    ///
    /// # Errors
    /// The host refuses; what had been changed is put back.
    pub(super) fn apply(role: Option<&Role>, journal: &Path, inherited: bool) -> Result<Self, Error> {
        let mut host = Host::open(journal)?;
        let changes = if let Some(role) = role {
            host.apply(role)?
        } else {
            host.revert(RoleName::Director)?;
            Vec::new()
        };
        for change in changes {
            tracing::info!(command = change.commands().join(" && "), "host set up");
        }
        Ok(Self { journal: journal.to_owned(), stays: inherited })
    }

    /// The daemon has started: what a predecessor left is its own.
    pub(super) fn own(&mut self) {
        self.stays = false;
    }

    /// Leaves the host as it is set up, for a successor.
    pub(super) fn leave(mut self) {
        self.stays = true;
    }
}

impl Drop for HostSetUp {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        let reverted = Host::open(&self.journal).and_then(|mut host| host.revert(RoleName::Director));
        match reverted {
            Ok(reverted) => {
                for left in reverted.iter().filter(|reverted| reverted.undone != Undone::Restored) {
                    tracing::warn!(
                        change = left.change.commands().join(" && "),
                        "not taken back: {:?}",
                        left.undone
                    );
                }
            }
            Err(error) => tracing::error!(%error, "the host could not be put back"),
        }
    }
}
