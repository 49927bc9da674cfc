//! What a scheduler may know of the real servers it chooses from.

use std::net::SocketAddr;

/// A real server's place in its pool, in list order: slot 0 stands first, which the kernel gives to the
/// server that was added last. Every tie between servers goes to the lower slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    /// The slot as an index into a table of the pool's servers.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The slot at an index; a pool has no more than 2^32 servers.
    #[expect(clippy::cast_possible_truncation, reason = "a pool that large does not fit into memory")]
    pub(crate) const fn at(index: usize) -> Self {
        Self(index as u32)
    }
}

/// All slots of a pool, in list order.
pub(crate) fn slots(pool: &dyn Pool) -> impl ExactSizeIterator<Item = Slot> + use<> {
    (0..pool.len()).map(Slot::at)
}

/// How much of the load a real server is given beside the others, from 0 to 2^31 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(pub u32);

impl Weight {
    /// True for weight 0: the server keeps its connections and is given no new ones.
    pub const fn is_quiesced(self) -> bool {
        self.0 == 0
    }

    /// The weight as a number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// The real servers of one virtual service, as its scheduler sees them.
///
/// A pool answers from live counters: two calls may give two numbers when connections come and go between
/// them. Its length, order, endpoints and weights stay as they are for as long as the pool lives; a change of
/// those is a new pool, for which [`Scheduler::rebuild`](crate::Scheduler::rebuild) is called.
pub trait Pool {
    /// How many servers there are, quiesced and overloaded ones counted.
    fn len(&self) -> usize;

    /// True when there is no server at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The server's address and port: its identity within the service.
    fn endpoint(&self, slot: Slot) -> SocketAddr;

    /// The server's weight.
    fn weight(&self, slot: Slot) -> Weight;

    /// The last weight that was not 0 (the weight itself while it is not 0); 0 when it never had another.
    fn last_weight(&self, slot: Slot) -> Weight {
        self.weight(slot)
    }

    /// Connections counted as active.
    fn active(&self, slot: Slot) -> u32;

    /// Connections counted as inactive.
    fn inactive(&self, slot: Slot) -> u32;

    /// True while the server's upper threshold of connections is exceeded.
    fn is_overloaded(&self, slot: Slot) -> bool;

    /// True when the server may be given a new connection.
    fn accepts_new(&self, slot: Slot) -> bool {
        !self.weight(slot).is_quiesced() && !self.is_overloaded(slot)
    }
}
