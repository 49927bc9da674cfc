//! What an advert says, whatever its version.

use std::net::IpAddr;
use std::time::Duration;

use crate::declared::Version;

/// An advertisement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// The protocol's version.
    pub version: Version,
    /// The virtual router's number, 1 to 255.
    pub router_id: u8,
    /// The sender's priority; 0 when it gives the addresses up.
    pub priority: u8,
    /// From one advert to the next; never zero.
    pub interval: Duration,
    /// The virtual addresses.
    pub addresses: Vec<IpAddr>,
}

/// What proves where an advert comes from, as it stands in the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Nothing; in version 2 the kind of authentication is 0.
    None,
    /// Version 2: a password.
    Password([u8; 8]),
    /// Version 2: a kind that is not spoken here.
    Other(u8),
}

impl Advert {
    /// The interval in the units of the version: seconds, or hundredths of a second.
    pub(super) fn interval_field(&self) -> u16 {
        let (units, most) = match self.version {
            Version::V2 => (u128::from(self.interval.as_secs()), 255),
            Version::V3 => (self.interval.as_millis() / 10, 4095),
        };
        u16::try_from(units).unwrap_or(most).clamp(1, most)
    }
}
