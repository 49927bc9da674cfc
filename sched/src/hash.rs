//! The hashes by which servers are chosen: the kernel's own, since the choice must be the same.

use std::net::IpAddr;

/// The address as one number: an IPv6 address is the exclusive or of its four words.
pub(crate) fn fold(addr: IpAddr) -> u32 {
    match addr {
        IpAddr::V4(v4) => v4.to_bits(),
        IpAddr::V6(v6) => {
            let (high, low) = halves(v6.to_bits());
            let (a, b) = words(high);
            let (c, d) = words(low);
            a ^ b ^ c ^ d
        }
    }
}

/// Multiplicative hashing into one of 256 buckets (`hash_32` with 8 bits).
pub(crate) const fn bucket(value: u32) -> usize {
    (value.wrapping_mul(0x61C8_8647) >> 24) as usize
}

/// SipHash-1-3 with both halves of the key alike, of one 32-bit number (`hsiphash` on a 64-bit machine).
pub(crate) const fn siphash(key: u64, value: u32) -> u32 {
    let mut state = State::new(key, key);
    let hash = state.finish(4 << 56 | value as u64);
    #[expect(clippy::cast_possible_truncation, reason = "hsiphash keeps the low half")]
    {
        hash as u32
    }
}

/// SipHash-1-3 of an address, for a table that strangers must not be able to unbalance.
pub(crate) fn siphash_addr(key: u64, addr: IpAddr) -> u64 {
    let mut state = State::new(key, !key);
    let last = match addr {
        IpAddr::V4(v4) => 4 << 56 | u64::from(v4.to_bits()),
        IpAddr::V6(v6) => {
            let (high, low) = halves(v6.to_bits());
            state.absorb(high);
            state.absorb(low);
            16 << 56
        }
    };
    state.finish(last)
}

/// The four words SipHash turns.
struct State([u64; 4]);

impl State {
    const fn new(k0: u64, k1: u64) -> Self {
        Self([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ])
    }

    const fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.0 = [a, b, c, d];
    }

    const fn absorb(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    const fn finish(&mut self, last: u64) -> u64 {
        self.absorb(last);
        self.0[2] ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.0[0] ^ self.0[1] ^ self.0[2] ^ self.0[3]
    }
}

#[expect(clippy::cast_possible_truncation, reason = "each half is taken by itself")]
const fn halves(bits: u128) -> (u64, u64) {
    ((bits >> 64) as u64, bits as u64)
}

#[expect(clippy::cast_possible_truncation, reason = "each word is taken by itself")]
const fn words(bits: u64) -> (u32, u32) {
    ((bits >> 32) as u32, bits as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn buckets_are_those_of_the_kernel() {
        for (text, without_port, with_port_1234) in [
            ("10.0.0.1", 39, 128),
            ("10.0.0.2", 137, 226),
            ("192.168.1.100", 89, 178),
            ("198.51.100.7", 171, 3),
            ("2001:db8::1", 63, 151),
            ("2001:db8::2", 160, 249),
        ] {
            let key = fold(addr(text));
            assert_eq!(bucket(key), without_port, "{text}");
            assert_eq!(bucket(key.wrapping_add(1234)), with_port_1234, "{text} with port 1234");
        }
    }

    #[test]
    fn siphash_is_that_of_the_kernel() {
        for (text, first, second) in [
            ("10.0.0.1", 0x439c_0cbe, 0x97b3_dc47),
            ("10.0.0.2", 0xa1cf_683b, 0xfa5d_46df),
            ("10.0.0.3", 0x2cdf_0afa, 0xedeb_33d0),
            ("2001:db8::a", 0xd152_cdac, 0xe6d6_8e32),
        ] {
            let key = fold(addr(text)).wrapping_add(80);
            assert_eq!(siphash(2_654_435_761, key), first, "{text}:80, first key");
            assert_eq!(siphash(2_654_446_892, key), second, "{text}:80, second key");
        }
    }

    #[test]
    fn addresses_that_fold_alike_still_hash_apart() {
        let (one, other) = (addr("2001:db8::1:0:0"), addr("2001:db9::"));
        assert_eq!(fold(one), fold(other));
        assert_ne!(siphash_addr(7, one), siphash_addr(7, other));
        assert_ne!(siphash_addr(7, one), siphash_addr(8, one));
    }
}
