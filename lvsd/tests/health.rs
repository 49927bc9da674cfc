//! The checks' thread with services of its own: what it does to them, what it keeps, and what it costs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    reason = "a test that cannot go on should end"
)]

#[path = "health/cost.rs"]
mod cost;
#[path = "health/policy.rs"]
mod policy;
#[path = "health/table.rs"]
mod table;

use std::net::TcpListener;
use std::sync::Arc;

use lvsd::health::{self, VirtualServer};
use lvsd::message::{ForwardMethod, RealServer, Request};
use table::{Table, carry_out, declared, listener, real, service, timing, virtual_server, wait_for, weights};

#[test]
fn servers_are_there_when_it_has_started_and_go_when_they_fail() {
    let (alive, one) = listener();
    let (dying, two) = listener();
    let table = Arc::new(Table::default());
    let both =
        declared(vec![virtual_server(80, &[one, two], timing()), virtual_server(81, &[two], timing())]);
    let health = health::start(both, Arc::<Table>::clone(&table), None).unwrap();
    assert_eq!((weights(&table, 80).len(), weights(&table, 81).len()), (2, 1));
    assert!(health.handle().looks_after(&service(80)) && !health.handle().looks_after(&service(82)));
    drop(dying);
    wait_for("the dead server is out of both", || {
        weights(&table, 80) == [(one, 1)] && weights(&table, 81).is_empty()
    });
    let listing = health.handle().listing();
    assert_eq!((listing[0].has_quorum, listing[1].has_quorum), (true, false));
    let check = &listing[0].servers[1].checks[0];
    assert_eq!((check.result.as_deref(), check.users), (Some("connection refused"), 2));
    let again = TcpListener::bind(two).unwrap();
    wait_for("it is back in both", || weights(&table, 80).len() == 2 && weights(&table, 81).len() == 1);
    drop((alive, again, health));
    assert_eq!(weights(&table, 80).len(), 2, "an end takes nobody out");
}

#[test]
fn what_is_declared_anew_changes_only_what_differs() {
    let (_alive, one) = listener();
    let (dying, two) = listener();
    drop(dying);
    let table = Arc::new(Table::default());
    let first = virtual_server(80, &[one, two], timing());
    let health = health::start(declared(vec![first.clone()]), Arc::<Table>::clone(&table), None).unwrap();
    wait_for("the dead server is out", || weights(&table, 80) == [(one, 1)]);
    let reconfigure = |virtual_server: VirtualServer| {
        let mut asked = Vec::new();
        let mut servers = table.servers.lock();
        health.handle().reconfigure(declared(vec![virtual_server]), &mut |requests| {
            asked.extend(requests.clone());
            requests.into_iter().map(|request| carry_out(&mut servers, request)).collect()
        });
        asked
    };
    assert_eq!(reconfigure(first.clone()), []);
    let mut slower = first.clone();
    for server in &mut slower.checked.servers {
        server.checks[0].timing.retry = 7;
    }
    assert_eq!(reconfigure(slower), [], "the dead one stays out");

    let mut other_way = first.clone();
    for server in &mut other_way.servers {
        server.method = ForwardMethod::Masquerade;
    }
    let changed = RealServer { method: ForwardMethod::Masquerade, ..real(one) };
    assert_eq!(reconfigure(other_way.clone()), [Request::EditServer { id: service(80), server: changed }]);
    let mut group = other_way;
    group.services.push(service(443));
    assert_eq!(reconfigure(group.clone()), [Request::AddServer { id: service(443), server: changed }]);
    let at = |port| group.servers.iter().map(|server| RealServer { port, ..*server }).collect();
    let apart = VirtualServer { from_others: vec![at(8443)], ..group.clone() };
    let (rip, port) = (one.ip(), one.port());
    let moved = RealServer { port: 8443, ..changed };
    assert_eq!(
        reconfigure(apart.clone()),
        [
            Request::DeleteServer { id: service(443), rip, port },
            Request::AddServer { id: service(443), server: moved }
        ]
    );
    let mut nobody = apart;
    nobody.servers.clear();
    nobody.from_others.clear();
    nobody.checked.servers.clear();
    assert_eq!(
        reconfigure(nobody),
        [
            Request::DeleteServer { id: service(80), rip, port },
            Request::DeleteServer { id: service(443), rip, port: 8443 }
        ]
    );
}

#[test]
fn what_somebody_else_added_or_removed_is_no_hindrance() {
    let (listening, one) = listener();
    let table = Arc::new(Table::default());
    table.servers.lock().insert((80, one), RealServer { weight: 9, ..real(one) });
    let declared = declared(vec![virtual_server(80, &[one], timing())]);
    let health = health::start(declared, Arc::<Table>::clone(&table), None).unwrap();
    assert_eq!(weights(&table, 80), [(one, 1)]);
    table.servers.lock().clear();
    drop(listening);
    wait_for("it is down", || !health.handle().listing()[0].servers[0].is_up);
    let _again = TcpListener::bind(one).unwrap();
    wait_for("it is back", || weights(&table, 80) == [(one, 1)]);
}
