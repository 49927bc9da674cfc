//! What the XDP program and the host's routing are told, so that the director's packets come to it.

use std::sync::Arc;

use ipnet::IpNet;
use lvs_conntrack::Tick;
use lvs_forward::io::xdp::{Egress, NoEgress, Prefix, Program, ProgramError};
use lvs_netcfg::{Diversion, Diverted, HostView};

use super::Control;
use crate::cache::Cache;
use crate::director::Plane;
use crate::health::Traffic;

impl Control {
    /// Takes the program that is to know what the director's packets are.
    pub(in crate::run) fn direct(
        &mut self,
        program: Arc<Program>,
        view: &HostView,
    ) -> Result<(), ProgramError> {
        self.program = Some(program);
        self.claim()?;
        self.address(view)
    }

    /// Takes the diversion by which the director gets what its host sends as a masquerading server.
    pub(in crate::run) fn divert(&mut self, diversion: Diversion) {
        self.traffic = Some(Traffic::new(Arc::clone(self.registry.plane()), diversion.name()));
        self.diversion = Some(diversion);
        self.follow_own_servers();
    }

    /// Diverts what the host sends as a masquerading server, while it is one and for as long as its connections may
    /// live.
    fn follow_own_servers(&mut self) {
        let Some(diversion) = &mut self.diversion else { return };
        let snapshot = self.registry.plane().snapshot();
        let own = self.claimed.servers().filter(|server| snapshot.fib.is_local(server.address));
        let own = own.map(|server| Diverted {
            address: server.address,
            protocol: server.proto.0,
            port: server.port,
        });
        let leads_bound = self.traffic.as_ref().is_some_and(|traffic| !traffic.answering().is_empty());
        if let Err(error) = diversion.divert(own, leads_bound) {
            tracing::error!(%error, "answers of servers on this host do not come through the director");
        }
    }

    /// Looks through which interfaces the XDP program can send by itself, and has the flow cache do so there. One
    /// interface in the general path keeps it closed: what comes in there is a packet of the kernel's already.
    pub(in crate::run) fn look_at_ways(&mut self) {
        let ways = self.ways();
        match (self.registry.plane().cache(), ways) {
            (Some(cache), Some(ways)) => cache.open(ways),
            (Some(cache), None) => cache.close(),
            (None, _) => {}
        }
    }

    /// Begins to forward by the XDP program, which may be doing so since a predecessor's time.
    pub(in crate::run) fn begin_cache(&mut self, cache: Cache) {
        let has_taken_over = self.program.as_ref().is_some_and(|program| program.has_taken_over());
        if let (true, Some(ways)) = (has_taken_over, self.ways()) {
            let count = cache.adopt(self.registry.plane(), ways, self.clock.now());
            tracing::info!(connections = count, "taken over from a predecessor");
        }
        self.registry.plane().set_cache(cache);
        self.look_at_ways();
    }

    /// The ways out of the interfaces; none at all where one of them is in the general path.
    fn ways(&mut self) -> Option<Vec<Option<Egress>>> {
        let program = self.program.as_ref()?;
        let mut ways = Vec::new();
        let mut is_generic = false;
        for interface in &mut self.interfaces {
            let way = match program.egress(&interface.name) {
                Ok(Ok(egress)) => Ok(egress),
                Ok(Err(why)) => {
                    is_generic |= why == NoEgress::Generic;
                    Err(why.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
            interface.not_cached = way.as_ref().err().cloned();
            ways.push(way.ok());
        }
        (!is_generic).then_some(ways)
    }

    /// Makes the XDP program's maps follow the services.
    pub(in crate::run) fn claim(&mut self) -> Result<(), ProgramError> {
        let (now, generation) = (self.clock.now(), self.registry.generation());
        let answering = self.traffic.as_ref().map(Traffic::answering).unwrap_or_default();
        let known = Some((generation, Arc::clone(&answering)));
        if self.claimed_of == known && self.claimed.is_settled(now) {
            self.follow_own_servers();
            return Ok(());
        }
        let plane = Arc::clone(self.registry.plane());
        let is_used = |prefix| is_used(&plane, prefix, now);
        let marks = self.registry.marks().rules();
        let claims = self.claimed.follow(self.registry.declared(), marks, &answering, now, is_used);
        self.follow_own_servers();
        let Some(program) = &self.program else { return Ok(()) };
        self.claimed_of = None;
        program.claim(&claims)?;
        self.claimed_of = known;
        Ok(())
    }
}

/// Whether a connection lives whose client spoke to this prefix.
fn is_used(plane: &Plane, prefix: Prefix, now: Tick) -> bool {
    let Ok(network) = IpNet::new(prefix.address, prefix.length) else { return false };
    let mut is_used = false;
    plane.table().for_each(now, |conn| is_used |= network.contains(&conn.key().dst));
    is_used
}
