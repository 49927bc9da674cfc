//! The way back to the host's own stack for packets that reached user space and are not the director's.
//!
//! The XDP program claims a packet by its addresses and ports alone; whether a connection exists only the director
//! knows. What turns out to be the host's (a local address, no connection, no SYN) is written into a TUN device
//! and the host receives it from there.
//!
//! The device carries IP packets, so the Ethernet header and VLAN tags are taken off. Its kernel side verifies
//! checksums above IP like those of any packet from outside: a checksum that holds only the pseudo-header's sum
//! (every locally sent packet on a veth pair) has to be completed before, or the host drops the packet.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, RawFd};

use crate::io::sys;
use crate::verdict::DropReason;

/// The address that stands for none (RFC 7600).
const DUMMY: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);

/// Why the device could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// `/dev/net/tun` is not there or not to be opened.
    #[error("/dev/net/tun: {0}")]
    Control(#[source] io::Error),
    /// The kernel refused to make the interface.
    #[error("TUN device {name}: {source}{}", hint(source))]
    Create {
        /// The name asked for.
        name: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The interface could not be set up.
    #[error("setting up TUN device {name}: {source}")]
    SetUp {
        /// The interface.
        name: String,
        /// The kernel's reason.
        source: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM) => " (CAP_NET_ADMIN is needed)",
        Some(libc::EBUSY) => " (another process has it)",
        _ => "",
    }
}

/// A TUN device. It vanishes with its last handle, so nothing is left behind by a crash.
#[derive(Debug)]
pub struct Tun {
    file: File,
    name: String,
}

impl Tun {
    /// Makes the interface `name` in the calling thread's network namespace and sets it up; `%d` in the name
    /// stands for the first free number.
    ///
    /// # Errors
    /// [`TunError`] says which step failed and why.
    pub fn open(name: &str) -> Result<Self, TunError> {
        let file =
            OpenOptions::new().read(true).write(true).open("/dev/net/tun").map_err(TunError::Control)?;
        let name = sys::become_tun(&file, name)
            .map_err(|source| TunError::Create { name: name.to_owned(), source })?;
        let tun = Self { file, name };
        tun.set_up().map_err(|source| TunError::SetUp { name: tun.name.clone(), source })?;
        Ok(tun)
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kernel's number of the interface.
    ///
    /// # Errors
    /// The interface is gone.
    pub fn index(&self) -> io::Result<u32> {
        Ok(nix::net::if_::if_nametoindex(self.name.as_str())?)
    }

    /// Another handle on the same device, for another worker.
    ///
    /// # Errors
    /// No file descriptor is free.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, name: self.name.clone() })
    }

    /// Hands `frame` (from its Ethernet header on) to the host as a received IP packet.
    ///
    /// # Errors
    /// [`DropReason::Truncated`] for a frame without an IP packet in it, [`DropReason::HostFull`] when the kernel
    /// does not take the packet.
    pub fn send(&self, frame: &[u8]) -> Result<(), DropReason> {
        let packet = ip_packet(frame).ok_or(DropReason::Truncated)?;
        match (&self.file).write(packet) {
            Ok(written) if written == packet.len() => Ok(()),
            Ok(_) | Err(_) => Err(DropReason::HostFull),
        }
    }

    /// Takes a packet that the host sends out of the interface, and sleeps until there is one; its length. What does
    /// not fit `into` is lost.
    ///
    /// # Errors
    /// The kernel's own.
    pub fn receive(&self, into: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(into)
    }

    /// Makes the interface one that takes packets from any source and says nothing of its own.
    fn set_up(&self) -> io::Result<()> {
        // The kernel takes the larger of `all` and the interface's own value; strict (1) would refuse every
        // client, for none is routed this way. Loose (2) asks only that some route leads back, but refuses all on
        // an interface without an address (fib_validate_source).
        let all = fs::read_to_string("/proc/sys/net/ipv4/conf/all/rp_filter")?;
        let is_filtered = all.trim() != "0";
        let filter = if is_filtered { "2" } else { "0" };
        fs::write(format!("/proc/sys/net/ipv4/conf/{}/rp_filter", self.name), filter)?;
        if is_filtered {
            sys::set_address(&self.name, DUMMY)?;
        }
        // A packet of the host's own that came round by here is still the host's.
        fs::write(format!("/proc/sys/net/ipv4/conf/{}/accept_local", self.name), "1")?;
        let ipv6 = format!("/proc/sys/net/ipv6/conf/{}", self.name);
        if fs::exists(&ipv6)? {
            // No link-local address, hence no duplicate address detection and no router solicitations. IPv6
            // itself stays on: with disable_ipv6 the host would drop what it is handed.
            fs::write(format!("{ipv6}/addr_gen_mode"), "1")?;
            fs::write(format!("{ipv6}/accept_ra"), "0")?;
        }
        sys::set_up(&self.name)
    }
}

impl AsRawFd for Tun {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

/// What follows the Ethernet header and its VLAN tags, if that is IP.
fn ip_packet(frame: &[u8]) -> Option<&[u8]> {
    let (_, mut rest) = frame.split_at_checked(12)?;
    loop {
        let (ether_type, packet) = rest.split_first_chunk::<2>()?;
        match u16::from_be_bytes(*ether_type) {
            0x0800 | 0x86dd => return Some(packet),
            0x8100 | 0x88a8 => rest = packet.get(2..)?,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ip_packet;

    fn frame(types_and_tags: &[u8]) -> Vec<u8> {
        [&[2; 12], types_and_tags].concat()
    }

    #[test]
    fn the_packet_begins_behind_any_number_of_vlan_tags() {
        assert_eq!(ip_packet(&frame(&[8, 0, 0x45, 1])), Some(&[0x45, 1][..]));
        assert_eq!(ip_packet(&frame(&[0x81, 0, 0, 7, 0x86, 0xdd, 0x60])), Some(&[0x60][..]));
        assert_eq!(ip_packet(&frame(&[0x88, 0xa8, 0, 9, 0x81, 0, 0, 7, 8, 0, 0x45])), Some(&[0x45][..]));
    }

    #[test]
    fn what_is_no_ip_or_ends_too_early_is_no_packet() {
        assert_eq!(ip_packet(&frame(&[8, 6, 0, 1])), None);
        for cut in 0..14 {
            assert_eq!(ip_packet(&frame(&[8, 0])[..cut]), None, "{cut}");
        }
        assert_eq!(ip_packet(&frame(&[0x81, 0, 0])), None);
    }
}
