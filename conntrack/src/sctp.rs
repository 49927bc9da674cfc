//! SCTP as a director sees it: events, states and the transition tables of the three ways of watching.
//!
//! The tables are the kernel's (`sctp_states` of its IPVS). A packet's first chunk decides, except that an ABORT
//! behind a COOKIE ECHO or COOKIE ACK wins (RFC 9260, section 3.3.7 allows the bundle).

use crate::tcp::Side;

/// The row of a state table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SctpEvent {
    /// DATA, SACK, HEARTBEAT and whatever has no row of its own.
    Data = 0,
    /// INIT.
    Init = 1,
    /// INIT ACK.
    InitAck = 2,
    /// COOKIE ECHO.
    CookieEcho = 3,
    /// COOKIE ACK.
    CookieAck = 4,
    /// SHUTDOWN.
    Shutdown = 5,
    /// SHUTDOWN ACK.
    ShutdownAck = 6,
    /// SHUTDOWN COMPLETE.
    ShutdownComplete = 7,
    /// ERROR.
    Error = 8,
    /// ABORT.
    Abort = 9,
}

impl SctpEvent {
    /// Every event, in the order of the tables' rows.
    pub const ALL: [Self; 10] = [
        Self::Data,
        Self::Init,
        Self::InitAck,
        Self::CookieEcho,
        Self::CookieAck,
        Self::Shutdown,
        Self::ShutdownAck,
        Self::ShutdownComplete,
        Self::Error,
        Self::Abort,
    ];

    /// The event of a packet by the type of its first chunk, and that of its second where it has one
    /// (the kernel's `set_sctp_state`). Chunk types are those of RFC 9260, section 3.2.
    pub const fn of_chunks(first: u8, second: Option<u8>) -> Self {
        let event = Self::of_chunk(first);
        let bundles = matches!(event, Self::CookieEcho | Self::CookieAck);
        match second {
            Some(second) if bundles && matches!(Self::of_chunk(second), Self::Abort) => Self::Abort,
            Some(_) | None => event,
        }
    }

    const fn of_chunk(chunk: u8) -> Self {
        match chunk {
            1 => Self::Init,
            2 => Self::InitAck,
            6 => Self::Abort,
            7 => Self::Shutdown,
            8 => Self::ShutdownAck,
            9 => Self::Error,
            10 => Self::CookieEcho,
            11 => Self::CookieAck,
            14 => Self::ShutdownComplete,
            _ => Self::Data,
        }
    }
}

/// An association's state as the director guesses it. The numbers are those of the synchronisation protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum SctpState {
    /// Nothing seen yet.
    #[default]
    None = 0,
    /// The client's first INIT.
    Init1 = 1,
    /// A further INIT of the client's.
    Init = 2,
    /// The server answered with INIT ACK.
    CookieSent = 3,
    /// The client echoed the cookie.
    CookieReplied = 4,
    /// The server sent INIT.
    CookieWait = 5,
    /// The client answered the server with INIT ACK.
    Cookie = 6,
    /// The server echoed the cookie.
    CookieEchoed = 7,
    /// Both ends have agreed.
    Established = 8,
    /// The server is shutting down.
    ShutdownSent = 9,
    /// The client is shutting down.
    ShutdownReceived = 10,
    /// The server acknowledged the shutdown.
    ShutdownAckSent = 11,
    /// The server refused the association.
    Rejected = 12,
    /// Over.
    Closed = 13,
}

impl SctpState {
    /// Every state, in the order of the tables' columns.
    pub const ALL: [Self; 14] = [
        Self::None,
        Self::Init1,
        Self::Init,
        Self::CookieSent,
        Self::CookieReplied,
        Self::CookieWait,
        Self::Cookie,
        Self::CookieEchoed,
        Self::Established,
        Self::ShutdownSent,
        Self::ShutdownReceived,
        Self::ShutdownAckSent,
        Self::Rejected,
        Self::Closed,
    ];

