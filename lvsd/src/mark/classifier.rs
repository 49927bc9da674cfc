//! The rules of one address family as tables: the cost of a lookup does not grow with their number.
//!
//! Every field has a table from its value to the set of rules that it fits; the sets are intersected, and the first
//! rule in all of them counts. A set's summary leaves out the words that cannot matter, and [`MOST`](super::bits::MOST)
//! is so chosen that one summary word speaks for all rules.
//!
//! ```text
//! destination ---- Trie --\
//! source --------- Trie ---\
//! protocol ------- array ---+-- sets of rules -- AND -- the first rule -- its mark
//! ports ---------- Ports --/
//! interface ------ array -/
//! ```

use std::net::IpAddr;

use ipnet::IpNet;
use lvs_conntrack::Proto;
use lvs_forward::PortId;

use super::Candidate;
use super::bits::{Bits, SetId, Sets, first_common};
use super::ports::Ports;
use super::rule::{MarkRule, PortRange};
use super::trie::Trie;
use crate::snapshot::number;

/// Rules of one family, compiled.
#[derive(Debug, Clone)]
pub(super) struct Classifier {
    sets: Sets,
    destinations: Trie,
    sources: Trie,
    protocols: [SetId; 256],
    ports: Ports,
    source_ports: Ports,
    /// By ingress; those behind the end have the last one's set.
    interfaces: Vec<SetId>,
    marks: Vec<u32>,
}

impl Classifier {
    /// Compiles the rules, each with the place of its interface; none when there are none.
    pub(super) fn new(rules: &[(&MarkRule, Option<PortId>)]) -> Option<Self> {
        if rules.is_empty() {
            return None;
        }
        let mut sets = Sets::new(rules.len());
        let networks = |field: fn(&MarkRule) -> Option<IpNet>| {
            rules.iter().map(|(rule, _)| field(rule)).collect::<Vec<_>>()
        };
        let ranges = |field: fn(&MarkRule) -> &[PortRange]| {
            rules.iter().map(|&(rule, _)| field(rule)).collect::<Vec<&[PortRange]>>()
        };
        let mut classifier = Self {
            destinations: Trie::new(&networks(|rule| rule.destination), &mut sets),
            sources: Trie::new(&networks(|rule| rule.source), &mut sets),
            protocols: protocols(rules, &mut sets),
            ports: Ports::new(&ranges(|rule| &rule.ports), &mut sets),
            source_ports: Ports::new(&ranges(|rule| &rule.source_ports), &mut sets),
            interfaces: interfaces(rules, &mut sets),
            marks: rules.iter().map(|(rule, _)| rule.mark).collect(),
            sets,
        };
        classifier.sets.finish();
        Some(classifier)
    }

    /// The mark of a packet; 0 for none.
    pub(super) fn mark(&self, packet: Candidate<'_>) -> u32 {
        let key = packet.key;
        let interface = self.interfaces.get(usize::from(packet.ingress.0)).or_else(|| self.interfaces.last());
        let ids = [
            self.destinations.find(upper(key.dst)),
            self.ports.find(key.dst_port),
            self.sources.find(upper(key.src)),
            self.source_ports.find(key.src_port),
            self.protocols.get(usize::from(key.proto.0)).copied().unwrap_or_default(),
            interface.copied().unwrap_or_default(),
        ];
        let first = first_common(ids.map(|id| self.sets.row(id)));
        first.and_then(|rule| self.marks.get(rule)).copied().unwrap_or(0)
    }
}

fn protocols(rules: &[(&MarkRule, Option<PortId>)], sets: &mut Sets) -> [SetId; 256] {
    let mut table = [SetId::default(); 256];
    for (proto, entry) in (0..=u8::MAX).zip(&mut table) {
        let mut bits = Bits::none(rules.len());
        for (place, (rule, _)) in rules.iter().enumerate() {
            if rule.protocol.is_none_or(|wanted| number(wanted) == Proto(proto)) {
                bits.insert(place);
            }
        }
        *entry = sets.intern(bits);
    }
    table
}

/// The last set is that of interfaces no rule names.
fn interfaces(rules: &[(&MarkRule, Option<PortId>)], sets: &mut Sets) -> Vec<SetId> {
    let named = rules.iter().filter_map(|(_, interface)| *interface).map(|port| port.0).max();
    let last = named.map_or(0, |port| u32::from(port) + 1);
    let set = |ingress: u32| {
        let mut bits = Bits::none(rules.len());
        for (place, (rule, interface)) in rules.iter().enumerate() {
            if rule.interface.is_none() || interface.is_some_and(|port| u32::from(port.0) == ingress) {
                bits.insert(place);
            }
        }
        sets.intern(bits)
    };
    (0..=last).map(set).collect()
}

/// An address with its bits at the upper end of a number.
const fn upper(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => (v4.to_bits() as u128) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}
