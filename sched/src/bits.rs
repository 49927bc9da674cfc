//! A set of slots in which the next member is found in a few steps, however far away it is.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::pool::Slot;

const WORD: usize = 64;

/// A bit for each slot, over them a bit for each word that is not empty, and so on up to a single word.
///
/// The words are atomic so that a set can be changed behind a shared reference; whoever changes one keeps all
/// others out meanwhile.
#[derive(Debug)]
pub(crate) struct Bits {
    levels: Box<[Box<[AtomicU64]>]>,
}

impl Bits {
    /// An empty set with room for slots 0 to `len - 1`.
    pub(crate) fn new(len: usize) -> Self {
        let mut levels = Vec::new();
        let mut words = len;
        loop {
            words = words.div_ceil(WORD).max(1);
            levels.push((0..words).map(|_| AtomicU64::new(0)).collect());
            if words == 1 {
                return Self { levels: levels.into_boxed_slice() };
            }
        }
    }

    pub(crate) fn insert(&self, slot: Slot) {
        let mut at = slot.index();
        for level in &self.levels {
            let word = &level[at / WORD];
            let before = word.load(Ordering::Relaxed);
            word.store(before | 1 << (at % WORD), Ordering::Relaxed);
            if before != 0 {
                return;
            }
            at /= WORD;
        }
    }

    pub(crate) fn clear(&self) {
        for word in self.levels.iter().flatten() {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// The first member from slot `from` on.
    pub(crate) fn next(&self, from: usize) -> Option<Slot> {
        let mut at = from;
        for (depth, level) in self.levels.iter().enumerate() {
            let word = level.get(at / WORD)?.load(Ordering::Relaxed) >> (at % WORD);
            if word != 0 {
                return Some(self.descend(depth, at + trailing_zeros(word)));
            }
            at = at / WORD + 1;
        }
        None
    }

    /// The first slot under the set bit `at` of level `depth`.
    fn descend(&self, depth: usize, mut at: usize) -> Slot {
        for level in self.levels[..depth].iter().rev() {
            at = at * WORD + trailing_zeros(level[at].load(Ordering::Relaxed));
        }
        Slot::at(at)
    }
}

const fn trailing_zeros(word: u64) -> usize {
    word.trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_member_is_found_across_every_level() {
        for len in [1, 63, 64, 65, 4096, 4097, 300_000] {
            let bits = Bits::new(len);
            assert_eq!(bits.next(0), None, "{len}");
            let members = [0, 1, 62, 63, 64, 4095, 4096, 299_999];
            let members: Vec<usize> = members.into_iter().filter(|&member| member < len).collect();
            for &member in &members {
                bits.insert(Slot::at(member));
            }
            for from in members.iter().flat_map(|&member| [member.saturating_sub(1), member, member + 1]) {
                let expected = members.iter().copied().find(|&member| member >= from).map(Slot::at);
                assert_eq!(bits.next(from), expected, "{len} from {from}");
            }
            bits.clear();
            assert_eq!(bits.next(0), None, "{len} cleared");
        }
    }
}
