//! The IPv4 header that a raw socket hands over with each packet.

use std::net::{IpAddr, Ipv4Addr};

use super::{Envelope, PROTOCOL};
use crate::Reject;

const AUTHENTICATION_HEADER: u8 = 51;

/// Takes the header off; returns what it says and what it holds.
///
/// # Errors
/// It is cut short, no IPv4, a fragment, or holds another protocol.
pub fn open(packet: &[u8]) -> Result<(Envelope, &[u8]), Reject> {
    let header: &[u8; 20] = packet.first_chunk().ok_or(Reject::Length)?;
    let [version, _, length_high, length_low, _, _, fragment, offset, ttl, protocol, ..] = *header;
    if version >> 4 != 4 {
        return Err(Reject::Version);
    }
    let header_length = usize::from(version & 15) * 4;
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    let payload = packet.get(header_length..length).filter(|_| header_length >= 20).ok_or(Reject::Length)?;
    if fragment & 0x3f != 0 || offset != 0 {
        return Err(Reject::Length);
    }
    if protocol == AUTHENTICATION_HEADER {
        return Err(Reject::AuthenticationHeader);
    }
    if protocol != PROTOCOL {
        return Err(Reject::Kind);
    }
    let address =
        |from: &[u8]| from.first_chunk::<4>().map_or(Ipv4Addr::UNSPECIFIED, |&octets| Ipv4Addr::from(octets));
    let source = IpAddr::V4(address(header.get(12..).unwrap_or_default()));
    let destination = IpAddr::V4(address(header.get(16..).unwrap_or_default()));
    Ok((Envelope { source, destination, ttl }, payload))
}
