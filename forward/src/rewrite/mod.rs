//! What forwarding does to a packet: network address translation, direct routing, tunnels. All of it in place, on
//! bytes, decided by values that are resolved already.

mod direct;
mod l4;
mod nat;
pub mod segment;
mod ttl;
mod tunnel;

pub use nat::{End, Nat};
pub use tunnel::{Encapsulation, Tunnel, gue_source_port};

pub(crate) use direct::address;
pub use l4::complete_partial;
pub(crate) use nat::write_address;
pub(crate) use ttl::decrement;
pub(crate) use tunnel::{GRE_HEADER, GUE_HEADER, v4_checksum, v4_header, v6_header};

use crate::headers::Headers;
use crate::packet::{NoRoom, Packet};
use crate::verdict::{DropReason, PortId};
use crate::wire::ethernet::Mac;

/// Who computes the checksums of a packet that the director completes or makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksums {
    /// The director does.
    #[default]
    Computed,
    /// The device does (`CHECKSUM_PARTIAL`): the director leaves what the kernel leaves there, the pseudo-header's
    /// sum, or nothing where the protocol has no pseudo-header. Only for a tunnel's own checksum and for a
    /// rewritten ICMPv6 error, where the kernel does so.
    Offloaded,
}

/// A resolved next hop: where a packet leaves, and whom it is for on that link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// The interface it leaves through.
    pub port: PortId,
    /// The interface's own link-layer address.
    pub src_mac: Mac,
    /// The next hop's link-layer address.
    pub dst_mac: Mac,
    /// Octets of the largest IP packet this way takes.
    pub mtu: u16,
    /// Who computes the checksums of what the director makes.
    pub checksums: Checksums,
}

impl Path {
    /// The way straight back to who sent `frame` on its link.
    pub fn back(frame: &[u8], port: PortId, mtu: u16) -> Option<Self> {
        use crate::wire::ethernet::{destination, source};
        Some(Self {
            port,
            src_mac: destination(frame)?,
            dst_mac: source(frame)?,
            mtu,
            checksums: Checksums::Computed,
        })
    }
}

/// How the packets of a connection are rewritten, fully resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewrite {
    /// One end's address and port are translated.
    Nat(Nat),
    /// Only the link-layer addresses change: direct routing, and what is forwarded as it is.
    Direct,
    /// The packet travels within another one.
    Tunnel(Tunnel),
}

/// Whether a rewritten packet can leave as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It can.
    Whole,
    /// It is larger than [`Path::mtu`] and may be fragmented: by [`fragment::split`](crate::fragment::split).
    Oversized,
}

/// Why a packet was not rewritten. It is as it was, and can still be quoted in an ICMP error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// TTL or hop limit used up: answered with time exceeded.
    TtlExceeded,
    /// Larger than this MTU and not to be fragmented: answered with fragmentation needed or packet too big.
    TooBig(u16),
    /// Dropped without an answer.
    Dropped(DropReason),
}

impl Refused {
    /// The name of the drop.
    pub const fn reason(self) -> DropReason {
        match self {
            Self::TtlExceeded => DropReason::TtlExceeded,
            Self::TooBig(_) => DropReason::TooBig,
            Self::Dropped(reason) => reason,
        }
    }
}

impl From<DropReason> for Refused {
    fn from(reason: DropReason) -> Self {
        Self::Dropped(reason)
    }
}

impl From<NoRoom> for Refused {
    fn from(_: NoRoom) -> Self {
        Self::Dropped(DropReason::NoRoom)
    }
}

impl Rewrite {
    /// Forwards the packet: takes one from its TTL, rewrites it and addresses it to the next hop. `ident` becomes
    /// the identification of an outer IPv4 header that may be fragmented, and should be another one each time.
    ///
    /// The order is the kernel's (`__ip_vs_get_out_rt`): first the TTL, then the MTU, then the rewriting.
    ///
    /// # Errors
    /// [`Refused`]; the packet is then as it was.
    #[inline]
    pub fn apply(
        &self,
        packet: &mut Packet<'_>,
        headers: &Headers,
        path: &Path,
        ident: u16,
    ) -> Result<Fit, Refused> {
        if headers.ttl <= 1 {
            return Err(Refused::TtlExceeded);
        }
        let fit = self.fit(headers, path)?;
        match self {
            Self::Nat(nat) => nat.translate(packet, headers)?,
            Self::Direct => direct::forward(packet, headers)?,
            Self::Tunnel(tunnel) => {
                // No device completes a checksum over fragments.
                let checksums = if fit == Fit::Whole { path.checksums } else { Checksums::Computed };
                tunnel.encapsulate(packet, headers, checksums, ident)?;
            }
        }
        address(packet, path);
        Ok(fit)
    }

    /// Rewrites a packet that the host itself takes or sends: nobody forwards it, so its TTL stays, and its size was
    /// looked after by who made it. With a `path` it is addressed to the next hop.
    ///
    /// # Errors
    /// [`DropReason::FamilyMismatch`] where the new address is of another family, [`DropReason::NoPort`] for a tunnel.
    /// The packet is then as it was.
    pub fn apply_at_host(
        &self,
        packet: &mut Packet<'_>,
        headers: &Headers,
        path: Option<&Path>,
    ) -> Result<(), DropReason> {
        match self {
            Self::Nat(nat) => nat.translate_end(packet, headers)?,
            Self::Direct => {}
            Self::Tunnel(_) => return Err(DropReason::NoPort),
        }
        if let Some(path) = path {
            address(packet, path);
        }
        Ok(())
    }

    /// The largest packet that fits before it is rewritten.
    ///
    /// # Errors
    /// [`DropReason::TooBig`] where a tunnel leaves less than the smallest MTU of the packet's family.
    #[inline]
    pub fn inner_mtu(&self, path: &Path) -> Result<u16, DropReason> {
        match self {
            Self::Nat(_) | Self::Direct => Ok(path.mtu),
            Self::Tunnel(tunnel) => tunnel.inner_mtu(path.mtu).ok_or(DropReason::TooBig),
        }
    }

    /// As `ensure_mtu_is_adequate` decides.
    #[inline]
    fn fit(&self, headers: &Headers, path: &Path) -> Result<Fit, Refused> {
        let mtu = self.inner_mtu(path)?;
        if headers.len() <= usize::from(mtu) {
            return Ok(Fit::Whole);
        }
        let fragments_anyway = matches!(self, Self::Tunnel(tunnel) if !tunnel.pmtu_disc);
        if headers.is_ipv6() || (headers.dont_fragment && !fragments_anyway) {
            return Err(Refused::TooBig(mtu));
        }
        Ok(Fit::Oversized)
    }
}
