//! The XDP program as it would run in the card of a replay's director: over each frame before the director sees it.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use lvs_forward::io::xdp::{Action, Egress, Families, Program, ProgramError};
use lvs_forward::{Mac, PortId};

use super::Topology;
use crate::cache::Cache;

/// How many flows the program may hold.
const FLOWS: u32 = 1024;

/// Interfaces of the calling thread's network namespace that stand for the topology's, which have their names; they
/// take redirected frames. Nothing is sent there.
#[derive(Debug)]
pub(super) struct Card {
    program: Arc<Program>,
    ways: Vec<Option<Egress>>,
    macs: Vec<[u8; 6]>,
}

impl Card {
    /// The program on the topology's interfaces, with no flow in it.
    ///
    /// # Errors
    /// Those of the program.
    pub(super) fn insert(topology: &Topology) -> Result<Self, ProgramError> {
        let program = Arc::new(Program::load_with_flows(Families::both(FLOWS))?);
        let mut ways = Vec::new();
        let macs = topology.macs();
        for (name, mac) in topology.names().zip(&macs) {
            program.attach(name, None)?;
            // Frames are addressed as they were where they were recorded.
            program.address(name, Mac(*mac), &BTreeSet::new())?;
            ways.push(program.egress(name)?.ok());
        }
        Ok(Self { program, ways, macs })
    }

    /// The flow cache in the program.
    pub(super) fn cache(&self) -> Cache {
        let cache = Cache::new(Arc::clone(&self.program), 1);
        cache.open(self.ways.clone());
        cache
    }

    /// The frame as it leaves and where, if the program forwards it by itself.
    pub(super) fn receive(&self, frame: &[u8], ingress: PortId) -> io::Result<Option<(PortId, Vec<u8>)>> {
        let ifindex = self.ways.get(ingress.index()).copied().flatten().map_or(0, |way| way.ifindex);
        if frame.len() < 14 || ifindex == 0 {
            return Ok(None);
        }
        let tried = self.program.try_frame(frame, ifindex)?;
        match tried.action {
            Action::Transmit => Ok(Some((ingress, tried.frame))),
            // What leaves carries the address of the interface it leaves through.
            Action::Redirect => {
                let source = tried.frame.get(6..12);
                let port = self.macs.iter().position(|mac| source == Some(mac.as_slice()));
                let port = port.and_then(|port| u16::try_from(port).ok()).map(PortId);
                Ok(port.map(|port| (port, tried.frame)))
            }
            Action::Pass | Action::Drop | Action::Aborted => Ok(None),
        }
    }
}
