//! The tables, held against the published ones, and the choice of the event.

use super::*;

/// As published: a column for each state, a row for each event.
const PUBLISHED: [(Side, &str); 3] = [
    (
        Side::Input,
        "d    ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL
         i    I1 IN IN CS CR CW CO CE ES SS SR SA IN IN
         i_a  CW CW CW CS CR CO CO CE ES SS SR SA RJ CL
         c_e  CR IN IN CR CR CW CO CE ES SS SR SA RJ CL
         c_a  ES I1 IN CS CR CW CO ES ES SS SR SA RJ CL
         s    SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL
         s_a  CL IN IN CS CR CW CO CE ES CL SR CL RJ CL
         s_c  CL CL CL CS CR CW CO CE ES SS SR CL RJ CL
         err  CL I1 IN CS CR CW CO CL ES SS SR SA RJ CL
         ab   CL CL CL CL CL RJ CL CL CL CL CL CL CL CL",
    ),
    (
        Side::Output,
        "d    ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL
         i    CW CW CW CW CW CW CW CW ES CW CW CW CW CW
         i_a  CS CS CS CS CR CW CO CE ES SS SR SA RJ CL
         c_e  CE CE CE CE CE CE CE CE ES SS SR SA RJ CL
         c_a  ES ES ES ES ES ES ES ES ES SS SR SA RJ CL
         s    SS SS SS SS SS SS SS SS SS SS SR SA RJ CL
         s_a  SA SA SA SA SA CW CO CE ES SA SA SA RJ CL
         s_c  CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL
         err  CL CL CL CL CL CW CO CE ES SS SR SA RJ CL
         ab   CL RJ CL CL CL CL CL CL CL CL CL CL CL CL",
    ),
    (
        Side::InputOnly,
        "d    ES I1 IN CS CR ES CO CE ES SS SR SA RJ CL
         i    I1 IN IN IN IN IN CO CE ES SS SR SA IN IN
         i_a  CE CE CE CE CE CE CO CE ES SS SR SA RJ CL
         c_e  ES ES ES ES ES ES CO CE ES SS SR SA RJ CL
         c_a  ES I1 IN ES ES CW ES ES ES SS SR SA RJ CL
         s    SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL
         s_a  CL IN IN CS CR CW CO CE CL CL SR CL RJ CL
         s_c  CL CL CL CL CL CW CO CE ES SS CL CL RJ CL
         err  CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL
         ab   CL CL CL CL CL RJ CL CL CL CL CL CL CL CL",
    ),
];

fn short(state: SctpState) -> &'static str {
    ["NO", "I1", "IN", "CS", "CR", "CW", "CO", "CE", "ES", "SS", "SR", "SA", "RJ", "CL"][state.index()]
}

#[test]
fn every_state_and_event_leads_where_the_published_tables_say() {
    for (side, text) in PUBLISHED {
        assert_eq!(text.lines().count(), SctpEvent::ALL.len());
        for (row, event) in text.lines().zip(SctpEvent::ALL) {
            let after: Vec<&str> =
                SctpState::ALL.iter().map(|state| short(state.after(side, event))).collect();
            let expected: Vec<&str> = row.split_whitespace().skip(1).collect();
            assert_eq!(after, expected, "{side:?} {event:?}");
        }
    }
}

#[test]
fn the_first_chunk_decides_unless_an_abort_follows_a_cookie() {
    assert_eq!(SctpEvent::of_chunks(1, None), SctpEvent::Init);
    assert_eq!(SctpEvent::of_chunks(3, Some(6)), SctpEvent::Data);
    assert_eq!(SctpEvent::of_chunks(10, Some(0)), SctpEvent::CookieEcho);
    assert_eq!(SctpEvent::of_chunks(10, Some(6)), SctpEvent::Abort);
    assert_eq!(SctpEvent::of_chunks(11, Some(6)), SctpEvent::Abort);
    assert_eq!(SctpEvent::of_chunks(200, None), SctpEvent::Data);
}

#[test]
fn an_association_is_active_only_while_established() {
    for state in SctpState::ALL {
        assert_eq!(state.is_active(), state == SctpState::Established);
    }
}
