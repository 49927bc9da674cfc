//! TCP as a director sees it: flags, states and the transition tables of the three ways of watching.
//!
//! The director sees either both directions (NAT: [`Side::Input`] and [`Side::Output`]) or only the client's
//! (direct routing and tunnels: [`Side::InputOnly`]), and guesses the real server's state from that. The tables
//! are the kernel's (`tcp_states` and `tcp_states_dos` of its IPVS).

use std::ops::BitOr;

/// The flag bits of a TCP header, as they stand in its fourteenth byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// The sender has finished.
    pub const FIN: Self = Self(0x01);
    /// Opens a connection.
    pub const SYN: Self = Self(0x02);
    /// Resets the connection.
    pub const RST: Self = Self(0x04);
    /// Asks for delivery without delay.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement number is valid.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer is valid.
    pub const URG: Self = Self(0x20);

    /// True when every flag of `other` is set here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What the state tables make of these flags: RST before SYN before FIN before ACK; `None` when none of the
    /// four is set (the kernel's `tcp_state_idx`).
    #[inline]
    pub const fn event(self) -> Option<TcpEvent> {
        if self.contains(Self::RST) {
            Some(TcpEvent::Rst)
        } else if self.contains(Self::SYN) {
            Some(TcpEvent::Syn)
        } else if self.contains(Self::FIN) {
            Some(TcpEvent::Fin)
        } else if self.contains(Self::ACK) {
            Some(TcpEvent::Ack)
        } else {
            None
        }
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The row of a state table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpEvent {
    /// SYN without RST.
    Syn,
    /// FIN without RST and SYN.
    Fin,
    /// ACK alone.
    Ack,
    /// RST, whatever else is set.
    Rst,
}

impl TcpEvent {
    /// Every event, in the order of the tables' rows.
    pub const ALL: [Self; 4] = [Self::Syn, Self::Fin, Self::Ack, Self::Rst];
}

/// Where a packet was seen, for the choice of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// From the client, of a connection whose other direction is seen too.
    Input,
    /// From the real server.
    Output,
    /// From the client, of a connection whose other direction is never seen.
    InputOnly,
}

/// Which set of transition tables is in force (`secure_tcp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TcpTable {
    /// The ordinary tables.
    #[default]
    Normal,
    /// The tables against SYN floods: a connection is established only once the server has been heard, or, where
    /// it never is, waits in SYNACK.
    Secure,
}

/// A connection's state as the director guesses it. The numbers are those of the synchronisation protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum TcpState {
    /// Nothing seen yet.
    #[default]
    None = 0,
    /// Both ends have spoken.
    Established = 1,
    /// The server opened the connection.
    SynSent = 2,
    /// The client opened the connection.
    SynRecv = 3,
    /// The server closed its half.
    FinWait = 4,
    /// Both halves closed.
    TimeWait = 5,
    /// Reset, or closed.
    Close = 6,
    /// The client closed its half.
    CloseWait = 7,
    /// Waiting for the last acknowledgement.
    LastAck = 8,
    /// Waiting for a connection that is expected (FTP data).
    Listen = 9,
    /// Opened under the tables against SYN floods.
    SynAck = 10,
}

impl TcpState {
    /// Every state, in the order of the tables' columns.
    pub const ALL: [Self; 11] = [
        Self::None,
        Self::Established,
        Self::SynSent,
        Self::SynRecv,
        Self::FinWait,
        Self::TimeWait,
        Self::Close,
        Self::CloseWait,
        Self::LastAck,
        Self::Listen,
        Self::SynAck,
    ];

    /// The state's column in the tables and its number in the synchronisation protocol.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in a listing of connections.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::FinWait => "FIN_WAIT",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::SynAck => "SYNACK",
        }
    }

    /// True when a connection in this state counts as active (the kernel's `tcp_state_active_table`).
    pub const fn is_active(self) -> bool {
        match self {
            Self::Established | Self::SynSent | Self::SynRecv | Self::SynAck => true,
            Self::None
            | Self::FinWait
            | Self::TimeWait
            | Self::Close
            | Self::CloseWait
            | Self::LastAck
            | Self::Listen => false,
        }
    }

    /// The state after a packet with `flags` was seen on `side`. A packet without any of the four flags closes.
    #[must_use]
    #[inline]
    pub const fn after(self, side: Side, flags: TcpFlags, table: TcpTable) -> Self {
        match flags.event() {
            Some(event) => rows(side, table).row(event)[self.index()],
            None => Self::Close,
        }
    }
}

/// What each event makes of each state.
struct Rows {
    syn: Row,
    fin: Row,
    ack: Row,
    rst: Row,
}

type Row = [TcpState; TcpState::ALL.len()];

impl Rows {
    const fn row(&self, event: TcpEvent) -> &Row {
        match event {
            TcpEvent::Syn => &self.syn,
            TcpEvent::Fin => &self.fin,
            TcpEvent::Ack => &self.ack,
            TcpEvent::Rst => &self.rst,
        }
    }
}

#[inline]
const fn rows(side: Side, table: TcpTable) -> &'static Rows {
    match (table, side) {
        (TcpTable::Normal, Side::Input) => &INPUT,
        (TcpTable::Normal, Side::Output) => &OUTPUT,
        (TcpTable::Normal, Side::InputOnly) => &INPUT_ONLY,
        (TcpTable::Secure, Side::Input) => &SECURE_INPUT,
        (TcpTable::Secure, Side::Output) => &SECURE_OUTPUT,
        (TcpTable::Secure, Side::InputOnly) => &SECURE_INPUT_ONLY,
    }
}

const ES: TcpState = TcpState::Established;
const SS: TcpState = TcpState::SynSent;
const SR: TcpState = TcpState::SynRecv;
const FW: TcpState = TcpState::FinWait;
const TW: TcpState = TcpState::TimeWait;
const CL: TcpState = TcpState::Close;
const CW: TcpState = TcpState::CloseWait;
const LA: TcpState = TcpState::LastAck;
const LI: TcpState = TcpState::Listen;
const SA: TcpState = TcpState::SynAck;

//  from:  NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
static INPUT: Rows = Rows {
    syn: [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR],
    fin: [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW],
    ack: [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
    rst: [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR],
};

static OUTPUT: Rows = Rows {
    syn: [SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR],
    fin: [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW],
    ack: [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES],
    rst: [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL],
};

static INPUT_ONLY: Rows = Rows {
    syn: [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR],
    fin: [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW],
    ack: [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
    rst: [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL],
};

static SECURE_INPUT: Rows = Rows {
    syn: [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SA],
    fin: [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, SA],
    ack: [ES, ES, SS, SR, FW, TW, CL, CW, CL, LI, SA],
    rst: [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL],
};

static SECURE_OUTPUT: Rows = Rows {
    syn: [SS, ES, SS, SA, SS, SS, SS, SS, SS, LI, SA],
    fin: [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW],
    ack: [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES],
    rst: [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL],
};

static SECURE_INPUT_ONLY: Rows = Rows {
    syn: [SA, ES, ES, SR, SA, SA, SA, SA, SA, SA, SA],
    fin: [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW],
    ack: [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
    rst: [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL],
};

#[cfg(test)]
mod tests;
