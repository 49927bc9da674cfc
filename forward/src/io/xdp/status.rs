//! What a device tells about itself: its ports, their state, the kernel's counters, its own books.

use std::io;

use super::device::XdpDevice;
use super::port::PortStatistics;
use crate::verdict::PortId;

impl XdpDevice {
    /// The interface behind a port.
    pub fn interface(&self, port: PortId) -> Option<&str> {
        self.ports.get(port.index()).map(|port| port.interface.as_str())
    }

    /// The port of an interface.
    pub fn port(&self, interface: &str) -> Option<PortId> {
        let index = self.ports.iter().position(|port| port.interface == interface)?;
        u16::try_from(index).ok().map(PortId)
    }

    /// Whether a port's interface is still there. One that was removed from the system does not come back: the
    /// device has to be opened anew.
    pub fn is_alive(&self, port: PortId) -> bool {
        self.queues.iter().any(|queue| queue.port == port && !queue.is_dead)
    }

    /// What the kernel counted at a port; `None` for a port this device does not have.
    ///
    /// # Errors
    /// The kernel's, when it does not tell.
    pub fn statistics(&self, port: PortId) -> io::Result<Option<PortStatistics>> {
        if port.index() >= self.ports.len() {
            return Ok(None);
        }
        let mut sum = PortStatistics::default();
        for queue in self.queues.iter().filter(|queue| queue.port == port) {
            sum.add(queue.rings.statistics()?);
        }
        Ok(Some(sum))
    }

    /// Whether every frame of the packet memory is accounted for: idle, or with one of the rings.
    pub fn is_balanced(&self) -> bool {
        let held: usize = self.queues.iter().map(|queue| queue.rings.held()).sum();
        self.frames.idle() + self.hand.len() + held == self.frames.total()
    }
}
