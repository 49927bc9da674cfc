//! Takes hold of addresses and interfaces on the host, never without the guard knowing.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use lvs_netcfg::{Address, Closed, Editor, Error, InputFilter, Interface};

use super::guard::{Guard, Held};

/// Everything on the host that the virtual routers hold.
#[derive(Debug)]
pub(super) struct Hands {
    editor: Editor,
    program: PathBuf,
    guard: Option<Guard>,
    held: Vec<Held>,
    /// Goes with the daemon by itself; the guard has nothing to do with it.
    filter: InputFilter,
}

impl Hands {
    /// Holds nothing yet. `program` is what the guard is started from.
    ///
    /// # Errors
    /// The kernel cannot be asked, or there is no guard to be had.
    pub(super) fn new(program: PathBuf) -> Result<Self, Error> {
        let editor = Editor::open()?;
        let guard = Guard::start(&program).map_err(Error::Socket)?;
        Ok(Self { editor, program, guard: Some(guard), held: Vec::new(), filter: InputFilter::open()? })
    }

    /// Takes an address; true when it was not there.
    pub(super) fn take_address(&mut self, address: &Address) -> Result<bool, Error> {
        self.hold(&Held::Address(address.clone()));
        let taken = self.editor.add_address(address);
        if taken.is_err() {
            self.forget(&Held::Address(address.clone()));
        }
        taken
    }

    /// Gives an address up, whether or not it is held.
    pub(super) fn release_address(&mut self, address: &Address) -> Result<bool, Error> {
        let released = self.editor.delete_address(address);
        self.forget(&Held::Address(address.clone()));
        released
    }

    /// Puts a route, a rule or an address on the host; false where it is there already and so another's.
    pub(super) fn take(&mut self, held: &Held) -> Result<bool, Error> {
        if self.held.contains(held) {
            return Ok(false);
        }
        self.hold(held);
        let taken = self.put(held);
        if !matches!(taken, Ok(true)) {
            self.forget(held);
        }
        taken
    }

