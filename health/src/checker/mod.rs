//! Making the attempts: each kind of check speaks its protocol to a real server, within bounds of time and size.

mod data;
mod dns;
mod file;
mod http;
mod patterns;
mod ping;
mod program;
mod smtp;
mod socket;
mod tcp;
mod tls;
mod udp;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::declared::{Check, CheckKind, Globals, Script};
use crate::judge::{Failure, Outcome};
use http::Fetcher;
use patterns::Patterns;
use program::Rules;
use socket::Target;
use tls::Connector;

pub use data::{DataPath, Flow, Lead, Start};
pub use file::read_file;

/// Makes attempts; what they share is kept here.
#[derive(Debug)]
pub struct Checkers {
    rules: Rules,
    fetcher: Fetcher,
    data: Option<Arc<dyn DataPath>>,
}

impl Checkers {
    /// For what is declared.
    pub fn new(globals: &Globals) -> Self {
        Self {
            rules: Rules { user: globals.script_user.clone(), is_strict: globals.script_security },
            fetcher: Fetcher { tls: Connector::new(&globals.tls), patterns: Patterns::default() },
            data: None,
        }
    }

    /// The same, with a way for checks that go the way of the traffic; without one they cannot be made.
    #[must_use]
    pub fn by_way_of(mut self, data: Option<Arc<dyn DataPath>>) -> Self {
        self.data = data;
        self
    }

    /// Makes one attempt of a check: that of its `page`, where it has several. It ends after the check's
    /// `connect_timeout` at the latest; a program ends a little after its own.
    ///
    /// It must be awaited within a tokio runtime that has its time and its sockets enabled.
    pub async fn attempt(&self, check: &Check, page: usize) -> Outcome {
        let patience = check.timing.connect_timeout;
        let target = &Target { endpoint: &check.endpoint, data: self.data.as_deref() };
        let result = match &check.kind {
            CheckKind::Tcp => within(patience, tcp::check(target)).await,
            CheckKind::Misc(misc) => return program::check(misc, &self.rules).await,
            CheckKind::File(file) => return read_file(file),
            CheckKind::Http(http) => within(patience, self.fetcher.check(http, page, target)).await,
            CheckKind::Smtp { helo_name } => within(patience, smtp::check(target, helo_name)).await,
            CheckKind::Dns { kind, name } => within(patience, dns::check(target, *kind, name)).await,
            CheckKind::Udp(udp) => udp::check(target, udp, patience).await,
            CheckKind::Ping => within(patience, ping::check(&check.endpoint)).await,
        };
        match result {
            Ok(()) => Outcome::SUCCESS,
            Err(failure) => Outcome::Failure(failure),
        }
    }

    /// Runs a program that is not a check, as the user it names, for no longer than `patience`; its exit status.
    ///
    /// # Errors
    /// It may not be run, was not there, took too long, or was ended by a signal.
    pub async fn run(&self, script: &Script, patience: Duration) -> Result<i32, Failure> {
        program::run(script, patience, &self.rules).await
    }
}

/// As the attempt says or, when it takes too long, a timeout.
async fn within<T>(
    patience: Duration,
    attempt: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(patience, attempt).await.unwrap_or(Err(Failure::Timeout(patience)))
}
