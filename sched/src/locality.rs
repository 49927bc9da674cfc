//! What `lblc` and `lblcr` remember of destination addresses.
//!
//! A cache is shared by all schedulers that come one after another through `rebuild`. It ages by the kernel's
//! rules: once a minute entries idle for six minutes go while there are too many, and in every thirtieth minute
//! all that have been idle for a day, or for as long as was asked for (`ip_vs_lblc_check_expire`).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::hash::siphash_addr;
use crate::pool::{Pool, Slot, slots};

const BUCKETS: usize = 1024;

/// Up to this many entries nothing is thrown away but by age.
const ENOUGH: usize = BUCKETS * 16;

/// With this many, an address that is not known is served and not remembered.
const LIMIT: usize = ENOUGH + ENOUGH / 2;

const CHECK_INTERVAL: Duration = Duration::from_mins(1);
const IDLE: Duration = Duration::from_mins(6);
const CHECKS_TO_FULL: u32 = 30;

/// `net.ipv4.vs.lblc_expiration` and `lblcr_expiration` as the kernel has them from the start.
const EXPIRATION: Duration = Duration::from_hours(24);

/// A value for each destination address.
#[derive(Debug)]
pub(crate) struct Locality<V> {
    buckets: Box<[Mutex<Vec<Entry<V>>>]>,
    entries: AtomicUsize,
    key: u64,
    /// In milliseconds.
    expiration: AtomicU64,
    rounds: Mutex<Rounds>,
}

#[derive(Debug)]
struct Entry<V> {
    destination: IpAddr,
    used: Duration,
    value: V,
}

/// Where the ageing stands.
#[derive(Debug)]
struct Rounds {
    checked: Option<Duration>,
    checks: u32,
    rover: usize,
}

