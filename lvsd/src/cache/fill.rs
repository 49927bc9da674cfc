//! Flows go in when their connection is established, and out when it is so no more.

use lvs_conntrack::{Direction, FlowKey, State as ConnState, TcpState, Tick, Timeouts};
use lvs_forward::io::xdp::{Flow, FlowRewrite, Inserted, PATHS};
use lvs_forward::rewrite::gue_source_port;

use super::follow::way_by;
use super::{Cache, Note, State, told};
use crate::director::{Connection, Method, Plane, Role};
use crate::resolve::NextHop;
use crate::snapshot::Snapshot;

impl Cache {
    /// Does what the workers' notes ask for.
    pub(crate) fn settle(&self, plane: &Plane, now: Tick) {
        let mut taken = Vec::new();
        for notes in &self.notes {
            taken.append(&mut notes.lock());
        }
        if taken.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        let snapshot = plane.snapshot();
        for note in taken {
            match note {
                Note::Look(key) => self.look(&mut state, plane, &snapshot, &key, now),
                Note::Gone(there, back) => self.forget(&there, back.as_ref()),
            }
        }
        if state.was_full && self.program.flows().has_room() {
            // There is room again for those that were turned away.
            state.was_full = false;
            self.next_round();
        }
    }

    /// Decides about the connection that `key` belongs to.
    fn look(&self, state: &mut State, plane: &Plane, snapshot: &Snapshot, key: &FlowKey, now: Tick) {
        let back = plane.table().with(key, now, |conn, _| {
            self.withdraw(state, conn, &snapshot.timeouts, now);
            let there = Self::there(state, snapshot, conn)?;
            if !self.insert(state, conn.key(), &there) {
                return None;
            }
            conn.hold(true);
            conn.reply_key().map(|back| (*conn.key(), back))
        });
        let Some((there, back)) = back.flatten() else { return };
        // Answers go to the newest of the connections they may belong to.
        plane.table().with(&back, now, |conn, direction| {
            if direction == Direction::ToClient
                && *conn.key() == there
                && let Some(flow) = self.back(state, snapshot, conn)
            {
                self.insert(state, &back, &flow);
            }
        });
    }

    fn insert(&self, state: &mut State, key: &FlowKey, flow: &Flow) -> bool {
        let inserted = self.program.flows().insert(key, flow);
        state.was_full |= inserted == Inserted::NoRoom;
        inserted != Inserted::NoRoom
    }

    /// Takes a connection's flows out, with what was counted of them.
    pub(super) fn withdraw(&self, state: &State, conn: &mut Connection, timeouts: &Timeouts, now: Tick) {
        if !conn.is_held() {
            return;
        }
        conn.hold(false);
        let there = self.remove(conn.key());
        let back = conn.reply_key().and_then(|key| self.remove(&key));
        if let Some(flow) = there {
            conn.count_packets(flow.packets);
        }
        if is_established(conn) {
            for flow in [there, back].into_iter().flatten().filter(|flow| flow.packets > 0) {
                conn.hear(state.clock.moment(flow.seen, now), timeouts);
            }
        }
    }

    /// Takes out the flows of a connection that is gone.
    pub(crate) fn forget(&self, there: &FlowKey, back: Option<&FlowKey>) {
        for key in [Some(there), back].into_iter().flatten() {
            self.remove(key);
        }
    }

    fn remove(&self, key: &FlowKey) -> Option<Flow> {
        self.program.flows().remove(key)
    }

    /// The flow of the client's packets, if the program can forward them.
    fn there(state: &State, snapshot: &Snapshot, conn: &Connection) -> Option<Flow> {
        let key = conn.key();
        let binding = conn.binding();
        // What FTP's control connections carry is read, and for NAT rewritten.
        if state.epochs.current() == 0 || !is_established(conn) || binding.role() == Role::Control {
            return None;
        }
        snapshot.hop(binding.destination().id())?;
        let server = state.servers.get(&binding.destination().id())?;
        server.written.way?;
        let is_alike = conn.server().ip().is_ipv6() == key.src.is_ipv6();
        let rewrite = match binding.method() {
            Method::Masquerade if is_alike => FlowRewrite::Destination,
            Method::DirectRoute if is_alike => FlowRewrite::Direct,
            Method::Masquerade | Method::DirectRoute | Method::Bypass => return None,
            Method::Tunnel => {
                server.written.tunnel.filter(|tunnel| super::follow::can_be_made(tunnel.encapsulation))?;
                FlowRewrite::Tunnel { gue_port: gue_source_port(key) }
            }
        };
        Some(Flow {
            rewrite,
            port: conn.server().port(),
            epoch: state.epochs.current(),
            server: server.place,
            seen: 0,
            packets: 0,
            is_closed: false,
        })
    }

    /// The flow of the server's answers, if the program can forward them.
    fn back(&self, state: &mut State, snapshot: &Snapshot, conn: &Connection) -> Option<Flow> {
        let place = state.servers.get(&conn.binding().destination().id())?.place;
        let path = self.way_to(state, snapshot, conn)?;
        Some(Flow {
            rewrite: FlowRewrite::Source { address: conn.key().dst, path },
            port: conn.key().dst_port,
            epoch: state.epochs.current(),
            server: place,
            seen: 0,
            packets: 0,
            is_closed: false,
        })
    }

    /// The place of the way to the connection's client.
    fn way_to(&self, state: &mut State, snapshot: &Snapshot, conn: &Connection) -> Option<u16> {
        let client = conn.key().src;
        let Ok(NextHop::Ready(path)) = snapshot.fib.lookup(client) else { return None };
        let neighbour = snapshot.fib.neighbour(client)?;
        if let Some(&place) = state.ways.get(&(neighbour, path.mtu)) {
            return Some(place);
        }
        let highest = state.ways.values().max().map_or(0, |place| place + 1);
        let place = Some(highest).filter(|&place| place < PATHS)?;
        let way = way_by(state, snapshot, neighbour, path.mtu)?;
        told(self.program.flows().set_path(place, Some(way)))?;
        state.ways.insert((neighbour, path.mtu), place);
        Some(place)
    }
}

/// True for a connection whose packets between its first and its last change nothing but its timer.
pub(super) const fn is_established(conn: &Connection) -> bool {
    matches!(conn.state(), ConnState::Tcp(TcpState::Established) | ConnState::Udp)
}
