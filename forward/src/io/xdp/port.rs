//! What a worker serves: interfaces, their queues, and what the kernel counts there.

use std::io;

use xsk_rs::socket::XdpStatistics;

use super::error::OpenError;
use crate::io::sys;

/// An interface and those of its queues that a worker serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortConfig {
    /// The interface's name.
    pub interface: String,
    /// Its queues, from 0. A queue belongs to one worker only.
    pub queues: Vec<u32>,
}

/// What one worker opens.
#[derive(Debug, Clone)]
pub struct DeviceConfig {
    /// The interfaces; `PortId(n)` is the n-th of them. All workers should list the same interfaces in the same
    /// order, so that a port means the same to each.
    pub ports: Vec<PortConfig>,
    /// How many frames each ring holds, a power of two from 64 on. A queue takes twice as many frames of memory.
    pub ring_size: u32,
    /// The room for a frame with all its headers, 2048 or 4096 bytes, 256 of which are the kernel's. `None` for
    /// what the largest MTU among the interfaces asks for with a tunnel's headers on top.
    pub frame_size: Option<u32>,
    /// How many empty looks at the rings [`PacketIo::wait`](crate::io::PacketIo::wait) takes before it sleeps, at
    /// most; a look takes some tens of nanoseconds. 0 to sleep at once.
    pub spin: u32,
}

impl DeviceConfig {
    /// These ports with rings of 2048 frames and about 50 microseconds of spinning.
    pub fn new(ports: Vec<PortConfig>) -> Self {
        Self { ports, ring_size: 2048, frame_size: None, spin: 1000 }
    }

    /// The ports of each of at most `workers` workers over all queues of `interfaces`. Every worker gets a queue of
    /// every interface, for a frame can leave only through a queue of its worker's: so there are no more workers
    /// than the interface with the fewest queues has.
    ///
    /// # Errors
    /// [`OpenError::Interface`] for an interface that is not there.
    pub fn share(interfaces: &[String], workers: u32) -> Result<Vec<Vec<PortConfig>>, OpenError> {
        let mut counts = Vec::new();
        for interface in interfaces {
            let count = queue_count(interface)
                .map_err(|source| OpenError::Interface { interface: interface.clone(), source })?;
            counts.push((interface, count));
        }
        let most = counts.iter().map(|&(_, count)| count).min().unwrap_or(1);
        let workers = workers.clamp(1, most);
        let port = |worker: u32, &(interface, count): &(&String, u32)| PortConfig {
            interface: interface.clone(),
            queues: (0..count).filter(|queue| queue % workers == worker).collect(),
        };
        Ok((0..workers).map(|worker| counts.iter().map(|of| port(worker, of)).collect()).collect())
    }
}

/// How many receive queues an interface has in use; 1 where its driver does not tell.
///
/// # Errors
/// The kernel's, when there is no such interface.
pub fn queue_count(interface: &str) -> io::Result<u32> {
    sys::queue_count(interface)
}

/// What the kernel counted at a port's sockets, summed over its queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PortStatistics {
    /// Frames lost on the way to the socket: larger than the frame size, mostly.
    pub rx_dropped: u64,
    /// Frames lost because a buffer to receive into was no good.
    pub rx_invalid: u64,
    /// Frames lost because the receive ring was full.
    pub rx_ring_full: u64,
    /// How often no buffer was there to receive into.
    pub fill_ring_empty: u64,
    /// Frames not sent because their descriptor was no good.
    pub tx_invalid: u64,
    /// How often the kernel looked for a frame to send and found none.
    pub tx_ring_empty: u64,
}

impl PortStatistics {
    pub(super) fn add(&mut self, queue: XdpStatistics) {
        self.rx_dropped += queue.rx_dropped();
        self.rx_invalid += queue.rx_invalid_descs();
        self.rx_ring_full += queue.rx_ring_full();
        self.fill_ring_empty += queue.rx_fill_ring_empty_descs();
        self.tx_invalid += queue.tx_invalid_descs();
        self.tx_ring_empty += queue.tx_ring_empty_descs();
    }
}
