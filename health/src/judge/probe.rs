//! One check that runs: how often it is made, and when what its attempts say is believed.

use std::sync::Arc;
use std::time::Duration;

use super::moment::Moment;
use super::outcome::Outcome;
use crate::declared::{Check, CheckKind};

/// Names a check that runs; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub(super) u64);

/// The last attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) ended: Moment,
    pub(super) took: Duration,
    pub(super) outcome: Outcome,
}

/// What an attempt changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// What is believed from now on; absent when that was so before.
    pub(super) verdict: Option<bool>,
    /// The check says something else about the weight.
    pub(super) is_weight: bool,
    /// The pause until the next attempt.
    pub(super) pause: Duration,
}

/// A check that runs.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub(super) check: Arc<Check>,
    /// Whether the last verdict was good; what is assumed before the first.
    pub(super) is_up: bool,
    /// A verdict has been given.
    pub(super) has_run: bool,
    /// Attempts that failed, of those the server is given.
    failures: u32,
    /// Which page is next.
    pub(super) page: usize,
    /// What it says of the weight.
    pub(super) weight: Option<i64>,
    pub(super) last: Option<Attempt>,
    /// When the last verdict was given.
    pub(super) since: Option<Moment>,
    /// When the next attempt is due, and that entry's number in the agenda; none while one is under way.
    pub(super) due: Option<(Moment, u64)>,
    /// The real servers that depend on it: virtual server, place within it.
    pub(super) users: Vec<(Arc<str>, usize)>,
}

impl Probe {
    /// A check that has not run. One failure is enough at first, whatever `retry` says.
    pub(super) fn new(check: Arc<Check>) -> Self {
        let timing = check.timing;
        Self {
            check,
            is_up: !timing.alpha,
            has_run: false,
            failures: timing.retry,
            page: 0,
            weight: None,
            last: None,
            since: None,
            due: None,
            users: Vec::new(),
        }
    }

    /// As `old`, under changed timers or with another name within TLS.
    pub(super) fn succeed(old: &Self, check: Arc<Check>) -> Self {
        let failures = old.failures.min(check.timing.retry);
        let page = if old.page < pages(&check) { old.page } else { 0 };
        Self { check, failures, page, due: None, users: Vec::new(), ..old.clone() }
    }

    /// Takes what came of an attempt that began at `started`.
    pub(super) fn take(&mut self, outcome: Outcome, started: Moment, now: Moment) -> Change {
        let weight = self.weight;
        let (verdict, pause) = match &outcome {
            Outcome::Success { weight } => {
                self.weight = weight.or(self.weight);
                self.on_success()
            }
            Outcome::Failure(_) => self.on_failure(),
        };
        self.last = Some(Attempt { ended: now, took: now.since(started), outcome });
        if let Some(is_up) = verdict {
            if self.is_up != is_up || !self.has_run {
                self.since = Some(now);
            }
            (self.is_up, self.has_run) = (is_up, true);
        }
        // A program's turns are counted from where they begin, so that it runs each delay_loop however long it takes.
        let is_program = matches!(self.check.kind, CheckKind::Misc(_));
        let pause = if is_program { pause.saturating_sub(now.since(started)) } else { pause };
        Change { verdict, is_weight: self.weight != weight, pause }
    }

    fn on_success(&mut self) -> (Option<bool>, Duration) {
        let is_settled = self.is_up && self.has_run;
        let delay_loop = self.check.timing.delay_loop;
        self.failures = 0;
        self.page += 1;
        if self.page < pages(&self.check) {
            let is_fast = matches!(&self.check.kind, CheckKind::Http(http) if http.fast_recovery);
            return (None, if is_fast && !is_settled { Duration::ZERO } else { delay_loop });
        }
        self.page = 0;
        ((!is_settled).then_some(true), delay_loop)
    }

    fn on_failure(&mut self) -> (Option<bool>, Duration) {
        let timing = self.check.timing;
        if self.is_up && self.failures < timing.retry {
            self.failures += 1;
            return (None, timing.delay_before_retry);
        }
        let is_news = self.is_up || !self.has_run;
        (self.failures, self.page) = (0, 0);
        if matches!(self.check.kind, CheckKind::File(_)) {
            self.weight = None;
        }
        (is_news.then_some(false), timing.delay_loop)
    }
}

/// How many attempts, each about something else, make up a turn.
const fn pages(check: &Check) -> usize {
    match &check.kind {
        CheckKind::Http(http) => http.urls.len(),
        CheckKind::Tcp
        | CheckKind::Smtp { .. }
        | CheckKind::Dns { .. }
        | CheckKind::Udp(_)
        | CheckKind::Ping
        | CheckKind::Misc(_)
        | CheckKind::File(_) => 1,
    }
}
