//! One connection: where it came from, which server it was given, its state and its timer.

mod marks;

use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::key::{Direction, FlowKey};
use crate::sctp::SctpEvent;
use crate::state::{Activity, State, Transition};
use crate::tcp::{Side, TcpFlags, TcpState, TcpTable};
use crate::template::Lease;
use crate::tick::Tick;
use crate::timeouts::{self, Timeouts};
use marks::Marks;

/// What makes a connection.
#[derive(Debug)]
pub struct NewConn<B, T = B> {
    /// The client's packets: from the client to the virtual service.
    pub key: FlowKey,
    /// The real server it is given.
    pub server: SocketAddr,
    /// Whether the server's answers come back through here (NAT) and are to be found under their own key.
    pub reply: bool,
    /// Whether the server's answers are never seen here (direct routing, tunnels): the kernel's `NOOUTPUT`.
    pub no_output: bool,
    /// What the connection is bound to; dropped with the connection.
    pub binding: B,
    /// The template this connection hangs on.
    pub template: Option<Lease<T>>,
}

/// A connection.
#[derive(Debug)]
pub struct Conn<B, T = B> {
    expires: Tick,
    template: Option<Lease<T>>,
    binding: B,
    key: FlowKey,
    server_port: u16,
    server: IpAddr,
    marks: Marks,
    state: State,
    timeout: u32,
    packets: u32,
}

impl<B, T> Conn<B, T> {
    /// A connection that began at `now`: inactive, and gone in 3 s unless a packet gives it a state.
    pub fn new(new: NewConn<B, T>, now: Tick) -> Self {
        Self {
            expires: now + Duration::from_secs(u64::from(timeouts::FIRST)),
            template: new.template,
            binding: new.binding,
            key: new.key,
            server_port: new.server.port(),
            server: new.server.ip(),
            marks: Marks::NONE.with(Marks::REPLY, new.reply).with(Marks::NO_OUTPUT, new.no_output),
            state: State::first(new.key.proto),
            timeout: timeouts::FIRST,
            packets: 0,
        }
    }

    /// The client's packets: from the client to the virtual service.
    #[inline]
    pub const fn key(&self) -> &FlowKey {
        &self.key
    }

    /// The server's packets, where the table is to know them: from the server to the client.
    pub const fn reply_key(&self) -> Option<FlowKey> {
        if !self.marks.has(Marks::REPLY) {
            return None;
        }
        Some(FlowKey {
            proto: self.key.proto,
            src: self.server,
            src_port: self.server_port,
            dst: self.key.src,
            dst_port: self.key.src_port,
        })
    }

    /// The real server.
    #[inline]
    pub const fn server(&self) -> SocketAddr {
        SocketAddr::new(self.server, self.server_port)
    }

    /// What the connection is bound to.
    #[inline]
    pub const fn binding(&self) -> &B {
        &self.binding
    }

    /// What the connection is bound to, to be changed.
    #[inline]
    pub const fn binding_mut(&mut self) -> &mut B {
        &mut self.binding
    }

    /// Ends the connection and gives the binding back.
    pub fn into_binding(self) -> B {
        self.binding
    }

    /// The template the connection hangs on.
    pub const fn template(&self) -> Option<&Lease<T>> {
        self.template.as_ref()
    }

    /// The state.
    #[inline]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Which count the connection belongs to now; inactive until a packet changes it.
    pub const fn activity(&self) -> Activity {
        if self.marks.has(Marks::ACTIVE) { Activity::Active } else { Activity::Inactive }
    }

    /// True while no answer of the server's was ever seen and none is expected (the kernel's `NOOUTPUT`).
    #[inline]
    pub const fn is_no_output(&self) -> bool {
        self.marks.has(Marks::NO_OUTPUT)
    }

    /// Packets of the client's counted with [`count_packet`](Self::count_packet).
    #[inline]
    pub const fn packets(&self) -> u32 {
        self.packets
    }

    /// Counts a packet of the client's.
    #[inline]
    pub const fn count_packet(&mut self) {
        self.packets = self.packets.saturating_add(1);
    }

