//! A packet's passage to its server, decided but not yet carried out.

use std::net::{IpAddr, SocketAddr};

use lvs_forward::{DropReason, Encapsulation, End, Nat, Rewrite, Tunnel};

use super::binding::Method;
use crate::message::{ForwardMethod, TunnelChecksum, TunnelKind};
use crate::resolve::NextHop;
use crate::snapshot::{Hop, Snapshot};

/// Where a packet goes and how it gets there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passage {
    /// What is done to the packet.
    pub(super) rewrite: Rewrite,
    /// Where it leaves.
    pub(super) next: NextHop,
}

impl Passage {
    /// The passage to `server` over `hop`, for a connection of this method.
    pub(super) fn to_server(
        snapshot: &Snapshot,
        hop: &Hop,
        method: Method,
        server: SocketAddr,
    ) -> Result<Self, DropReason> {
        Self::over(snapshot, hop.next?, hop.source, hop.method, method, server)
    }

    /// The passage to `server` by way of `next`. A tunnel has its parameters from `declared`, and `source` in its outer
    /// header.
    pub(super) fn over(
        snapshot: &Snapshot,
        next: NextHop,
        source: Option<IpAddr>,
        declared: ForwardMethod,
        method: Method,
        server: SocketAddr,
    ) -> Result<Self, DropReason> {
        let rewrite = match method {
            // A local server takes the packet as it is.
            Method::Tunnel if next == NextHop::Local => Rewrite::Direct,
            Method::Masquerade | Method::DirectRoute | Method::Tunnel | Method::Bypass => {
                Self::rewrite(snapshot, source, declared, method, server)?
            }
        };
        Ok(Self { rewrite, next })
    }

    /// What is done to a packet for `server`, which is not the host itself.
    #[inline]
    pub(super) fn rewrite(
        snapshot: &Snapshot,
        source: Option<IpAddr>,
        declared: ForwardMethod,
        method: Method,
        server: SocketAddr,
    ) -> Result<Rewrite, DropReason> {
        Ok(match method {
            Method::Masquerade => {
                Rewrite::Nat(Nat { end: End::Destination, addr: server.ip(), port: server.port() })
            }
            Method::DirectRoute | Method::Bypass => Rewrite::Direct,
            Method::Tunnel => Rewrite::Tunnel(Tunnel {
                local: source.ok_or(DropReason::NoRoute)?,
                remote: server.ip(),
                encapsulation: encapsulation(declared),
                pmtu_disc: snapshot.sysctls.pmtu_disc != 0,
            }),
        })
    }

    /// The passage back to a client: the service's address takes the server's place.
    pub(super) const fn to_client(next: NextHop, vip: IpAddr, service_port: u16) -> Self {
        Self { rewrite: Rewrite::Nat(Nat { end: End::Source, addr: vip, port: service_port }), next }
    }
}

/// A tunnel's parameters are the server's present ones, also for connections that began under others.
pub(crate) const fn encapsulation(method: ForwardMethod) -> Encapsulation {
    match method {
        ForwardMethod::Tunnel(TunnelKind::Gue { port, checksum }) => {
            Encapsulation::Gue { port, checksum: !matches!(checksum, TunnelChecksum::None) }
        }
        ForwardMethod::Tunnel(TunnelKind::Gre { checksum }) => {
            Encapsulation::Gre { checksum: !matches!(checksum, TunnelChecksum::None) }
        }
        ForwardMethod::Tunnel(TunnelKind::Ipip) | ForwardMethod::Masquerade | ForwardMethod::DirectRoute => {
            Encapsulation::Ipip
        }
    }
}
