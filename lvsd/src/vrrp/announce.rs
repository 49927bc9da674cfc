//! Telling the neighbours where an address is now: gratuitous ARP and unsolicited neighbour advertisements.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use lvs_vrrp::Tick;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, sendto, socket};

const EVERYONE: [u8; 6] = [0xff; 6];
/// The Ethernet address of `ff02::1`.
const ALL_NODES: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const ICMPV6: u8 = 58;
/// Announcements that may wait: the addresses of a large site, five times over.
const MOST: usize = 1 << 16;

/// An announcement: of what, where, and from which Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announcement {
    pub(super) address: IpAddr,
    pub(super) ifindex: u32,
    pub(super) mac: [u8; 6],
}

/// Sends announcements, with the pauses that are asked for between those on one interface.
#[derive(Debug)]
pub(super) struct Announcer {
    socket: OwnedFd,
    links: BTreeMap<u32, LinkAddr>,
    waiting: VecDeque<(Tick, Announcement)>,
    /// When the next one may go, by interface and family.
    free: BTreeMap<(u32, bool), Tick>,
}

impl Announcer {
    pub(super) fn open() -> io::Result<Self> {
        // No protocol: it hears nothing.
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
        Ok(Self { socket, links: BTreeMap::new(), waiting: VecDeque::new(), free: BTreeMap::new() })
    }

    /// Announces, as soon as `pause` since the last one on the interface is over.
    pub(super) fn announce(&mut self, announcement: Announcement, pause: Duration, now: Tick) {
        let free = self.free.entry((announcement.ifindex, announcement.address.is_ipv6())).or_default();
        let at = (*free).max(now);
        *free = at + pause;
        if at <= now {
            self.send(announcement);
        } else if self.waiting.len() < MOST {
            self.waiting.push_back((at, announcement));
        }
    }

    /// Forgets what waits for these addresses: they are another's now.
    pub(super) fn forget(&mut self, is_gone: impl Fn(IpAddr) -> bool) {
        self.waiting.retain(|(_, announcement)| !is_gone(announcement.address));
    }

    /// Sends what is due.
    pub(super) fn on_deadline(&mut self, now: Tick) {
        let (due, later) = std::mem::take(&mut self.waiting).into_iter().partition(|&(at, _)| at <= now);
        self.waiting = later;
        let due: VecDeque<(Tick, Announcement)> = due;
        for (_, announcement) in due {
            self.send(announcement);
        }
    }

    /// When something is due next.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.waiting.iter().map(|&(at, _)| at).min()
    }

    fn send(&mut self, announcement: Announcement) {
        let frame = match announcement.address {
            IpAddr::V4(address) => gratuitous_arp(address, announcement.mac),
            IpAddr::V6(address) => neighbour_advertisement(address, announcement.mac),
        };
        let sent = self.link(announcement.ifindex).and_then(|link| {
            sendto(self.socket.as_raw_fd(), &frame, &link, MsgFlags::MSG_DONTWAIT).map_err(io::Error::from)
        });
        if let Err(error) = sent {
            // The interface may have been replaced by another of this number.
            self.links.remove(&announcement.ifindex);
            tracing::debug!(%error, address = %announcement.address, "not announced");
        }
    }

    fn link(&mut self, ifindex: u32) -> io::Result<LinkAddr> {
        if let Some(link) = self.links.get(&ifindex) {
            return Ok(*link);
        }
        let wanted = usize::try_from(ifindex).map_err(io::Error::other)?;
        let link = getifaddrs()?
            .filter_map(|interface| interface.address?.as_link_addr().copied())
            .find(|link| link.ifindex() == wanted)
            .ok_or(io::ErrorKind::NotFound)?;
        self.links.insert(ifindex, link);
        Ok(link)
    }
}

/// An ARP request for the address, from the address (RFC 9568 erratum 7947: it carries the IPv4 address).
fn gratuitous_arp(address: Ipv4Addr, mac: [u8; 6]) -> Vec<u8> {
    let address = address.octets();
    [&EVERYONE[..], &mac, &[0x08, 0x06], &[0, 1, 0x08, 0x00, 6, 4, 0, 1], &mac, &address, &EVERYONE, &address]
        .concat()
}

/// A neighbour advertisement to all nodes: of a router, unasked, and to override what they know.
fn neighbour_advertisement(address: Ipv6Addr, mac: [u8; 6]) -> Vec<u8> {
    const LENGTH: u16 = 32;
    let everyone = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets();
    let address = address.octets();
    let mut message = [&[136, 0, 0, 0, 0xa0, 0, 0, 0][..], &address, &[2, 1], &mac].concat();
    let length = LENGTH.to_be_bytes();
    let pseudo = [&address[..], &everyone, &[0, 0], &length, &[0, 0, 0, ICMPV6]].concat();
    let words = pseudo.chunks_exact(2).chain(message.chunks_exact(2));
    let mut sum: u32 =
        words.filter_map(|word| word.first_chunk()).map(|&w| u32::from(u16::from_be_bytes(w))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    let checksum = !u16::try_from(sum).unwrap_or(u16::MAX);
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    let ip = [&[0x60, 0, 0, 0][..], &length, &[ICMPV6, 255], &address, &everyone].concat();
    [&ALL_NODES[..], &mac, &[0x86, 0xdd], &ip, &message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvs_forward::Headers;

    const MAC: [u8; 6] = [0, 0, 0x5e, 0, 1, 51];

    #[test]
    fn a_gratuitous_arp_says_the_address_twice_and_the_mac_where_it_is() {
        let frame = gratuitous_arp([192, 0, 2, 10].into(), MAC);
        assert_eq!(frame.len(), 42);
        assert_eq!(frame[28..32], [192, 0, 2, 10]);
        assert_eq!(frame[38..42], [192, 0, 2, 10]);
        assert_eq!(frame[22..28], MAC);
    }

    #[test]
    fn a_neighbour_advertisement_is_well_formed() {
        let frame = neighbour_advertisement("2001:db8::10".parse().unwrap(), MAC);
        assert_eq!(frame.len(), 14 + 40 + 32);
        // Over a whole message and its pseudo-header the sum is all ones.
        let pseudo = [&frame[22..54], &[0, 0, 0, 32, 0, 0, 0, 58]].concat();
        let words = pseudo.chunks(2).chain(frame[54..].chunks(2));
        let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
        assert_eq!((sum >> 16) + (sum & 0xffff), 0xffff);
        let _ = Headers::parse(&frame);
    }

    #[test]
    fn pauses_are_kept_on_each_interface_by_itself() {
        let Ok(mut announcer) = Announcer::open() else { return };
        let at = |ifindex| Announcement { address: [192, 0, 2, 10].into(), ifindex, mac: MAC };
        let pause = Duration::from_millis(100);
        for ifindex in [999_991, 999_991, 999_991, 999_992] {
            announcer.announce(at(ifindex), pause, Tick::ZERO);
        }
        let due: Vec<Duration> = announcer.waiting.iter().map(|(at, _)| at.since_zero()).collect();
        assert_eq!(due, [pause, pause * 2]);
        announcer.on_deadline(Tick::at(pause));
        assert_eq!(announcer.next_deadline(), Some(Tick::at(pause * 2)));
        announcer.forget(|_| true);
        assert_eq!(announcer.next_deadline(), None);
    }
}
