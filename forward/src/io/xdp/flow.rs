//! What is decided about a flow, and how it lies in its slot: `struct flow4` and `struct flow6` of `flow.h`.
//!
//! ```text
//! IPv4: | addresses             | ports, proto, epoch, new port | seen, packets | server, path, source, rewrite, reach |
//! IPv6: | addresses, four words | the same                      | ..            | ..                     | and a word |
//! ```

use std::net::IpAddr;

use lvs_conntrack::{FlowKey, Proto};

use super::record::{Reader, Record};
use super::table::{Shape, Slot};

/// `struct flow4` and `struct flow6`, in words.
pub(super) const V4: Shape = Shape { key: 2, slot: 4, home: 2 };
pub(super) const V6: Shape = Shape { key: 5, slot: 8, home: 1 };
/// Octets of a word.
pub(super) const WORD: usize = size_of::<u64>();
/// `CLOSED` of `flow.h`.
const CLOSED: u8 = 0x80;

/// What is done to a flow's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowRewrite {
    /// NAT toward the server's address.
    Destination,
    /// NAT back to the client.
    Source {
        /// The address that replies come from.
        address: IpAddr,
        /// The place of their way.
        path: u16,
    },
    /// Only the link-layer addresses change.
    Direct,
    /// Into the server's tunnel.
    Tunnel {
        /// The source port of GUE.
        gue_port: u16,
    },
}

impl FlowRewrite {
    /// `enum rewrite` of `flow.h`.
    const fn code(self) -> u8 {
        match self {
            Self::Destination => 1,
            Self::Source { .. } => 2,
            Self::Direct => 3,
            Self::Tunnel { .. } => 4,
        }
    }
}

/// What is decided about a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// What is done to its packets.
    pub rewrite: FlowRewrite,
    /// The new port of NAT; of other flows the server's.
    pub port: u16,
    /// The decision counts while this is the cache's epoch; never while it is 0.
    pub epoch: u8,
    /// The server's place.
    pub server: u16,
    /// When its last packet came, by the cache's clock; 0 for none yet.
    pub seen: u32,
    /// How many packets came.
    pub packets: u32,
    /// An end of the connection came by.
    pub is_closed: bool,
}

/// A flow as its slot has it: the address of replies by its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    /// The octet of `enum rewrite` and `CLOSED`.
    rewrite: u8,
    epoch: u8,
    port: u16,
    server: u16,
    /// The reply's way, or the port of GUE as packets have it.
    path: [u8; 2],
    source: u16,
    seen: u32,
    packets: u32,
}

impl Stored {
    /// With the place of the address that replies come from.
    pub(super) fn of(flow: &Flow, source: u16) -> Self {
        let path = match flow.rewrite {
            FlowRewrite::Source { path, .. } => path.to_ne_bytes(),
            FlowRewrite::Tunnel { gue_port } => gue_port.to_be_bytes(),
            FlowRewrite::Destination | FlowRewrite::Direct => [0; 2],
        };
        Self {
            rewrite: flow.rewrite.code() | if flow.is_closed { CLOSED } else { 0 },
            epoch: flow.epoch,
            port: flow.port,
            server: flow.server,
            path,
            source,
            seen: flow.seen,
            packets: flow.packets,
        }
    }

    /// As the slot has it.
    pub(super) fn read(slot: &Slot, shape: Shape) -> Self {
        let octets = octets_of(slot);
        let mut reader = Reader::new(octets.get(shape.key * WORD - 3..).unwrap_or_default());
        let (epoch, port) = (reader.u8(), reader.port());
        let (seen, packets) = (reader.u32(), reader.u32());
        let (server, path, source) = (reader.u16(), [reader.u8(), reader.u8()], reader.u16());
        Self { rewrite: reader.u8(), epoch, port, server, path, source, seen, packets }
    }

    /// The place of the address that replies come from, where these are replies.
    pub(super) const fn source(self) -> Option<u16> {
        if self.rewrite & !CLOSED == 2 { Some(self.source) } else { None }
    }

