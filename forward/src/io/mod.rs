//! Where packets come from and go to: the seam between the director and its devices.

mod host;
mod mem;
mod pcap;
mod sys;
pub mod tun;
pub mod xdp;

pub use host::HostDevice;
pub use mem::MemDevice;
pub use pcap::PcapDevice;
pub use sys::be_realtime;

use std::io;
use std::time::Duration;

use lvs_conntrack::Tick;

use crate::packet::Packet;
use crate::verdict::{PortId, Verdict};

/// What one burst did. `received = sent + to_host + dropped + held`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Burst {
    /// Packets taken from the device.
    pub received: u64,
    /// Packets that left as the director forwarded them.
    pub sent: u64,
    /// Packets handed to the host's own stack.
    pub to_host: u64,
    /// Packets dropped, each counted under its reason.
    pub dropped: u64,
    /// Packets the director keeps for later.
    pub held: u64,
    /// Packets of the director's own making that left: answers and injected ones.
    pub originated: u64,
}

/// A worker's interfaces.
pub trait PacketIo {
    /// Offers up to `budget` received packets to `on_packet` and carries out each verdict. What a device cannot
    /// carry out (a full ring) it drops and counts itself under the reason's name.
    fn poll<F>(&mut self, budget: usize, on_packet: F) -> io::Result<Burst>
    where
        F: FnMut(PortId, &mut Packet<'_>) -> Verdict;

    /// The same, but each packet is first shown to `foresee`, all that came together before the first of them is
    /// offered: what they will need can so be fetched from memory at one time. A device that cannot shows none.
    fn poll_foreseen<F>(
        &mut self,
        budget: usize,
        foresee: impl FnMut(&[u8]),
        on_packet: F,
    ) -> io::Result<Burst>
    where
        F: FnMut(PortId, &mut Packet<'_>) -> Verdict,
    {
        let _ = foresee;
        self.poll(budget, on_packet)
    }

    /// Sends a packet that did not arrive here just now: one that was held, or one of the director's own.
    fn inject(&mut self, out: PortId, frame: &[u8]) -> io::Result<()>;

    /// Hands a frame that was held to the host's own stack.
    fn inject_to_host(&mut self, frame: &[u8]) -> io::Result<()>;

    /// Tells that the packets that were just received are the first for a while: their answers may come soon.
    fn expect_answers(&mut self) {}

    /// Sleeps until a packet may be waiting or `timeout` passes.
    fn wait(&mut self, timeout: Duration) -> io::Result<()>;
}

/// Decides what to do with each packet; knows nothing of where it came from.
pub trait Forwarder {
    /// The verdict over one received packet, which may have been rewritten in place.
    fn handle(&mut self, ingress: PortId, packet: &mut Packet<'_>, now: Tick) -> Verdict;
}
