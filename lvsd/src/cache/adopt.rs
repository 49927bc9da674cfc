//! A predecessor's flows: its connections are made anew from them, and go on as if nothing had been.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use lvs_conntrack::{
    Conn, Direction, FlowKey, NewConn, NewTemplate, Proto, TcpFlags, TcpTable, TemplateService, Tick,
};
use lvs_forward::io::xdp::{Egress, Flow, FlowRewrite, FlowServer, IDENTITY};

use super::epoch::Epochs;
use super::follow::identity;
use super::time::Clock;
use super::{Cache, Server, State, told};
use crate::destination::{Counted, Destination, Lease};
use crate::director::{Binding, Connection, Method, Plane, seconds, template_key};
use crate::resolve::NextHop;
use crate::services::Service;
use crate::snapshot::Snapshot;

/// A server of the program's: the destination it is now, and its service.
type Adopted = (Arc<Destination>, Arc<Service>);

impl Cache {
    /// Takes over the flows in the program: those of servers that are there go on, the others end. Returns how many
    /// connections there are again. To be called before [`open`](Self::open), with the same ways, and before the plane
    /// has the cache.
    pub fn adopt(&self, plane: &Plane, egress: Vec<Option<Egress>>, now: Tick) -> usize {
        let mut state = self.state.lock();
        let Some(epoch) = told(self.program.flows().epoch()).flatten().filter(|&epoch| epoch != 0) else {
            return 0;
        };
        state.epochs = Epochs::inherited(epoch);
        state.egress = egress;
        self.round.store(1, Relaxed);
        let snapshot = plane.snapshot();
        let servers = self.adopt_servers(&mut state, &snapshot);
        let mut flows = Vec::new();
        self.program.flows().for_each(|key, flow| flows.push((key, flow)));
        let (mut count, mut ended) = (0, Vec::new());
        let is_good = |flow: &Flow| !flow.is_closed && servers.contains_key(&flow.server);
        for (key, flow) in &flows {
            let server = servers.get(&flow.server).filter(|_| is_good(flow));
            let conn = match (server, flow.rewrite) {
                (None, _) => {
                    ended.push(*key);
                    continue;
                }
                (Some(_), FlowRewrite::Source { path, .. }) => {
                    if flow.epoch == epoch {
                        adopt_way(&mut state, &snapshot, key, path);
                    }
                    continue;
                }
                (Some(server), _) => connection((epoch, self.clock()), plane, server, key, flow, now),
            };
            if conn.is_some_and(|conn| plane.table().insert(conn, now).is_ok()) {
                count += 1;
            } else {
                ended.push(*key);
            }
        }
        for key in ended {
            self.forget(&key, None);
        }
        self.take(&mut state, &snapshot);
        count
    }

    /// The destinations that the program's servers are now, by their places, each with its service.
    fn adopt_servers(&self, state: &mut State, snapshot: &Snapshot) -> HashMap<u16, Adopted> {
        let flows = self.program.flows();
        let known = told(flows.identities()).unwrap_or_default();
        let mut places: HashMap<[u8; IDENTITY], u16> =
            known.into_iter().map(|(place, identity)| (identity, place)).collect();
        let mut found = HashMap::new();
        for service in snapshot.services() {
            for (_, member) in service.pool().iter() {
                let destination = &member.destination;
                let identity = identity(service.id, destination.endpoint());
                let Some(place) = places.remove(&identity) else { continue };
                let Some(pulled) = told(flows.tally(place)) else { continue };
                // Whatever is written there is written anew.
                let address = destination.rip();
                let written = FlowServer { address, way: None, tunnel: None, identity, is_there: false };
                let (weak, stats) = (Arc::downgrade(destination), Arc::clone(&service.stats));
                state.servers.insert(
                    destination.id(),
                    Server { place, written, pulled, destination: weak, service: stats },
                );
                found.insert(place, (Arc::clone(destination), Arc::clone(service)));
            }
        }
        let highest = found.keys().copied().max().map_or(0, |place| place + 1);
        state.free = (0..highest).filter(|place| !found.contains_key(place)).collect();
        // Servers that are no more.
        for (identity, place) in places {
            let address = Ipv4Addr::UNSPECIFIED.into();
            let gone = FlowServer { address, way: None, tunnel: None, identity, is_there: false };
            told(flows.set_server(place, &gone));
        }
        found
    }
}

