//! Network address translation of one end of a connection.

use std::net::IpAddr;

use super::{l4, ttl};
use crate::checksum::Sum;
use crate::headers::{Headers, Transport};
use crate::packet::Packet;
use crate::verdict::DropReason;
use crate::wire::{ipv4, ipv6, read_u16, udp, write};

/// Which end of a packet is translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// Its source: on the way to the client, the virtual service's address takes the real server's place.
    Source,
    /// Its destination: on the way to the server, the real server's address takes the virtual service's place.
    Destination,
}

/// A translation: one end gets another address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nat {
    /// The end that is translated.
    pub end: End,
    /// Its address from here on, of the packet's family.
    pub addr: IpAddr,
    /// Its port from here on. Without meaning where the protocol has none.
    pub port: u16,
}

impl Nat {
    /// Translates the packet and takes one from its TTL.
    ///
    /// # Errors
    /// As [`translate_end`](Self::translate_end).
    #[inline]
    pub(super) fn translate(&self, packet: &mut Packet<'_>, headers: &Headers) -> Result<(), DropReason> {
        self.translate_end(packet, headers)?;
        ttl::decrement(packet.bytes_mut(), headers);
        Ok(())
    }

    /// Translates the packet. The checksum follows: updated where there is one,
    /// completed where the sender's kernel left that to its device, and computed where a whole UDP datagram has
    /// none (`udp_dnat_handler`). A wrong one stays wrong.
    ///
    /// # Errors
    /// [`DropReason::FamilyMismatch`] where the new address is of another family.
    #[inline]
    pub(super) fn translate_end(&self, packet: &mut Packet<'_>, headers: &Headers) -> Result<(), DropReason> {
        let frame = packet.bytes_mut();
        ttl::check(frame, headers)?;
        let (old, new) = self.ends(headers);
        if new.addr.is_ipv6() != old.addr.is_ipv6() {
            return Err(DropReason::FamilyMismatch);
        }
        let whole = self.needs_whole_checksum(frame, headers);
        self.write_address(frame, headers, old.addr);
        if headers.transport.has_ports() {
            let at = headers.l4 + if self.end == End::Source { 0 } else { 2 };
            write(frame, at, self.port.to_be_bytes());
        }
        if whole {
            l4::compute(frame, &self.translated(headers));
        } else {
            update_checksum(frame, headers, old, new);
        }
        packet.truncate(headers.end);
        Ok(())
    }

    #[inline]
    fn ends(&self, headers: &Headers) -> (Endpoint, Endpoint) {
        let (src_port, dst_port) = headers.ports();
        let old = match self.end {
            End::Source => Endpoint { addr: headers.src, port: src_port },
            End::Destination => Endpoint { addr: headers.dst, port: dst_port },
        };
        let port = if headers.transport.has_ports() { self.port } else { old.port };
        (old, Endpoint { addr: self.addr, port })
    }

    /// The headers with the end's new address; ports are read from the frame.
    fn translated(&self, headers: &Headers) -> Headers {
        match self.end {
            End::Source => Headers { src: self.addr, ..*headers },
            End::Destination => Headers { dst: self.addr, ..*headers },
        }
    }

    #[inline]
    fn needs_whole_checksum(&self, frame: &[u8], headers: &Headers) -> bool {
        if headers.fragment.is_some() {
            return false;
        }
        match headers.transport {
            // The CRC covers the ports and no address.
            Transport::Sctp { src_port, dst_port, .. } => {
                let old = if self.end == End::Source { src_port } else { dst_port };
                self.port != old || l4::is_partial(frame, headers)
            }
            Transport::Udp { .. } => {
                read_u16(frame, headers.l4 + udp::CHECKSUM) == Some(0) || l4::is_partial(frame, headers)
            }
            Transport::Tcp { .. } => l4::is_partial(frame, headers),
            Transport::Icmp { .. } | Transport::Other | Transport::Later => false,
        }
    }

    #[inline]
    fn write_address(&self, frame: &mut [u8], headers: &Headers, old: IpAddr) {
        write_address(frame, headers.l3, self.end, old, self.addr);
    }
}

/// One end of a packet.
#[derive(Debug, Clone, Copy)]
struct Endpoint {
    addr: IpAddr,
    port: u16,
}

/// Writes one address of the IP header at `l3`; the IPv4 header's checksum follows.
#[inline]
pub(crate) fn write_address(frame: &mut [u8], l3: usize, end: End, old: IpAddr, new: IpAddr) {
    match new {
        IpAddr::V4(v4) => {
            let at = if end == End::Source { ipv4::SOURCE } else { ipv4::DESTINATION };
            write(frame, l3 + at, v4.octets());
            if let Some(checksum) = read_u16(frame, l3 + ipv4::CHECKSUM) {
                let sum = Sum::ZERO.without_address(old).address(new);
                write(frame, l3 + ipv4::CHECKSUM, sum.update(checksum).to_be_bytes());
            }
        }
        IpAddr::V6(v6) => {
            let at = if end == End::Source { ipv6::SOURCE } else { ipv6::DESTINATION };
            write(frame, l3 + at, v6.octets());
        }
    }
}

/// Brings the transport checksum after a changed end (RFC 1624). A UDP checksum of 0 is none and stays.
#[inline]
fn update_checksum(frame: &mut [u8], headers: &Headers, old: Endpoint, new: Endpoint) {
    let Some(at) = l4::checksum_offset(headers.transport) else { return };
    let Some(checksum) = read_u16(frame, headers.l4 + at) else { return };
    let sum = Sum::ZERO.without_address(old.addr).address(new.addr).without(old.port).word(new.port);
    let mut updated = sum.update(checksum);
    if let Transport::Udp { .. } = headers.transport {
        if checksum == 0 {
            return;
        }
        updated = udp::written(updated);
    }
    write(frame, headers.l4 + at, updated.to_be_bytes());
}
