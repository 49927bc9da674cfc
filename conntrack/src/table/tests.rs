//! The table as a whole.

use super::*;
use crate::{NewConn, Proto, TcpFlags, TcpTable, Timeouts};

fn key(client_port: u16) -> FlowKey {
    FlowKey {
        proto: Proto::TCP,
        src: [192, 0, 2, 1].into(),
        src_port: client_port,
        dst: [10, 9, 9, 9].into(),
        dst_port: 80,
    }
}

fn server() -> SocketAddr {
    ([10, 2, 0, 11], 8080).into()
}

fn conn(key: FlowKey, binding: u32, now: Tick) -> Conn<u32> {
    Conn::new(NewConn { key, server: server(), reply: true, no_output: false, binding, template: None }, now)
}

fn secs(secs: u64) -> Tick {
    Tick::from_millis(secs * 1000)
}

#[test]
fn both_directions_lead_to_the_connection() {
    let table = Table::new(10, 7);
    table.insert(conn(key(1000), 1, Tick::ZERO), Tick::ZERO).unwrap();
    let there = table.with(&key(1000), Tick::ZERO, |conn, direction| (*conn.binding(), direction));
    assert_eq!(there, Some((1, Direction::ToServer)));
    let reply = FlowKey { src: server().ip(), src_port: 8080, ..key(1000).reversed() };
    let back = table.with(&reply, Tick::ZERO, |conn, direction| (*conn.binding(), direction));
    assert_eq!(back, Some((1, Direction::ToClient)));
    assert!(table.with(&key(1000).reversed(), Tick::ZERO, |_, _| ()).is_none());
}

#[test]
fn a_connection_ends_three_seconds_after_its_birth_unless_a_packet_gives_it_a_state() {
    let table = Table::new(10, 7);
    for port in [1, 2] {
        table.insert(conn(key(port), 1, Tick::ZERO), Tick::ZERO).unwrap();
    }
    table.with(&key(2), Tick::ZERO, |conn, direction| {
        conn.on_tcp(TcpFlags::SYN, direction, &Timeouts::default(), TcpTable::Normal);
        conn.touch(Tick::ZERO);
    });
    let mut ended = Vec::new();
    let mut reap = |expired: Expired<u32>| match expired {
        Expired::Conn(conn) => ended.push(conn.key().src_port),
        Expired::Template(_) => {}
    };
    table.sweep(Tick::from_millis(2999), usize::MAX, &mut reap);
    table.sweep(secs(3), usize::MAX, &mut reap);
    table.sweep(Tick::from_millis(59_999), usize::MAX, &mut reap);
    assert_eq!(ended, [1]);
    assert_eq!(table.len(), 1);
}