    /// Puts something that is held on the host again, where somebody has taken it away.
    pub(super) fn put_back(&mut self, held: &Held) {
        match self.put(held) {
            Ok(true) => tracing::warn!(?held, "was taken away, and is put back"),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "not put back"),
        }
    }

    /// Takes something off the host, whether or not it is held.
    pub(super) fn release(&mut self, held: &Held) {
        if let Err(error) = held.undo(&mut self.editor) {
            tracing::error!(%error, "not taken away");
        }
        self.forget(held);
    }

    fn put(&mut self, held: &Held) -> Result<bool, Error> {
        match held {
            Held::Address(address) => self.editor.add_address(address),
            Held::Route(route) => self.editor.add_route(route),
            Held::Rule(rule) => self.editor.add_rule(rule),
            // They are made and set elsewhere.
            Held::Link { .. } | Held::Sysctl { .. } => Ok(false),
        }
    }

    /// Keeps packets to these addresses, and to no others, from the host.
    pub(super) fn close(&mut self, closed: BTreeSet<Closed>) {
        let count = closed.len();
        match self.filter.close(closed) {
            Ok(true) => tracing::debug!(count, "addresses that take no packets"),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, count, "packets to addresses without accept mode are taken all the same");
            }
        }
    }

    /// Makes an interface with a MAC address of its own and sets it up; one of this name that is there is a dead
    /// daemon's and replaced. Returns its number.
    pub(super) fn make_macvlan(
        &mut self,
        name: &str,
        parent: &Interface,
        mac: [u8; 6],
    ) -> Result<u32, Error> {
        let make = |editor: &mut Editor| editor.add_macvlan(name, parent.index, mac);
        let ifindex = self.make_link(name, make)?;
        // The virtual router's address must be answered for, and asked from, with its own MAC and no other.
        self.set(&format!("net/ipv4/conf/{}/arp_ignore", parent.name), "1");
        self.set(&format!("net/ipv4/conf/{}/arp_announce", parent.name), "2");
        for (key, value) in [
            (format!("net/ipv4/conf/{name}/arp_ignore"), "1"),
            (format!("net/ipv4/conf/{name}/accept_local"), "1"),
            (format!("net/ipv4/conf/{name}/rp_filter"), "0"),
            (format!("net/ipv6/conf/{name}/addr_gen_mode"), "1"),
            (format!("net/ipv6/conf/{name}/accept_dad"), "0"),
            (format!("net/ipv6/conf/{name}/accept_ra"), "0"),
        ] {
            // They go with the interface.
            if let Err(error) = fs::write(format!("/proc/sys/{key}"), value) {
                tracing::debug!(%error, key, "not set");
            }
        }
        self.editor.set_up(ifindex)?;
        Ok(ifindex)
    }

    /// Makes an interface that shares its parent's MAC address, and sets it up.
    pub(super) fn make_ipvlan(&mut self, name: &str, parent: &Interface) -> Result<u32, Error> {
        let ifindex = self.make_link(name, |editor| editor.add_ipvlan(name, parent.index))?;
        self.editor.set_up(ifindex)?;
        Ok(ifindex)
    }

    fn make_link(
        &mut self,
        name: &str,
        mut make: impl FnMut(&mut Editor) -> Result<bool, Error>,
    ) -> Result<u32, Error> {
        if !make(&mut self.editor)? {
            let old = Interface::find(name)?;
            self.editor.delete_link(old.index)?;
            make(&mut self.editor)?;
        }
        let ifindex = Interface::find(name)?.index;
        self.hold(&Held::Link { ifindex, name: name.to_owned() });
        Ok(ifindex)
    }

    /// Sets a parameter until the end.
    pub(super) fn set(&mut self, path: &str, value: &str) {
        let Ok(before) = fs::read_to_string(format!("/proc/sys/{path}")) else { return };
        let before = before.trim().to_owned();
        if before == value {
            return;
        }
        // Of an interface that came anew it may have to be set again; what it was the first time is what it is to be.
        if self.parameter(path).is_none() {
            self.hold(&Held::Sysctl { path: path.to_owned(), before });
        }
        if let Err(error) = fs::write(format!("/proc/sys/{path}"), value) {
            tracing::warn!(%error, path, "not set");
        }
    }

    /// The parameter of this path, where it was set here.
    fn parameter(&self, path: &str) -> Option<Held> {
        let is_it = |held: &&Held| matches!(held, Held::Sysctl { path: other, .. } if other == path);
        self.held.iter().find(is_it).cloned()
    }

    /// Has the secondary addresses of these interfaces promoted, and those of no others.
    pub(super) fn promote_secondaries(&mut self, interfaces: &BTreeSet<String>) {
        let wanted: BTreeSet<String> =
            interfaces.iter().map(|name| format!("net/ipv4/conf/{name}/promote_secondaries")).collect();
        let is_over = |held: &&Held| {
            matches!(held, Held::Sysctl { path, .. }
                if path.ends_with("/promote_secondaries") && !wanted.contains(path))
        };
        for held in self.held.iter().filter(is_over).cloned().collect::<Vec<_>>() {
            self.release(&held);
        }
        for path in wanted {
            self.set(&path, "1");
        }
    }

    /// Removes an interface that was made here.
    pub(super) fn remove_link(&mut self, ifindex: u32) {
        let is_it = |held: &Held| matches!(held, Held::Link { ifindex: index, .. } if *index == ifindex);
        let Some(held) = self.held.iter().find(|held| is_it(held)).cloned() else { return };
        if let Err(error) = held.undo(&mut self.editor) {
            tracing::warn!(%error, "a virtual interface stays");
        }
        self.forget(&held);
    }

    /// Looks after the guard: one that was ended is replaced, and told everything anew.
    pub(super) fn look_after(&mut self) {
        if self.guard.as_mut().is_some_and(Guard::is_running) {
            return;
        }
        tracing::warn!("the guard of the virtual addresses has ended; another is started");
        match Guard::start(&self.program) {
            Ok(mut guard) => {
                let told = self.held.iter().try_for_each(|held| guard.hold(held));
                if let Err(error) = told {
                    tracing::error!(%error, "the guard of the virtual addresses does not listen");
                }
                self.guard = Some(guard);
            }
            Err(error) => tracing::error!(%error, "the virtual addresses have no guard"),
        }
    }

    fn hold(&mut self, held: &Held) {
        self.held.push(held.clone());
        let told = self.guard.as_mut().map_or(Ok(()), |guard| guard.hold(held));
        if told.is_err() {
            self.look_after();
        }
    }

    fn forget(&mut self, gone: &Held) {
        while let Some(place) = self.held.iter().rposition(|held| held == gone) {
            self.held.remove(place);
            // A guard that is gone has undone it already, and undoing it once more does no harm.
            let _ = self.guard.as_mut().map(|guard| guard.let_go(gone));
        }
    }

    /// Gives everything up.
    pub(super) fn end(&mut self) {
        for held in std::mem::take(&mut self.held).iter().rev() {
            match held.undo(&mut self.editor) {
                Ok(()) => drop(self.guard.as_mut().map(|guard| guard.let_go(held))),
                Err(error) => tracing::warn!(%error, "left to the guard"),
            }
        }
        self.close(BTreeSet::new());
        if let Some(guard) = self.guard.take() {
            guard.end();
        }
    }
}
