//! Makes a host what its role wants, says what is missing, and takes everything back.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::change::Change;
use crate::decapsulator::Decapsulator;
use crate::finding::Finding;
use crate::journal::{Entry, Journal};
use crate::netlink::Netlink;
use crate::role::{Role, RoleName};
use crate::state::{Hands, Place, Undone};
use crate::view::HostView;

/// Where journals are kept unless a path is given.
pub const JOURNAL_DIRECTORY: &str = "/run/lvsd/host";

/// One entry that was taken back, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverted {
    /// The change that had been made.
    pub change: Change,
    /// What became of it.
    pub undone: Undone,
}

/// The host the calling thread's network namespace is.
///
/// *Apply* and *revert* need root; both write the journal first and may be interrupted anywhere:
/// a later revert still restores what was there before the first apply.
pub struct Host<'a> {
    journals: PathBuf,
    hands: Hands<'a>,
    /// After how many more steps to give up; for tests of interruptions.
    patience: Option<usize>,
}

impl std::fmt::Debug for Host<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("journals", &self.journals).finish_non_exhaustive()
    }
}

impl<'a> Host<'a> {
    /// The host with its journals under `journals` (see [`JOURNAL_DIRECTORY`]).
    pub fn open(journals: &Path) -> Result<Self, Error> {
        let hands = Hands { netlink: Netlink::open()?, decapsulator: None };
        Ok(Self { journals: journals.to_owned(), hands, patience: None })
    }

    /// Gives the host something to decapsulate with; needed for a real server behind a tunnel.
    #[must_use]
    pub fn with_decapsulator(mut self, decapsulator: &'a mut dyn Decapsulator) -> Self {
        self.hands.decapsulator = Some(decapsulator);
        self
    }

    /// Makes apply and revert stop with [`Error::Interrupted`] after `steps` steps, as a crash would.
    #[doc(hidden)]
    #[must_use]
    pub const fn interrupted_after(mut self, steps: usize) -> Self {
        self.patience = Some(steps);
        self
    }

    /// What apply would change now, in order; nothing is changed.
    pub fn plan(&mut self, role: &Role) -> Result<Vec<Change>, Error> {
        let view = self.view(role)?;
        let mut missing = Vec::new();
        for change in role.changes(Some(&view))? {
            if self.hands.look(&change, &view)? != Place::AsWanted {
                missing.push(change);
            }
        }
        Ok(missing)
    }

    /// What is wrong for the role, with the commands that mend it.
    pub fn check(&mut self, role: &Role) -> Result<Vec<Finding>, Error> {
        let view = HostView::dump(&mut self.hands.netlink)?;
        let mut findings = Vec::new();
        for interface in role.interfaces()? {
            match require(&view, &interface) {
                Err(Error::InterfaceDown(name)) => findings.push(Finding {
                    problem: format!("interface {name} is down"),
                    mend: vec![format!("ip link set {name} up")],
                }),
                Err(error) => findings.push(Finding { problem: error.to_string(), mend: Vec::new() }),
                Ok(()) => {}
            }
        }
        for change in role.changes(Some(&view))? {
            let found = match self.hands.look(&change, &view)? {
                Place::AsWanted => continue,
                Place::Absent => None,
                Place::Other(found) => Some(found),
            };
            let problem = change.complaint(found.as_deref());
            findings.push(Finding { problem, mend: change.commands() });
        }
        if let Role::RealServer(server) = role {
            findings.extend(server.findings(&view));
        }
        Ok(findings)
    }

    /// Makes the host what the role wants; returns what was changed.
    ///
    /// What an earlier apply of the same role made and this one no longer wants is taken back. When a
    /// change fails, those made before it in this call are taken back as well.
    pub fn apply(&mut self, role: &Role) -> Result<Vec<Change>, Error> {
        let view = self.view(role)?;
        let wanted = role.changes(Some(&view))?;
        let mut journal = Journal::open(&self.journals, role.name().as_str())?;
        // What was never begun is planned anew, from the host as it is now.
        journal.entries_mut().retain(|entry| entry.begun);
        self.drop_unwanted(&mut journal, &wanted)?;
        let view = HostView::dump(&mut self.hands.netlink)?;
        let to_do = self.write_down(&mut journal, &wanted, &view)?;
        self.carry_out(&mut journal, &to_do, &view)?;
        Ok(to_do)
    }

    /// Takes back everything that applies of this role changed, the last change first.
    ///
    /// A kernel parameter someone else has set to a third value since is left alone and reported.
    /// Where one entry fails the others are still taken back; it stays in the journal.
    pub fn revert(&mut self, role: RoleName) -> Result<Vec<Reverted>, Error> {
        let mut journal = Journal::open(&self.journals, role.as_str())?;
        self.take_back(&mut journal, &|_| true)
    }

