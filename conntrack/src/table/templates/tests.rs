//! Templates, as the table gives them out.

use std::net::SocketAddr;

use super::*;
use crate::{
    Conn, Direction, Expired, FlowKey, NewConn, Proto, Table, TcpFlags, TcpTable, TemplateService, Timeouts,
};

fn key(client: u8) -> TemplateKey {
    let vip = [10, 9, 9, 9].into();
    TemplateKey {
        proto: Proto::TCP,
        client: [192, 0, 2, client].into(),
        service: TemplateService::Address(vip, 80),
    }
}

fn server() -> SocketAddr {
    ([10, 2, 0, 11], 80).into()
}

fn flow(port: u16) -> FlowKey {
    FlowKey {
        proto: Proto::TCP,
        src: [192, 0, 2, 1].into(),
        src_port: port,
        dst: [10, 9, 9, 9].into(),
        dst_port: 80,
    }
}

fn secs(secs: u64) -> Tick {
    Tick::from_millis(secs * 1000)
}

/// A connection whose client has sent SYN: it lasts 60 s from `now`.
fn hang(table: &Table<u32>, port: u16, lease: Lease<u32>, now: Tick) {
    let (key, server) = (flow(port), server());
    let new = NewConn { key, server, reply: false, no_output: true, binding: 0, template: Some(lease) };
    let mut conn = Conn::new(new, now);
    conn.on_tcp(TcpFlags::SYN, Direction::ToServer, &Timeouts::default(), TcpTable::Normal);
    conn.touch(now);
    table.insert(conn, now).unwrap();
}

fn insert(
    table: &Table<u32>,
    key: TemplateKey,
    binding: u32,
    timeout: u32,
    now: Tick,
) -> Result<Lease<u32>, InsertError<u32>> {
    table.insert_template(NewTemplate { key, data: &[], server: server(), binding, timeout }, now)
}

fn with_template(timeout: u32) -> Table<u32> {
    let table = Table::new(100, 7);
    hang(&table, 1000, insert(&table, key(1), 5, timeout, Tick::ZERO).unwrap(), Tick::ZERO);
    table
}

/// The templates and connections handed out at `now`.
fn sweep(table: &Table<u32>, now: Tick) -> (u32, u32) {
    let mut gone = (0, 0);
    table.sweep(now, usize::MAX, |expired| match expired {
        Expired::Template(_) => gone.0 += 1,
        Expired::Conn(_) => gone.1 += 1,
    });
    gone
}

#[test]
fn a_client_is_led_to_its_server_until_the_timeout_after_its_last_connection() {
    let table = Table::<u32>::new(100, 7);
    drop(insert(&table, key(1), 5, 100, Tick::ZERO).unwrap());
    let lease = table.lease(&key(1), &[], secs(99), |_| true).unwrap();
    assert_eq!((*lease.binding(), lease.expires(), lease.conns()), (5, secs(199), 1));
    drop(lease);
    assert!(table.lease(&key(2), &[], secs(99), |_| true).is_none());
    assert_eq!(sweep(&table, Tick::from_millis(198_999)), (0, 0));
    assert!(table.lease(&key(1), &[], secs(199), |_| true).is_none());
    assert_eq!(sweep(&table, secs(199)), (1, 0));
    assert_eq!(table.templates_len(), 0);
}

#[test]
fn looking_at_a_template_leaves_its_timer_alone() {
    let table = with_template(100);
    assert_eq!(table.with_template(&key(1), &[], secs(50), Template::conns), Some(1));
    assert_eq!(table.with_template(&key(1), &[], secs(50), Template::expires), Some(secs(100)));
}

#[test]
fn a_template_gets_sixty_seconds_more_while_connections_hang_on_it() {
    let table = with_template(3);
    assert_eq!(sweep(&table, secs(3)), (0, 0));
    assert_eq!(table.with_template(&key(1), &[], secs(3), Template::expires), Some(secs(63)));
    // The timeout itself is 60 s from then on.
    drop(table.lease(&key(1), &[], secs(10), |_| true).unwrap());
    assert_eq!(table.with_template(&key(1), &[], secs(10), Template::expires), Some(secs(70)));
    assert_eq!(sweep(&table, secs(60)), (0, 1));
    assert_eq!(sweep(&table, Tick::from_millis(69_999)), (0, 0));
    assert_eq!(sweep(&table, secs(70)), (1, 0));
}

#[test]
fn one_late_sweep_ends_what_timely_sweeps_would_have_ended() {
    // Connection until 60 s, template until 3 s, extended to 63 s.
    let table = with_template(3);
    assert_eq!(sweep(&table, secs(62)), (0, 1));
    assert!(table.with_template(&key(1), &[], secs(62), |_| ()).is_some());
    let table = with_template(3);
    assert_eq!(sweep(&table, secs(63)), (1, 1));
    // Template until 100 s, when no connection was left.
    let table = with_template(100);
    assert_eq!(sweep(&table, secs(101)), (1, 1));
}

