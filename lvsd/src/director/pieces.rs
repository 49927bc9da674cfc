//! Frames that leave behind a burst: the further fragments of packets that are larger than their way takes, and
//! what was put together from fragments.

use lvs_forward::{DropReason, Packet, PortId, Verdict, fragment};

use super::Exit;

/// How many frames may wait for the end of a burst.
const ROOM: usize = 4096;

#[derive(Debug)]
struct Piece {
    exit: Exit,
    frame: Vec<u8>,
    /// True for a frame beyond those that were received.
    is_extra: bool,
}

/// The frames that are still to leave, in order.
#[derive(Debug, Default)]
pub(super) struct Pieces(Vec<Piece>);

impl Pieces {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts a frame that was received at the end.
    pub(super) fn put(&mut self, exit: Exit, frame: &[u8]) {
        self.0.push(Piece { exit, frame: frame.to_vec(), is_extra: false });
    }

    /// Puts a frame that was received in place `at`, before what was put there since.
    pub(super) fn put_first(&mut self, at: usize, exit: Exit, frame: &[u8]) {
        let at = at.min(self.0.len());
        self.0.insert(at, Piece { exit, frame: frame.to_vec(), is_extra: false });
    }

    /// Cuts the packet to its first piece and keeps the others; `is_extra` when they are more frames than came.
    pub(super) fn cut(
        &mut self,
        packet: &mut Packet<'_>,
        port: PortId,
        mtu: u16,
        ident: u16,
        is_extra: bool,
    ) -> Verdict {
        if self.0.len() >= ROOM {
            return Verdict::Drop(DropReason::TxFull);
        }
        let exit = Exit::Port(port);
        let others = |frame: &[u8]| self.0.push(Piece { exit, frame: frame.to_vec(), is_extra });
        match fragment::split(packet, mtu, u32::from(ident), others) {
            Ok(()) => Verdict::Send(port),
            Err(reason) => Verdict::Drop(reason),
        }
    }

    /// Sends what is left; says how many frames beyond those received that were.
    pub(super) fn release(&mut self, send: &mut dyn FnMut(Exit, &[u8])) -> u64 {
        self.0.drain(..).fold(0, |extra, piece| {
            send(piece.exit, &piece.frame);
            extra + u64::from(piece.is_extra)
        })
    }
}
