//! How often the director speaks to one address: a bucket of tokens for each, as the kernel limits its ICMP.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

use lvs_conntrack::Tick;

/// Buckets; two addresses that fall into one take turns in it.
const BUCKETS: usize = 1024;
/// Messages that may come at once (`XRLIM_BURST_FACTOR`).
const BURST: u32 = 6;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    addr: IpAddr,
    tokens: Duration,
    last: Tick,
}

/// A limiter of messages to each address (`inet_peer_xrlim_allow`).
#[derive(Debug)]
pub(super) struct Limiter {
    hasher: foldhash::fast::RandomState,
    buckets: Box<[Option<Bucket>]>,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { hasher: foldhash::fast::RandomState::default(), buckets: vec![None; BUCKETS].into() }
    }
}

impl Limiter {
    /// Whether a message to `addr` may go now, where one may go each `interval` and six at once.
    pub(super) fn allows(&mut self, addr: IpAddr, interval: Duration, now: Tick) -> bool {
        let hash = self.hasher.hash_one(addr);
        let index = usize::try_from(hash % BUCKETS as u64).unwrap_or(0);
        let Some(place) = self.buckets.get_mut(index) else { return false };
        let full = interval * BURST;
        let bucket = match place {
            Some(bucket) if bucket.addr == addr => bucket,
            _ => place.insert(Bucket { addr, tokens: full, last: now }),
        };
        bucket.tokens = (bucket.tokens + now.saturating_since(bucket.last)).min(full);
        bucket.last = now;
        match bucket.tokens.checked_sub(interval) {
            Some(left) => {
                bucket.tokens = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_go_at_once_and_then_one_each_second() {
        let mut limiter = Limiter::default();
        let second = Duration::from_secs(1);
        let one = IpAddr::from([192, 0, 2, 1]);
        let mut at = |millis| limiter.allows(one, second, Tick::from_millis(millis));
        assert_eq!((0..8).filter(|_| at(5)).count(), 6);
        assert!(!at(900));
        assert!(at(1005));
        assert!(!at(1006));
        assert_eq!((0..8).filter(|_| at(60_000)).count(), 6);
    }

    #[test]
    fn addresses_do_not_share_their_tokens() {
        let mut limiter = Limiter::default();
        let mut allowed = 0;
        for last in 0..10 {
            let addr = IpAddr::from([192, 0, 2, last]);
            allowed += u32::from(limiter.allows(addr, Duration::from_secs(1), Tick::ZERO));
        }
        assert_eq!(allowed, 10);
    }
}
