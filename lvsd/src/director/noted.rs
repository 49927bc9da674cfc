//! What a worker notes for the flow cache: connections that are established, and those that are so no more.

use lvs_conntrack::{Direction, FlowKey, State, TcpState, Tick};
use lvs_forward::Transport;

use super::plane::Plane;
use super::state::Connection;
use crate::cache::{Cache, NOTES, Note};

/// TCP's flags that begin, end or break a connection, and the one that all between have.
const FIN_SYN_RST_ACK: u8 = 0x17;
const ACK: u8 = 0x10;
/// Packets of a client's after which a UDP connection counts as established, answer or not.
const ENOUGH: u32 = 2;

/// One worker's notes.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Connections stamped with it are noted already; 0 while none is to be.
    round: u8,
    notes: Vec<Note>,
}

impl Noted {
    pub(super) fn begin(&mut self, cache: Option<&Cache>) {
        self.round = cache.map_or(0, Cache::round);
    }

    pub(super) fn hand_in(&mut self, plane: &Plane, lane: usize, now: Tick) {
        if self.notes.is_empty() {
            return;
        }
        match plane.cache() {
            Some(cache) => cache.hand_in(plane, lane, &mut self.notes, now),
            None => self.notes.clear(),
        }
    }

    /// Whether the cache is to look at the connection after this packet; it is stamped then, or its stamp is gone.
    #[inline]
    pub(super) fn concerns(&self, conn: &mut Connection, direction: Direction, transport: Transport) -> bool {
        if self.round == 0 {
            return false;
        }
        let is_plain = match transport {
            Transport::Tcp { flags, .. } => flags & FIN_SYN_RST_ACK == ACK,
            Transport::Udp { .. } => true,
            Transport::Sctp { .. } | Transport::Icmp { .. } | Transport::Other | Transport::Later => {
                return false;
            }
        };
        let stamp = conn.binding().stamp();
        let is_wanted =
            if is_plain { stamp != self.round && is_established(conn, direction) } else { stamp != 0 };
        if !is_wanted || self.notes.len() >= NOTES {
            return false;
        }
        conn.binding_mut().set_stamp(if is_plain { self.round } else { 0 });
        true
    }

    pub(super) fn look(&mut self, key: FlowKey) {
        self.notes.push(Note::Look(key));
    }

    /// A connection was taken out of the table.
    pub(super) fn gone(&mut self, conn: &Connection) {
        if conn.is_held() {
            self.notes.push(Note::Gone(*conn.key(), conn.reply_key()));
        }
    }
}

/// True once both ends have spoken, as far as they are to be heard here.
fn is_established(conn: &Connection, direction: Direction) -> bool {
    match conn.state() {
        State::Tcp(state) => state == TcpState::Established,
        State::Udp => direction == Direction::ToClient || conn.packets() >= ENOUGH,
        State::Sctp(_) | State::Other => false,
    }
}
