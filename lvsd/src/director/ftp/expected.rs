//! Data connections before their first packet.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use lvs_conntrack::{Conn, Direction, FlowKey, InsertError, NewConn, Proto, Tick};
use lvs_forward::DropReason;

use super::super::binding::{Binding, Method, Role};
use super::super::plane::Plane;
use super::Session;
use crate::destination::Destination;
use crate::snapshot::Snapshot;

/// A connection that was spoken of.
#[derive(Debug)]
pub(super) struct Expected {
    /// The client's packets; port 0 where the client has not chosen yet.
    pub(super) key: FlowKey,
    pub(super) server: SocketAddr,
    pub(super) role: Role,
    pub(super) destination: Arc<Destination>,
    pub(super) session: Arc<Session>,
}

impl Plane {
    /// Takes a connection in that will come; one that is there already waits again (`ip_vs_tcp_conn_listen`).
    pub(super) fn expect(
        &self,
        expected: Expected,
        snapshot: &Snapshot,
        now: Tick,
    ) -> Result<(), DropReason> {
        let Expected { key, server, role, destination, session } = expected;
        let listens = self.table().with(&key, now, |conn, direction| {
            let is_it = direction == Direction::ToServer;
            if is_it {
                conn.listen(&snapshot.timeouts);
                conn.touch(now);
            }
            is_it
        });
        if listens == Some(true) {
            return Ok(());
        }
        let binding = Binding::of_data(destination, role, session);
        let new = NewConn { key, server, reply: true, no_output: false, binding, template: None };
        let mut conn = Conn::new(new, now);
        conn.listen(&snapshot.timeouts);
        conn.touch(now);
        match self.table().insert(conn, now) {
            // Another worker had the same segment at this moment.
            Ok(()) | Err(InsertError::Exists(_)) => Ok(()),
            Err(InsertError::Full(_)) => Err(DropReason::TableFull),
        }
    }

    /// Gives a connection that waits for a client's port the one of `key`, whose first packet came
    /// (`ip_vs_conn_fill_cport`); false where none waits.
    pub(in crate::director) fn claim(&self, key: &FlowKey, now: Tick) -> bool {
        if key.proto != Proto::TCP || self.unclaimed().load(Relaxed) == 0 {
            return false;
        }
        let waiting = FlowKey { src_port: 0, ..*key };
        let is_waiting = |conn: &mut Conn<Binding, _>, _| conn.binding().role() == Role::Unclaimed;
        if self.table().with(&waiting, now, is_waiting) != Some(true) {
            return false;
        }
        let Some(conn) = self.table().remove(&waiting) else { return false };
        let mut conn = conn.with_client_port(key.src_port);
        conn.binding_mut().claim();
        self.table().insert(conn, now).is_ok()
    }
}

impl Binding {
    /// Binds a data connection; only NAT has any.
    fn of_data(destination: Arc<Destination>, role: Role, session: Arc<Session>) -> Self {
        Self::new(destination, Method::Masquerade).with_session(role, session)
    }
}
