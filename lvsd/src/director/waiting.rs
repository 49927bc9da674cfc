//! The waiting room: finished packets that lack only their next hop's link-layer address.

use std::collections::VecDeque;
use std::time::Duration;

use lvs_conntrack::Tick;
use lvs_forward::{DropReason, Drops, PortId, Verdict};

use super::Exit;
use super::plane::Tally;
use crate::resolve::{Ask, Fib, NextHop};

/// How many packets may wait.
const ROOM: usize = 256;
/// How many of them for one neighbour (the kernel's `unres_qlen`).
const ROOM_EACH: usize = 101;
/// How long a packet waits.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Held {
    frame: Vec<u8>,
    port: PortId,
    ask: Ask,
    until: Tick,
}

/// Packets that wait for a neighbour, the longest waiting first.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<Held>);

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Copies a packet out until its neighbour is known, or drops it where there is no room.
    pub(super) fn hold(&mut self, frame: &[u8], port: PortId, ask: Ask, now: Tick) -> Verdict {
        let same = self.0.iter().filter(|held| held.ask == ask).count();
        if self.0.len() >= ROOM || same >= ROOM_EACH {
            return Verdict::Drop(DropReason::NeighbourUnresolved);
        }
        self.0.push_back(Held { frame: frame.to_vec(), port, ask, until: now + PATIENCE });
        Verdict::Hold
    }

    /// Sends the packets whose neighbour is known by now, and drops those that waited too long.
    pub(super) fn release(
        &mut self,
        fib: &Fib,
        tally: &Tally,
        drops: &Drops,
        now: Tick,
        send: &mut dyn FnMut(Exit, &[u8]),
    ) {
        self.0.retain_mut(|held| match fib.lookup(held.ask.addr) {
            Ok(NextHop::Ready(path)) => {
                for (at, octets) in [(0, path.dst_mac.0), (6, path.src_mac.0)] {
                    if let Some(field) = held.frame.get_mut(at..at + 6) {
                        field.copy_from_slice(&octets);
                    }
                }
                send(Exit::Port(held.port), &held.frame);
                tally.released();
                false
            }
            Ok(NextHop::Awaiting(..) | NextHop::Local) | Err(_) if held.until > now => true,
            Ok(NextHop::Awaiting(..) | NextHop::Local) | Err(_) => {
                tally.given_up(DropReason::NeighbourUnresolved, drops);
                false
            }
        });
    }
}
