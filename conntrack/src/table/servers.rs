//! Remembers which addresses are servers' whose answers come back through here.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::hash::Keyed;
use crate::key::Proto;

/// Few enough to stay in the nearest cache, many enough that few clients share a bit with a server.
const WORDS: usize = 1024;

/// A bit for each address that was ever a server's. Another address may have the same bit; then a lookup looks
/// in one place more, and no harm is done. Who sends packets has no say in which bits are set.
pub(super) struct Servers(Box<[AtomicU64]>);

impl Servers {
    pub(super) fn new() -> Self {
        Self((0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn add(&self, hash: &Keyed, address: IpAddr) {
        let (word, bit) = self.locate(hash, address);
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn may_have(&self, hash: &Keyed, address: IpAddr) -> bool {
        let (word, bit) = self.locate(hash, address);
        word.load(Ordering::Relaxed) & bit != 0
    }

    #[inline]
    fn locate(&self, hash: &Keyed, address: IpAddr) -> (&AtomicU64, u64) {
        let hash = hash.end(Proto::IP, address, 0);
        #[allow(clippy::cast_possible_truncation, reason = "only the low bits are wanted")]
        (&self.0[(hash >> 6) as usize % WORDS], 1 << (hash % 64))
    }
}
