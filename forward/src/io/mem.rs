//! Interfaces in memory: a director forwards over them in a test, a replay or a benchmark, without a network.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Burst, PacketIo};
use crate::packet::Packet;
use crate::verdict::{DropReason, Drops, PortId, Verdict};

/// Room before each frame, for outer headers.
const HEADROOM: usize = 64;

/// A frame in its buffer.
#[derive(Debug)]
struct Frame {
    buffer: Box<[u8]>,
    start: usize,
    len: usize,
}

impl Frame {
    fn new(size: usize) -> Self {
        Self { buffer: vec![0; HEADROOM + size].into_boxed_slice(), start: HEADROOM, len: 0 }
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.start + self.len).unwrap_or_default()
    }

    /// Copies `bytes` in; false where they do not fit.
    fn fill(&mut self, bytes: &[u8]) -> bool {
        (self.start, self.len) = (HEADROOM, bytes.len());
        match self.buffer.get_mut(HEADROOM..HEADROOM + bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }
}

/// The two queues of one interface.
#[derive(Debug)]
struct Queues {
    received: VecDeque<Frame>,
    sent: VecDeque<Frame>,
}

/// Interfaces in memory, with bounded queues. All buffers are allocated when it is made, and go round.
#[derive(Debug)]
pub struct MemDevice {
    ports: Vec<Queues>,
    host: VecDeque<Frame>,
    /// The most frames a queue holds.
    depth: usize,
    idle: Vec<Frame>,
    /// The frames injected since the last burst.
    injected: u64,
    drops: Arc<Drops>,
}

impl MemDevice {
    /// `ports` interfaces whose queues hold `depth` frames of at most `size` octets. `drops` counts what the
    /// device itself has to drop, by reason.
    pub fn new(ports: u16, depth: usize, size: usize, drops: Arc<Drops>) -> Self {
        let queues = || VecDeque::with_capacity(depth);
        let count = depth * (2 * usize::from(ports) + 1) + 1;
        Self {
            ports: (0..ports).map(|_| Queues { received: queues(), sent: queues() }).collect(),
            host: queues(),
            depth,
            idle: (0..count).map(|_| Frame::new(size)).collect(),
            injected: 0,
            drops,
        }
    }

    /// Puts a frame on the link of `port`. False where the queue is full, the frame too long or the port not there:
    /// the link loses it.
    pub fn receive(&mut self, port: PortId, frame: &[u8]) -> bool {
        let Some(queues) = self.ports.get_mut(port.index()) else { return false };
        put(&mut queues.received, &mut self.idle, self.depth, frame).is_ok()
    }

    /// Shows `each` the frames that left through `port`, oldest first, and forgets them.
    pub fn take_sent(&mut self, port: PortId, mut each: impl FnMut(&[u8])) {
        let Some(queues) = self.ports.get_mut(port.index()) else { return };
        for frame in queues.sent.drain(..) {
            each(frame.bytes());
            self.idle.push(frame);
        }
    }

    /// Shows `each` the frames that were handed to the host, oldest first, and forgets them.
    pub fn take_host(&mut self, mut each: impl FnMut(&[u8])) {
        for frame in self.host.drain(..) {
            each(frame.bytes());
            self.idle.push(frame);
        }
    }

    /// Frames that wait to be polled.
    pub fn waiting(&self) -> usize {
        self.ports.iter().map(|queues| queues.received.len()).sum()
    }

    fn carry_out(&mut self, verdict: Verdict, frame: Frame, burst: &mut Burst) {
        match verdict {
            Verdict::Send(out) => match self.transmit(out, frame) {
                Ok(()) => burst.sent += 1,
                Err(reason) => self.count_drop(reason, burst),
            },
            Verdict::Answer(out, _) => {
                burst.dropped += 1;
                match self.transmit(out, frame) {
                    Ok(()) => burst.originated += 1,
                    Err(reason) => self.drops.count(reason),
                }
            }
            Verdict::ToHost if self.host.len() < self.depth => {
                burst.to_host += 1;
                self.host.push_back(frame);
            }
            Verdict::ToHost => {
                self.count_drop(DropReason::HostFull, burst);
                self.idle.push(frame);
            }
            Verdict::Drop(_) => {
                burst.dropped += 1;
                self.idle.push(frame);
            }
            Verdict::Hold => {
                burst.held += 1;
                self.idle.push(frame);
            }
        }
    }

    fn count_drop(&self, reason: DropReason, burst: &mut Burst) {
        burst.dropped += 1;
        self.drops.count(reason);
    }

    fn transmit(&mut self, out: PortId, frame: Frame) -> Result<(), DropReason> {
        let refused = match self.ports.get_mut(out.index()) {
            Some(queues) if queues.sent.len() < self.depth => {
                queues.sent.push_back(frame);
                return Ok(());
            }
            Some(_) => DropReason::TxFull,
            None => DropReason::NoPort,
        };
        self.idle.push(frame);
        Err(refused)
    }
}

