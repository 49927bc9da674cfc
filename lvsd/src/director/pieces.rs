//! Packets that are larger than their way takes leave in pieces: the first at once, the others right behind it.

use lvs_forward::{DropReason, Packet, PortId, Verdict, fragment};

use super::Exit;

/// How many pieces may wait for the end of a burst.
const ROOM: usize = 512;

/// The pieces that are still to leave, in order.
#[derive(Debug, Default)]
pub(super) struct Pieces(Vec<(PortId, Vec<u8>)>);

impl Pieces {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Cuts the packet to its first piece and keeps the others.
    pub(super) fn cut(&mut self, packet: &mut Packet<'_>, port: PortId, mtu: u16, ident: u16) -> Verdict {
        if self.0.len() >= ROOM {
            return Verdict::Drop(DropReason::TxFull);
        }
        let others = |frame: &[u8]| self.0.push((port, frame.to_vec()));
        match fragment::split(packet, mtu, u32::from(ident), others) {
            Ok(()) => Verdict::Send(port),
            Err(reason) => Verdict::Drop(reason),
        }
    }

    /// Sends what is left; says how many frames that were.
    pub(super) fn release(&mut self, send: &mut dyn FnMut(Exit, &[u8])) -> u64 {
        self.0.drain(..).fold(0, |sent, (port, frame)| {
            send(Exit::Port(port), &frame);
            sent + 1
        })
    }
}
