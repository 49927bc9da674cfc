//! Packet memory and the rings that pass it to and from the kernel: the only file that touches descriptors.
//!
//! ```text
//!                 refill                        receive
//!      idle ---------------> fill ring ~kernel~> rx ring ----> in hand (a Frame)
//!       ^  ^                                                     |          |
//!       |  '-------------------- give ---------------------------'          | send
//!       |                                                                   v
//!       '----- complete ---- completion ring <~kernel~ tx ring <---- pending (flush)
//! ```
//!
//! The invariant all `unsafe` here rests on: *every descriptor is in exactly one of rx (with fill: the kernel's for
//! receiving), tx (with completion: the kernel's for sending), pending, idle, or in hand.* It holds because
//! descriptors enter only from `Umem::new`, into idle; because a [`Frame`], one in hand, can be neither copied nor
//! made outside this file; and because each function below moves what it takes to the next place.

#![allow(unsafe_code, reason = "xsk-rs leaves it to its caller that no descriptor is used twice")]

use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, RawFd};

use xsk_rs::config::{FrameSize, Interface, QueueSize, SocketConfig, UmemConfig};
use xsk_rs::socket::XdpStatistics;
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

use super::error::system_error;
use crate::packet::Packet;

/// The most frames moved between two places at a time.
pub(super) const BATCH: usize = 64;

/// A frame in hand: nobody else has its memory.
#[derive(Debug)]
pub(super) struct Frame(FrameDesc);

impl Frame {
    /// Octets of the packet.
    pub(super) fn len(&self) -> usize {
        self.0.lengths().data()
    }
}

/// The packet memory of one worker, shared by all its rings, with the frames that are idle.
#[derive(Debug)]
pub(super) struct Frames {
    umem: Umem,
    idle: Vec<FrameDesc>,
    total: usize,
}

impl Frames {
    /// `count` frames of `size` bytes. The memory belongs to the calling thread's network namespace.
    pub(super) fn new(count: NonZeroU32, size: u32, ring: u32) -> io::Result<Self> {
        let ring = QueueSize::new(ring).map_err(io::Error::other)?;
        let config = UmemConfig::builder()
            .frame_size(FrameSize::new(size).map_err(io::Error::other)?)
            .fill_queue_size(ring)
            .comp_queue_size(ring)
            .build()
            .map_err(io::Error::other)?;
        let (umem, idle) = Umem::new(config, count, false).map_err(|error| system_error(&error))?;
        Ok(Self { umem, total: idle.len(), idle })
    }

    /// Takes an idle frame in hand.
    pub(super) fn take(&mut self) -> Option<Frame> {
        self.idle.pop().map(Frame)
    }

    /// Lays a frame from the hand to the idle ones.
    pub(super) fn give(&mut self, Frame(descriptor): Frame) {
        self.idle.push(descriptor);
    }

    /// How many frames lie idle.
    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// How many frames there are.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Shows the frame to `look` as a packet, to be changed in place. The packet starts where the frame's room
    /// does: it can grow toward the end only. One that starts later afterwards is moved to the front, because
    /// xsk-rs cannot send from elsewhere. A tunnel's headers thus cost a move of the packet (30 ns for 1,500
    /// octets), but where the XDP program puts them on itself: it has the room in front.
    pub(super) fn open<R>(&self, frame: &mut Frame, look: impl FnOnce(&mut Packet<'_>) -> R) -> R {
        let len = frame.0.lengths().data();
        // SAFETY: by this file's invariant the frame is of this memory, and in hand, so nobody else reads or
        // writes it; `frame` stays borrowed while its bytes are.
        let mut data = unsafe { self.umem.data_mut(&mut frame.0) };
        data.cursor().set_pos(usize::MAX);
        let room = data.contents_mut();
        let mut packet = Packet::new(room, 0, len);
        let result = look(&mut packet);
        let (start, len) = (packet.start(), packet.len());
        if start > 0 {
            room.copy_within(start..start + len, 0);
        }
        data.cursor().set_pos(len);
        result
    }
}

/// One AF_XDP socket: the rings of one queue of one interface.
#[derive(Debug)]
pub(super) struct Rings {
    rx: RxQueue,
    tx: TxQueue,
    fill: FillQueue,
    completion: CompQueue,
    /// The size of each of the four rings.
    size: usize,
    /// The most frames the kernel sends in one call.
    per_call: usize,
    pending: Vec<FrameDesc>,
    /// Frames in the fill ring, the rx ring or between.
    receiving: usize,
    /// Frames in the tx ring, the completion ring or between.
    sending: usize,
    scratch: [FrameDesc; BATCH],
}

impl Rings {
    /// Binds a socket over `frames` to a queue.
    ///
    /// # Errors
    /// The kernel's: `EBUSY` while another socket has the queue, or had it a moment ago.
    pub(super) fn bind(
        frames: &Frames,
        interface: &Interface,
        queue: u32,
        size: u32,
        config: SocketConfig,
    ) -> io::Result<Self> {
        // SAFETY: the configuration inhibits libxdp's own program, which is all this function asks for where
        // one memory is bound to a queue twice.
        let socket = unsafe { Socket::new(config, &frames.umem, interface, queue) };
        let (tx, rx, rings) = socket.map_err(|error| system_error(&error))?;
        let Some((fill, completion)) = rings else {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        };
        let size = usize::try_from(size).map_err(io::Error::other)?;
        Ok(Self {
            rx,
            tx,
            fill,
            completion,
            size,
            per_call: 32,
            pending: Vec::with_capacity(size),
            receiving: 0,
            sending: 0,
            scratch: [FrameDesc::default(); BATCH],
        })
    }