#[test]
fn a_template_whose_server_will_not_do_matches_nobody_but_lives_on() {
    let table = with_template(100);
    assert!(table.lease(&key(1), &[], secs(1), |&binding| binding != 5).is_none());
    assert!(table.lease(&key(1), &[], secs(1), |_| true).is_none());
    let lease = insert(&table, key(1), 6, 100, secs(1)).unwrap();
    assert_eq!(*lease.binding(), 6);
    let mut listed = Vec::new();
    table.for_each_template(secs(1), |template| listed.push((*template.binding(), template.is_valid())));
    listed.sort_unstable();
    assert_eq!(listed, [(5, false), (6, true)]);
    drop(lease);
    assert_eq!(sweep(&table, secs(60)), (0, 1));
    assert_eq!(sweep(&table, secs(100)), (1, 0));
    assert_eq!(sweep(&table, secs(101)), (1, 0));
    assert!(table.templates.map.is_empty());
}

#[test]
fn a_connection_that_is_established_assures_its_template() {
    let table = with_template(100);
    let assured = || table.with_template(&key(1), &[], secs(1), Template::is_assured).unwrap();
    assert!(!assured());
    table.with(&flow(1000), secs(1), |conn, direction| {
        conn.on_tcp(TcpFlags::ACK, direction, &Timeouts::default(), TcpTable::Normal)
    });
    assert!(assured());
    assert_eq!(table.with_template(&key(1), &[], secs(1), Template::state_name), Some("ASSURED"));
}

#[test]
fn an_unassured_template_goes_with_its_last_connection_when_that_goes_by_force() {
    let table = with_template(100);
    hang(&table, 1001, table.lease(&key(1), &[], secs(1), |_| true).unwrap(), secs(1));
    assert!(table.evict(&flow(1000)).is_some());
    assert_eq!((sweep(&table, secs(1)), table.templates_len()), ((0, 0), 1));
    assert!(table.evict(&flow(1001)).is_some());
    assert_eq!((sweep(&table, secs(1)), table.templates_len()), ((1, 0), 0));

    let table = with_template(100);
    table.with(&flow(1000), secs(1), |conn, direction| {
        conn.on_tcp(TcpFlags::ACK, direction, &Timeouts::default(), TcpTable::Normal)
    });
    assert!(table.evict(&flow(1000)).is_some());
    assert_eq!((sweep(&table, secs(1)), table.templates_len()), ((0, 0), 1));

    let table = with_template(100);
    assert!(table.remove(&flow(1000)).is_some());
    assert_eq!((sweep(&table, secs(1)), table.templates_len()), ((0, 0), 1));
}

#[test]
fn a_second_template_for_a_key_is_refused_until_the_first_is_overdue() {
    let table = Table::<u32>::new(100, 7);
    drop(insert(&table, key(1), 5, 10, Tick::ZERO).unwrap());
    let refused = insert(&table, key(1), 6, 10, secs(9)).unwrap_err();
    assert!(matches!(refused, InsertError::Exists(6)), "{refused:?}");
    drop(insert(&table, key(1), 6, 10, secs(10)).unwrap());
    assert_eq!(table.with_template(&key(1), &[], secs(10), |template| *template.binding()), Some(6));
    assert_eq!((sweep(&table, secs(10)), table.templates_len()), ((1, 0), 1));
}

#[test]
fn the_limit_holds_for_templates() {
    let table = Table::<u32>::new(1, 7);
    let _lease = insert(&table, key(1), 5, 10, Tick::ZERO).unwrap();
    let refused = insert(&table, key(2), 6, 10, Tick::ZERO).unwrap_err();
    assert!(matches!(refused, InsertError::Full(6)), "{refused:?}");
}

#[test]
fn services_on_marks_and_on_addresses_have_templates_of_their_own() {
    let table = Table::<u32>::new(10, 7);
    let marked = |mark| TemplateKey { proto: Proto::IP, service: TemplateService::Mark(mark), ..key(1) };
    for (n, key) in (0..).zip([key(1), marked(1), marked(2)]) {
        drop(insert(&table, key, n, 10, Tick::ZERO).unwrap());
    }
    assert_eq!(table.with_template(&marked(2), &[], Tick::ZERO, |template| *template.binding()), Some(2));
    assert_eq!(table.with_template(&marked(3), &[], Tick::ZERO, |_| ()), None);
}

#[test]
fn what_an_engine_found_tells_templates_of_one_client_apart() {
    let table = Table::<u32>::new(100, 7);
    let new = |data, binding| NewTemplate { key: key(1), data, server: server(), binding, timeout: 10 };
    for (data, binding) in [(&b"one"[..], 1), (b"another", 2), (b"", 3), (b"one\0", 4), (&[b'x'; 255], 5)] {
        drop(table.insert_template(new(data, binding), Tick::ZERO).unwrap());
    }
    let found = |data: &[u8]| table.lease(&key(1), data, secs(1), |_| true).map(|lease| *lease.binding());
    assert_eq!(found(b"one"), Some(1));
    assert_eq!(found(b"another"), Some(2));
    assert_eq!(found(b""), Some(3));
    assert_eq!(found(b"one\0"), Some(4));
    assert_eq!(found(&[b'x'; 255]), Some(5));
    for nobody in [&b"on"[..], b"onf", b"\0", &[b'x'; 254]] {
        assert_eq!(found(nobody), None, "{nobody:?}");
    }
    assert!(table.lease(&key(2), b"one", secs(1), |_| true).is_none(), "another client");
    assert!(matches!(table.insert_template(new(b"one", 6), secs(1)), Err(InsertError::Exists(6))));
    assert_eq!(table.templates_len(), 5);
}
