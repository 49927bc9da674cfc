//! Address prefixes: from an address to the set of rules whose prefix holds it, four bits a step.

use ipnet::IpNet;

use super::bits::{Bits, SetId, Sets};

/// Bits of an address looked at in one step: a node is then one cache line.
const STRIDE: u8 = 4;
const FAN: usize = 1 << STRIDE;
/// In an entry: a node follows, not a set.
const NODE: u32 = 1 << 31;

/// A trie over addresses of one family. The longest prefix that holds an address decides: its set names the rules of
/// all shorter ones, too. The steps are bounded by the address's length, whatever the number of prefixes.
#[derive(Debug, Clone)]
pub(super) struct Trie {
    nodes: Vec<[u32; FAN]>,
}

impl Trie {
    /// A trie over each rule's prefix; a rule without one fits every address.
    pub(super) fn new(prefixes: &[Option<IpNet>], sets: &mut Sets) -> Self {
        let mut rules: Vec<(u8, u128, usize)> =
            prefixes.iter().enumerate().map(|(rule, prefix)| position(*prefix, rule)).collect();
        // Shorter prefixes come first, so that a longer one finds there whom it belongs to as well.
        rules.sort_unstable();
        let none = sets.intern(Bits::none(prefixes.len()));
        let mut trie = Self { nodes: vec![[none.0; FAN]] };
        let mut inside: Vec<(SetId, Bits)> = vec![(none, Bits::none(prefixes.len()))];
        for same in rules.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let Some(&(length, address, _)) = same.first() else { continue };
            let outer = trie.find(address);
            let mut bits = Bits::none(prefixes.len());
            for &(_, _, rule) in same {
                bits.insert(rule);
            }
            if let Some((_, around)) = inside.iter().find(|(id, _)| *id == outer) {
                bits.unite(around);
            }
            let id = sets.intern(bits.clone());
            inside.push((id, bits));
            trie.insert(address, length, id);
        }
        trie
    }

    /// The set of rules for an address, its bits at the upper end.
    pub(super) fn find(&self, address: u128) -> SetId {
        let mut rest = address;
        let mut entry = NODE;
        while entry & NODE != 0 {
            let node = self.nodes.get((entry & !NODE) as usize);
            entry = node.and_then(|node| node.get(top(rest))).copied().unwrap_or(0);
            rest <<= STRIDE;
        }
        SetId(entry)
    }

    fn insert(&mut self, address: u128, length: u8, id: SetId) {
        let (mut rest, mut left, mut at) = (address, length, 0);
        while left > STRIDE {
            at = self.descend(at, top(rest));
            rest <<= STRIDE;
            left -= STRIDE;
        }
        let first = top(rest);
        let count = 1 << (STRIDE - left);
        let entries = self.nodes.get_mut(at).and_then(|node| node.get_mut(first..first + count));
        entries.unwrap_or_default().fill(id.0);
    }

    /// The node behind an entry; made where there is none, with the entry's set everywhere.
    fn descend(&mut self, at: usize, place: usize) -> usize {
        let next = self.nodes.len();
        let Some(entry) = self.nodes.get_mut(at).and_then(|node| node.get_mut(place)) else { return 0 };
        if *entry & NODE != 0 {
            return (*entry & !NODE) as usize;
        }
        let set = std::mem::replace(entry, NODE | u32::try_from(next).unwrap_or(0));
        self.nodes.push([set; FAN]);
        next
    }
}

/// A prefix as its length and its bits at the upper end of a number.
fn position(prefix: Option<IpNet>, rule: usize) -> (u8, u128, usize) {
    match prefix.map(|prefix| prefix.trunc()) {
        None => (0, 0, rule),
        Some(IpNet::V4(v4)) => (v4.prefix_len(), u128::from(v4.addr().to_bits()) << 96, rule),
        Some(IpNet::V6(v6)) => (v6.prefix_len(), v6.addr().to_bits(), rule),
    }
}

/// The next step's bits.
const fn top(rest: u128) -> usize {
    (rest >> (128 - STRIDE)) as usize
}
