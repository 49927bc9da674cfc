//! One measurement, and whether something else got in its way.

use std::fs;
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// The share of its time that a measured thread may wait for a processor.
pub(crate) const MOST_DELAY: f64 = 0.03;
/// How often a disturbed sample is taken again.
const ATTEMPTS: usize = 6;

/// What was measured: a rate or a time, whichever the contenders are held against each other by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// The value.
    pub(crate) value: f64,
    /// The share of the time in which the measured thread waited for a processor.
    pub(crate) delay: f64,
}

impl Sample {
    /// True where others had the processor for longer than a measurement bears.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.delay > MOST_DELAY
    }
}

/// Watches how long the calling thread waits for a processor.
#[derive(Debug)]
pub(crate) struct Watch {
    start: Instant,
    delay: Duration,
}

impl Watch {
    /// From now on.
    pub(crate) fn start() -> Self {
        Self { delay: run_delay(), start: Instant::now() }
    }

    /// The share of the time since the start in which the thread waited.
    pub(crate) fn delay(&self) -> f64 {
        let elapsed = self.start.elapsed().as_secs_f64();
        let delay = run_delay().saturating_sub(self.delay).as_secs_f64();
        if elapsed > 0.0 { delay / elapsed } else { 0.0 }
    }
}

/// The second number of schedstat: time spent runnable without a processor. Zero where the kernel does not tell.
fn run_delay() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanoseconds)
}

/// Takes a sample, again while it is disturbed. `None` where every one was.
///
/// # Errors
/// The sample's own.
pub(crate) fn undisturbed(
    keeps_disturbed: bool,
    mut take: impl FnMut() -> Result<Sample, Failure>,
) -> Result<Option<f64>, Failure> {
    for _ in 0..ATTEMPTS {
        let sample = take()?;
        if keeps_disturbed || !sample.is_disturbed() {
            return Ok(Some(sample.value));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disturbed_sample_is_taken_again() {
        let mut delays = [0.5, 0.031, 0.03, 0.0].into_iter();
        let mut taken = 0;
        let value = undisturbed(false, || {
            taken += 1;
            Ok(Sample { value: f64::from(taken), delay: delays.next().unwrap() })
        });
        assert_eq!(value.unwrap(), Some(3.0));
    }

    #[test]
    fn where_all_are_disturbed_there_is_none() {
        let mut taken = 0;
        let mut take = || {
            taken += 1;
            Ok(Sample { value: 1.0, delay: 0.2 })
        };
        assert_eq!(undisturbed(false, &mut take).unwrap(), None);
        assert_eq!(undisturbed(true, &mut take).unwrap(), Some(1.0));
        assert_eq!(taken, ATTEMPTS + 1);
    }

    #[test]
    fn a_thread_that_sleeps_waits_for_nothing() {
        let watch = Watch::start();
        std::thread::sleep(Duration::from_millis(20));
        assert!(watch.delay() < 0.5, "{}", watch.delay());
    }
}
