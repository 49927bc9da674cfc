//! The kernel's plain forwarding.

use crate::failure::Failure;
use crate::world::{Place, SERVER_PORT, SERVERS, World, server};
use std::net::SocketAddrV4;

/// A router and nothing more.
#[derive(Debug)]
pub(crate) struct Forward {
    /// Where it is.
    pub(crate) place: Place,
}

impl Forward {
    /// Where packets are sent: to a server itself.
    pub(crate) const DESTINATION: SocketAddrV4 = SocketAddrV4::new(server(1), SERVER_PORT);

    /// Sets it up.
    pub(crate) fn start(world: &World, number: u8) -> Result<Self, Failure> {
        let mut place = world.place("ip-forward", number)?;
        world.sink(&mut place, SERVERS, 24)?;
        Ok(Self { place })
    }
}