/// Copies a frame into a queue.
fn put(queue: &mut VecDeque<Frame>, idle: &mut Vec<Frame>, depth: usize, bytes: &[u8]) -> io::Result<()> {
    if queue.len() >= depth {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let mut frame = idle.pop().ok_or(io::ErrorKind::WouldBlock)?;
    if frame.fill(bytes) {
        queue.push_back(frame);
        Ok(())
    } else {
        idle.push(frame);
        Err(io::ErrorKind::InvalidInput.into())
    }
}

impl PacketIo for MemDevice {
    fn poll<F>(&mut self, budget: usize, mut on_packet: F) -> io::Result<Burst>
    where
        F: FnMut(PortId, &mut Packet<'_>) -> Verdict,
    {
        let mut burst = Burst { originated: std::mem::take(&mut self.injected), ..Burst::default() };
        let mut left = budget;
        for id in (0..u16::MAX).map(PortId).take(self.ports.len()) {
            while left > 0
                && let Some(mut frame) =
                    self.ports.get_mut(id.index()).and_then(|port| port.received.pop_front())
            {
                left -= 1;
                burst.received += 1;
                let mut packet = Packet::new(&mut frame.buffer, frame.start, frame.len);
                let verdict = on_packet(id, &mut packet);
                (frame.start, frame.len) = (packet.start(), packet.len());
                self.carry_out(verdict, frame, &mut burst);
            }
        }
        Ok(burst)
    }

    fn poll_foreseen<F>(
        &mut self,
        budget: usize,
        mut foresee: impl FnMut(&[u8]),
        on_packet: F,
    ) -> io::Result<Burst>
    where
        F: FnMut(PortId, &mut Packet<'_>) -> Verdict,
    {
        let frames = self.ports.iter().flat_map(|port| &port.received);
        frames.take(budget).for_each(|frame| foresee(frame.bytes()));
        self.poll(budget, on_packet)
    }

    /// # Errors
    /// `WouldBlock` while the queue is full, `NotFound` for a port that is not there, `InvalidInput` for a frame
    /// longer than the device's.
    fn inject(&mut self, out: PortId, frame: &[u8]) -> io::Result<()> {
        let queues = self.ports.get_mut(out.index()).ok_or(io::ErrorKind::NotFound)?;
        put(&mut queues.sent, &mut self.idle, self.depth, frame)?;
        self.injected += 1;
        Ok(())
    }

    fn inject_to_host(&mut self, frame: &[u8]) -> io::Result<()> {
        put(&mut self.host, &mut self.idle, self.depth, frame)
    }

    /// Returns at once: nothing comes here by itself.
    fn wait(&mut self, _timeout: Duration) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(ports: u16, depth: usize) -> (MemDevice, Arc<Drops>) {
        let drops = Arc::new(Drops::default());
        (MemDevice::new(ports, depth, 64, Arc::clone(&drops)), drops)
    }

    #[test]
    fn each_verdict_is_carried_out_and_counted_once() {
        let (mut device, drops) = device(2, 8);
        for number in 0..6 {
            assert!(device.receive(PortId(0), &[number; 20]));
        }
        let burst = device.poll(64, |port, packet| {
            assert_eq!(port, PortId(0));
            match packet.bytes()[0] {
                0 => Verdict::Send(PortId(1)),
                1 => Verdict::ToHost,
                2 => Verdict::Drop(DropReason::NoServer),
                3 => Verdict::Answer(PortId(0), DropReason::TtlExceeded),
                4 => Verdict::Hold,
                _ => Verdict::Send(PortId(9)),
            }
        });
        let expected = Burst { received: 6, sent: 1, to_host: 1, dropped: 3, held: 1, originated: 1 };
        assert_eq!(burst.unwrap(), expected);
        // The director counts its own reasons; the device only what it could not do.
        assert_eq!(
            drops.iter().filter(|&(_, count)| count > 0).collect::<Vec<_>>(),
            [(DropReason::NoPort, 1)]
        );
        let mut sent = Vec::new();
        device.take_sent(PortId(1), |frame| sent.push(frame.to_vec()));
        assert_eq!(sent, [vec![0; 20]]);
        device.take_sent(PortId(0), |frame| sent.push(frame.to_vec()));
        device.take_host(|frame| sent.push(frame.to_vec()));
        assert_eq!(sent, [vec![0; 20], vec![3; 20], vec![1; 20]]);
        assert_eq!(device.idle.len(), 8 * 5 + 1, "every buffer came back");
    }

    #[test]
    fn a_full_queue_loses_packets_by_name() {
        let (mut device, drops) = device(1, 2);
        for _ in 0..2 {
            for _ in 0..2 {
                assert!(device.receive(PortId(0), &[1; 20]));
            }
            assert!(!device.receive(PortId(0), &[1; 20]));
            let burst = device.poll(64, |_, _| Verdict::Send(PortId(0))).unwrap();
            assert_eq!(burst.received, burst.sent + burst.dropped);
        }
        assert_eq!(drops.total(), 2);
        assert!(drops.iter().all(|(reason, count)| count == 0 || reason == DropReason::TxFull));
    }

    #[test]
    fn the_budget_is_kept_and_the_rest_waits() {
        let (mut device, _) = device(2, 8);
        for port in [0, 0, 1, 1] {
            assert!(device.receive(PortId(port), &[0; 20]));
        }
        assert_eq!(device.poll(3, |_, _| Verdict::Hold).unwrap().received, 3);
        assert_eq!(device.waiting(), 1);
    }

    #[test]
    fn an_injected_frame_counts_as_originated_with_the_next_burst() {
        let (mut device, _) = device(1, 2);
        device.inject(PortId(0), &[7; 20]).unwrap();
        assert_eq!(device.inject(PortId(1), &[7; 20]).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(device.inject(PortId(0), &[7; 99]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(device.poll(1, |_, _| Verdict::Hold).unwrap().originated, 1);
    }

    #[test]
    fn a_frame_may_grow_into_the_room_before_it() {
        let (mut device, _) = device(1, 2);
        assert!(device.receive(PortId(0), &[5; 60]));
        device
            .poll(1, |_, packet| {
                packet.insert(14, 20).unwrap();
                Verdict::Send(PortId(0))
            })
            .unwrap();
        device.take_sent(PortId(0), |frame| assert_eq!(frame.len(), 80));
    }
}
