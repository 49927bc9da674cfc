//! One worker: a queue of each interface, a director, and the loop between them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lvs_conntrack::Tick;
use lvs_forward::io::{Burst, Forwarder, PacketIo};
use lvs_forward::{DropReason, Drops, Packet, PortId, Verdict};

use crate::director::{Director, Exit};

/// Packets of one burst: the gain of larger ones is nothing, and each is answered the later.
const BURST: usize = 64;
/// How long to sleep where nothing waits: only a request to stop could be missed.
const IDLE: Duration = Duration::from_millis(100);
/// After so long without packets the next are the first for a while. Waiting for their answers then costs a hundredth
/// of the time at the most.
const SILENCE: Duration = Duration::from_millis(15);
/// How long to sleep while packets wait for a neighbour.
const WAITING: Duration = Duration::from_millis(1);

/// A worker before it runs.
#[derive(Debug)]
pub struct Worker<D> {
    device: D,
    director: Director,
    /// What the device dropped itself, and what of it the director knows already.
    drops: Arc<Drops>,
    known: Vec<u64>,
}

/// What the director decided in a burst, to be held beside what the device carried out.
#[derive(Debug, Default)]
struct Decided {
    sends: u64,
    to_host: u64,
    answers: u64,
}

impl Decided {
    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Send(_) => self.sends += 1,
            Verdict::ToHost => self.to_host += 1,
            Verdict::Answer(..) => self.answers += 1,
            Verdict::Drop(_) | Verdict::Hold => {}
        }
    }
}

impl<D: PacketIo> Worker<D> {
    /// A worker over a device, which counts in `drops` (and nobody else does) what it has to drop itself.
    pub fn new(device: D, director: Director, drops: Arc<Drops>) -> Self {
        Self { device, director, drops, known: vec![0; DropReason::ALL.len()] }
    }

    /// Forwards until `stop` is set. `wake` is called when packets begin to wait for a neighbour: somebody else
    /// asks for it.
    ///
    /// # Errors
    /// The device's own.
    pub fn run(&mut self, stop: &AtomicBool, now: impl Fn() -> Tick, wake: impl Fn()) -> io::Result<()> {
        let mut was_waiting = false;
        let mut heard = Tick::ZERO;
        while !stop.load(Ordering::Relaxed) {
            let now = now();
            let received = self.turn(now)?;
            if received > 0 {
                if now.saturating_since(heard) >= SILENCE {
                    self.device.expect_answers();
                }
                heard = now;
            }
            let is_waiting = self.director.has_waiting();
            if is_waiting && !was_waiting {
                wake();
            }
            was_waiting = is_waiting;
            if received == 0 {
                self.device.wait(if is_waiting { WAITING } else { IDLE })?;
            }
        }
        Ok(())
    }

    /// One burst, and what waited; says how many packets came.
    ///
    /// # Errors
    /// The device's own.
    pub fn turn(&mut self, now: Tick) -> io::Result<u64> {
        let Self { device, director, .. } = self;
        director.refresh();
        let mut decided = Decided::default();
        let plane = Arc::clone(director.plane());
        let on_packet = |port, packet: &mut Packet<'_>| {
            let verdict = director.handle(port, packet, now);
            decided.count(verdict);
            verdict
        };
        let burst = if plane.is_foresighted() {
            device.poll_foreseen(BURST, |frame| plane.foresee(frame), on_packet)?
        } else {
            device.poll(BURST, on_packet)?
        };
        self.settle(&decided, &burst);
        self.director.hand_in(now);
        if self.director.has_waiting() {
            self.release(now);
        }
        Ok(burst.received)
    }

    fn release(&mut self, now: Tick) {
        let Self { device, director, .. } = self;
        let (mut unsent, mut refused) = (0, 0);
        director.release(now, |exit, frame| match exit {
            Exit::Port(port) => unsent += u64::from(device.inject(port, frame).is_err()),
            Exit::Host => refused += u64::from(device.inject_to_host(frame).is_err()),
        });
        (0..unsent).for_each(|_| director.undone(Verdict::Send(PortId(0)), DropReason::TxFull));
        (0..refused).for_each(|_| director.undone(Verdict::ToHost, DropReason::HostFull));
    }

    /// Tells the director which of its verdicts the device could not carry out.
    fn settle(&mut self, decided: &Decided, burst: &Burst) {
        let mut unsent = decided.sends.saturating_sub(burst.sent);
        let mut unanswered = decided.answers.saturating_sub(burst.originated);
        if unsent == 0 && unanswered == 0 && decided.to_host == burst.to_host {
            return;
        }
        for ((reason, count), known) in self.drops.iter().zip(&mut self.known) {
            for _ in *known..count {
                let verdict = if reason == DropReason::HostFull {
                    Verdict::ToHost
                } else if unsent > 0 {
                    unsent -= 1;
                    Verdict::Send(PortId(0))
                } else {
                    unanswered = unanswered.saturating_sub(1);
                    Verdict::Answer(PortId(0), reason)
                };
                self.director.undone(verdict, reason);
            }
            *known = count;
        }
    }
}