    /// The flow, `None` for what is none; `address` knows what address is at a place.
    pub(super) fn flow(self, address: impl FnOnce(u16) -> IpAddr) -> Option<Flow> {
        let rewrite = match self.rewrite & !CLOSED {
            1 => FlowRewrite::Destination,
            2 => FlowRewrite::Source { address: address(self.source), path: u16::from_ne_bytes(self.path) },
            3 => FlowRewrite::Direct,
            4 => FlowRewrite::Tunnel { gue_port: u16::from_be_bytes(self.path) },
            _ => return None,
        };
        Some(Flow {
            rewrite,
            port: self.port,
            epoch: self.epoch,
            server: self.server,
            seen: self.seen,
            packets: self.packets,
            is_closed: self.rewrite & CLOSED != 0,
        })
    }
}

/// The shape of a flow's slot.
pub(super) const fn shape_of(key: &FlowKey) -> Shape {
    if key.src.is_ipv6() { V6 } else { V4 }
}

/// The slot of a flow, or its key alone.
pub(super) fn slot_of(key: &FlowKey, flow: Option<Stored>) -> Slot {
    let mut record = Record::<64>::new().address(key.src).address(key.dst);
    record = record.port(key.src_port).port(key.dst_port).u8(key.proto.0);
    if let Some(flow) = flow {
        record = record.u8(flow.epoch).port(flow.port).u32(flow.seen).u32(flow.packets);
        record = record.u16(flow.server).put(&flow.path).u16(flow.source).u8(flow.rewrite).u8(0);
    }
    let mut slot = Slot::default();
    for (word, octets) in slot.iter_mut().zip(record.octets().as_chunks().0) {
        *word = u64::from_ne_bytes(*octets);
    }
    slot
}

pub(super) fn decode_key(slot: &Slot, is_v6: bool) -> Option<FlowKey> {
    let octets = octets_of(slot);
    let mut reader = Reader::new(&octets);
    let (src, dst) = (reader.address(is_v6)?, reader.address(is_v6)?);
    let (src_port, dst_port) = (reader.port(), reader.port());
    Some(FlowKey { proto: Proto(reader.u8()), src, src_port, dst, dst_port })
}

/// The state of a slot whose decision counts no more.
pub(super) fn without_epoch(state: u64) -> u64 {
    let mut octets = state.to_ne_bytes();
    octets[5] = 0;
    u64::from_ne_bytes(octets)
}

fn octets_of(slot: &Slot) -> [u8; size_of::<Slot>()] {
    let mut octets = [0; size_of::<Slot>()];
    for (to, word) in octets.as_chunks_mut().0.iter_mut().zip(slot) {
        *to = word.to_ne_bytes();
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_whatever_the_family_and_the_way() {
        let v4 = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let v6 = ["fd00::1", "fd00::2"].map(|address| address.parse().unwrap());
        for [src, dst] in [v4, v6] {
            let key = FlowKey { proto: Proto::UDP, src, src_port: 0x1234, dst, dst_port: 53 };
            for rewrite in [
                FlowRewrite::Destination,
                FlowRewrite::Source { address: dst, path: 0x1ff },
                FlowRewrite::Direct,
                FlowRewrite::Tunnel { gue_port: 0xc001 },
            ] {
                for is_closed in [false, true] {
                    let flow = Flow {
                        rewrite,
                        port: 8080,
                        epoch: 255,
                        server: 3,
                        seen: 77,
                        packets: 1 << 31,
                        is_closed,
                    };
                    let mut slot = slot_of(&key, Some(Stored::of(&flow, 9)));
                    assert_eq!(decode_key(&slot, src.is_ipv6()), Some(key));
                    let shape = shape_of(&key);
                    let read = |slot: &Slot| {
                        Stored::read(slot, shape).flow(|place| {
                            assert_eq!(place, 9);
                            dst
                        })
                    };
                    assert_eq!(read(&slot), Some(flow));
                    let state = &mut slot[shape.key - 1];
                    *state = without_epoch(*state);
                    assert_eq!(read(&slot), Some(Flow { epoch: 0, ..flow }));
                }
            }
        }
    }
}
