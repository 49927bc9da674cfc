//! What is true of a connection or not, a bit each: there are millions of connections, and no room for four octets.

/// Some of the facts below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks(u8);

impl Marks {
    /// None of them.
    pub(super) const NONE: Self = Self(0);
    /// The server's answers come back through here.
    pub(super) const REPLY: Self = Self(1);
    /// The server's answers are never seen here.
    pub(super) const NO_OUTPUT: Self = Self(1 << 1);
    /// It counts as active.
    pub(super) const ACTIVE: Self = Self(1 << 2);
    /// Its time is not over before somebody was asked.
    pub(super) const HELD: Self = Self(1 << 3);

    /// True when `fact` is among them.
    pub(super) const fn has(self, fact: Self) -> bool {
        self.0 & fact.0 != 0
    }

    /// Adds `fact` or takes it out.
    pub(super) const fn set(&mut self, fact: Self, holds: bool) {
        if holds {
            self.0 |= fact.0;
        } else {
            self.0 &= !fact.0;
        }
    }

    /// The same with `fact` added or taken out.
    pub(super) const fn with(mut self, fact: Self, holds: bool) -> Self {
        self.set(fact, holds);
        self
    }
}
