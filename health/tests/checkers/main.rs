//! Every kind of check against a real server of its kind that fails in each way it can: refuses, hangs, resets,
//! answers wrong, slowly, without end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "the functions around the tests are tests too"
)]

mod dns;
mod http;
mod nginx;
mod program;
mod server;
mod smtp;
mod tcp;
mod udp;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lvs_health::checker::Checkers;
use lvs_health::declared::{Check, CheckKind, Endpoint, Globals, Timing};
use lvs_health::judge::{Failure, Outcome};

/// How long an attempt may take here.
const PATIENCE: Duration = Duration::from_millis(400);

fn check(kind: CheckKind, address: SocketAddr) -> Check {
    Check {
        kind,
        endpoint: Endpoint::new(address),
        timing: Timing { connect_timeout: PATIENCE, ..Timing::default() },
    }
}

/// Makes one attempt; it must end about when its time is over.
fn attempt_with(globals: &Globals, check: &Check, page: usize) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = Instant::now();
    let outcome = runtime.block_on(Checkers::new(globals).attempt(check, page));
    assert!(began.elapsed() < PATIENCE + Duration::from_secs(4), "{:?} {outcome:?}", began.elapsed());
    outcome
}

fn attempt(kind: CheckKind, address: SocketAddr) -> Outcome {
    attempt_with(&Globals::default(), &check(kind, address), 0)
}

fn failed(failure: Failure) -> Outcome {
    Outcome::Failure(failure)
}

fn timed_out() -> Outcome {
    failed(Failure::Timeout(PATIENCE))
}
