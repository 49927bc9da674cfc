//! Sets of rules as bits, in the order of the rules: intersecting them finds the first rule that fits.

use std::collections::HashMap;

/// Rules there may be: as many as the words that one word of bits can speak for.
pub(super) const MOST: usize = 64 * 64;

/// A number for a set of rules in one [`Sets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct SetId(pub(super) u32);

/// A set of rules while it is being put together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// No rule out of `rules`.
    pub(super) fn none(rules: usize) -> Self {
        Self(vec![0; rules.div_ceil(64)])
    }

    pub(super) fn insert(&mut self, rule: usize) {
        if let Some(word) = self.0.get_mut(rule / 64) {
            *word |= 1 << (rule % 64);
        }
    }

    pub(super) fn unite(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }
}

/// Different sets of rules, each kept once.
///
/// A set is a row: a summary, whose bit i says that word i is not empty, and its words.
#[derive(Debug, Clone, Default)]
pub(super) struct Sets {
    rows: Vec<u64>,
    words: usize,
    known: HashMap<Bits, SetId>,
}

impl Sets {
    /// For sets out of this many rules.
    pub(super) fn new(rules: usize) -> Self {
        Self { rows: Vec::new(), words: rules.div_ceil(64), known: HashMap::new() }
    }

    /// The number of a set; the same one for the same set.
    pub(super) fn intern(&mut self, bits: Bits) -> SetId {
        if let Some(&known) = self.known.get(&bits) {
            return known;
        }
        let id = SetId(u32::try_from(self.known.len()).unwrap_or(u32::MAX));
        let summary = bits.0.iter().enumerate().filter(|(_, word)| **word != 0);
        self.rows.push(summary.fold(0, |summary, (place, _)| summary | 1 << place));
        self.rows.extend(&bits.0);
        self.known.insert(bits, id);
        id
    }

    /// Ends the interning; what only it needed is given back.
    pub(super) fn finish(&mut self) {
        self.known = HashMap::new();
        self.rows.shrink_to_fit();
    }

    /// The row of a set: its summary and its words.
    pub(super) fn row(&self, id: SetId) -> &[u64] {
        let start = id.0 as usize * (self.words + 1);
        self.rows.get(start..=start + self.words).unwrap_or_default()
    }
}

/// The first rule that is in every one of these rows.
pub(super) fn first_common<const N: usize>(rows: [&[u64]; N]) -> Option<usize> {
    let both = |place: usize| {
        rows.iter().fold(u64::MAX, |common, row| common & row.get(place).copied().unwrap_or(0))
    };
    let mut summary = both(0);
    while summary != 0 {
        let place = summary.trailing_zeros() as usize;
        let word = both(place + 1);
        if word != 0 {
            return Some(place * 64 + word.trailing_zeros() as usize);
        }
        summary &= summary - 1;
    }
    None
}
