//! One worker's AF_XDP sockets as a [`PacketIo`]: frames are received, rewritten in place and sent where they lie.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::spin::Spin;
use super::umem::{BATCH, Frame, Frames, Rings};
use crate::headers::Headers;
use crate::io::tun::Tun;
use crate::io::{Burst, PacketIo, sys};
use crate::packet::Packet;
use crate::rewrite::complete_partial;
use crate::verdict::{DropReason, Drops, PortId, Verdict};

/// The shortest frame the kernel sends: an Ethernet header.
const SHORTEST: usize = 14;
/// The longest sleep while frames wait in a transmit ring for an interface that did not take them.
const RETRY: Duration = Duration::from_millis(1);

/// An interface of the worker's.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) interface: String,
    /// Its queues here, as indices into the device's.
    pub(super) queues: Vec<usize>,
}

/// A queue of a port.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) port: PortId,
    number: u32,
    pub(super) rings: Rings,
    /// The interface is gone; nothing comes or goes here any more.
    pub(super) is_dead: bool,
}

impl Queue {
    pub(super) fn new(port: PortId, number: u32, rings: Rings) -> Self {
        Self { port, number, rings, is_dead: false }
    }
}

/// A worker's interfaces, over AF_XDP.
///
/// A verdict's own drop reason is counted by whoever gave the verdict. The device counts only what it had to drop
/// itself: [`DropReason::TxFull`], [`DropReason::NoPort`] (not a port of this worker's, or its interface is gone),
/// [`DropReason::HostFull`], [`DropReason::Truncated`] (less than an Ethernet header was to be sent).
///
/// `sent` counts frames that were handed to the kernel. An interface that is down keeps up to a ring of them and
/// sends them when it comes up; one without carrier loses them and counts them as its own (`tx_dropped`).
#[derive(Debug)]
pub struct XdpDevice {
    pub(super) frames: Frames,
    pub(super) queues: Vec<Queue>,
    pub(super) ports: Vec<Port>,
    /// The queue to look at first, so that none waits for another for ever.
    first: usize,
    pub(super) hand: Vec<Frame>,
    poll_fds: Vec<libc::pollfd>,
    /// The frames injected since the last burst.
    injected: u64,
    spin: Spin,
    tun: Option<Tun>,
    drops: Arc<Drops>,
}

impl XdpDevice {
    pub(super) fn new(
        frames: Frames,
        queues: Vec<Queue>,
        ports: Vec<Port>,
        spin: u32,
        tun: Option<Tun>,
        drops: Arc<Drops>,
    ) -> Self {
        let poll_fds = queues
            .iter()
            .map(|queue| libc::pollfd { fd: queue.rings.fd(), events: libc::POLLIN, revents: 0 })
            .collect();
        Self {
            frames,
            queues,
            ports,
            first: 0,
            hand: Vec::with_capacity(BATCH),
            poll_fds,
            injected: 0,
            spin: Spin::new(spin),
            tun,
            drops,
        }
    }

