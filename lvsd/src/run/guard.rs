//! What the daemon changed and must put back, whatever happens in between.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lvs_forward::io::xdp::{Mode, Program, ProgramError};
use lvs_netcfg::{Error, Host, Role, RoleName, Undone};

/// The XDP program on its interfaces; dropping it takes it off.
#[derive(Debug)]
pub(super) struct Attached {
    program: Arc<Program>,
    interfaces: Vec<String>,
}

impl Attached {
    /// Attaches nothing yet.
    pub(super) const fn new(program: Arc<Program>) -> Self {
        Self { program, interfaces: Vec::new() }
    }

    /// Attaches the program to one more interface.
    ///
    /// # Errors
    /// The program's own; those attached before stay so.
    pub(super) fn attach(&mut self, interface: &str, wish: Option<Mode>) -> Result<Mode, ProgramError> {
        let mode = self.program.attach(interface, wish)?;
        self.interfaces.push(interface.to_owned());
        Ok(mode)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        for interface in &self.interfaces {
            if let Err(error) = self.program.detach(interface) {
                tracing::warn!(%error, interface, "the XDP program could not be detached");
            }
        }
    }
}

/// The host's set-up; dropping it puts the host back.
#[derive(Debug)]
pub(super) struct HostSetUp {
    journal: PathBuf,
}

impl HostSetUp {
    /// Sets the host up for a role; `None` leaves it as it is (a predecessor's set-up is put back then).
    ///
    /// # Errors
    /// The host refuses; what had been changed is put back.
    pub(super) fn apply(role: Option<&Role>, journal: &Path) -> Result<Self, Error> {
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
        Ok(Self { journal: journal.to_owned() })
    }
}

impl Drop for HostSetUp {
    fn drop(&mut self) {
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
