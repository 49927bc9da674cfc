//! Direct routing: the packet stays as it is, addressed to the real server on its link.

use super::{Path, complete_partial, ttl};
use crate::headers::Headers;
use crate::packet::Packet;
use crate::verdict::DropReason;
use crate::wire::ethernet;

/// Takes one from the TTL, completes a checksum that the sender's kernel left to its device, and cuts the padding
/// behind the packet, as the kernel does (`ip_rcv`): the device that sends a short frame pads it.
#[inline]
pub(super) fn forward(packet: &mut Packet<'_>, headers: &Headers) -> Result<(), DropReason> {
    ttl::check(packet.bytes(), headers)?;
    complete_partial(packet.bytes_mut(), headers);
    ttl::decrement(packet.bytes_mut(), headers);
    packet.truncate(headers.end);
    Ok(())
}

/// Addresses the frame to the next hop. VLAN tags stay.
#[inline]
pub(crate) fn address(packet: &mut Packet<'_>, path: &Path) {
    ethernet::set_addresses(packet.bytes_mut(), path.src_mac, path.dst_mac);
}