    /// The state's column in the tables and its number in the synchronisation protocol.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in a listing of connections.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Init1 => "INIT1",
            Self::Init => "INIT",
            Self::CookieSent => "C-SENT",
            Self::CookieReplied => "C-REPLIED",
            Self::CookieWait => "C-WAIT",
            Self::Cookie => "COOKIE",
            Self::CookieEchoed => "C-ECHOED",
            Self::Established => "ESTABLISHED",
            Self::ShutdownSent => "S-SENT",
            Self::ShutdownReceived => "S-RECEIVED",
            Self::ShutdownAckSent => "S-ACK-SENT",
            Self::Rejected => "REJECTED",
            Self::Closed => "CLOSED",
        }
    }

    /// True when an association in this state counts as active: ESTABLISHED alone.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Established)
    }

    /// The state after a packet with `event` was seen on `side`.
    #[must_use]
    pub const fn after(self, side: Side, event: SctpEvent) -> Self {
        let rows = match side {
            Side::Input => &INPUT,
            Side::Output => &OUTPUT,
            Side::InputOnly => &INPUT_ONLY,
        };
        rows[event as usize][self.index()]
    }
}

type Rows = [[SctpState; SctpState::ALL.len()]; SctpEvent::ALL.len()];

const I1: SctpState = SctpState::Init1;
const IN: SctpState = SctpState::Init;
const CS: SctpState = SctpState::CookieSent;
const CR: SctpState = SctpState::CookieReplied;
const CW: SctpState = SctpState::CookieWait;
const CO: SctpState = SctpState::Cookie;
const CE: SctpState = SctpState::CookieEchoed;
const ES: SctpState = SctpState::Established;
const SS: SctpState = SctpState::ShutdownSent;
const SR: SctpState = SctpState::ShutdownReceived;
const SA: SctpState = SctpState::ShutdownAckSent;
const RJ: SctpState = SctpState::Rejected;
const CL: SctpState = SctpState::Closed;

//  from:   NO  I1  IN  CS  CR  CW  CO  CE  ES  SS  SR  SA  RJ  CL
static INPUT: Rows = [
    [ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [I1, IN, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, IN, IN],
    [CW, CW, CW, CS, CR, CO, CO, CE, ES, SS, SR, SA, RJ, CL],
    [CR, IN, IN, CR, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [ES, I1, IN, CS, CR, CW, CO, ES, ES, SS, SR, SA, RJ, CL],
    [SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL],
    [CL, IN, IN, CS, CR, CW, CO, CE, ES, CL, SR, CL, RJ, CL],
    [CL, CL, CL, CS, CR, CW, CO, CE, ES, SS, SR, CL, RJ, CL],
    [CL, I1, IN, CS, CR, CW, CO, CL, ES, SS, SR, SA, RJ, CL],
    [CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL],
];

static OUTPUT: Rows = [
    [ES, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [CW, CW, CW, CW, CW, CW, CW, CW, ES, CW, CW, CW, CW, CW],
    [CS, CS, CS, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [CE, CE, CE, CE, CE, CE, CE, CE, ES, SS, SR, SA, RJ, CL],
    [ES, ES, ES, ES, ES, ES, ES, ES, ES, SS, SR, SA, RJ, CL],
    [SS, SS, SS, SS, SS, SS, SS, SS, SS, SS, SR, SA, RJ, CL],
    [SA, SA, SA, SA, SA, CW, CO, CE, ES, SA, SA, SA, RJ, CL],
    [CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [CL, CL, CL, CL, CL, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL],
];

static INPUT_ONLY: Rows = [
    [ES, I1, IN, CS, CR, ES, CO, CE, ES, SS, SR, SA, RJ, CL],
    [I1, IN, IN, IN, IN, IN, CO, CE, ES, SS, SR, SA, IN, IN],
    [CE, CE, CE, CE, CE, CE, CO, CE, ES, SS, SR, SA, RJ, CL],
    [ES, ES, ES, ES, ES, ES, CO, CE, ES, SS, SR, SA, RJ, CL],
    [ES, I1, IN, ES, ES, CW, ES, ES, ES, SS, SR, SA, RJ, CL],
    [SR, I1, IN, CS, CR, CW, CO, CE, SR, SS, SR, SA, RJ, CL],
    [CL, IN, IN, CS, CR, CW, CO, CE, CL, CL, SR, CL, RJ, CL],
    [CL, CL, CL, CL, CL, CW, CO, CE, ES, SS, CL, CL, RJ, CL],
    [CL, I1, IN, CS, CR, CW, CO, CE, ES, SS, SR, SA, RJ, CL],
    [CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL],
];

#[cfg(test)]
mod tests;
