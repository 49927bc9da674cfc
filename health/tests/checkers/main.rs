//! Every kind of check against a real server of its kind that fails in each way it can: refuses, hangs, resets,
//! answers wrong, slowly, without end.
//!
//! | | refuses | hangs | resets | wrong | slowly | without end |
//! |---|---|---|---|---|---|---|
//! | `TCP_CHECK` | `a_closed_port_refuses` | `.. does_not_answer ..` | a reset is a refusal | - | - | - |
//! | `HTTP_GET` | `a_server_that_refuses_hangs_or_resets ..` | the same | the same | `an_answer_that_is_none ..`, status, digest, expression | `.. comes_slowly_or_stops ..` | `an_answer_without_end ..`: body, head, chunks |
//! | `SSL_GET` | `what_speaks_no_tls_fails` | the same; `nginx_fails_within_tls ..` | the same, both | the same; certificates, names | `a_handshake_that_comes_slowly ..`, `nginx_fails_within_tls ..` | `nginx_fails_within_tls ..` |
//! | `SMTP_CHECK` | `what_is_no_mail_server_fails` | the same: before its greeting, after HELO | the same, both | the same; `.. says_why` | `what_is_no_mail_server_fails` | `a_greeting_without_end ..`: lines, one line |
//! | `DNS_CHECK` | `what_is_no_name_server_fails` | the same | - | the same; codes, others' answers | `an_answer_that_comes_too_late ..` | `answers_without_end ..` |
//! | `UDP_CHECK` | `silence_is_consent ..`, `a_reply_that_is_asked_for ..` | the same | - | `a_reply_is_looked_at ..` | `a_reply_that_comes_too_late ..` | `a_reply_as_long_as_can_be ..` |
//! | `PING_CHECK` | its host answers or does not: lvsd's `e2e_health` | the same | - | `checker::ping` | - | - |
//! | `MISC_CHECK` | `a_program_that_is_not_there ..` | `a_program_that_does_not_end ..` | `.. exit_status ..`: a signal | `.. exit_status ..` | as one that hangs | `a_program_that_talks_without_end ..` |
//! | `FILE_CHECK` | `checker::file`: not there | a pipe | - | no number | - | `/dev/zero` |
//!
//! And every protocol that is read against arbitrary bytes: `arbitrary`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "the functions around the tests are tests too"
)]

mod arbitrary;
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
