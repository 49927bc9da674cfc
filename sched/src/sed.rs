//! `sed`, shortest expected delay: the fewest active connections for its weight, the new one counted.

use crate::least::Measure;

#[derive(Debug)]
pub(crate) struct ShortestDelay;

impl Measure for ShortestDelay {
    fn load(active: u32, _inactive: u32) -> u64 {
        u64::from(active) + 1
    }
}
