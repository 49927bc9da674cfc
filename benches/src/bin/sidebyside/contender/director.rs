//! The director: the daemon as it is run by anybody, in a place of its own.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::core::Core;
use crate::daemon::{Daemon, Service, configuration};
use crate::failure::Failure;
use crate::generator::Flows;
use crate::world::{Place, SERVER_PORT, SERVERS, SERVICE, World, server};

/// How packets are sent to the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// `-m`
    Nat,
    /// `-g`
    Direct,
    /// `-i`
    Ipip,
}

impl Method {
    /// Its name in lvsd's file.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Direct => "dr",
            Self::Ipip => "tun",
        }
    }

    /// Flows of a connection that come by here.
    const fn flows(self) -> u64 {
        match self {
            Self::Nat => 2,
            Self::Direct | Self::Ipip => 1,
        }
    }

    /// Where its packets go, as the sink sees them: an address and how many bits of it.
    pub(crate) const fn destination(self) -> (Ipv4Addr, u32) {
        match self {
            Self::Nat | Self::Ipip => (SERVERS, 24),
            Self::Direct => (*SERVICE.ip(), 32),
        }
    }
}

/// How many flows the XDP program may forward by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cache(pub(crate) u64);

/// A running director.
#[derive(Debug)]
pub(crate) struct Lvsd {
    /// The daemon.
    pub(crate) daemon: Daemon,
    method: Method,
    /// Where it is.
    pub(crate) place: Place,
}

impl Lvsd {
    /// Sets it up, with room for so many connections.
    pub(crate) fn start(
        world: &World,
        number: u8,
        method: Method,
        cache: Cache,
        connections: u64,
    ) -> Result<Self, Failure> {
        let mut place = world.place(&format!("lvsd-{}-{number}", method.word()), number)?;
        let (network, prefix) = method.destination();
        world.sink(&mut place, network, prefix)?;
        let servers = [1, 2].map(|number| SocketAddrV4::new(server(number), SERVER_PORT));
        let service = Service { vip: SERVICE, servers, more: vec![] };
        let configuration = configuration(&service, method, cache, connections);
        let files = world.files().join(place.name());
        let daemon = Daemon::start(place.host(), &files, &configuration, Core::Others)?;
        Ok(Self { daemon, method, place })
    }

    /// Sends packets of so many flows until the program knows them, but for one in ten thousand at most: where the cache
    /// is nearly full, a few find no place near their home and stay with the workers.
    pub(crate) fn fill(&mut self, world: &World, flows: u32) -> Result<(), Failure> {
        let all = u64::from(flows) * self.method.flows();
        let wanted = all - all / 10_000;
        let Self { daemon, place, .. } = self;
        daemon.wait("the flows are in the cache", |daemon| {
            world.send(place, SERVICE, Flows::of(flows), flows)?;
            let cache = daemon.status()?.cache.unwrap_or_default();
            Ok(cache.flows >= wanted)
        })
    }
}
