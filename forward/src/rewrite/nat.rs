//! Network address translation of one end of a connection.

use std::net::IpAddr;

use super::{l4, ttl};
use crate::checksum::Sum;
use crate::headers::{Headers, Transport};
use crate::packet::Packet;
use crate::verdict::DropReason;
use crate::wire::{ipv4, ipv6, read_u16, tcp, udp, write};

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
        let (src_port, dst_port) = headers.ports();
        let (old, old_port, port_at) = match self.end {
            End::Source => (headers.src, src_port, headers.l4),
            End::Destination => (headers.dst, dst_port, headers.l4 + 2),
        };
        let mut change = Sum::replacing(old, self.addr).ok_or(DropReason::FamilyMismatch)?;
        let whole = self.needs_whole_checksum(frame, headers);
        put_address(frame, headers.l3, self.end, self.addr, change);
        if headers.transport.has_ports() {
            write(frame, port_at, self.port.to_be_bytes());
            change = change.without(old_port).word(self.port);
        }
        if whole {
            l4::compute(frame, &self.translated(headers));
        } else {
            update_checksum(frame, headers, change);
        }
        packet.truncate(headers.end);
        Ok(())
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
}

/// Writes one address of the IP header at `l3`; the IPv4 header's checksum follows.
pub(crate) fn write_address(frame: &mut [u8], l3: usize, end: End, old: IpAddr, new: IpAddr) {
    if let Some(change) = Sum::replacing(old, new) {
        put_address(frame, l3, end, new, change);
    }
}

/// The same, where it is known what that changes.
#[inline]
fn put_address(frame: &mut [u8], l3: usize, end: End, new: IpAddr, change: Sum) {
    match new {
        IpAddr::V4(v4) => {
            let at = if end == End::Source { ipv4::SOURCE } else { ipv4::DESTINATION };
            write(frame, l3 + at, v4.octets());
            change.mend(frame, l3 + ipv4::CHECKSUM);
        }
        IpAddr::V6(v6) => {
            let at = if end == End::Source { ipv6::SOURCE } else { ipv6::DESTINATION };
            write(frame, l3 + at, v6.octets());
        }
    }
}

/// Brings the transport checksum after a changed end (RFC 1624). A UDP checksum of 0 is none and stays.
#[inline]
fn update_checksum(frame: &mut [u8], headers: &Headers, change: Sum) {
    match headers.transport {
        Transport::Tcp { .. } => change.mend(frame, headers.l4 + tcp::CHECKSUM),
        Transport::Udp { .. } => {
            let at = headers.l4 + udp::CHECKSUM;
            if let Some(checksum @ 1..) = read_u16(frame, at) {
                write(frame, at, udp::written(change.update(checksum)).to_be_bytes());
            }
        }
        Transport::Sctp { .. } | Transport::Icmp { .. } | Transport::Other | Transport::Later => {}
    }
}
