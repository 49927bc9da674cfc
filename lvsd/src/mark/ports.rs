//! Port ranges: from a port to the set of rules one of whose ranges holds it, in two steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::bits::{Bits, SetId, Sets};
use super::rule::PortRange;

/// Ports of one page.
const PAGE: usize = 256;

/// All ports in pages; pages without a change inside are shared.
#[derive(Debug, Clone)]
pub(super) struct Ports {
    index: [u16; PAGE],
    pages: Vec<[SetId; PAGE]>,
}

impl Ports {
    /// A table over each rule's ranges; a rule without any fits every port.
    pub(super) fn new(rules: &[&[PortRange]], sets: &mut Sets) -> Self {
        let steps = steps(rules, sets);
        let mut table = Self { index: [0; PAGE], pages: Vec::new() };
        let mut uniform = HashMap::new();
        for (high, slot) in (0_u16..).zip(&mut table.index) {
            let (first, last) = (high << 8, high << 8 | 0xff);
            let mut current = steps.range(..=first).next_back().map(|(_, set)| *set).unwrap_or_default();
            let mut add = |page| {
                table.pages.push(page);
                u16::try_from(table.pages.len() - 1).unwrap_or(0)
            };
            if steps.range(first + 1..=last).next().is_none() {
                *slot = *uniform.entry(current).or_insert_with(|| add([current; PAGE]));
                continue;
            }
            let mut page = [current; PAGE];
            for (port, entry) in (first..=last).zip(&mut page) {
                current = steps.get(&port).copied().unwrap_or(current);
                *entry = current;
            }
            *slot = add(page);
        }
        table
    }

    /// The set of rules for a port.
    pub(super) fn find(&self, port: u16) -> SetId {
        let [high, low] = port.to_be_bytes().map(usize::from);
        let page = self.index.get(high).and_then(|page| self.pages.get(usize::from(*page)));
        page.and_then(|page| page.get(low)).copied().unwrap_or_default()
    }
}

/// The ports at which the set changes, each with the set from there on: ranges begin there, or have ended.
fn steps(rules: &[&[PortRange]], sets: &mut Sets) -> BTreeMap<u16, SetId> {
    let ranges = || rules.iter().copied().flatten();
    let mut changes: BTreeSet<u16> = ranges().map(|range| range.first).collect();
    changes.extend(ranges().filter_map(|range| range.last.checked_add(1)));
    changes.insert(0);
    let set = |port: u16| {
        let mut bits = Bits::none(rules.len());
        for (rule, ranges) in rules.iter().enumerate() {
            if ranges.is_empty() || ranges.iter().any(|range| range.as_range().contains(&port)) {
                bits.insert(rule);
            }
        }
        (port, sets.intern(bits))
    };
    changes.into_iter().map(set).collect()
}
