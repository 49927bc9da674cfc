//! The keyed hash: 64 bits that stand for an end of a flow or for a template key, and that nobody outside can foresee.

use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use foldhash::quality::FixedState;

use crate::key::Proto;
use crate::template::{TemplateKey, TemplateService};

/// Words of the longest key: two IPv6 addresses, a port and a protocol.
const WORDS: usize = 5;
/// Octets of a word.
const WORD: usize = 8;

/// Hashes keys with the secret of one table.
///
/// foldhash multiplies pairs of words and folds the product; who could make one factor zero would choose the
/// hash. So each word is first combined with a secret word of its own.
#[derive(Debug, Clone)]
pub(crate) struct Keyed {
    state: FixedState,
    secret: [u64; WORDS],
    /// What is kept of a hash. All of it, but tests keep a few bits to make keys collide.
    mask: u64,
}

impl Keyed {
    pub(crate) fn new(seed: u64) -> Self {
        let mut step = seed;
        let secret = [(); WORDS].map(|()| {
            step = step.wrapping_add(0x9e37_79b9_7f4a_7c15);
            splitmix(step)
        });
        Self { state: FixedState::with_seed(splitmix(!seed)), secret, mask: u64::MAX }
    }

    #[cfg(test)]
    pub(crate) fn with_mask(seed: u64, mask: u64) -> Self {
        Self { mask, ..Self::new(seed) }
    }

    /// Of one end of a flow.
    #[inline]
    pub(crate) fn end(&self, proto: Proto, address: IpAddr, port: u16) -> u64 {
        let port = u64::from(port) << 8 | u64::from(proto.0);
        match address {
            IpAddr::V4(address) => self.words([u64::from(address.to_bits()) << 32 | port]),
            IpAddr::V6(address) => {
                let (high, low) = halves(address.to_bits());
                self.words([high, low, port])
            }
        }
    }

    /// Of a template, and of what a persistence engine found for it.
    pub(crate) fn template(&self, key: &TemplateKey, data: &[u8]) -> u64 {
        let hash = self.template_key(key);
        // Most templates have no data, and none has many octets.
        data.chunks(WORD).fold(hash, |hash, octets| {
            let mut word = [0; WORD];
            word.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
            let len = octets.len() as u64;
            self.words([hash, u64::from_le_bytes(word), len])
        })
    }

    fn template_key(&self, key: &TemplateKey) -> u64 {
        let (high, low) = halves_of(key.client);
        let proto = u64::from(key.proto.0) << 32;
        match key.service {
            TemplateService::Address(vip, port) => {
                let (vip_high, vip_low) = halves_of(vip);
                self.words([high, low, vip_high, vip_low, proto | u64::from(port)])
            }
            TemplateService::Mark(mark) => self.words([high, low, proto, u64::from(mark)]),
        }
    }

    #[inline]
    fn words<const N: usize>(&self, words: [u64; N]) -> u64 {
        let mut hasher = self.state.build_hasher();
        for (word, secret) in words.into_iter().zip(self.secret) {
            hasher.write_u64(word ^ secret);
        }
        hasher.finish() & self.mask
    }
}

fn halves_of(address: IpAddr) -> (u64, u64) {
    match address {
        IpAddr::V4(address) => (0, u64::from(address.to_bits())),
        IpAddr::V6(address) => halves(address.to_bits()),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
const fn halves(bits: u128) -> (u64, u64) {
    ((bits >> 64) as u64, bits as u64)
}

/// Spreads a counter over 64 bits (Steele, Lea and Flood's `SplitMix64`).
const fn splitmix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Passes a hash through as it is: the maps' keys are hashes already.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ready(u64);

impl BuildHasher for Ready {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
