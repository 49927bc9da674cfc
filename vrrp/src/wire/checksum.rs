//! The Internet checksum (RFC 1071), with and without the pseudo-header.

use std::net::IpAddr;

use super::PROTOCOL;

/// The checksum over `parts`, one behind the other, as if they were one; each but the last must be even.
pub(crate) fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        let mut words = part.chunks_exact(2);
        for word in words.by_ref() {
            if let &[high, low] = word {
                sum += u32::from(u16::from_be_bytes([high, low]));
            }
        }
        if let &[last] = words.remainder() {
            sum += u32::from(u16::from_be_bytes([last, 0]));
        }
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

/// The pseudo-header of RFC 8200, section 8.1; for IPv4 that of RFC 793.
pub(crate) fn pseudo_header(source: IpAddr, destination: IpAddr, length: usize) -> Vec<u8> {
    let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            [&source.octets()[..], &destination.octets(), &[0, PROTOCOL], &length].concat()
        }
        (source, destination) => {
            let octets = |address| match address {
                IpAddr::V6(address) => address,
                IpAddr::V4(address) => address.to_ipv6_mapped(),
            };
            let ends = [octets(source).octets(), octets(destination).octets()].concat();
            [&ends[..], &[0, 0], &length, &[0, 0, 0, PROTOCOL]].concat()
        }
    }
}
