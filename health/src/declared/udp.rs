//! `UDP_CHECK`: what is sent, and what must come back.

use serde::{Deserialize, Serialize};

/// A datagram, and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct UdpCheck {
    /// `payload`; some random bytes when absent.
    pub payload: Option<Vec<u8>>,
    /// `require_reply`; when absent the server is up unless ICMP says that it is not there.
    pub reply: Option<Reply>,
}

/// What must come back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reply {
    /// What it must hold, as far as it and the pattern reach; empty for anything.
    pub pattern: Vec<MaskedByte>,
    /// `min_reply_length` in bytes.
    pub min_length: u16,
    /// `max_reply_length` in bytes.
    pub max_length: u16,
}

impl Default for Reply {
    fn default() -> Self {
        Self { pattern: Vec::new(), min_length: 0, max_length: 255 }
    }
}

/// A byte of which only the bits in `mask` count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MaskedByte {
    /// The bits.
    pub value: u8,
    /// Which of them count: 0xff for a byte written out, 0xf0 for `aX`, 0x0f for `Xa`, 0 for `XX`.
    pub mask: u8,
}

impl MaskedByte {
    /// Whether `byte` is as it should be.
    pub const fn matches(self, byte: u8) -> bool {
        (byte ^ self.value) & self.mask == 0
    }
}
