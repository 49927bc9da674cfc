//! Flows go in when their connection is established, and out when it is so no more.

use lvs_conntrack::{Direction, FlowKey, State as ConnState, TcpState, Tick, Timeouts};
use lvs_forward::io::xdp::{Flow, FlowRewrite, Inserted, PATHS};
use lvs_forward::rewrite::gue_source_port;

use super::follow::way_by;
use super::{Cache, Note, State, told};
use crate::director::{Connection, Method, Plane, Role};
use crate::resolve::NextHop;
use crate::snapshot::Snapshot;

/// Whether a few milliseconds may be waited for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// They may.
    Some,
    /// Packets wait meanwhile.
    None,
}

impl Cache {
    /// Does what a worker's notes ask for, on its own thread: an established connection is in the cache before its next
    /// packets come, and none of them overtakes another that still goes the workers' way. What it would have to wait
    /// for, another thread or a place, stays in `notes`.
    pub(super) fn settle_at_once(&self, plane: &Plane, notes: &mut Vec<Note>, now: Tick) {
        let Some(mut state) = self.state.try_lock() else { return };
        let snapshot = plane.current().load();
        notes.retain(|note| !self.carry_out(&mut state, plane, &snapshot, (note, now), Patience::None));
    }

    /// Does what the workers' notes ask for that they left, and makes room where flows went out.
    pub(crate) fn settle(&self, plane: &Plane, now: Tick) {
        self.program.flows().tidy();
        let mut taken = Vec::new();
        for notes in &self.notes {
            taken.append(&mut notes.lock());
        }
        let mut state = self.state.lock();
        let snapshot = plane.snapshot();
        for note in &taken {
            self.carry_out(&mut state, plane, &snapshot, (note, now), Patience::Some);
        }
        if state.was_full && self.program.flows().has_room() {
            // There is room again for those that were turned away.
            state.was_full = false;
            self.next_round();
        }
    }

    /// Does what a note asks for; false where that would have to wait, and there is no patience.
    fn carry_out(
        &self,
        state: &mut State,
        plane: &Plane,
        snapshot: &Snapshot,
        (note, now): (&Note, Tick),
        patience: Patience,
    ) -> bool {
        match note {
            Note::Look(key) => self.look(state, plane, snapshot, (key, now), patience),
            Note::Gone(there, back) => {
                self.forget(there, back.as_ref());
                true
            }
        }
    }

    /// Decides about the connection that `key` belongs to; false where that would have to wait.
    fn look(
        &self,
        state: &mut State,
        plane: &Plane,
        snapshot: &Snapshot,
        (key, now): (&FlowKey, Tick),
        patience: Patience,
    ) -> bool {
        let mut is_later = false;
        let mut insert = |state: &mut State, key: &FlowKey, flow: &Flow| {
            let inserted = self.insert(state, key, flow, patience);
            is_later |= inserted == Inserted::Later;
            matches!(inserted, Inserted::New | Inserted::Replaced)
        };
        let back = plane.table().with(key, now, |conn, _| {
            self.withdraw(conn, &snapshot.timeouts, now);
            let there = Self::there(state, snapshot, conn)?;
            if !insert(state, conn.key(), &there) {
                return None;
            }
            conn.hold(true);
            conn.reply_key().map(|back| (*conn.key(), back))
        });
        if let Some((there, back)) = back.flatten() {
            // Answers go to the newest of the connections they may belong to.
            plane.table().with(&back, now, |conn, direction| {
                if direction == Direction::ToClient
                    && *conn.key() == there
                    && let Some(flow) = self.back(state, snapshot, conn)
                {
                    insert(state, &back, &flow);
                }
            });
        }
        !is_later
    }

    fn insert(&self, state: &mut State, key: &FlowKey, flow: &Flow, patience: Patience) -> Inserted {
        let flows = self.program.flows();
        let inserted = match patience {
            Patience::Some => flows.insert(key, flow),
            Patience::None => flows.insert_at_once(key, flow),
        };
        state.was_full |= inserted == Inserted::NoRoom;
        inserted
    }

    /// Takes a connection's flows out, with what was counted of them.
    pub(super) fn withdraw(&self, conn: &mut Connection, timeouts: &Timeouts, now: Tick) {
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
                conn.hear(self.clock().moment(flow.seen, now), timeouts);
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
