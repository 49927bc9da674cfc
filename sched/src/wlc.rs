//! `wlc`, weighted least connection: the smallest overhead for its weight.

use crate::least::{Measure, overhead};

#[derive(Debug)]
pub(crate) struct WeightedLeastConnection;

impl Measure for WeightedLeastConnection {
    fn load(active: u32, inactive: u32) -> u64 {
        overhead(active, inactive)
    }
}
