//! What packets do to a connection.

use super::*;
use crate::key::Proto;
use crate::sctp::SctpState;
use crate::tcp::TcpState;

fn conn(proto: Proto, no_output: bool) -> Conn<()> {
    let key = FlowKey {
        proto,
        src: [192, 0, 2, 1].into(),
        src_port: 1000,
        dst: [10, 9, 9, 9].into(),
        dst_port: 80,
    };
    let server = SocketAddr::from(([10, 2, 0, 11], 8080));
    Conn::new(NewConn { key, server, reply: !no_output, no_output, binding: (), template: None }, Tick::ZERO)
}

fn tcp(conn: &mut Conn<()>, flags: TcpFlags, direction: Direction) -> (TcpState, Option<Activity>) {
    let transition = conn.on_tcp(flags, direction, &Timeouts::default(), TcpTable::Normal);
    assert_eq!(transition.to, conn.state());
    let State::Tcp(state) = transition.to else { panic!("{transition:?}") };
    (state, transition.activity)
}

#[test]
fn a_new_connection_is_inactive_and_lasts_three_seconds() {
    let conn = conn(Proto::TCP, false);
    assert_eq!(conn.activity(), Activity::Inactive);
    assert_eq!(conn.state().name(), "NONE");
    assert_eq!(conn.expires(), Tick::from_millis(3000));
}

#[test]
fn a_nat_connection_is_followed_in_both_directions() {
    use Direction::{ToClient, ToServer};
    let mut conn = conn(Proto::TCP, false);
    let ack = TcpFlags::ACK;
    let steps = [
        (TcpFlags::SYN, ToServer, TcpState::SynRecv, Some(Activity::Active)),
        (TcpFlags::SYN | ack, ToClient, TcpState::SynRecv, None),
        (ack, ToServer, TcpState::Established, None),
        (TcpFlags::FIN | ack, ToServer, TcpState::CloseWait, Some(Activity::Inactive)),
        (TcpFlags::FIN | ack, ToClient, TcpState::TimeWait, None),
        (TcpFlags::SYN, ToServer, TcpState::SynRecv, Some(Activity::Active)),
        (TcpFlags::RST, ToClient, TcpState::Close, Some(Activity::Inactive)),
    ];
    for (flags, direction, state, activity) in steps {
        assert_eq!(tcp(&mut conn, flags, direction), (state, activity), "{flags:?} {direction:?}");
        assert_eq!(conn.activity() == Activity::Active, state.is_active());
    }
}

#[test]
fn the_clients_side_alone_is_followed_until_an_answer_is_seen() {
    let mut conn = conn(Proto::TCP, true);
    tcp(&mut conn, TcpFlags::SYN, Direction::ToServer);
    tcp(&mut conn, TcpFlags::ACK, Direction::ToServer);
    // Of a connection seen from both sides this would be CLOSE_WAIT.
    assert_eq!(tcp(&mut conn, TcpFlags::FIN, Direction::ToServer).0, TcpState::FinWait);
    assert!(conn.is_no_output());
    tcp(&mut conn, TcpFlags::ACK, Direction::ToClient);
    assert!(!conn.is_no_output());
    assert_eq!(tcp(&mut conn, TcpFlags::FIN, Direction::ToServer).0, TcpState::TimeWait);
}

#[test]
fn each_packet_arms_the_timer_with_the_states_timeout() {
    let mut conn = conn(Proto::TCP, false);
    let mut timeouts = Timeouts::default();
    conn.on_tcp(TcpFlags::SYN, Direction::ToServer, &timeouts, TcpTable::Normal);
    conn.touch(Tick::from_millis(500));
    assert_eq!(conn.expires(), Tick::from_millis(60_500));
    conn.on_tcp(TcpFlags::ACK, Direction::ToServer, &timeouts, TcpTable::Normal);
    timeouts.set(5, 0, 0);
    conn.touch(Tick::from_millis(1000));
    assert_eq!(conn.expires(), Tick::from_millis(901_000));
    conn.on_tcp(TcpFlags::ACK, Direction::ToServer, &timeouts, TcpTable::Normal);
    conn.touch(Tick::from_millis(2000));
    assert_eq!(conn.remaining(Tick::from_millis(3000)), Duration::from_secs(4));
}

#[test]
fn udp_is_never_active() {
    let mut conn = conn(Proto::UDP, false);
    for direction in [Direction::ToServer, Direction::ToClient] {
        assert_eq!(conn.on_udp(direction, &Timeouts::default()).activity, None);
    }
    assert_eq!((conn.state().name(), conn.timeout()), ("UDP", Duration::from_mins(5)));
}

#[test]
fn an_association_becomes_active_when_it_is_established() {
    let mut conn = conn(Proto::SCTP, false);
    let timeouts = Timeouts::default();
    let first = conn.on_sctp(SctpEvent::Init, Direction::ToServer, &timeouts);
    assert_eq!((first.to, first.activity), (State::Sctp(SctpState::Init1), None));
    conn.on_sctp(SctpEvent::InitAck, Direction::ToClient, &timeouts);
    conn.on_sctp(SctpEvent::CookieEcho, Direction::ToServer, &timeouts);
    let last = conn.on_sctp(SctpEvent::CookieAck, Direction::ToClient, &timeouts);
    assert_eq!((conn.state().name(), last.activity), ("ESTABLISHED", Some(Activity::Active)));
}
