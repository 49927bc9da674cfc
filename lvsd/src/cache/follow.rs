//! The program's servers and ways follow the snapshot: what a change makes void is void before it is answered.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use lvs_conntrack::Tick;
use lvs_forward::io::xdp::{Egress, FlowRewrite, FlowServer, IDENTITY, SERVERS};
use lvs_forward::{Encapsulation, Path, Tunnel};

use super::{Cache, Server, State, told};
use crate::destination::{Destination, Stats};
use crate::director::encapsulation;
use crate::message::ServiceId;
use crate::resolve::{Ask, NextHop};
use crate::snapshot::{Hop, Snapshot, number};

impl Cache {
    /// Takes the ways out of each port: `None` where the program cannot send by itself. From the first call on flows
    /// are noted and forwarded.
    pub fn open(&self, egress: Vec<Option<Egress>>) {
        let mut state = self.state.lock();
        if state.epochs.current() != 0 && state.egress == egress {
            return;
        }
        state.egress = egress;
        let followed = state.followed.take();
        self.begin_epoch(&mut state);
        if let Some(snapshot) = followed {
            self.take(&mut state, &snapshot);
        }
    }

    /// Forwards nothing any more until it is opened again.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.epochs.end();
        state.egress.clear();
        self.round.store(0, Relaxed);
        told(self.program.flows().set_epoch(0, 0));
    }

    /// Has the program take `now` for the time, instead of the kernel's own clock: for a replay.
    pub fn set_time(&self, now: Tick) {
        let state = self.state.lock();
        let time = u32::try_from(now.as_millis()).unwrap_or(u32::MAX - 1) + 1;
        self.clock.store(time, Relaxed);
        told(self.program.flows().set_epoch(state.epochs.current(), time));
    }

    /// Takes a new snapshot.
    pub(crate) fn follow(&self, snapshot: &Arc<Snapshot>) {
        let mut state = self.state.lock();
        if let Some(before) = state.followed.clone()
            && !(decides_alike(&before, snapshot) && self.leads_alike(&state, &before, snapshot))
        {
            self.begin_epoch(&mut state);
        }
        self.take(&mut state, snapshot);
    }

    /// True where every reply still takes the way it was given. Where routes or addresses changed, each is looked at:
    /// most changes, such as another interface's, concern none.
    fn leads_alike(&self, state: &State, before: &Snapshot, snapshot: &Snapshot) -> bool {
        if Arc::ptr_eq(&before.fib, &snapshot.fib) || before.fib.leads_as(&snapshot.fib) {
            return true;
        }
        let ways: HashMap<u16, (Ask, u16)> = state.ways.iter().map(|(&way, &place)| (place, way)).collect();
        let mut is_alike = true;
        self.program.flows().for_each(|key, flow| {
            if let FlowRewrite::Source { path, .. } = flow.rewrite
                && flow.epoch == state.epochs.current()
                && is_alike
            {
                let mtu = snapshot.fib.lookup(key.dst).ok().and_then(|next| next.path().map(|path| path.mtu));
                let way = snapshot.fib.neighbour(key.dst).zip(mtu);
                is_alike = way == ways.get(&path).copied();
            }
        });
        is_alike
    }

    /// Makes all decisions void: each connection is noted again with its next packet.
    fn begin_epoch(&self, state: &mut State) {
        if state.epochs.begin() {
            self.program.flows().forget_epochs();
        }
        state.ways.clear();
        told(self.program.flows().set_epoch(state.epochs.current(), self.clock.load(Relaxed)));
        self.next_round();
    }

    pub(super) fn take(&self, state: &mut State, snapshot: &Arc<Snapshot>) {
        let flows = self.program.flows();
        let mut listed = std::collections::HashSet::new();
        for service in snapshot.services() {
            for (_, member) in service.pool().iter() {
                let destination = &member.destination;
                let Some(hop) = snapshot.hop(destination.id()) else { continue };
                let identity = identity(service.id, destination.endpoint());
                let wanted = wanted(&state.egress, snapshot, hop, destination, identity);
                if let Some(server) = self.server(state, destination, &service.stats, &wanted) {
                    server.service = Arc::clone(&service.stats);
                    listed.insert(destination.id());
                    if server.written != wanted && told(flows.set_server(server.place, &wanted)).is_some() {
                        server.written = wanted;
                    }
                }
            }
        }
        for (id, server) in &mut state.servers {
            if !listed.contains(id) && server.written.is_there {
                let gone = FlowServer { is_there: false, ..server.written };
                if told(flows.set_server(server.place, &gone)).is_some() {
                    server.written = gone;
                }
            }
        }
        let State { servers, free, .. } = state;
        servers.retain(|_, server| {
            let stays = server.destination.strong_count() > 0;
            if !stays {
                free.push(server.place);
            }
            stays
        });
        self.follow_ways(state, snapshot);
        state.followed = Some(Arc::clone(snapshot));
    }

    /// The destination's place, a new one where it has none and there is room.
    fn server<'a>(
        &self,
        state: &'a mut State,
        destination: &Arc<Destination>,
        service: &Arc<Stats>,
        wanted: &FlowServer,
    ) -> Option<&'a mut Server> {
        let id = destination.id();
        let is_same = |server: &Server| server.destination.as_ptr() == Arc::as_ptr(destination);
        if !state.servers.get(&id).is_some_and(is_same) {
            let old = state.servers.remove(&id).map(|server| server.place);
            let fresh = u16::try_from(state.servers.len() + state.free.len()).unwrap_or(u16::MAX);
            let place = old.or_else(|| state.free.pop()).unwrap_or(fresh);
            if place >= SERVERS {
                return None;
            }
            let pulled = told(self.program.flows().tally(place))?;
            let written = FlowServer { way: None, tunnel: None, is_there: false, ..*wanted };
            let destination = Arc::downgrade(destination);
            let service = Arc::clone(service);
            state.servers.insert(id, Server { place, written, pulled, destination, service });
        }
        state.servers.get_mut(&id)
    }

    /// Brings the neighbours that replies go by up to date.
    fn follow_ways(&self, state: &State, snapshot: &Snapshot) {
        let is_same = |before: &Arc<Snapshot>| Arc::ptr_eq(&before.fib, &snapshot.fib);
        if state.followed.as_ref().is_some_and(is_same) {
            return;
        }
        for (&(neighbour, mtu), &place) in &state.ways {
            let way = way_by(state, snapshot, neighbour, mtu);
            told(self.program.flows().set_path(place, way));
        }
    }
}

