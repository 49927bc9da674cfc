use std::net::Ipv4Addr;
use std::sync::Arc;

use super::{Counted, Destination, DestinationId, Lease};

fn destination(upper: u32, lower: u32) -> Arc<Destination> {
    let destination = Destination::new(DestinationId(0), Ipv4Addr::new(10, 0, 0, 1).into(), 80, 1);
    destination.set_thresholds(upper, lower);
    Arc::new(destination)
}

#[test]
fn what_a_lease_took_it_gives_back() {
    let server = destination(0, 0);
    let mut lease = Lease::take(&server, Counted::Inactive);
    let template = Lease::take(&server, Counted::Persistent);
    lease.set_active(true);
    assert_eq!((server.active(), server.inactive(), server.persistent()), (1, 0, 1));
    lease.set_active(false);
    assert_eq!((server.active(), server.inactive()), (0, 1));
    drop(lease);
    drop(template);
    assert_eq!((server.active(), server.inactive(), server.persistent()), (0, 0, 0));
}

#[test]
fn the_mark_comes_at_the_upper_threshold_and_goes_below_the_lower() {
    let server = destination(3, 1);
    let mut leases: Vec<Lease> = (0..2).map(|_| Lease::take(&server, Counted::Inactive)).collect();
    assert!(!server.is_overloaded());
    leases.push(Lease::take(&server, Counted::Inactive));
    assert!(server.is_overloaded());
    leases.truncate(1);
    assert!(server.is_overloaded(), "one connection is not below one");
    leases.clear();
    assert!(!server.is_overloaded());
}

#[test]
fn without_a_lower_threshold_the_mark_goes_below_three_quarters() {
    let server = destination(4, 0);
    let mut leases: Vec<Lease> = (0..4).map(|_| Lease::take(&server, Counted::Inactive)).collect();
    assert!(server.is_overloaded());
    leases.pop();
    assert!(server.is_overloaded(), "three of four is not below three quarters");
    leases.pop();
    assert!(!server.is_overloaded());
}

#[test]
fn only_a_raised_or_lifted_threshold_takes_the_mark_away() {
    let server = destination(1, 0);
    let _lease = Lease::take(&server, Counted::Inactive);
    server.set_thresholds(1, 0);
    assert!(server.is_overloaded());
    server.set_thresholds(2, 0);
    assert!(!server.is_overloaded());
}
