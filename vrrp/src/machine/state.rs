//! What a machine knows in each role.

use std::net::IpAddr;

use crate::Tick;

/// What the machine knows in each role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Stopped,
    Fault,
    Backup {
        /// When the master is thought dead; `None` once it is, and the group is waited for.
        down_at: Option<Tick>,
        master: Option<(IpAddr, u8)>,
        /// Before this a master of lower priority is let be (`preempt_delay`).
        preempt_at: Option<Tick>,
    },
    Master {
        advertise_at: Tick,
        /// The further announcements that are due.
        second_round: Option<Tick>,
        refresh: Option<Tick>,
        lower_round: Option<Tick>,
        /// Another owner: since when, and how many of its adverts.
        rival: Option<(Tick, u32)>,
    },
}
