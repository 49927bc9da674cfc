//! What a machine counts, and the priorities it goes by.

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Adverts received and listened to.
    pub received: u64,
    /// Adverts sent, each once whatever the number of peers.
    pub sent: u64,
    /// Times it became master.
    pub became_master: u64,
    /// Times it stopped being master.
    pub released_master: u64,
    /// Adverts of priority 0 received.
    pub zero_received: u64,
    /// Adverts of priority 0 sent.
    pub zero_sent: u64,
}

/// The priorities of a virtual router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priorities {
    /// As declared.
    pub base: u8,
    /// As what it watches has made it.
    pub effective: u8,
}
