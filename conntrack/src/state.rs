//! A connection's state across protocols, and what a change of it means for the server's counts.

use crate::key::Proto;
use crate::sctp::SctpState;
use crate::tcp::TcpState;

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Of a TCP connection.
    Tcp(TcpState),
    /// UDP has one.
    Udp,
    /// Of an SCTP association.
    Sctp(SctpState),
    /// Of a protocol without states.
    Other,
}

impl State {
    /// The state of a connection of `proto` before its first packet.
    pub const fn first(proto: Proto) -> Self {
        match proto {
            Proto::TCP => Self::Tcp(TcpState::None),
            Proto::UDP => Self::Udp,
            Proto::SCTP => Self::Sctp(SctpState::None),
            _ => Self::Other,
        }
    }

    /// The name in a listing of connections.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp(state) => state.name(),
            Self::Udp => "UDP",
            Self::Sctp(state) => state.name(),
            Self::Other => "NONE",
        }
    }

    /// Whether a connection in this state counts as active or inactive.
    #[inline]
    pub const fn activity(self) -> Activity {
        let active = match self {
            Self::Tcp(state) => state.is_active(),
            Self::Sctp(state) => state.is_active(),
            Self::Udp | Self::Other => false,
        };
        if active { Activity::Active } else { Activity::Inactive }
    }

    /// True when both ends have agreed, which assures the connection's template.
    #[inline]
    pub(crate) const fn is_established(self) -> bool {
        matches!(self, Self::Tcp(TcpState::Established) | Self::Sctp(SctpState::Established))
    }
}

/// Which of its server's two counts a connection belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activity {
    /// Counted in `ActiveConn`.
    Active,
    /// Counted in `InActConn`.
    Inactive,
}

/// What a packet did to a connection's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state after; the same one where nothing changed.
    pub to: State,
    /// The count the connection now belongs to, where that changed: the binding's owner must carry it over.
    pub activity: Option<Activity>,
}
