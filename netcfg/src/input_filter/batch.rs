//! The messages that put a table in its place, as nfnetlink takes them: all of them, or none.
//!
//! ```text
//! begin | new table, delete table | new table, chain, sets, elements, rules | end
//!         (gone, whether or        (where there is to be one)
//!          not it was there)
//! ```

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Closed;

const REQUEST: u16 = 0x01;
const ACK: u16 = 0x04;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NFNL_SUBSYS_NFTABLES`
const NFTABLES: u16 = 10;
const NEW_TABLE: u16 = of_nftables(0);
const DELETE_TABLE: u16 = of_nftables(2);
const NEW_CHAIN: u16 = of_nftables(3);
const NEW_RULE: u16 = of_nftables(6);
const NEW_SET: u16 = of_nftables(9);
const NEW_ELEMENTS: u16 = of_nftables(12);

/// `NFPROTO_INET`: IPv4 and IPv6 in one table.
const INET: u8 = 1;
const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// `NFT_TABLE_F_OWNER`
const OWNER: u32 = 2;
/// `NF_INET_LOCAL_IN`
const INPUT: u32 = 1;
/// Just before the operator's own filters, as keepalived has it.
const PRIORITY: i32 = -1;
const ACCEPT: u32 = 1;
const DROP: u32 = 0;
const CHAIN: &str = "input";
/// Elements to a message: their list's length is written in sixteen bits.
const ELEMENTS: usize = 1000;

const META_IIF: u32 = 4;
const META_FAMILY: u32 = 15;
const META_PROTOCOL: u32 = 16;
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
const ICMPV6: u8 = 58;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// Where the destination stands in a header, and how addresses of the family are kept.
struct Family {
    number: u8,
    set: &'static str,
    /// nft's number of the type, by which it prints the set.
    kind: u32,
    length: u32,
    offset: u32,
}

const V4: Family = Family { number: IPV4, set: "v4", kind: 7, length: 4, offset: 16 };
const V6: Family = Family { number: IPV6, set: "v6", kind: 8, length: 16, offset: 24 };

/// A batch, ready to be sent.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    sequence: u32,
    table: String,
}

impl Batch {
    /// The messages, numbered from `first`, after which `table` closes these addresses; or is not there.
    pub(super) fn new(table: &str, first: u32, closed: &BTreeSet<Closed>, is_there: bool) -> Self {
        let mut batch = Self { bytes: Vec::new(), sequence: first.wrapping_sub(1), table: table.to_owned() };
        batch.message(BATCH_BEGIN, REQUEST, 0, NFTABLES, &[]);
        batch.new_table();
        batch.order(DELETE_TABLE, 0, &batch.name(1));
        if is_there {
            batch.new_table();
            batch.chain();
            batch.addresses(&V4, closed);
            batch.addresses(&V6, closed);
            batch.rules(closed);
        }
        batch.message(BATCH_END, REQUEST, 0, NFTABLES, &[]);
        // The end itself is not answered.
        batch.sequence = batch.sequence.wrapping_sub(1);
        batch
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of the message whose answer comes last.
    pub(super) const fn last(&self) -> u32 {
        self.sequence
    }

    fn message(&mut self, kind: u16, flags: u16, family: u8, resource: u16, attributes: &[u8]) {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(20 + attributes.len()).unwrap_or(u32::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        self.bytes.extend(attributes);
    }

    /// A message that is answered.
    fn order(&mut self, kind: u16, flags: u16, attributes: &[u8]) {
        self.message(kind, REQUEST | ACK | flags, INET, 0, attributes);
    }

    fn name(&self, kind: u16) -> Vec<u8> {
        text(kind, &self.table)
    }

    fn new_table(&mut self) {
        let attributes = [self.name(1), number(2, OWNER)].concat();
        self.order(NEW_TABLE, CREATE, &attributes);
    }

    fn chain(&mut self) {
        let hook = [number(1, INPUT), attribute(2, &PRIORITY.to_be_bytes())].concat();
        let attributes =
            [self.name(1), text(3, CHAIN), nest(4, &hook), number(5, ACCEPT), text(7, "filter")].concat();
        self.order(NEW_CHAIN, CREATE, &attributes);
    }

    /// The set of the family's addresses that are closed on every interface.
    fn addresses(&mut self, family: &Family, closed: &BTreeSet<Closed>) {
        let set = [self.name(1), text(2, family.set), number(4, family.kind), number(5, family.length)];
        self.order(NEW_SET, CREATE, &[set.concat(), number(10, u32::from(family.number))].concat());
        let elements: Vec<Vec<u8>> = closed
            .iter()
            .filter(|closed| closed.ifindex.is_none())
            .map(|closed| octets(closed.address))
            .filter(|octets| Ok(family.length) == u32::try_from(octets.len()))
            .map(|octets| nest(1, &nest(1, &attribute(1, &octets))))
            .collect();
        for some in elements.chunks(ELEMENTS) {
            let list = [self.name(1), text(2, family.set), nest(3, &some.concat())].concat();
            self.order(NEW_ELEMENTS, CREATE, &[list, number(4, u32::from(family.number))].concat());
        }
    }

    fn rules(&mut self, closed: &BTreeSet<Closed>) {
        // The neighbours' questions must be answered all the same (RFC 9568, section 6.1).
        for kind in [NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT] {
            let is_icmpv6 = [meta(META_PROTOCOL), equals(&[ICMPV6])].concat();
            self.rule(&[is_icmpv6, payload(TRANSPORT, 0, 1), equals(&[kind]), verdict(ACCEPT)].concat());
        }
        for family in [&V4, &V6] {
            let lookup = [text(1, family.set), number(2, 1), number(4, u32::from(family.number))].concat();
            let is_listed = [destination(family), expression("lookup", &lookup)].concat();
            self.rule(&[is_listed, verdict(DROP)].concat());
        }
        for closed in closed {
            let Some(ifindex) = closed.ifindex else { continue };
            let is_link = [meta(META_IIF), equals(&ifindex.to_ne_bytes())].concat();
            self.rule(&[is_link, destination(&V6), equals(&octets(closed.address)), verdict(DROP)].concat());
        }
    }

    fn rule(&mut self, expressions: &[u8]) {
        let attributes = [self.name(1), text(2, CHAIN), nest(4, expressions)].concat();
        self.order(NEW_RULE, CREATE | APPEND, &attributes);
    }
}

/// A message's type: the number within the subsystem, below that of the subsystem.
const fn of_nftables(number: u16) -> u16 {
    NFTABLES * 256 + number
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// Takes something of the packet's circumstances into the register.
fn meta(key: u32) -> Vec<u8> {
    expression("meta", &[number(1, 1), number(2, key)].concat())
}

/// Takes bytes of a header into the register.
fn payload(header: u32, offset: u32, length: u32) -> Vec<u8> {
    let place = [number(1, 1), number(2, header), number(3, offset), number(4, length)].concat();
    expression("payload", &place)
}

/// Takes the destination of a packet of this family into the register; another family's is passed over.
fn destination(family: &Family) -> Vec<u8> {
    let is_family = [meta(META_FAMILY), equals(&[family.number])].concat();
    [is_family, payload(NETWORK, family.offset, family.length)].concat()
}

/// Goes on only where the register holds this.
fn equals(value: &[u8]) -> Vec<u8> {
    expression("cmp", &[number(1, 1), number(2, 0), nest(3, &attribute(1, value))].concat())
}

fn verdict(code: u32) -> Vec<u8> {
    let verdict = nest(2, &nest(2, &number(1, code)));
    expression("immediate", &[number(1, 0), verdict].concat())
}

fn expression(name: &str, data: &[u8]) -> Vec<u8> {
    nest(1, &[text(1, name), nest(2, data)].concat())
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

fn text(kind: u16, value: &str) -> Vec<u8> {
    attribute(kind, &[value.as_bytes(), &[0]].concat())
}

fn nest(kind: u16, value: &[u8]) -> Vec<u8> {
    attribute(kind | NESTED, value)
}

/// Length, kind and value, filled up to four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests;
