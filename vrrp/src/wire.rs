//! Adverts as they go over the wire, versions 2 and 3 (RFC 3768 and RFC 9568, section 5.2).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+---------------+---------------+
//! |version| kind  | virtual router|   priority    |   addresses   |
//! +-------+-------+---------------+---------------+---------------+
//! |  rsvd |  interval, 1/100 s    |           checksum            |  version 3
//! |  auth. kind   |  interval, s  |           checksum            |  version 2
//! +-------------------------------+-------------------------------+
//! |  addresses: 4 or 16 bytes each                                |
//! +---------------------------------------------------------------+
//! |  version 2: authentication data, 8 bytes                      |
//! +---------------------------------------------------------------+
//! |  the trailer of `auth_hmac`, 28 bytes, where it is used       |
//! +---------------------------------------------------------------+
//! ```

mod advert;
mod checksum;
pub mod ipv4;
mod packet;
pub(crate) mod trailer;

use std::net::IpAddr;

pub use advert::{Advert, Proof};
pub(crate) use packet::Sign;
pub use packet::{ChecksumKind, Packet, Sealed};
pub use trailer::Trailer;

/// The protocol's number.
pub const PROTOCOL: u8 = 112;
/// IPv4 adverts go to this group.
pub const GROUP_V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(224, 0, 0, 18));
/// IPv6 adverts go to this group.
pub const GROUP_V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12));
/// The TTL or hop limit of every multicast advert.
pub const TTL: u8 = 255;

/// What the IP header says around an advert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    /// Who sent it.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// TTL or hop limit as it arrived.
    pub ttl: u8,
}

#[cfg(test)]
pub(crate) mod tests;