/// Remembers the place of the way that replies to a client take.
fn adopt_way(state: &mut State, snapshot: &Snapshot, key: &FlowKey, place: u16) {
    let Some(neighbour) = snapshot.fib.neighbour(key.dst) else { return };
    let Ok(NextHop::Ready(path)) = snapshot.fib.lookup(key.dst) else { return };
    state.ways.entry((neighbour, path.mtu)).or_insert(place);
}

/// The template that the connection hangs on, where its service is persistent: the one there is, or a new one to
/// its server. What an engine found in the first packet is not known any more.
fn template(
    plane: &Plane,
    service: &Service,
    destination: &Arc<Destination>,
    key: &FlowKey,
    now: Tick,
) -> Option<lvs_conntrack::Lease<Lease>> {
    let persistence = service.persistence.as_ref().filter(|_| service.engine.is_none())?;
    let template_key = template_key(service, key, persistence);
    let table = plane.table();
    let known = table.with_template(&template_key, &[], now, |known| (known.expires(), known.is_assured()));
    if let Some((expires, is_assured)) = known {
        let lease = table.lease(&template_key, &[], now, |_| true)?;
        lease.resume(expires, is_assured);
        return (lease.binding().destination().id() == destination.id()).then_some(lease);
    }
    let whole_service = matches!(template_key.service, TemplateService::Address(_, port) if port != 0);
    let port = if whole_service { destination.port() } else { 0 };
    let new = NewTemplate {
        key: template_key,
        data: &[],
        server: (destination.rip(), port).into(),
        binding: Lease::take(destination, Counted::Persistent),
        timeout: seconds(persistence.timeout),
    };
    let lease = table.insert_template(new, now).ok()?;
    lease.resume(lease.expires(), true);
    Some(lease)
}

/// The connection that the flow of its client's packets belongs to.
fn connection(
    (epoch, clock): (u8, Clock),
    plane: &Plane,
    (destination, service): &Adopted,
    key: &FlowKey,
    flow: &Flow,
    now: Tick,
) -> Option<Connection> {
    let method = match flow.rewrite {
        FlowRewrite::Destination => Method::Masquerade,
        FlowRewrite::Direct => Method::DirectRoute,
        FlowRewrite::Tunnel { .. } => Method::Tunnel,
        FlowRewrite::Source { .. } => return None,
    };
    let is_nat = method == Method::Masquerade;
    let mut binding = Binding::new(Arc::clone(destination), method);
    // A decision that was void already is made anew with the next packet.
    binding.set_stamp(u8::from(flow.epoch == epoch));
    let server = (destination.rip(), flow.port).into();
    let template = template(plane, service, destination, key, now);
    let new = NewConn { key: *key, server, reply: is_nat, no_output: !is_nat, binding, template };
    let mut conn = Conn::new(new, now);
    let timeouts = &plane.snapshot().timeouts;
    match key.proto {
        Proto::TCP => {
            conn.on_tcp(TcpFlags::SYN, Direction::ToServer, timeouts, TcpTable::Normal);
            conn.on_tcp(TcpFlags::ACK, Direction::ToServer, timeouts, TcpTable::Normal);
            conn.binding_mut().set_active(true);
        }
        Proto::UDP => {
            conn.on_udp(Direction::ToServer, timeouts);
        }
        _ => return None,
    }
    let seen = if flow.seen == 0 { now } else { clock.moment(flow.seen, now) };
    conn.touch(seen);
    conn.hold(true);
    Some(conn)
}