/// The way by a neighbour, if its address is known and the program can take it.
pub(super) fn way_by(state: &State, snapshot: &Snapshot, neighbour: Ask, mtu: u16) -> Option<(Egress, Path)> {
    let dst_mac = snapshot.fib.mac(neighbour)?;
    let interfaces = snapshot.fib.interfaces();
    let interface = interfaces.iter().find(|interface| interface.index == neighbour.interface)?;
    let port = interface.port?;
    let egress = (*state.egress.get(port.index())?)?;
    Some((egress, Path { port, src_mac: interface.mac, dst_mac, mtu, checksums: interface.checksums }))
}

/// True where a packet of a connection that is known is treated alike under both, but for servers, routes and
/// neighbours.
fn decides_alike(before: &Snapshot, after: &Snapshot) -> bool {
    before.sysctls == after.sysctls && before.timeouts == after.timeouts
}

fn wanted(
    egress: &[Option<Egress>],
    snapshot: &Snapshot,
    hop: &Hop,
    destination: &Destination,
    identity: [u8; IDENTITY],
) -> FlowServer {
    let way = match hop.next {
        Ok(NextHop::Ready(path)) => egress.get(path.port.index()).copied().flatten().map(|out| (out, path)),
        Ok(NextHop::Awaiting(..) | NextHop::Local) | Err(_) => None,
    };
    let tunnel = hop.source.map(|local| Tunnel {
        local,
        remote: destination.rip(),
        encapsulation: encapsulation(hop.method),
        pmtu_disc: snapshot.sysctls.pmtu_disc != 0,
    });
    FlowServer { way, address: destination.rip(), tunnel, identity, is_there: true }
}

/// A server's service and address in a form that a later director knows it by.
pub(super) fn identity(service: ServiceId, endpoint: SocketAddr) -> [u8; IDENTITY] {
    let mut identity = [0; IDENTITY];
    let octets = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let mut all = octets(endpoint.ip()).to_vec();
    all.extend(endpoint.port().to_be_bytes());
    match service {
        ServiceId::Address { transport, vip, port } => {
            all.extend(octets(vip));
            all.extend(port.to_be_bytes());
            all.extend([1, number(transport).0]);
        }
        ServiceId::Mark { mark, family } => {
            all.extend(u128::from(mark).to_be_bytes());
            all.extend([0, 0, 2, family as u8]);
        }
    }
    for (to, from) in identity.iter_mut().zip(all) {
        *to = from;
    }
    identity
}

/// True for a tunnel that the program can make: one without a checksum of its own.
pub(super) const fn can_be_made(encapsulation: Encapsulation) -> bool {
    matches!(
        encapsulation,
        Encapsulation::Ipip
            | Encapsulation::Gue { checksum: false, .. }
            | Encapsulation::Gre { checksum: false }
    )
}
