//! What a service asks of the hashing schedulers beside their name (`-b`).

/// Scheduler flags. Only `sh` and `mh` look at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags {
    /// `sh-fallback`, `mh-fallback` (flag-1): another server is tried when the hashed one takes no connections.
    pub fallback: bool,
    /// `sh-port`, `mh-port` (flag-2): the client's port is hashed with its address.
    pub port: bool,
    /// `flag-3`: kept and shown, without meaning to any scheduler.
    pub third: bool,
}

impl Flags {
    /// Reads bit 0 as flag-1, bit 1 as flag-2 and bit 2 as flag-3; other bits are ignored.
    pub const fn from_bits(bits: u8) -> Self {
        Self { fallback: bits & 1 != 0, port: bits & 2 != 0, third: bits & 4 != 0 }
    }

    /// The flags as bits 0 to 2.
    pub const fn bits(self) -> u8 {
        (self.fallback as u8) | (self.port as u8) << 1 | (self.third as u8) << 2
    }
}

impl From<u8> for Flags {
    fn from(bits: u8) -> Self {
        Self::from_bits(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_survive_the_way_there_and_back() {
        for bits in 0..8 {
            assert_eq!(Flags::from_bits(bits).bits(), bits);
        }
        assert!(Flags::from_bits(1).fallback && Flags::from_bits(2).port && Flags::from_bits(4).third);
    }
}
