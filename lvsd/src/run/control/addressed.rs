//! Which Ethernet addresses are this host's, and at which of its interfaces: what is addressed to others is not the
//! director's.

use std::collections::{BTreeMap, BTreeSet};

use lvs_forward::Mac;
use lvs_forward::io::xdp::ProgramError;
use lvs_netcfg::HostView;

use super::Control;

/// What the XDP program was told, by the names of interfaces.
pub(super) type Addressed = BTreeMap<String, Addresses>;

/// The addresses by which frames reach an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Addresses {
    index: u32,
    own: Mac,
    /// Those of interfaces that are stacked on it.
    others: BTreeSet<Mac>,
}

impl Addresses {
    /// `None` for an interface that is not there, or that has none.
    fn of(view: &HostView, name: &str) -> Option<Self> {
        let interface = view.interface_named(name)?;
        let others = view.above(interface.index).into_iter().filter_map(|above| above.mac.map(Mac));
        Some(Self { index: interface.index, own: Mac(interface.mac?), others: others.collect() })
    }
}

impl Control {
    /// Tells the program of the addresses that changed.
    pub(super) fn address(&mut self, view: &HostView) -> Result<(), ProgramError> {
        let Some(program) = &self.program else { return Ok(()) };
        for name in &self.served {
            let Some(addresses) = Addresses::of(view, name) else { continue };
            if self.addressed.get(name) != Some(&addresses) {
                program.address(name, addresses.own, &addresses.others)?;
                self.addressed.insert(name.clone(), addresses);
            }
        }
        Ok(())
    }
}