impl<V> Locality<V> {
    pub(crate) fn new(key: u64) -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| Mutex::new(Vec::new())).collect(),
            entries: AtomicUsize::new(0),
            key,
            expiration: AtomicU64::new(millis(EXPIRATION)),
            rounds: Mutex::new(Rounds { checked: None, checks: 1, rover: 0 }),
        }
    }

    /// Hands what is kept for `destination` to `visit`, and keeps what it leaves there.
    pub(crate) fn visit<R>(
        &self,
        destination: IpAddr,
        now: Duration,
        visit: impl FnOnce(&mut Option<V>) -> R,
    ) -> R {
        let mut bucket = self.bucket(destination);
        let place = bucket.iter().position(|entry| entry.destination == destination);
        let known = place.is_some();
        let mut value = place.map(|place| bucket.swap_remove(place).value);
        let result = visit(&mut value);
        if let Some(value) = value {
            if known || self.entries.fetch_add(1, Ordering::Relaxed) < LIMIT {
                bucket.push(Entry { destination, used: now, value });
            } else {
                self.entries.fetch_sub(1, Ordering::Relaxed);
            }
        }
        result
    }

    /// How long something may be of no use before it is forgotten.
    pub(crate) fn expiration(&self) -> Duration {
        Duration::from_millis(self.expiration.load(Ordering::Relaxed))
    }

    pub(crate) fn set_expiration(&self, expiration: Duration) {
        self.expiration.store(millis(expiration), Ordering::Relaxed);
    }

    fn bucket(&self, destination: IpAddr) -> MutexGuard<'_, Vec<Entry<V>>> {
        #[expect(clippy::cast_possible_truncation, reason = "only the low bits number a bucket")]
        let hash = siphash_addr(self.key, destination) as usize;
        lock(&self.buckets[hash % BUCKETS])
    }

    /// Does what a minute asks for, once a minute has passed.
    pub(crate) fn sweep(&self, now: Duration) {
        let mut rounds = lock(&self.rounds);
        let checked = *rounds.checked.get_or_insert(now);
        if now.saturating_sub(checked) < CHECK_INTERVAL {
            return;
        }
        rounds.checked = Some(now);
        if rounds.checks.is_multiple_of(CHECKS_TO_FULL) {
            rounds.checks = 1;
            self.forget(&mut rounds.rover, now, self.expiration(), usize::MAX);
            return;
        }
        let over = self.entries.load(Ordering::Relaxed).saturating_sub(ENOUGH);
        if over == 0 {
            rounds.checks += 1;
        } else {
            self.forget(&mut rounds.rover, now, IDLE, (over * 4 / 3).min(ENOUGH / 2));
        }
    }

    /// Goes through the buckets from where it stopped the last time, until `goal` entries are gone.
    fn forget(&self, rover: &mut usize, now: Duration, idle: Duration, goal: usize) {
        let mut gone = 0;
        for _ in 0..BUCKETS {
            *rover = (*rover + 1) % BUCKETS;
            let mut bucket = lock(&self.buckets[*rover]);
            let before = bucket.len();
            bucket.retain(|entry| now < entry.used + idle);
            gone += before - bucket.len();
            self.entries.fetch_sub(before - bucket.len(), Ordering::Relaxed);
            if gone >= goal {
                return;
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where each server of a pool stands.
#[derive(Debug)]
pub(crate) struct Places(HashMap<SocketAddr, Slot>);

impl Places {
    pub(crate) fn of(pool: &dyn Pool) -> Self {
        Self(slots(pool).map(|slot| (pool.endpoint(slot), slot)).collect())
    }

    /// The server's slot; none while it is not in the pool.
    pub(crate) fn find(&self, endpoint: &SocketAddr) -> Option<Slot> {
        self.0.get(endpoint).copied()
    }
}

/// True when the server has more active connections than its weight while another has fewer than half of its
/// own: then an address should not stay with it (`is_overloaded` of `ip_vs_lblc.c`).
pub(crate) fn should_share(pool: &dyn Pool, slot: Slot) -> bool {
    let half_idle = |slot| u64::from(pool.active(slot)) * 2 < u64::from(pool.weight(slot).get());
    pool.active(slot) > pool.weight(slot).get() && slots(pool).any(half_idle)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn fill(cache: &Locality<u32>, from: u32, count: u32, now: Duration) {
        for number in from..from + count {
            cache.visit(Ipv4Addr::from_bits(number).into(), now, |value| *value = Some(number));
        }
    }

    fn knows(cache: &Locality<u32>, number: u32, now: Duration) -> bool {
        cache.visit(Ipv4Addr::from_bits(number).into(), now, |value| value.is_some())
    }

    fn len(cache: &Locality<u32>) -> usize {
        let counted = cache.buckets.iter().map(|bucket| lock(bucket).len()).sum();
        assert_eq!(cache.entries.load(Ordering::Relaxed), counted);
        counted
    }

    #[test]
    fn a_value_is_found_again_and_none_is_invented() {
        let cache = Locality::new(5);
        fill(&cache, 0, 3000, MINUTE);
        assert!((0..3000).all(|number| knows(&cache, number, MINUTE)));
        assert!(!knows(&cache, 3000, MINUTE));
        assert_eq!(len(&cache), 3000);
    }

    #[test]
    fn a_full_cache_takes_no_new_address() {
        let cache = Locality::new(5);
        fill(&cache, 0, 30_000, MINUTE);
        assert_eq!(len(&cache), LIMIT);
        assert!(knows(&cache, 0, MINUTE) && !knows(&cache, 29_999, MINUTE));
    }

    #[test]
    fn idle_addresses_go_only_while_there_are_too_many() {
        let cache = Locality::new(5);
        fill(&cache, 0, 100, MINUTE);
        for minute in 1..20 {
            cache.sweep(MINUTE * minute);
        }
        assert_eq!(len(&cache), 100);
        fill(&cache, 1000, 17_000, MINUTE * 20);
        cache.sweep(MINUTE * 21);
        let crowded = 17_000 + 100 - ENOUGH;
        assert_eq!(len(&cache), ENOUGH + crowded - 100, "only the hundred have been idle for six minutes");
        cache.sweep(MINUTE * 27);
        let left = len(&cache);
        assert!(left < ENOUGH && left > ENOUGH - 1000, "{left}");
    }

    #[test]
    fn after_a_day_an_idle_address_goes_in_a_thirtieth_minute() {
        let cache = Locality::new(5);
        fill(&cache, 0, 10, Duration::ZERO);
        for minute in 0..24 * 60 {
            cache.sweep(MINUTE * minute);
        }
        fill(&cache, 5, 1, MINUTE * 60);
        assert_eq!(len(&cache), 10);
        for minute in 24 * 60..24 * 60 + 31 {
            cache.sweep(MINUTE * minute);
        }
        assert_eq!(len(&cache), 1);
    }

    #[test]
    fn an_expiration_of_ones_own_counts_in_a_thirtieth_minute_and_no_sooner() {
        let cache = Locality::new(5);
        cache.set_expiration(MINUTE * 10);
        fill(&cache, 0, 10, Duration::ZERO);
        for minute in 0..30 {
            cache.sweep(MINUTE * minute);
        }
        assert_eq!(len(&cache), 10, "idle for twenty-nine minutes, and nobody looked");
        fill(&cache, 5, 1, MINUTE * 25);
        cache.sweep(MINUTE * 30);
        assert_eq!(len(&cache), 1);
    }
}
