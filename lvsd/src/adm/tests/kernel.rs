//! A table that answers as the kernel does, as far as the recordings need it.

use std::net::IpAddr;

use crate::adm::{Backend, BackendError};
use crate::message::{
    RealServer, Refusal, Request, Response, ServerListing, ServiceId, ServiceListing, Stats, SyncDaemon,
    Timeouts, VirtualService,
};

const SCHEDULERS: [&str; 13] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"];

#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) services: Vec<ServiceListing>,
    timeouts: Timeouts,
    daemons: Vec<SyncDaemon>,
}

impl Default for Kernel {
    fn default() -> Self {
        let timeouts = Timeouts { tcp: 900, tcp_fin: 120, udp: 300 };
        Self { services: Vec::new(), timeouts, daemons: Vec::new() }
    }
}

impl Backend for Kernel {
    fn call(&mut self, request: Request) -> Result<Response, BackendError> {
        Ok(self.answer(request).unwrap_or_else(|error| Response::Refused { error }))
    }
}

impl Kernel {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the recordings have no other requests")]
    fn answer(&mut self, request: Request) -> Result<Response, Refusal> {
        match request {
            Request::AddService(service) => {
                if self.service(service.id).is_ok() {
                    return Err(Refusal::Exists);
                }
                named(&service)?;
                self.services.push(ServiceListing { service, stats: Stats::default(), servers: Vec::new() });
            }
            Request::EditService(service) => {
                let known = self.service(service.id)?;
                named(&service)?;
                known.service = service;
            }
            Request::DeleteService { id } => {
                self.service(id)?;
                self.services.retain(|listing| listing.service.id != id);
            }
            Request::Flush => self.services.clear(),
            Request::Zero { id: Some(id) } => self.service(id).map(|_| ())?,
            Request::Zero { id: None } => {}
            Request::AddServer { id, server } => {
                let servers = &mut self.service(id)?.servers;
                sound(&server)?;
                if servers.iter().any(|known| is(known, server.rip, server.port)) {
                    return Err(Refusal::Exists);
                }
                servers.insert(0, listing(server));
            }
            Request::EditServer { id, server } => {
                let servers = &mut self.service(id)?.servers;
                sound(&server)?;
                let known = servers.iter_mut().find(|known| is(known, server.rip, server.port));
                known.ok_or(Refusal::NoEntry)?.server = server;
            }
            Request::DeleteServer { id, rip, port } => {
                let servers = &mut self.service(id)?.servers;
                let at = servers.iter().position(|known| is(known, rip, port)).ok_or(Refusal::NoEntry)?;
                servers.remove(at);
            }
            Request::SetTimeouts(new) => self.set(new),
            Request::Timeouts => return Ok(Response::Timeouts(self.timeouts)),
            Request::List { id: None } => return Ok(Response::Services { services: self.services.clone() }),
            Request::List { id: Some(id) } => {
                return Ok(Response::Services { services: vec![self.service(id)?.clone()] });
            }
            Request::Connections => return Ok(Response::Connections { connections: Vec::new() }),
            Request::Daemons => return Ok(Response::Daemons { daemons: self.daemons.clone() }),
            other => unreachable!("{other:?} is in no recording"),
        }
        Ok(Response::Done)
    }

    fn set(&mut self, new: Timeouts) {
        let keep = |old: &mut u32, new| *old = if new == 0 { *old } else { new };
        keep(&mut self.timeouts.tcp, new.tcp);
        keep(&mut self.timeouts.tcp_fin, new.tcp_fin);
        keep(&mut self.timeouts.udp, new.udp);
    }

    fn service(&mut self, id: ServiceId) -> Result<&mut ServiceListing, Refusal> {
        self.services.iter_mut().find(|listing| listing.service.id == id).ok_or(Refusal::NoService)
    }
}

fn named(service: &VirtualService) -> Result<(), Refusal> {
    let known = SCHEDULERS.contains(&service.scheduler.as_str()) && service.persistence_engine.is_none();
    if known { Ok(()) } else { Err(Refusal::NoEntry) }
}

fn sound(server: &RealServer) -> Result<(), Refusal> {
    if server.lower_threshold > server.upper_threshold {
        return Err(Refusal::Range);
    }
    // the recordings' director has 10.2.0.0/24 on an interface
    let is_broadcast = ["255.255.255.255", "10.2.0.255"].contains(&server.rip.to_string().as_str());
    if server.rip.is_unspecified() || server.rip.is_multicast() || is_broadcast {
        return Err(Refusal::Invalid);
    }
    Ok(())
}

fn is(known: &ServerListing, rip: IpAddr, port: u16) -> bool {
    (known.server.rip, known.server.port) == (rip, port)
}

fn listing(server: RealServer) -> ServerListing {
    ServerListing { server, local: false, active: 0, inactive: 0, persistent: 0, stats: Stats::default() }
}
