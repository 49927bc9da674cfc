//! A virtual address, with all that `ip address add` can be told of it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// An address that the master holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualAddress {
    /// The address.
    pub address: IpAddr,
    /// The length of its network's prefix: 32 or 128 when the file has none.
    pub prefix: u8,
    /// The interface that carries it (`dev`); the instance's own, or its virtual MAC's, when absent.
    pub interface: Option<String>,
    /// Its label (`label`), at most 15 bytes; IPv4 only.
    pub label: Option<String>,
    /// Its scope (`scope`).
    pub scope: Scope,
    /// Its broadcast address (`brd`); IPv4 only.
    pub broadcast: Option<Ipv4Addr>,
    /// The other end of a point-to-point link (`peer`).
    pub peer: Option<IpAddr>,
    /// Seconds for which it may be the source of new connections (`preferred_lft`); for ever when absent.
    pub preferred_lifetime: Option<u32>,
    /// Says more of the address.
    pub flags: BTreeSet<Flag>,
    /// Stays out of the instance's state when somebody removes it, and is not put back (`no_track`).
    pub is_untracked: bool,
}

impl VirtualAddress {
    /// An address for itself alone, as keepalived takes one without a prefix: a lone IPv6 address is never chosen
    /// as a source.
    pub const fn new(address: IpAddr) -> Self {
        let (prefix, preferred_lifetime) = match address {
            IpAddr::V4(_) => (32, None),
            IpAddr::V6(_) => (128, Some(0)),
        };
        Self {
            address,
            prefix,
            interface: None,
            label: None,
            scope: Scope::Global,
            broadcast: None,
            peer: None,
            preferred_lifetime,
            flags: BTreeSet::new(),
            is_untracked: false,
        }
    }
}

/// How far an address is valid, as the kernel numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Everywhere.
    #[default]
    Global,
    /// In the site (IPv6, deprecated).
    Site,
    /// On the link.
    Link,
    /// On the host.
    Host,
    /// Nowhere.
    Nowhere,
    /// A number of the operator's own.
    Number(u8),
}

impl Scope {
    /// The kernel's number (`RT_SCOPE_*`).
    pub const fn number(self) -> u8 {
        match self {
            Self::Global => 0,
            Self::Site => 200,
            Self::Link => 253,
            Self::Host => 254,
            Self::Nowhere => 255,
            Self::Number(number) => number,
        }
    }
}

/// A property of an address, as `ip address` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// `home`: the home address of Mobile IPv6.
    Home,
    /// `-nodad`: duplicate address detection is done. Without it a virtual address is usable at once.
    DetectDuplicates,
    /// `mngtmpaddr`: temporary addresses are made from it.
    ManageTemporary,
    /// `noprefixroute`: no route to its network is made.
    NoPrefixRoute,
    /// `autojoin`: its multicast group is joined.
    AutoJoin,
}
