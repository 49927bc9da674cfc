//! The tables, held against the published ones, and the order of flags.

use super::*;

/// As the reference writes them: a column for each state, a row for each event.
const PUBLISHED: [(TcpTable, Side, &str); 6] = [
    (
        TcpTable::Normal,
        Side::Input,
        "syn   SR ES ES SR SR SR SR SR SR SR SR
         fin   CL CW SS TW TW TW CL CW LA LI TW
         ack   ES ES SS ES FW TW CL CW CL LI ES
         rst   CL CL CL SR CL CL CL CL LA LI SR",
    ),
    (
        TcpTable::Normal,
        Side::Output,
        "syn   SS ES SS SR SS SS SS SS SS LI SR
         fin   TW FW SS TW FW TW CL TW LA LI TW
         ack   ES ES SS ES FW TW CL CW LA ES ES
         rst   CL CL SS CL CL TW CL CL CL CL CL",
    ),
    (
        TcpTable::Normal,
        Side::InputOnly,
        "syn   SR ES ES SR SR SR SR SR SR SR SR
         fin   CL FW SS TW FW TW CL CW LA LI TW
         ack   ES ES SS ES FW TW CL CW CL LI ES
         rst   CL CL CL SR CL CL CL CL LA LI CL",
    ),
    (
        TcpTable::Secure,
        Side::Input,
        "syn   SR ES ES SR SR SR SR SR SR SR SA
         fin   CL CW SS TW TW TW CL CW LA LI SA
         ack   ES ES SS SR FW TW CL CW CL LI SA
         rst   CL CL CL SR CL CL CL CL LA LI CL",
    ),
    (
        TcpTable::Secure,
        Side::Output,
        "syn   SS ES SS SA SS SS SS SS SS LI SA
         fin   TW FW SS TW FW TW CL TW LA LI TW
         ack   ES ES SS ES FW TW CL CW LA ES ES
         rst   CL CL SS CL CL TW CL CL CL CL CL",
    ),
    (
        TcpTable::Secure,
        Side::InputOnly,
        "syn   SA ES ES SR SA SA SA SA SA SA SA
         fin   CL FW SS TW FW TW CL CW LA LI TW
         ack   ES ES SS ES FW TW CL CW CL LI ES
         rst   CL CL CL SR CL CL CL CL LA LI CL",
    ),
];

fn short(state: TcpState) -> &'static str {
    ["NO", "ES", "SS", "SR", "FW", "TW", "CL", "CW", "LA", "LI", "SA"][state.index()]
}

#[test]
fn every_state_and_event_leads_where_the_published_tables_say() {
    let flags = [TcpFlags::SYN, TcpFlags::FIN, TcpFlags::ACK, TcpFlags::RST];
    for (table, side, text) in PUBLISHED {
        for (row, flags) in text.lines().zip(flags) {
            let after: Vec<&str> =
                TcpState::ALL.iter().map(|state| short(state.after(side, flags, table))).collect();
            let expected: Vec<&str> = row.split_whitespace().skip(1).collect();
            assert_eq!(after, expected, "{table:?} {side:?} {flags:?}");
        }
    }
}

#[test]
fn rst_goes_before_syn_before_fin_before_ack() {
    for bits in 0..=u8::MAX {
        let flags = TcpFlags(bits);
        let expected = match (bits & 0x04, bits & 0x02, bits & 0x01, bits & 0x10) {
            (0, 0, 0, 0) => None,
            (0, 0, 0, _) => Some(TcpEvent::Ack),
            (0, 0, _, _) => Some(TcpEvent::Fin),
            (0, _, _, _) => Some(TcpEvent::Syn),
            _ => Some(TcpEvent::Rst),
        };
        assert_eq!(flags.event(), expected, "{bits:#04x}");
    }
}

#[test]
fn a_packet_without_a_telling_flag_closes_whatever_the_state() {
    for state in TcpState::ALL {
        let after = state.after(Side::Input, TcpFlags::PSH | TcpFlags::URG, TcpTable::Normal);
        assert_eq!(after, TcpState::Close);
    }
}

#[test]
fn the_columns_stand_in_the_order_of_the_numbers() {
    for (number, state) in TcpState::ALL.into_iter().enumerate() {
        assert_eq!(state.index(), number);
    }
    assert_eq!(TcpEvent::ALL.len(), 4);
}
