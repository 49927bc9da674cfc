//! FTP through NAT: what client and server tell each other about data connections is read, those connections are
//! expected, and where the server names itself it is made to name the service (the kernel's `ip_vs_ftp`).
//!
//! ```text
//! client -> server   PASV, EPSV         the server's next 227 or 229 is looked for
//!                    PORT, EPRT         expected: server:20 -> client's port
//! server -> client   227, 229           expected: client:? -> service's port; the service's address is put in
//! ```
//!
//! A changed answer has another length, so all that the server sends afterwards is moved.

mod expected;
mod session;
mod shift;
mod text;

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use lvs_conntrack::{Direction, FlowKey, Proto, State, TcpState};
use lvs_forward::rewrite::segment;
use lvs_forward::{Checksums, DropReason, Headers, Verdict};

pub(in crate::director) use session::Session;

use super::binding::Role;
use super::lane::{Arrival, Lane};
use super::passage::Passage;
use super::plane::Plane;
use super::state::Connection;
use crate::snapshot::Snapshot;
use expected::Expected;
use session::Mode;
use shift::Shift;
use text::{Command, Text};

/// The service's port that makes a connection one of FTP's (the kernel's parameter `ports`).
pub(super) const PORT: u16 = 21;

/// What FTP makes of a packet of a control connection.
#[derive(Debug)]
pub(super) struct Turn {
    direction: Direction,
    shift: Shift,
    /// The octets of the payload that are replaced, and by what.
    edit: Option<(Range<usize>, Text)>,
    expected: Option<Expected>,
}

impl Turn {
    /// How many octets longer the packet will be.
    pub(super) fn growth(&self) -> isize {
        self.edit.as_ref().map_or(0, |(range, text)| {
            text.as_bytes().len().cast_signed().wrapping_sub(range.len().cast_signed())
        })
    }
}

/// Hears what a client says (`ip_vs_ftp_in`); to be asked once the packet has been counted and the connection is up to
/// date. `None` where nothing follows.
pub(super) fn hear_client(
    conn: &mut Connection,
    arrival: &Arrival<'_, '_>,
    unclaimed: &Arc<AtomicU32>,
) -> Option<Box<Turn>> {
    let mut turn =
        Turn { direction: Direction::ToServer, shift: Shift::default(), edit: None, expected: None };
    if let Some(session) = conn.binding().session() {
        turn.shift = session.talk().shift;
    }
    if conn.state() == State::Tcp(TcpState::Established)
        && let Some(payload) = segment::payload(arrival.packet.bytes(), &arrival.headers)
        && let Some(command) = text::command(payload, arrival.headers.is_ipv6())
    {
        let session = Arc::clone(conn.binding_mut().session_or(|| Session::new(Arc::clone(unclaimed))));
        let mut talk = session.talk();
        match command {
            Command::Passive => talk.mode = Mode::Passive,
            Command::Extended => talk.mode = Mode::Extended,
            Command::Active(client) => {
                talk.mode = Mode::Active;
                turn.expected = Some(active(conn, client, &session));
            }
        }
    }
    turn.into_something()
}

/// Hears what a server says (`ip_vs_ftp_out`); to be asked before the packet is counted and moves the connection's
/// state. `None` where nothing follows.
pub(super) fn hear_server(conn: &Connection, arrival: &Arrival<'_, '_>) -> Option<Box<Turn>> {
    let session = conn.binding().session()?;
    let mut talk = session.talk();
    let mut turn = Turn { direction: Direction::ToClient, shift: talk.shift, edit: None, expected: None };
    let frame = arrival.packet.bytes();
    if conn.state() == State::Tcp(TcpState::Established)
        && let Some(payload) = segment::payload(frame, &arrival.headers)
        && let Some(sequence) = arrival.headers.tcp_sequence(frame)
        && let Some(mode) = talk.awaited(sequence)
        && let Some(named) = text::answer(payload, mode, conn.server().ip())
    {
        let service = SocketAddr::new(conn.key().dst, named.at.port());
        let text = match mode {
            Mode::Extended => Text::extended(service.port()),
            Mode::Active | Mode::Passive => Text::passive(service),
        };
        turn.edit = Some((named.range, text));
        talk.answered(sequence, mode, i32::try_from(turn.growth()).unwrap_or(0));
        turn.shift = talk.shift;
        turn.expected = Some(passive(conn, named.at, session));
    }
    turn.into_something()
}

impl Turn {
    fn into_something(self) -> Option<Box<Self>> {
        let is_nothing = self.expected.is_none() && self.edit.is_none() && self.shift == Shift::default();
        (!is_nothing).then(|| Box::new(self))
    }

    /// Changes the segment as FTP has it.
    fn apply(&self, arrival: &mut Arrival<'_, '_>) -> Result<(), DropReason> {
        if let Some((range, text)) = &self.edit {
            segment::replace(arrival.packet, &mut arrival.headers, range.clone(), text.as_bytes())?;
        }
        let shift = self.shift;
        let frame = arrival.packet.bytes_mut();
        match self.direction {
            Direction::ToClient => {
                segment::renumber(frame, &arrival.headers, |sequence| shift.forth(sequence), |seen| seen);
            }
            Direction::ToServer => {
                segment::renumber(frame, &arrival.headers, |sequence| sequence, |seen| shift.back(seen));
            }
        }
        Ok(())
    }
}

impl Lane {
    /// Carries a packet of a control connection, changed as FTP has it.
    pub(super) fn carry_talk(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        passage: &Passage,
        turn: Turn,
    ) -> Verdict {
        // A server on this host has no path to it.
        let checksums = passage.next.path().map(|path| path.checksums);
        if let Err(reason) = turn.apply(arrival) {
            return Verdict::Drop(reason);
        }
        let is_changed = turn.edit.is_some();
        if let Some(expected) = turn.expected
            && let Err(reason) = plane.expect(expected, snapshot, arrival.now)
        {
            return Verdict::Drop(reason);
        }
        let verdict = self.carry(plane, snapshot, arrival, passage);
        if is_changed && checksums == Some(Checksums::Offloaded) {
            leave_checksum(arrival);
        }
        verdict
    }
}

/// Leaves the checksum of what was changed to the device, as the kernel does (`nf_nat_mangle_tcp_packet`).
fn leave_checksum(arrival: &mut Arrival<'_, '_>) {
    if let Ok(headers) = Headers::parse(arrival.packet.bytes()) {
        segment::leave_checksum(arrival.packet.bytes_mut(), &headers);
    }
}

/// The connection that a client asked the server to begin: from the port before the control connection's.
fn active(conn: &Connection, client: SocketAddr, session: &Arc<Session>) -> Expected {
    let (key, server) = (conn.key(), conn.server());
    Expected {
        key: FlowKey {
            proto: Proto::TCP,
            src: client.ip(),
            src_port: client.port(),
            dst: key.dst,
            dst_port: key.dst_port.wrapping_sub(1),
        },
        server: SocketAddr::new(server.ip(), server.port().wrapping_sub(1)),
        role: Role::Data,
        destination: Arc::clone(conn.binding().destination()),
        session: Arc::clone(session),
    }
}

/// The connection that a server waits for, from a port of the client's that is not known yet.
fn passive(conn: &Connection, server: SocketAddr, session: &Arc<Session>) -> Expected {
    let key = conn.key();
    Expected {
        key: FlowKey { proto: Proto::TCP, src: key.src, src_port: 0, dst: key.dst, dst_port: server.port() },
        server,
        role: Role::Unclaimed,
        destination: Arc::clone(conn.binding().destination()),
        session: Arc::clone(session),
    }
}
