//! Packets: read once with all that must hold of any advert, and written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::checksum::{checksum, pseudo_header};
use super::trailer::{self, Trailer};
use super::{Advert, Envelope, Proof};
use crate::Reject;
use crate::declared::{Checksum, Version};

const HEADER: usize = 8;
const PASSWORD: usize = 8;
const ADVERTISEMENT: u8 = 1;

/// Which reading of the checksum a packet was right by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumKind {
    /// Over the message alone: version 2, and RFC 9568 for IPv4.
    Message,
    /// With the pseudo-header before it: IPv6, and RFC 5798 for IPv4.
    WithPseudoHeader,
}

/// Makes the trailer of a message.
pub(crate) type Sign<'a> = dyn FnMut(&[u8]) -> [u8; trailer::LENGTH] + 'a;

/// An advert as it came: its form and checksum are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it says.
    pub advert: Advert,
    /// What it proves it with, in version 2.
    pub proof: Proof,
    /// By which reading its checksum is right.
    pub checksum: ChecksumKind,
    /// What the trailer says and what it signs, where there is one.
    pub trailer: Option<Sealed<'a>>,
}

/// A trailer and what it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The trailer.
    pub trailer: Trailer,
    /// The packet up to the trailer's HMAC.
    pub(crate) signed: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads what is behind the IP header.
    ///
    /// # Errors
    /// The form is wrong, or the checksum in either reading.
    pub fn parse(bytes: &'a [u8], envelope: &Envelope) -> Result<Self, Reject> {
        let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or(Reject::Length)?;
        let &[version_and_kind, router_id, priority, count, kind_of_proof, interval, ..] = header;
        let version = match (version_and_kind >> 4, envelope.source) {
            (2, IpAddr::V4(_)) => Version::V2,
            (3, _) => Version::V3,
            _ => return Err(Reject::Version),
        };
        if version_and_kind & 15 != ADVERTISEMENT {
            return Err(Reject::Kind);
        }
        let address_length = if envelope.source.is_ipv6() { 16 } else { 4 };
        let behind = if version == Version::V2 { PASSWORD } else { 0 };
        let message = HEADER + usize::from(count) * address_length + behind;
        let sealed = match bytes.len().checked_sub(message) {
            Some(0) => None,
            Some(trailer::LENGTH) => Some(Sealed {
                trailer: Trailer::parse(bytes.get(message..).unwrap_or_default())?,
                signed: bytes.get(..bytes.len() - trailer::HMAC).unwrap_or_default(),
            }),
            Some(_) | None => return Err(Reject::Length),
        };
        let checksum = verify(bytes, message, version, envelope)?;
        let interval = match version {
            Version::V2 => Duration::from_secs(interval.into()),
            Version::V3 => {
                Duration::from_millis(10) * u32::from(u16::from_be_bytes([kind_of_proof & 15, interval]))
            }
        };
        let advert = Advert {
            version,
            router_id,
            priority,
            interval,
            addresses: addresses(rest, address_length, count.into()),
        };
        if router_id == 0 {
            return Err(Reject::RouterId);
        }
        if interval.is_zero() {
            return Err(Reject::NoInterval);
        }
        let proof = match (version, kind_of_proof) {
            (Version::V3, _) | (Version::V2, 0) => Proof::None,
            (Version::V2, 1) => {
                let password = bytes.get(message - PASSWORD..).and_then(|rest| rest.first_chunk());
                Proof::Password(*password.ok_or(Reject::Length)?)
            }
            (Version::V2, other) => Proof::Other(other),
        };
        Ok(Self { advert, proof, checksum, trailer: sealed })
    }
}

fn addresses(bytes: &[u8], length: usize, count: usize) -> Vec<IpAddr> {
    let read = |chunk: &[u8]| match chunk.first_chunk::<16>() {
        Some(&octets) => IpAddr::V6(Ipv6Addr::from(octets)),
        None => IpAddr::V4(chunk.first_chunk::<4>().map_or(Ipv4Addr::UNSPECIFIED, |&o| Ipv4Addr::from(o))),
    };
    bytes.chunks_exact(length).take(count).map(read).collect()
}

/// IPv6: over everything with the pseudo-header, as the kernel does it. IPv4: over the message without its trailer;
/// in version 3 either with the pseudo-header or without.
fn verify(
    bytes: &[u8],
    message: usize,
    version: Version,
    envelope: &Envelope,
) -> Result<ChecksumKind, Reject> {
    let Envelope { source, destination, .. } = *envelope;
    let covered = if source.is_ipv6() { bytes } else { bytes.get(..message).unwrap_or(bytes) };
    let with_pseudo = || checksum(&[&pseudo_header(source, destination, covered.len()), covered]) == 0;
    let alone = || checksum(&[covered]) == 0;
    if version == Version::V3 && with_pseudo() {
        Ok(ChecksumKind::WithPseudoHeader)
    } else if source.is_ipv4() && alone() {
        Ok(ChecksumKind::Message)
    } else {
        Err(Reject::Checksum)
    }
}

impl Advert {
    /// The packet behind the IP header. `sign` is given all of it up to the trailer's HMAC, checksum zero, and
    /// returns the whole trailer.
    pub(crate) fn write(
        &self,
        proof: Proof,
        reading: Checksum,
        envelope: &Envelope,
        sign: Option<&mut Sign<'_>>,
    ) -> Vec<u8> {
        let [interval_high, interval_low] = self.interval_field().to_be_bytes();
        let (number, proof_byte) = match (self.version, proof) {
            (Version::V2, Proof::None) => (2, 0),
            (Version::V2, Proof::Password(_)) => (2, 1),
            (Version::V2, Proof::Other(kind)) => (2, kind),
            (Version::V3, _) => (3, interval_high),
        };
        let count = u8::try_from(self.addresses.len()).unwrap_or(u8::MAX);
        let mut bytes = vec![
            number << 4 | ADVERTISEMENT,
            self.router_id,
            self.priority,
            count,
            proof_byte,
            interval_low,
            0,
            0,
        ];
        for address in self.addresses.iter().take(count.into()) {
            match address {
                IpAddr::V4(address) => bytes.extend(address.octets()),
                IpAddr::V6(address) => bytes.extend(address.octets()),
            }
        }
        match (self.version, proof) {
            (Version::V2, Proof::Password(password)) => bytes.extend(password),
            (Version::V2, Proof::None | Proof::Other(_)) => bytes.extend([0; PASSWORD]),
            (Version::V3, _) => {}
        }
        let message = bytes.len();
        if let Some(sign) = sign {
            bytes.extend(sign(&bytes));
        }
        let covered = if envelope.source.is_ipv6() { bytes.len() } else { message };
        let sum = {
            let covered = bytes.get(..covered).unwrap_or_default();
            let pseudo = pseudo_header(envelope.source, envelope.destination, covered.len());
            match (self.version, reading) {
                (Version::V2, _) => checksum(&[covered]),
                (Version::V3, Checksum::Rfc9568) if envelope.source.is_ipv4() => checksum(&[covered]),
                (Version::V3, Checksum::Rfc5798 | Checksum::Rfc9568) => checksum(&[&pseudo, covered]),
            }
        };
        if let Some(field) = bytes.get_mut(6..8) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }
}
