//! Values of maps as octets: written and read field by field, as the program's structures have them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A structure of `N` octets while it is written; what is not written is zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<const N: usize> {
    octets: [u8; N],
    at: usize,
}

impl<const N: usize> Record<N> {
    pub(super) const fn new() -> Self {
        Self { octets: [0; N], at: 0 }
    }

    /// Octets as they are; what does not fit is left out.
    pub(super) fn put(mut self, octets: &[u8]) -> Self {
        let room = self.octets.iter_mut().skip(self.at);
        for (to, from) in room.zip(octets) {
            *to = *from;
        }
        self.at += octets.len();
        self
    }

    pub(super) fn u8(self, value: u8) -> Self {
        self.put(&[value])
    }

    pub(super) fn u16(self, value: u16) -> Self {
        self.put(&value.to_ne_bytes())
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.put(&value.to_ne_bytes())
    }

    pub(super) fn u64(self, value: u64) -> Self {
        self.put(&value.to_ne_bytes())
    }

    /// As packets have it.
    pub(super) fn address(self, value: IpAddr) -> Self {
        match value {
            IpAddr::V4(v4) => self.put(&v4.octets()),
            IpAddr::V6(v6) => self.put(&v6.octets()),
        }
    }

    /// In network order.
    pub(super) fn port(self, value: u16) -> Self {
        self.put(&value.to_be_bytes())
    }

    pub(super) const fn octets(&self) -> &[u8; N] {
        &self.octets
    }
}

/// Octets while they are read; behind their end all is zero.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => [0; N],
        }
    }

    pub(super) fn u8(&mut self) -> u8 {
        let [octet] = self.take();
        octet
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_ne_bytes(self.take())
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_ne_bytes(self.take())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_ne_bytes(self.take())
    }

    /// In network order.
    pub(super) fn port(&mut self) -> u16 {
        u16::from_be_bytes(self.take())
    }

    /// An address as packets have it; `None` where the octets end before it does.
    pub(super) fn address(&mut self, is_v6: bool) -> Option<IpAddr> {
        if self.0.len() < if is_v6 { 16 } else { 4 } {
            return None;
        }
        Some(if is_v6 {
            Ipv6Addr::from(self.take::<16>()).into()
        } else {
            Ipv4Addr::from(self.take::<4>()).into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let record = Record::<16>::new().u8(7).u8(0).u16(300).u32(70_000).port(80).put(&[10, 0, 0, 1]);
        let mut reader = Reader::new(record.octets());
        assert_eq!((reader.u8(), reader.u8(), reader.u16(), reader.u32()), (7, 0, 300, 70_000));
        assert_eq!((reader.port(), reader.address(false)), (80, Some([10, 0, 0, 1].into())));
        assert_eq!((reader.u8(), reader.address(false), reader.u8()), (0, None, 0));
    }
}
