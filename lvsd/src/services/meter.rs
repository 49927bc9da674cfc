//! Counters as they are shown: from a zero point on, with rates by the kernel's estimator.

use crate::destination::Counters;
use crate::message::Stats as Shown;

/// The reading of a set of counters. The rates are an average that decays by a quarter every two seconds
/// (`ip_vs_est.c`): packets scaled by 2^10, bytes by 2^5.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meter {
    zero: Counters,
    last: Counters,
    cps: i64,
    in_pps: i64,
    out_pps: i64,
    in_bps: i64,
    out_bps: i64,
}

impl Meter {
    /// Makes `counted` the new zero; the rates begin anew.
    pub(crate) fn zero(&mut self, counted: Counters) {
        *self = Self { zero: counted, last: self.last, ..Self::default() };
    }

    /// Takes the estimator's step; called every two seconds.
    pub(crate) fn step(&mut self, counted: Counters) {
        let last = std::mem::replace(&mut self.last, counted);
        decay(&mut self.cps, counted.conns - last.conns, 9);
        decay(&mut self.in_pps, counted.in_packets - last.in_packets, 9);
        decay(&mut self.out_pps, counted.out_packets - last.out_packets, 9);
        decay(&mut self.in_bps, counted.in_bytes - last.in_bytes, 4);
        decay(&mut self.out_bps, counted.out_bytes - last.out_bytes, 4);
    }

    /// What is shown while the counters stand at `counted`.
    pub(crate) fn read(&self, counted: Counters) -> Shown {
        Shown {
            conns: counted.conns - self.zero.conns,
            in_packets: counted.in_packets - self.zero.in_packets,
            out_packets: counted.out_packets - self.zero.out_packets,
            in_bytes: counted.in_bytes - self.zero.in_bytes,
            out_bytes: counted.out_bytes - self.zero.out_bytes,
            cps: rounded(self.cps, 0x1ff, 10),
            in_pps: rounded(self.in_pps, 0x1ff, 10),
            out_pps: rounded(self.out_pps, 0x1ff, 10),
            in_bps: rounded(self.in_bps, 0xf, 5),
            out_bps: rounded(self.out_bps, 0xf, 5),
        }
    }
}

fn decay(average: &mut i64, events: u64, scale: u32) {
    let rate = i64::try_from(events << scale).unwrap_or(i64::MAX);
    *average += (rate - *average) >> 2;
}

fn rounded(average: i64, half: i64, scale: u32) -> u64 {
    u64::try_from((average + half) >> scale).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(conns: u64, in_bytes: u64) -> Counters {
        Counters { conns, in_packets: conns, in_bytes, ..Counters::default() }
    }

    #[test]
    fn a_steady_rate_is_reached_and_decays() {
        let mut meter = Meter::default();
        for step in 1..60 {
            meter.step(counters(step * 20, step * 2000));
        }
        let shown = meter.read(counters(1180, 118_000));
        assert_eq!((shown.cps, shown.in_pps, shown.in_bps), (10, 10, 1000));
        for _ in 0..60 {
            meter.step(counters(1180, 118_000));
        }
        assert_eq!(meter.read(counters(1180, 118_000)).cps, 0);
    }

    #[test]
    fn a_zero_point_hides_what_was_before() {
        let mut meter = Meter::default();
        meter.step(counters(5, 500));
        meter.zero(counters(7, 700));
        let shown = meter.read(counters(8, 750));
        assert_eq!((shown.conns, shown.in_bytes, shown.cps), (1, 50, 0));
    }
}
