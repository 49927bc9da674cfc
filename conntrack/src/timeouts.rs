//! How long a connection may be silent in each state before it is forgotten.

use crate::sctp::SctpState;
use crate::state::State;
use crate::tcp::TcpState;

/// A new connection's time until its first state, in seconds (the kernel's `ip_vs_conn_new`).
pub(crate) const FIRST: u32 = 3;

/// The timeouts in force, in seconds; the default is the kernel's.
///
/// A change reaches a connection with its next packet, as in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    tcp: [u32; TcpState::ALL.len()],
    sctp: [u32; SctpState::ALL.len()],
    udp: u32,
}

impl Timeouts {
    /// `--set tcp tcpfin udp`, in seconds: for ESTABLISHED, `FIN_WAIT` and UDP. A 0 keeps what was.
    pub fn set(&mut self, tcp: u32, tcp_fin: u32, udp: u32) {
        replace(&mut self.tcp[TcpState::Established.index()], tcp);
        replace(&mut self.tcp[TcpState::FinWait.index()], tcp_fin);
        replace(&mut self.udp, udp);
    }

    /// The seconds of `--set`'s first number.
    pub const fn tcp(&self) -> u32 {
        self.tcp[TcpState::Established.index()]
    }

    /// The seconds of `--set`'s second number.
    pub const fn tcp_fin(&self) -> u32 {
        self.tcp[TcpState::FinWait.index()]
    }

    /// The seconds of `--set`'s third number.
    pub const fn udp(&self) -> u32 {
        self.udp
    }

    /// How long a connection in `state` may be silent, in seconds.
    #[inline]
    pub const fn of(&self, state: State) -> u32 {
        match state {
            State::Tcp(state) => self.tcp[state.index()],
            State::Sctp(state) => self.sctp[state.index()],
            State::Udp | State::Other => self.udp,
        }
    }
}

const fn replace(timeout: &mut u32, new: u32) {
    if new != 0 {
        *timeout = new;
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { tcp: TcpState::ALL.map(tcp_default), sctp: SctpState::ALL.map(sctp_default), udp: 300 }
    }
}

const fn tcp_default(state: TcpState) -> u32 {
    match state {
        TcpState::None => 2,
        TcpState::Established => 15 * 60,
        TcpState::SynSent | TcpState::FinWait | TcpState::TimeWait | TcpState::Listen | TcpState::SynAck => {
            2 * 60
        }
        TcpState::SynRecv | TcpState::CloseWait => 60,
        TcpState::Close => 10,
        TcpState::LastAck => 30,
    }
}

const fn sctp_default(state: SctpState) -> u32 {
    match state {
        SctpState::None => 2,
        SctpState::Init1 | SctpState::Rejected => 4,
        SctpState::Established => 15 * 60,
        SctpState::Init
        | SctpState::CookieSent
        | SctpState::CookieReplied
        | SctpState::CookieWait
        | SctpState::Cookie
        | SctpState::CookieEchoed
        | SctpState::ShutdownSent
        | SctpState::ShutdownReceived
        | SctpState::ShutdownAckSent
        | SctpState::Closed => 61,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_kernels() {
        let timeouts = Timeouts::default();
        let tcp = TcpState::ALL.map(|state| timeouts.of(State::Tcp(state)));
        assert_eq!(tcp, [2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120]);
        let sctp = SctpState::ALL.map(|state| timeouts.of(State::Sctp(state)));
        assert_eq!(sctp, [2, 4, 61, 61, 61, 61, 61, 61, 900, 61, 61, 61, 4, 61]);
        assert_eq!((timeouts.tcp(), timeouts.tcp_fin(), timeouts.udp()), (900, 120, 300));
    }

    #[test]
    fn setting_zero_keeps_what_was() {
        let mut timeouts = Timeouts::default();
        timeouts.set(0, 7, 0);
        assert_eq!((timeouts.tcp(), timeouts.tcp_fin(), timeouts.udp()), (900, 7, 300));
        timeouts.set(3, 0, 9);
        assert_eq!((timeouts.tcp(), timeouts.tcp_fin(), timeouts.udp()), (3, 7, 9));
        assert_eq!(timeouts.of(State::Tcp(TcpState::TimeWait)), 120);
    }
}
