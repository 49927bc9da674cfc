//! `nq`, never queue: an idle server if there is one, whatever its weight; else as `sed`.

use crate::least::Measure;

#[derive(Debug)]
pub(crate) struct NeverQueue;

impl Measure for NeverQueue {
    /// Idle servers are all alike at load 0 and below every other.
    fn load(active: u32, _inactive: u32) -> u64 {
        match active {
            0 => 0,
            busy => u64::from(busy) + 1,
        }
    }
}