    /// The commands that take back what the journal holds, the last change first.
    pub fn revert_commands(&self, role: RoleName) -> Result<Vec<String>, Error> {
        let journal = Journal::open(&self.journals, role.as_str())?;
        let begun = journal.entries().iter().rev().filter(|entry| entry.begun);
        Ok(begun.flat_map(|entry| entry.change.undo_commands(&entry.before)).collect())
    }

    /// Reads the host, which must have the role's interfaces up.
    fn view(&mut self, role: &Role) -> Result<HostView, Error> {
        let view = HostView::dump(&mut self.hands.netlink)?;
        for interface in role.interfaces()? {
            require(&view, &interface)?;
        }
        Ok(view)
    }

    fn drop_unwanted(&mut self, journal: &mut Journal, wanted: &[Change]) -> Result<(), Error> {
        let is_unwanted = |entry: &Entry| !wanted.iter().any(|change| change.is_about_same(&entry.change));
        self.take_back(journal, &is_unwanted).map(drop)
    }

    /// Puts into the journal what differs from the wanted, with what stands there now; what is there
    /// already, or again because of us, keeps the values it had first.
    fn write_down(
        &mut self,
        journal: &mut Journal,
        wanted: &[Change],
        view: &HostView,
    ) -> Result<Vec<Change>, Error> {
        let mut to_do = Vec::new();
        for change in wanted {
            let place = self.hands.look(change, view)?;
            if place == Place::AsWanted {
                continue;
            }
            let known = journal.entries().iter().position(|entry| entry.change.is_about_same(change));
            if let Some(entry) = known.and_then(|known| journal.entries_mut().get_mut(known)) {
                entry.change = change.clone();
            } else {
                let before = Hands::before(change, place, view)?;
                journal.entries_mut().push(Entry { change: change.clone(), before, begun: false });
            }
            to_do.push(change.clone());
        }
        if !to_do.is_empty() {
            self.step()?;
            journal.save()?;
        }
        Ok(to_do)
    }

    fn carry_out(&mut self, journal: &mut Journal, to_do: &[Change], view: &HostView) -> Result<(), Error> {
        let mut begun_now = Vec::new();
        for change in to_do {
            match self.carry_out_one(journal, change, view, &mut begun_now) {
                Ok(()) => {}
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => {
                    if let Err(second) = self.take_back(journal, &|entry| begun_now.contains(&entry.change)) {
                        tracing::warn!(error = %second, "a failed set-up could not be taken back wholly");
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn carry_out_one(
        &mut self,
        journal: &mut Journal,
        change: &Change,
        view: &HostView,
        begun_now: &mut Vec<Change>,
    ) -> Result<(), Error> {
        self.step()?;
        if let Some(entry) = journal.entries_mut().iter_mut().find(|entry| entry.change == *change)
            && !entry.begun
        {
            entry.begun = true;
            begun_now.push(change.clone());
            journal.save()?;
        }
        self.step()?;
        self.hands.make(change, view)?;
        self.step()
    }

    /// Takes back the entries that `chosen` picks, the last first, and those never begun.
    fn take_back(
        &mut self,
        journal: &mut Journal,
        chosen: &dyn Fn(&Entry) -> bool,
    ) -> Result<Vec<Reverted>, Error> {
        let (mut reverted, mut first_error) = (Vec::new(), None);
        for place in (0..journal.entries().len()).rev() {
            let Some(entry) = journal.entries().get(place).filter(|entry| chosen(entry)).cloned() else {
                continue;
            };
            self.step()?;
            if entry.begun {
                // Read anew each time: deleting an address takes routes with it.
                let view = HostView::dump(&mut self.hands.netlink)?;
                match self.hands.undo(&entry.change, &entry.before, &view) {
                    Ok(undone) => reverted.push(Reverted { change: entry.change, undone }),
                    Err(error) => {
                        first_error.get_or_insert(error);
                        continue;
                    }
                }
            }
            self.step()?;
            journal.entries_mut().remove(place);
            journal.save()?;
        }
        first_error.map_or(Ok(reverted), Err)
    }

    /// A place where a crash may happen.
    const fn step(&mut self) -> Result<(), Error> {
        match self.patience {
            Some(0) => Err(Error::Interrupted),
            Some(left) => {
                self.patience = Some(left - 1);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// An interface must be there and up.
fn require(view: &HostView, interface: &str) -> Result<(), Error> {
    match view.interface_named(interface) {
        None => Err(Error::NoInterface(interface.to_owned())),
        Some(found) if !found.is_up => Err(Error::InterfaceDown(interface.to_owned())),
        Some(_) => Ok(()),
    }
}
