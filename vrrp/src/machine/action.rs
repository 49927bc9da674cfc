//! What a machine wants done.

use super::Transition;

/// Something to be done, in the order it is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send an advert of this priority.
    Advertise {
        /// 0 to 255.
        priority: u8,
    },
    /// Put the virtual addresses on the host.
    TakeAddresses,
    /// Take them off.
    ReleaseAddresses,
    /// Announce them by gratuitous ARP or unsolicited neighbour advertisements.
    Announce {
        /// How often each.
        repeat: u32,
    },
    /// Tell whoever wants to know: the role has changed.
    Tell(Transition),
    /// Tell whoever wants to know: as master it heard an advert of lower priority.
    TellLowerPriority,
    /// Tell whoever wants to know: the priority has changed.
    TellPriority,
}
