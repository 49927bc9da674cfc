//! How often a check runs, and how the settings are inherited.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often a check runs, and how long it is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timing {
    /// `connect_timeout`: how long one attempt may take.
    pub connect_timeout: Duration,
    /// `retry`: how many more attempts a server that was up is given once one has failed.
    pub retry: u32,
    /// `delay_before_retry`: the pause before each of them.
    pub delay_before_retry: Duration,
    /// `delay_loop`: the pause between attempts otherwise.
    pub delay_loop: Duration,
    /// `warmup`: the first attempt comes after a random part of this.
    pub warmup: Duration,
    /// `alpha`: the check counts as failed until it has succeeded once.
    pub alpha: bool,
    /// `log_all_failures`: not only the one that takes the server down.
    pub log_all_failures: bool,
}

impl Default for Timing {
    fn default() -> Self {
        Timers::default().resolve(KindDefaults::Other)
    }
}

/// The kinds of checks whose timers have defaults of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KindDefaults {
    /// `HTTP_GET`, `SSL_GET`: `delay_before_retry` 3 s.
    Http,
    /// `DNS_CHECK`: `retry` 3, `delay_before_retry` as `delay_loop`.
    Dns,
    /// `MISC_CHECK`: `retry` 0.
    Misc,
    /// All others: `retry` 1, `delay_before_retry` 1 s.
    Other,
}

/// Timers as far as they were written, at one of the three places where they can be.
///
/// `checker.over(real_server).over(virtual_server).resolve(kind)` is what holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timers {
    /// `connect_timeout`
    pub connect_timeout: Option<Duration>,
    /// `retry`
    pub retry: Option<u32>,
    /// `delay_before_retry`
    pub delay_before_retry: Option<Duration>,
    /// `delay_loop`
    pub delay_loop: Option<Duration>,
    /// `warmup`
    pub warmup: Option<Duration>,
    /// `alpha`
    pub alpha: Option<bool>,
    /// `log_all_failures`
    pub log_all_failures: Option<bool>,
}

impl Timers {
    /// `connect_timeout` when it is written nowhere.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    /// `delay_loop` when it is written nowhere.
    pub const DELAY_LOOP: Duration = Duration::from_mins(1);

    /// What is written here, and what `outer` says where nothing is.
    #[must_use]
    pub fn over(self, outer: Self) -> Self {
        Self {
            connect_timeout: self.connect_timeout.or(outer.connect_timeout),
            retry: self.retry.or(outer.retry),
            delay_before_retry: self.delay_before_retry.or(outer.delay_before_retry),
            delay_loop: self.delay_loop.or(outer.delay_loop),
            warmup: self.warmup.or(outer.warmup),
            alpha: self.alpha.or(outer.alpha),
            log_all_failures: self.log_all_failures.or(outer.log_all_failures),
        }
    }

    /// What holds for a check of this kind.
    pub fn resolve(self, kind: KindDefaults) -> Timing {
        let delay_loop = self.delay_loop.unwrap_or(Self::DELAY_LOOP);
        let (retry, delay_before_retry) = match kind {
            KindDefaults::Http => (1, Duration::from_secs(3)),
            KindDefaults::Dns => (3, delay_loop),
            KindDefaults::Misc => (0, Duration::from_secs(1)),
            KindDefaults::Other => (1, Duration::from_secs(1)),
        };
        Timing {
            connect_timeout: self.connect_timeout.unwrap_or(Self::CONNECT_TIMEOUT),
            retry: self.retry.unwrap_or(retry),
            delay_before_retry: self.delay_before_retry.unwrap_or(delay_before_retry),
            delay_loop,
            warmup: self.warmup.unwrap_or(delay_loop),
            alpha: self.alpha.unwrap_or(false),
            log_all_failures: self.log_all_failures.unwrap_or(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inner_setting_counts_and_the_kind_fills_the_rest() {
        let server = Timers { retry: Some(5), delay_loop: Some(Duration::from_secs(6)), ..Timers::default() };
        let check = Timers { retry: Some(2), ..Timers::default() };
        let timing = check.over(server).resolve(KindDefaults::Dns);
        assert_eq!((timing.retry, timing.delay_loop.as_secs()), (2, 6));
        assert_eq!((timing.delay_before_retry.as_secs(), timing.warmup.as_secs()), (6, 6));
        let plain = Timers::default();
        let told = |kind| {
            let timing = plain.resolve(kind);
            (timing.retry, timing.delay_before_retry.as_secs())
        };
        assert_eq!(told(KindDefaults::Http), (1, 3));
        assert_eq!(told(KindDefaults::Dns), (3, 60));
        assert_eq!(told(KindDefaults::Misc), (0, 1));
        assert_eq!(told(KindDefaults::Other), (1, 1));
    }
}
