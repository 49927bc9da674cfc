//! Changes of real servers: add, edit, delete, and the trash from which a removed one comes back.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lvs_conntrack::Tick;

use super::Registry;
use super::entry::Server;
use super::meter::Meter;
use crate::destination::Destination;
use crate::message::{Family, ForwardMethod, RealServer, Refusal, ServiceId, TunnelKind};

/// The largest weight, as `--weight` and the kernel's signed number have it.
const HEAVIEST: u32 = 2_147_483_647;

impl Registry {
    /// Says whether a server like this would be taken into a service of this name, were there one without it.
    ///
    /// # Errors
    /// Why not.
    pub fn check_server(&self, id: ServiceId, declared: &RealServer) -> Result<(), Refusal> {
        check(id, declared)?;
        if self.fib.is_unicast(declared.rip) { Ok(()) } else { Err(Refusal::Invalid) }
    }

    /// `ip_vs_add_dest`
    pub(super) fn add_server(&mut self, id: ServiceId, declared: RealServer) -> Result<(), Refusal> {
        self.entry(id)?;
        check(id, &declared)?;
        let endpoint = SocketAddr::new(declared.rip, declared.port);
        if self.entry(id)?.servers().iter().any(|server| server.endpoint() == endpoint) {
            return Err(Refusal::Exists);
        }
        let mut server = match self.trash.give_back(id, endpoint) {
            Some(server) => server,
            None if self.fib.is_unicast(declared.rip) => Server {
                declared,
                destination: Arc::new(Destination::new(
                    self.ids.take(),
                    declared.rip,
                    declared.port,
                    self.plane.counting(),
                )),
                last_weight: 0,
                meter: Meter::default(),
            },
            None => return Err(Refusal::Invalid),
        };
        server.update(declared, true);
        self.entry_mut(id)?.join(server);
        Ok(())
    }

    /// `ip_vs_edit_dest`
    pub(super) fn edit_server(&mut self, id: ServiceId, declared: RealServer) -> Result<(), Refusal> {
        let entry = self.entry_mut(id)?;
        check(id, &declared)?;
        entry.server_mut(declared.rip, declared.port)?.update(declared, false);
        entry.regenerate();
        Ok(())
    }

    /// `ip_vs_del_dest`
    pub(super) fn delete_server(
        &mut self,
        id: ServiceId,
        rip: IpAddr,
        port: u16,
        now: Tick,
    ) -> Result<(), Refusal> {
        let server = self.entry_mut(id)?.leave(rip, port)?;
        self.trash.take_in(id, server, now);
        Ok(())
    }
}

/// What the kernel asks of a server's declaration.
fn check(id: ServiceId, declared: &RealServer) -> Result<(), Refusal> {
    let tunnel = matches!(declared.method, ForwardMethod::Tunnel(_));
    if Family::of(declared.rip) != id.family() && !tunnel {
        return Err(Refusal::Invalid);
    }
    if declared.weight > HEAVIEST || declared.lower_threshold > declared.upper_threshold {
        return Err(Refusal::Range);
    }
    if let ForwardMethod::Tunnel(TunnelKind::Gue { port: 0, .. }) = declared.method {
        return Err(Refusal::Invalid);
    }
    Ok(())
}
