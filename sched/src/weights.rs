//! What several schedulers ask of a pool's weights as a whole.

use crate::pool::{Pool, Slot, slots};

/// The greatest common divisor of all numbers that are not 0; 0 if there are none.
pub(crate) fn divisor(weights: impl Iterator<Item = u32>) -> u32 {
    weights.fold(0, |mut a, mut b| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    })
}

/// The servers with a weight, the highest first, equal ones in list order.
pub(crate) fn by_weight(pool: &dyn Pool) -> Box<[Slot]> {
    let mut order: Vec<Slot> = slots(pool).filter(|&slot| !pool.weight(slot).is_quiesced()).collect();
    order.sort_by_key(|&slot| std::cmp::Reverse(pool.weight(slot)));
    order.into_boxed_slice()
}