    /// How long the connection may be silent.
    #[inline]
    pub const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout as u64)
    }

    /// When the connection is forgotten unless a packet comes before.
    #[inline]
    pub const fn expires(&self) -> Tick {
        self.expires
    }

    /// The time left at `now`.
    pub const fn remaining(&self, now: Tick) -> Duration {
        self.expires.saturating_since(now)
    }

    /// The time since the last packet.
    pub fn idle(&self, now: Tick) -> Duration {
        now.saturating_since(self.expires - self.timeout())
    }

    /// True when the connection's time is over at `now`. A held one's never is: see [`hold`](Self::hold).
    #[inline]
    pub fn is_expired(&self, now: Tick) -> bool {
        !self.is_held() && self.is_due(now)
    }

    /// True when no packet came here in time, whoever else may have seen one.
    pub(crate) fn is_due(&self, now: Tick) -> bool {
        self.expires <= now
    }

    /// Packets of the connection go by elsewhere as well: time alone does not end it, but a sweep that asks there
    /// ([`Table::sweep_asking`](crate::Table::sweep_asking)).
    pub const fn hold(&mut self, held: bool) {
        self.marks.set(Marks::HELD, held);
    }

    /// True while packets of the connection go by elsewhere as well.
    pub const fn is_held(&self) -> bool {
        self.marks.has(Marks::HELD)
    }

    /// Takes note of a packet that went by elsewhere at `at` and changed nothing but the timer. One from before
    /// the last packet here changes nothing.
    pub fn hear(&mut self, at: Tick, timeouts: &Timeouts) {
        if at > self.expires - self.timeout() {
            self.timeout = timeouts.of(self.state);
            self.touch(at);
        }
    }

    /// Counts packets of the client's that went by elsewhere.
    pub const fn count_packets(&mut self, packets: u32) {
        self.packets = self.packets.saturating_add(packets);
    }

    /// Arms the timer anew with the state's timeout: once for each packet, after the state was brought up to
    /// date (the kernel's `ip_vs_conn_put`).
    #[inline]
    pub fn touch(&mut self, now: Tick) {
        self.expires = now.after_seconds(self.timeout);
    }

    /// Ends the connection's time: no lookup finds it from `now` on, and the next sweep hands it out
    /// (the kernel's `ip_vs_conn_expire_now`).
    pub fn expire(&mut self, now: Tick) {
        self.expires = self.expires.min(now);
    }

    /// Gives the connection another `seconds` of silence, counted from the end of those it had.
    pub(crate) fn extend(&mut self, seconds: u32, now: Tick) {
        self.timeout = seconds;
        self.expires = self.expires + self.timeout();
        if self.expires <= now {
            self.touch(now);
        }
    }

    /// Waits for one of the two ends to open it (the kernel's `ip_vs_tcp_conn_listen`). The count it belongs to
    /// stays. Call [`touch`](Self::touch) afterwards.
    pub const fn listen(&mut self, timeouts: &Timeouts) {
        self.state = State::Tcp(TcpState::Listen);
        self.timeout = timeouts.of(self.state);
    }

    /// The connection as it is once its client's port is known (the kernel's `ip_vs_conn_fill_cport`). To be taken
    /// out of the table before, and put in again.
    #[must_use]
    pub const fn with_client_port(mut self, port: u16) -> Self {
        self.key.src_port = port;
        self
    }

    /// Follows a TCP packet (the kernel's `set_tcp_state`).
    ///
    /// Call [`touch`](Self::touch) afterwards. A connection of another protocol stays as it is.
    #[inline]
    pub fn on_tcp(
        &mut self,
        flags: TcpFlags,
        direction: Direction,
        timeouts: &Timeouts,
        table: TcpTable,
    ) -> Transition {
        let side = self.side(direction);
        match self.state {
            State::Tcp(state) => self.enter(State::Tcp(state.after(side, flags, table)), timeouts),
            State::Udp | State::Sctp(_) | State::Other => self.enter(self.state, timeouts),
        }
    }

    /// Follows an SCTP packet (the kernel's `set_sctp_state`).
    ///
    /// Call [`touch`](Self::touch) afterwards. A connection of another protocol stays as it is.
    pub fn on_sctp(&mut self, event: SctpEvent, direction: Direction, timeouts: &Timeouts) -> Transition {
        let side = self.side(direction);
        match self.state {
            State::Sctp(state) => self.enter(State::Sctp(state.after(side, event)), timeouts),
            State::Tcp(_) | State::Udp | State::Other => self.enter(self.state, timeouts),
        }
    }

    /// Follows a UDP packet (the kernel's `udp_state_transition`): an answer assures the template.
    ///
    /// Call [`touch`](Self::touch) afterwards.
    #[inline]
    pub fn on_udp(&mut self, direction: Direction, timeouts: &Timeouts) -> Transition {
        if direction == Direction::ToClient {
            self.assure();
        }
        self.enter(self.state, timeouts)
    }

    /// Which table a packet belongs to. An answer shows that the server's direction is seen after all.
    #[inline]
    fn side(&mut self, direction: Direction) -> Side {
        match direction {
            Direction::ToClient => {
                self.marks.set(Marks::NO_OUTPUT, false);
                Side::Output
            }
            Direction::ToServer if self.is_no_output() => Side::InputOnly,
            Direction::ToServer => Side::Input,
        }
    }

    #[inline]
    fn enter(&mut self, to: State, timeouts: &Timeouts) -> Transition {
        let from = self.state;
        let activity = to.activity();
        let changed = from != to && activity != self.activity();
        if from != to && to.is_established() {
            self.assure();
        }
        self.state = to;
        self.timeout = timeouts.of(to);
        if changed {
            self.marks.set(Marks::ACTIVE, activity == Activity::Active);
        }
        Transition { from, to, activity: changed.then_some(activity) }
    }

    fn assure(&self) {
        if let Some(template) = &self.template {
            template.assure();
        }
    }

    /// True when `key` names this connection in that direction.
    #[inline]
    pub(crate) fn has(&self, key: &FlowKey, direction: Direction) -> bool {
        match direction {
            Direction::ToServer => self.key == *key,
            Direction::ToClient => {
                self.marks.has(Marks::REPLY)
                    && key.dst_port == self.key.src_port
                    && key.src_port == self.server_port
                    && key.dst == self.key.src
                    && key.src == self.server
                    && key.proto == self.key.proto
            }
        }
    }

    /// Reads what lies at both ends of a connection and in its middle, whichever way the compiler laid it out.
    #[inline]
    pub(crate) fn fetch(&self) {
        black_box((self.expires, self.packets, self.key.src_port, self.server_port, self.state));
    }

    /// Lets go of the template.
    pub(crate) const fn take_template(&mut self) -> Option<Lease<T>> {
        self.template.take()
    }
}

#[cfg(test)]
mod tests;