    /// The socket.
    pub(super) fn fd(&self) -> RawFd {
        self.rx.fd().as_raw_fd()
    }

    /// The kernel's counters.
    pub(super) fn statistics(&self) -> io::Result<XdpStatistics> {
        self.rx.fd().xdp_statistics()
    }

    /// Tells how many frames the kernel was allowed to send in one call, where that is not its default of 32.
    pub(super) fn set_per_call(&mut self, frames: usize) {
        self.per_call = frames;
    }

    /// Frames that are with the kernel or wait to be handed to it.
    pub(super) fn held(&self) -> usize {
        self.receiving + self.sending + self.pending.len()
    }

    /// True when a received frame waits.
    pub(super) fn has_received(&mut self) -> bool {
        self.rx.nb_avail(1) > 0
    }

    /// Takes up to `budget` received frames (at most [`BATCH`]) in hand, at the end of `hand`.
    pub(super) fn receive(&mut self, budget: usize, hand: &mut Vec<Frame>) -> usize {
        let Some(scratch) = self.scratch.get_mut(..budget.min(BATCH)) else { return 0 };
        // SAFETY: the rx ring gives back what was put into the fill ring; both are over the same memory.
        let received = unsafe { self.rx.consume(scratch) };
        self.receiving -= received.min(self.receiving);
        hand.extend(self.scratch.iter().take(received).copied().map(Frame));
        received
    }

    /// Gives idle frames to the kernel to receive into, as many as there is room for.
    pub(super) fn refill(&mut self, frames: &mut Frames) -> io::Result<()> {
        let count = (self.size - self.receiving).min(frames.idle.len());
        let from = frames.idle.len() - count;
        let Some(descriptors) = frames.idle.get(from..) else { return Ok(()) };
        // SAFETY: the frames are of the socket's memory and idle, and leave idle in the next line.
        let filled = unsafe { self.fill.produce(descriptors) };
        frames.idle.truncate(frames.idle.len() - filled);
        self.receiving += filled;
        if filled > 0 && self.fill.needs_wakeup() {
            self.fill.wakeup(self.rx.fd_mut(), 0)?;
        }
        Ok(())
    }

    /// Puts a frame among those to be sent next.
    ///
    /// # Errors
    /// The frame, when as many are on their way as the ring holds.
    pub(super) fn send(&mut self, frame: Frame) -> Result<(), Frame> {
        if self.sending + self.pending.len() >= self.size {
            return Err(frame);
        }
        self.pending.push(frame.0);
        Ok(())
    }

    /// True when [`Rings::send`] would refuse.
    pub(super) fn is_full(&self) -> bool {
        self.sending + self.pending.len() >= self.size
    }

    /// Hands the pending frames to the kernel and has it send, past the few it sends in one call. What the
    /// interface does not take now stays in the ring for the next time.
    pub(super) fn flush(&mut self, frames: &mut Frames) -> io::Result<()> {
        self.submit();
        if self.sending == 0 {
            return Ok(());
        }
        let mut calls = self.unsent().div_ceil(self.per_call);
        while self.unsent() > 0 && self.tx.needs_wakeup() {
            self.tx.wakeup()?;
            // The kernel may publish how far it read only at its next call, so completions count as progress
            // too, and as many calls as the frames need are made in any case.
            calls = calls.saturating_sub(1);
            if self.complete(frames) == 0 && calls == 0 {
                break;
            }
        }
        self.complete(frames);
        Ok(())
    }

    fn submit(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        // SAFETY: the frames are of the socket's memory, their lengths were set by `Frames::open`, and they leave
        // `pending` in the lines below.
        let submitted = unsafe { self.tx.produce(&self.pending) };
        // All or nothing: `send` leaves none pending for which the ring has no room.
        if submitted == self.pending.len() {
            self.pending.clear();
            self.sending += submitted;
        }
    }

    /// Frames in the tx ring that the kernel has not said to have read.
    fn unsent(&mut self) -> usize {
        let free = usize::try_from(self.tx.nb_free_exact()).unwrap_or(self.size);
        self.size.saturating_sub(free)
    }

    /// True when frames wait in the tx ring.
    pub(super) fn has_unsent(&mut self) -> bool {
        self.sending > 0 && self.unsent() > 0
    }

    /// Lays the frames that were sent to the idle ones; how many they were.
    pub(super) fn complete(&mut self, frames: &mut Frames) -> usize {
        let mut completed = 0;
        while self.sending > 0 {
            // SAFETY: the completion ring gives back what was put into the tx ring of the same memory.
            let count = unsafe { self.completion.consume(&mut self.scratch) };
            frames.idle.extend(self.scratch.iter().take(count));
            self.sending -= count.min(self.sending);
            completed += count;
            if count < BATCH {
                break;
            }
        }
        completed
    }
}
