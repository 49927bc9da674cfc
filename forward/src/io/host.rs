//! What the host itself sends through the director, as a [`PacketIo`]: read from the TUN device, sent out of the
//! interfaces by packet sockets. The workers' queues are left alone.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use crate::io::tun::Tun;
use crate::io::{Burst, PacketIo, sys};
use crate::packet::Packet;
use crate::verdict::{DropReason, Drops, PortId, Verdict};

/// Room before a packet for an outer header.
const HEADROOM: usize = 128;
const ETHERNET: usize = 14;
/// The longest IP packet.
const LONGEST: usize = 65535;

/// The TUN device's other side. Its packets arrive at [`PortId::HOST`].
#[derive(Debug)]
pub struct HostDevice {
    tun: Tun,
    socket: OwnedFd,
    /// The kernel's numbers of the interfaces, by port.
    interfaces: Vec<u32>,
    buffer: Box<[u8]>,
    /// The frames injected since the last burst.
    injected: u64,
    drops: Arc<Drops>,
}

impl HostDevice {
    /// A device over `tun`, of which nobody else reads. `interfaces` are the kernel's numbers of those that packets may
    /// leave through, by [`PortId`]. `drops` counts what the device itself has to drop.
    ///
    /// # Errors
    /// No packet socket could be opened.
    pub fn open(tun: Tun, interfaces: Vec<u32>, drops: Arc<Drops>) -> io::Result<Self> {
        let buffer = vec![0; HEADROOM + ETHERNET + LONGEST].into_boxed_slice();
        Ok(Self { tun, socket: sys::packet_socket()?, interfaces, buffer, injected: 0, drops })
    }

    fn transmit(&self, out: PortId, frame: &[u8]) -> Result<(), DropReason> {
        let interface = self.interfaces.get(out.index()).ok_or(DropReason::NoPort)?;
        sys::send_frame(&self.socket, *interface, frame).map_err(|_| DropReason::TxFull)
    }

    /// Takes one packet, if one waits, and gives it an Ethernet header without addresses; its length as a frame.
    fn receive(&mut self) -> io::Result<Option<usize>> {
        if !sys::poll(&mut [self.waiting()], Duration::ZERO)? {
            return Ok(None);
        }
        let Some(room) = self.buffer.get_mut(HEADROOM + ETHERNET..) else { return Ok(None) };
        let len = self.tun.receive(room)?;
        let ether_type: [u8; 2] = match room.first().map(|first| first >> 4) {
            Some(4) => [0x08, 0x00],
            Some(6) => [0x86, 0xdd],
            _ => [0, 0],
        };
        if let Some(header) = self.buffer.get_mut(HEADROOM..HEADROOM + ETHERNET) {
            header.fill(0);
            if let Some(field) = header.last_chunk_mut::<2>() {
                *field = ether_type;
            }
        }
        Ok(Some(ETHERNET + len))
    }

    fn waiting(&self) -> libc::pollfd {
        libc::pollfd { fd: self.tun.as_raw_fd(), events: libc::POLLIN, revents: 0 }
    }

    fn carry_out(&self, verdict: Verdict, packet: &Packet<'_>, burst: &mut Burst) {
        let lost = match verdict {
            Verdict::Send(out) => match self.transmit(out, packet.bytes()) {
                Ok(()) => {
                    burst.sent += 1;
                    return;
                }
                Err(reason) => reason,
            },
            Verdict::ToHost => match self.tun.send(packet.bytes()) {
                Ok(()) => {
                    burst.to_host += 1;
                    return;
                }
                Err(_) => DropReason::HostFull,
            },
            Verdict::Hold => {
                burst.held += 1;
                return;
            }
            Verdict::Answer(out, _) => {
                burst.dropped += 1;
                match self.transmit(out, packet.bytes()) {
                    Ok(()) => burst.originated += 1,
                    Err(reason) => self.drops.count(reason),
                }
                return;
            }
            Verdict::Drop(_) => {
                burst.dropped += 1;
                return;
            }
        };
        burst.dropped += 1;
        self.drops.count(lost);
    }
}

impl PacketIo for HostDevice {
    fn poll<F>(&mut self, budget: usize, mut on_packet: F) -> io::Result<Burst>
    where
        F: FnMut(PortId, &mut Packet<'_>) -> Verdict,
    {
        let mut burst = Burst { originated: std::mem::take(&mut self.injected), ..Burst::default() };
        for _ in 0..budget {
            let Some(len) = self.receive()? else { break };
            let mut buffer = std::mem::take(&mut self.buffer);
            let mut packet = Packet::new(&mut buffer, HEADROOM, len);
            // What a host says to its link (membership reports, say) is for nobody behind this one.
            if is_to_one(packet.bytes()) {
                burst.received += 1;
                let verdict = on_packet(PortId::HOST, &mut packet);
                self.carry_out(verdict, &packet, &mut burst);
            }
            self.buffer = buffer;
        }
        Ok(burst)
    }

    fn inject(&mut self, out: PortId, frame: &[u8]) -> io::Result<()> {
        self.transmit(out, frame).map_err(|reason| io::Error::other(reason.label()))?;
        self.injected += 1;
        Ok(())
    }

    fn inject_to_host(&mut self, frame: &[u8]) -> io::Result<()> {
        self.tun.send(frame).map_err(|reason| io::Error::other(reason.label()))
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        sys::poll(&mut [self.waiting()], timeout).map(drop)
    }
}

/// True for an IP packet to one receiver.
fn is_to_one(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(ETHERNET + 16).is_some_and(|&octet| octet < 224),
        Some([0x86, 0xdd]) => frame.get(ETHERNET + 24).is_some_and(|&octet| octet != 0xff),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_to_one;

    #[test]
    fn only_packets_to_one_receiver_are_taken() {
        let v4 = |first: u8| [&[0; 12][..], &[8, 0], &[0x45], &[0; 15], &[first, 0, 0, 1]].concat();
        let v6 = |first: u8| [&[0; 12][..], &[0x86, 0xdd], &[0x60], &[0; 23], &[first], &[0; 15]].concat();
        assert!(is_to_one(&v4(10)) && is_to_one(&v4(223)) && is_to_one(&v6(0x20)) && is_to_one(&v6(0xfe)));
        assert!(!is_to_one(&v4(224)) && !is_to_one(&v4(255)) && !is_to_one(&v6(0xff)));
        assert!(!is_to_one(&[]) && !is_to_one(&v4(10)[..20]) && !is_to_one(&[0; 64]));
    }
}
