//! Addresses that are on the host and to which nothing is delivered: VRRP's virtual addresses without accept mode.
//!
//! The rules stand in an nftables table of their own that belongs to the socket it was made by (`flags owner`). The
//! kernel removes it when the socket goes, however the program ended, and `nft flush ruleset` passes it over.
//!
//! ```text
//! table inet lvsd-vrrp-NUMBER {
//!     chain input {
//!         type filter hook input priority filter - 1; policy accept;
//!         icmpv6 type nd-neighbor-solicit accept
//!         icmpv6 type nd-neighbor-advert accept
//!         ip daddr @v4 drop
//!         ip6 daddr @v6 drop
//!         iif "eth0" ip6 daddr fe80::100 drop
//!     }
//! }
//! ```

mod batch;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::libc::MSG_DONTWAIT;

use crate::Error;
use crate::netlink::{Heard, each_message};
use batch::Batch;

/// Room for the kernel's answers to one batch; it repeats no more than the header of what it answers.
const ANSWERS: usize = 64 * 1024;

/// An address to which nothing is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Closed {
    address: IpAddr,
    /// A link-local address is one on each link.
    ifindex: Option<u32>,
}

impl Closed {
    /// This address, on the interface it is on where it is link-local.
    pub const fn new(address: IpAddr, ifindex: u32) -> Self {
        let is_of_link = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        Self { address, ifindex: if is_of_link { Some(ifindex) } else { None } }
    }
}

/// Keeps packets to some addresses from the host's own programs. Dropping it opens them all.
pub struct InputFilter {
    socket: Socket,
    table: String,
    sequence: u32,
    closed: BTreeSet<Closed>,
}

impl std::fmt::Debug for InputFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InputFilter")
            .field("table", &self.table)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl InputFilter {
    /// A filter that closes nothing yet, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// There is no such socket to be had.
    pub fn open() -> Result<Self, Error> {
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(Error::Socket)?;
        let own = socket.bind_auto().map_err(Error::Socket)?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(Error::Socket)?;
        // No other socket of this network namespace has the number.
        let table = format!("lvsd-vrrp-{}", own.port_number());
        Ok(Self { socket, table, sequence: 0, closed: BTreeSet::new() })
    }

    /// Whether this host can close addresses at all: makes an empty table, which goes again at once.
    ///
    /// # Errors
    /// It cannot; for want of nftables, of rights, or of tables with an owner (Linux 5.12).
    pub fn probe() -> Result<(), Error> {
        let mut filter = Self::open()?;
        filter.replace(&BTreeSet::new(), true)
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Closes these addresses and no others, all at once; false when it was so already.
    ///
    /// # Errors
    /// The kernel refuses; what was closed before still is, and nothing else.
    pub fn close(&mut self, closed: BTreeSet<Closed>) -> Result<bool, Error> {
        if closed == self.closed {
            return Ok(false);
        }
        self.replace(&closed, !closed.is_empty())?;
        self.closed = closed;
        Ok(true)
    }

    /// Puts a table with these addresses into the place of ours; or none.
    fn replace(&mut self, closed: &BTreeSet<Closed>, is_there: bool) -> Result<(), Error> {
        let first = self.sequence.wrapping_add(1);
        let batch = Batch::new(&self.table, first, closed, is_there);
        self.sequence = batch.last();
        self.socket.send(batch.bytes(), 0).map_err(Error::Socket)?;
        self.hear(first)
    }

    /// Reads what the kernel says of the batch that began with `first`. It has said it all when the sending returns.
    fn hear(&self, first: u32) -> Result<(), Error> {
        let (mut refusal, mut is_done) = (None, false);
        let mut buffer = Vec::with_capacity(ANSWERS);
        while !is_done {
            buffer.clear();
            match self.socket.recv(&mut buffer, MSG_DONTWAIT) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && refusal.is_some() => break,
                Err(error) => return Err(Error::Socket(error)),
            }
            each_message(&buffer, |sequence, heard| {
                let Heard::End(code) = heard else { return };
                // Answers to a batch before this one are of no interest.
                let is_ours = sequence.wrapping_sub(first) <= self.sequence.wrapping_sub(first);
                if is_ours && code != 0 {
                    refusal.get_or_insert(code);
                }
                is_done |= sequence == self.sequence;
            });
        }
        refusal.map_or(Ok(()), |code| {
            let action = format!("close addresses by the nftables table {}", self.table);
            Err(Error::Refused { action, errno: Errno::from_raw(code.saturating_abs()) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_local_address_is_closed_on_its_link_and_any_other_everywhere() {
        let closed = |text: &str| Closed::new(text.parse().unwrap(), 7).ifindex;
        assert_eq!(closed("192.0.2.1"), None);
        assert_eq!(closed("169.254.0.1"), None);
        assert_eq!(closed("2001:db8::1"), None);
        assert_eq!(closed("fe80::1"), Some(7));
    }
}
