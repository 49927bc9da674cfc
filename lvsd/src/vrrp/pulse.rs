//! A worker's pulse: a master whose workers stand still gives its addresses up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lvs_vrrp::Tick;

/// How long workers may stand still. One that has nothing to do still turns ten times a second.
const PATIENCE: Duration = Duration::from_secs(1);

/// Beats each time its worker turns.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// Beats once. Only one thread may.
    pub fn beat(&self) {
        let count = self.0.load(Ordering::Relaxed);
        self.0.store(count.wrapping_add(1), Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Watches pulses.
#[derive(Debug)]
pub(super) struct Pulses(Vec<(Pulse, u64, Tick)>);

impl Pulses {
    pub(super) fn new(pulses: Vec<Pulse>, now: Tick) -> Self {
        Self(pulses.into_iter().map(|pulse| (pulse.clone(), pulse.count(), now)).collect())
    }

    /// True while each has beaten lately.
    pub(super) fn are_alive(&mut self, now: Tick) -> bool {
        for (pulse, seen, at) in &mut self.0 {
            let count = pulse.count();
            if count != *seen {
                (*seen, *at) = (count, now);
            }
        }
        self.0.iter().all(|&(_, _, at)| now - at < PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_stands_still_is_enough_and_it_may_come_back() {
        let [one, other] = [Pulse::default(), Pulse::default()];
        let at = |millis| Tick::at(Duration::from_millis(millis));
        let mut pulses = Pulses::new(vec![one.clone(), other.clone()], at(0));
        assert!(pulses.are_alive(at(900)));
        one.beat();
        other.beat();
        assert!(pulses.are_alive(at(950)));
        one.beat();
        assert!(pulses.are_alive(at(1900)));
        assert!(!pulses.are_alive(at(1950)));
        other.beat();
        assert!(pulses.are_alive(at(1960)));
        assert!(Pulses::new(vec![], at(0)).are_alive(at(100_000)), "nobody to watch");
    }
}
