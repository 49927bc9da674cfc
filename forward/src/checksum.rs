//! The Internet checksum (RFC 1071): whole sums, and the update after a few words changed (RFC 1624).

use std::net::IpAddr;

use lvs_conntrack::Proto;

use crate::wire::{array, array_mut, ipv4};

/// A one's-complement sum under way. Its words are taken as they lie in memory and turned round once at the end
/// (RFC 1071, 2 (B)). No addend is longer than 32 bits, and no packet has so many that 64 would not hold their sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum(u64);

impl Sum {
    /// Nothing added yet.
    pub const ZERO: Self = Self(0);

    /// Adds bytes. An odd last byte counts as a word's first half, so only the last piece may be odd.
    #[must_use]
    #[inline]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let (blocks, rest) = bytes.as_chunks::<32>();
        // A lone IPv4 header is shorter than a block.
        let mut sum = if blocks.is_empty() { self } else { self.blocks(blocks) };
        let (words, rest) = rest.as_chunks::<4>();
        for &word in words {
            sum = sum.add(u64::from(u32::from_ne_bytes(word)));
        }
        let (words, rest) = rest.as_chunks::<2>();
        for &word in words {
            sum = sum.add(u64::from(u16::from_ne_bytes(word)));
        }
        if let [last] = rest {
            sum = sum.add(u64::from(u16::from_ne_bytes([*last, 0])));
        }
        sum
    }

    /// Adds whole blocks, in lanes that the processor adds side by side.
    fn blocks(self, blocks: &[[u8; 32]]) -> Self {
        let mut lanes = [0_u64; 8];
        for block in blocks {
            let (words, _) = block.as_chunks::<4>();
            for (lane, &word) in lanes.iter_mut().zip(words) {
                *lane += u64::from(u32::from_ne_bytes(word));
            }
        }
        lanes.into_iter().fold(self, Self::add)
    }

    /// The sum of an IPv4 header without options.
    #[inline]
    pub(crate) fn of_header(header: &[u8; ipv4::HEADER]) -> Self {
        Self::ZERO.all(header)
    }

    /// Writes octets at an even place, where all of them fit, and adds what that changes.
    #[must_use]
    #[inline]
    pub(crate) fn replace<const N: usize>(self, bytes: &mut [u8], at: usize, new: [u8; N]) -> Self {
        let Some(place) = array_mut::<N>(bytes, at) else { return self };
        let old = std::mem::replace(place, new).map(|octet| !octet);
        self.all(&old).all(&new)
    }

    /// Adds an even number of octets that is known when this is compiled.
    #[inline]
    pub(crate) fn all<const N: usize>(self, bytes: &[u8; N]) -> Self {
        let (words, rest) = bytes.as_chunks::<4>();
        let sum = words.iter().fold(self, |sum, &word| sum.add(u64::from(u32::from_ne_bytes(word))));
        let (words, _) = rest.as_chunks::<2>();
        words.iter().fold(sum, |sum, &word| sum.add(u64::from(u16::from_ne_bytes(word))))
    }

    /// What replacing an address with another changes; `None` for one of another family.
    #[inline]
    pub(crate) fn replacing(old: IpAddr, new: IpAddr) -> Option<Self> {
        (old.is_ipv4() == new.is_ipv4()).then(|| Self::ZERO.without_address(old).address(new))
    }

    /// Adds one word.
    #[must_use]
    #[inline]
    pub fn word(self, word: u16) -> Self {
        self.add(u64::from(word.to_be()))
    }

    /// Takes a word's place out of a sum it is part of.
    #[must_use]
    #[inline]
    pub fn without(self, word: u16) -> Self {
        self.word(!word)
    }

    /// Adds an address.
    #[must_use]
    #[inline]
    pub fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => self.add(u64::from(u32::from_ne_bytes(v4.octets()))),
            IpAddr::V6(v6) => {
                let octets = v6.octets();
                let (words, _) = octets.as_chunks::<4>();
                words.iter().fold(self, |sum, &word| sum.add(u64::from(u32::from_ne_bytes(word))))
            }
        }
    }

    /// Takes an address out of a sum it is part of.
    #[must_use]
    #[inline]
    pub fn without_address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => self.add(u64::from(!u32::from_ne_bytes(v4.octets()))),
            IpAddr::V6(v6) => self.address(IpAddr::V6((!v6.to_bits()).into())),
        }
    }

    #[inline]
    const fn add(self, value: u64) -> Self {
        Self(self.0 + value)
    }

    /// The sum in one word, not inverted: what a sender leaves in the checksum field for its device to complete.
    #[inline]
    pub const fn fold(self) -> u16 {
        u16::from_be(self.in_memory())
    }

    /// The same as it lies in memory.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "each cast takes a half")]
    const fn in_memory(self) -> u16 {
        let (sum, carry) = ((self.0 >> 32) as u32).overflowing_add(self.0 as u32);
        let sum = sum + carry as u32;
        // Both halves are added in both halves; the lower one's carry goes up, where it belongs.
        (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
    }

    /// Brings the checksum field at `at` after the words that were taken out and added here (RFC 1624, equation 3).
    #[inline]
    pub(crate) fn mend(self, bytes: &mut [u8], at: usize) {
        if let Some(field) = array_mut::<2>(bytes, at) {
            let sum = self.add(u64::from(!u16::from_ne_bytes(*field)));
            *field = (!sum.in_memory()).to_ne_bytes();
        }
    }

    /// True where the field at `at` holds this sum, not inverted.
    #[inline]
    pub(crate) fn stands(self, bytes: &[u8], at: usize) -> bool {
        array::<2>(bytes, at).is_some_and(|field| u16::from_ne_bytes(*field) == self.in_memory())
    }

    /// The checksum of what was added.
    #[inline]
    pub fn checksum(self) -> u16 {
        !self.fold()
    }

    /// `checksum` once the words taken out here have been replaced by those added (RFC 1624, equation 3).
    #[inline]
    pub fn update(self, checksum: u16) -> u16 {
        self.word(!checksum).checksum()
    }
}

/// The sum of the pseudo-header of TCP, UDP and ICMPv6 (RFC 9293 3.1, RFC 8200 8.1), for `len` octets from the
/// transport header on.
#[inline]
pub fn pseudo_header(src: IpAddr, dst: IpAddr, proto: Proto, len: usize) -> Sum {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    Sum::ZERO.address(src).address(dst).add(u64::from(len.to_be())).word(u16::from(proto.0))
}

/// The checksum once one word under it has changed.
#[inline]
pub fn replace_word(checksum: u16, old: u16, new: u16) -> u16 {
    Sum::ZERO.without(old).word(new).update(checksum)
}

/// True where the words, with their checksum among them, add up (RFC 1071, 1).
#[inline]
pub fn is_right(sum: Sum) -> bool {
    sum.fold() == 0xffff
}