    /// One burst from all queues.
    fn serve_all<F>(
        &mut self,
        budget: usize,
        mut foresee: Option<impl FnMut(&[u8])>,
        mut on_packet: F,
    ) -> io::Result<Burst>
    where
        F: FnMut(PortId, &mut Packet<'_>) -> Verdict,
    {
        let mut burst = Burst { originated: std::mem::take(&mut self.injected), ..Burst::default() };
        let count = self.queues.len();
        for turn in 0..count {
            let left = budget - usize::try_from(burst.received).unwrap_or(budget).min(budget);
            self.serve((self.first + turn) % count, left, foresee.as_mut(), &mut on_packet, &mut burst);
        }
        self.first = (self.first + 1) % count.max(1);
        self.spin.on_burst(burst.received);
        self.flush()?;
        Ok(burst)
    }

    /// Receives from one queue, shows the packets to `foresee` and carries out the verdicts.
    fn serve<F>(
        &mut self,
        at: usize,
        budget: usize,
        foresee: Option<&mut impl FnMut(&[u8])>,
        on_packet: &mut F,
        burst: &mut Burst,
    ) where
        F: FnMut(PortId, &mut Packet<'_>) -> Verdict,
    {
        let Some(queue) = self.queues.get_mut(at).filter(|queue| !queue.is_dead) else { return };
        let port = queue.port;
        queue.rings.receive(budget, &mut self.hand);
        let mut hand = std::mem::take(&mut self.hand);
        if let Some(foresee) = foresee {
            for frame in &mut hand {
                self.frames.open(frame, |packet| foresee(packet.bytes()));
            }
        }
        for mut frame in hand.drain(..) {
            burst.received += 1;
            let verdict = self.frames.open(&mut frame, |packet| {
                let verdict = on_packet(port, packet);
                if verdict == Verdict::ToHost && !hand_over(self.tun.as_ref(), packet.bytes_mut()) {
                    return Verdict::Drop(DropReason::HostFull);
                }
                verdict
            });
            self.carry_out(verdict, at, frame, burst);
        }
        self.hand = hand;
    }

    /// Carries out a verdict over the frame in hand. `ToHost` here is one that was handed over.
    fn carry_out(&mut self, verdict: Verdict, from: usize, frame: Frame, burst: &mut Burst) {
        match verdict {
            Verdict::Send(out) => match self.transmit(out, from, frame) {
                Ok(()) => burst.sent += 1,
                Err(reason) => self.count_drop(reason, burst),
            },
            Verdict::Answer(out, _) => {
                burst.dropped += 1;
                match self.transmit(out, from, frame) {
                    Ok(()) => burst.originated += 1,
                    Err(reason) => self.drops.count(reason),
                }
            }
            Verdict::ToHost => {
                burst.to_host += 1;
                self.frames.give(frame);
            }
            Verdict::Drop(DropReason::HostFull) => {
                self.count_drop(DropReason::HostFull, burst);
                self.frames.give(frame);
            }
            Verdict::Drop(_) => {
                burst.dropped += 1;
                self.frames.give(frame);
            }
            Verdict::Hold => {
                burst.held += 1;
                self.frames.give(frame);
            }
        }
    }

    fn count_drop(&self, reason: DropReason, burst: &mut Burst) {
        burst.dropped += 1;
        self.drops.count(reason);
    }

    /// Puts a frame among those to leave through port `out`; of its queues, the one that stands where the queue
    /// `from` stands among its port's.
    fn transmit(&mut self, out: PortId, from: usize, mut frame: Frame) -> Result<(), DropReason> {
        let refused = if frame.len() < SHORTEST {
            DropReason::Truncated
        } else {
            match self.queue_toward(out, from).and_then(|at| self.queues.get_mut(at)) {
                Some(queue) if !queue.is_dead => {
                    if queue.rings.is_full() {
                        // An error here comes again at the burst's end, where it is reported.
                        let _ = queue.rings.flush(&mut self.frames);
                    }
                    match queue.rings.send(frame) {
                        Ok(()) => return Ok(()),
                        Err(back) => {
                            frame = back;
                            DropReason::TxFull
                        }
                    }
                }
                Some(_) | None => DropReason::NoPort,
            }
        };
        self.frames.give(frame);
        Err(refused)
    }

    fn queue_toward(&self, out: PortId, from: usize) -> Option<usize> {
        let queues = &self.ports.get(out.index())?.queues;
        let [only] = queues.as_slice() else {
            let ingress = self.queues.get(from).and_then(|queue| self.ports.get(queue.port.index()));
            let place = ingress.and_then(|port| port.queues.iter().position(|&at| at == from)).unwrap_or(0);
            return queues.get(place.checked_rem(queues.len())?).copied();
        };
        Some(*only)
    }

    /// Has the kernel send what is pending, and gives it frames to receive into.
    fn flush(&mut self) -> io::Result<()> {
        for at in 0..self.queues.len() {
            let Some(queue) = self.queues.get_mut(at).filter(|queue| !queue.is_dead) else { continue };
            match queue.rings.flush(&mut self.frames) {
                Err(error) if error.raw_os_error() == Some(libc::ENXIO) => self.bury(at),
                other => other?,
            }
        }
        for queue in self.queues.iter_mut().filter(|queue| !queue.is_dead) {
            queue.rings.refill(&mut self.frames)?;
        }
        Ok(())
    }

    /// Looks for packets without sleeping; false when none came.
    fn spin(&mut self) -> bool {
        for _ in 0..self.spin.looks() {
            if self.queues.iter_mut().any(|queue| !queue.is_dead && queue.rings.has_received()) {
                self.spin.on_found();
                return true;
            }
            std::hint::spin_loop();
        }
        self.spin.on_sleep();
        false
    }

    /// Looks for sockets whose interface is gone: such a socket is no longer bound and stays silent.
    fn check_interfaces(&mut self) -> io::Result<()> {
        for at in 0..self.queues.len() {
            let Some(queue) = self.queues.get(at).filter(|queue| !queue.is_dead) else { continue };
            if sys::take_socket_error(queue.rings.fd())?.is_some() {
                self.bury(at);
            }
        }
        Ok(())
    }

    fn bury(&mut self, at: usize) {
        let Some(queue) = self.queues.get_mut(at) else { return };
        queue.is_dead = true;
        // A negative descriptor is passed over by poll(2).
        if let Some(fd) = self.poll_fds.get_mut(at) {
            fd.fd = -1;
        }
        let interface = self.ports.get(queue.port.index()).map_or("?", |port| &port.interface);
        tracing::error!(interface, queue = queue.number, "the interface is gone");
    }
}

/// Writes a frame to the TUN device with its checksum completed, which the host's kernel verifies; false when
/// it did not take it.
fn hand_over(tun: Option<&Tun>, frame: &mut [u8]) -> bool {
    if let Ok(headers) = Headers::parse(frame) {
        complete_partial(frame, &headers);
    }
    tun.is_some_and(|tun| tun.send(frame).is_ok())
}

impl PacketIo for XdpDevice {
    fn poll<F>(&mut self, budget: usize, on_packet: F) -> io::Result<Burst>
    where
        F: FnMut(PortId, &mut Packet<'_>) -> Verdict,
    {
        self.serve_all(budget, None::<fn(&[u8])>, on_packet)
    }

    fn poll_foreseen<F>(
        &mut self,
        budget: usize,
        foresee: impl FnMut(&[u8]),
        on_packet: F,
    ) -> io::Result<Burst>
    where
        F: FnMut(PortId, &mut Packet<'_>) -> Verdict,
    {
        self.serve_all(budget, Some(foresee), on_packet)
    }

    /// The frame is copied and leaves with the next burst or wait.
    ///
    /// # Errors
    /// `WouldBlock` while the port's transmit ring is full, `NotFound` for a port this worker does not have
    /// or a frame without an
    /// Ethernet header, `InvalidInput` for a frame no buffer can hold.
    fn inject(&mut self, out: PortId, frame: &[u8]) -> io::Result<()> {
        let mut copy = self.frames.take().ok_or(io::ErrorKind::WouldBlock)?;
        let copied = self.frames.open(&mut copy, |packet| {
            packet.resize(frame.len())?;
            packet.bytes_mut().copy_from_slice(frame);
            Ok(())
        });
        if let Err(no_room) = copied {
            let no_room: crate::packet::NoRoom = no_room;
            self.frames.give(copy);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, no_room));
        }
        let from = self.ports.get(out.index()).and_then(|port| port.queues.first()).copied().unwrap_or(0);
        self.transmit(out, from, copy).map_err(|reason| {
            let is_full = reason == DropReason::TxFull;
            let kind = if is_full { io::ErrorKind::WouldBlock } else { io::ErrorKind::NotFound };
            io::Error::new(kind, reason.label())
        })?;
        self.injected += 1;
        Ok(())
    }

    fn inject_to_host(&mut self, frame: &[u8]) -> io::Result<()> {
        if hand_over(self.tun.as_ref(), &mut frame.to_vec()) {
            Ok(())
        } else {
            Err(io::Error::other(DropReason::HostFull.label()))
        }
    }

    fn expect_answers(&mut self) {
        self.spin.on_silence_broken();
    }

    /// Spins for some tens of microseconds, three times as long at most where answers may come, then sleeps in poll(2).
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.flush()?;
        if self.spin() {
            return Ok(());
        }
        let has_unsent = self.queues.iter_mut().any(|queue| !queue.is_dead && queue.rings.has_unsent());
        let timeout = if has_unsent { timeout.min(RETRY) } else { timeout };
        let is_ready = sys::poll(&mut self.poll_fds, timeout)?;
        let is_broken = |fd: &libc::pollfd| fd.revents & !libc::POLLIN != 0;
        if !is_ready || self.poll_fds.iter().any(is_broken) {
            self.check_interfaces()?;
        }
        Ok(())
    }
}
