//! `lc`, least connection: the smallest overhead, whatever the weight.

use crate::least::{Measure, overhead};

#[derive(Debug)]
pub(crate) struct LeastConnection;

impl Measure for LeastConnection {
    fn load(active: u32, inactive: u32) -> u64 {
        overhead(active, inactive)
    }

    fn share(_weight: u32) -> u32 {
        1
    }
}
