//! What the program counted, added up here before anybody looks.

use std::time::Duration;

use lvs_conntrack::{FlowKey, Tick, Timeouts};

use super::fill::is_established;
use super::{Cache, State, told};
use crate::destination::Counters;
use crate::director::{Connection, Plane};

impl Cache {
    /// Adds what was forwarded since the last time to the servers' and services' counters, as of worker `lane`.
    pub(crate) fn pull_counters(&self, lane: usize) {
        let State { servers, .. } = &mut *self.state.lock();
        for server in servers.values_mut() {
            let Some(tally) = told(self.program.flows().tally(server.place)) else { continue };
            if tally == server.pulled {
                continue;
            }
            let before = std::mem::replace(&mut server.pulled, tally);
            let more = Counters {
                conns: 0,
                in_packets: tally.in_packets.wrapping_sub(before.in_packets),
                in_bytes: tally.in_bytes.wrapping_sub(before.in_bytes),
                out_packets: tally.out_packets.wrapping_sub(before.out_packets),
                out_bytes: tally.out_bytes.wrapping_sub(before.out_bytes),
            };
            if let Some(destination) = server.destination.upgrade() {
                destination.stats().add(lane, &more);
            }
            server.service.add(lane, &more);
        }
    }

    /// Tells every connection when the program saw its last packet. Flows of connections that are gone go, too.
    pub(crate) fn pull_times(&self, plane: &Plane, now: Tick) {
        let clock = self.clock();
        let snapshot = plane.snapshot();
        let mut orphans: Vec<FlowKey> = Vec::new();
        self.program.flows().for_each(|key, flow| {
            let found = plane.table().with(&key, now, |conn, _| {
                if flow.packets > 0 && is_established(conn) {
                    conn.hear(clock.moment(flow.seen, now), &snapshot.timeouts);
                }
                conn.is_held()
            });
            if found != Some(true) {
                orphans.push(key);
            }
        });
        for key in orphans {
            self.forget(&key, None);
        }
    }

    /// Takes the flows out whose connections had no packet for `idle`; they know then how many there were before.
    pub(crate) fn retire(&self, plane: &Plane, now: Tick, idle: Duration) {
        self.pull_times(plane, now);
        let _state = self.state.lock();
        let timeouts = &plane.snapshot().timeouts;
        let mut retired = Vec::new();
        plane.table().for_each(now, |conn| {
            if conn.is_held() && conn.idle(now) >= idle {
                retired.push(*conn.key());
            }
        });
        for key in retired {
            plane.table().with(&key, now, |conn, _| {
                self.withdraw(conn, timeouts, now);
                conn.binding_mut().set_stamp(0);
            });
        }
    }

    /// Asks when packets of a connection that is to expire were seen.
    pub(crate) fn ask(&self, conn: &mut Connection, timeouts: &Timeouts, now: Tick) {
        // Not from what is behind the lock: who has that may wait for the connection.
        let clock = self.clock();
        if !is_established(conn) {
            return;
        }
        for key in [Some(*conn.key()), conn.reply_key()].into_iter().flatten() {
            if let Some(flow) = self.program.flows().get(&key).filter(|flow| flow.packets > 0) {
                conn.hear(clock.moment(flow.seen, now), timeouts);
            }
        }
    }
}
