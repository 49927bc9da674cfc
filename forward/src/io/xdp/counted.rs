//! What the program counted: of all packets, and of those that it forwards or could have forwarded.

use libbpf_rs::{MapCore, MapFlags, MapHandle};

use super::error::ProgramError;
use super::record::Reader;

/// `OUTCOME_COUNT` of `flow.h`.
const OUTCOMES: usize = 9;
/// `COUNT_COUNT` of `claim.h`.
const COUNTS: usize = 7;

/// What the program did with packets, summed over processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Left to the host.
    pub passed: u64,
    /// Sent to the director: addressed to a virtual service.
    pub service: u64,
    /// Sent to the director: from a NAT real server.
    pub reply: u64,
    /// Sent to the director: an ICMP error.
    pub icmp: u64,
    /// Sent to the director: a fragment.
    pub fragment: u64,
    /// Sent to the director: to a prefix and port that may be marked.
    pub prefix: u64,
    /// The director's, but dropped, for no socket was there.
    pub no_socket: u64,
}

impl Counts {
    /// All that were sent to the director.
    pub const fn redirected(&self) -> u64 {
        self.service + self.reply + self.icmp + self.fragment + self.prefix
    }

    /// As `lvsd_count` has them, in the order of `enum count` of `claim.h`.
    pub(super) fn read(map: &MapHandle) -> Result<Self, ProgramError> {
        let mut counts = [0; COUNTS];
        for (count, index) in counts.iter_mut().zip(0_u32..) {
            [*count] = sums(map, index)?;
        }
        let [passed, service, reply, icmp, fragment, prefix, no_socket] = counts;
        Ok(Self { passed, service, reply, icmp, fragment, prefix, no_socket })
    }
}

/// What was forwarded of a server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Packets from clients.
    pub in_packets: u64,
    /// Their octets, from the IP header on.
    pub in_bytes: u64,
    /// Packets to clients.
    pub out_packets: u64,
    /// Their octets, from the IP header on.
    pub out_bytes: u64,
}

/// What became of packets that were the director's to have, summed over processors: `enum outcome` of `flow.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcomes {
    /// Forwarded by the program.
    pub forwarded: u64,
    /// The cache was off.
    pub off: u64,
    /// Of no flow that is known.
    pub unknown: u64,
    /// A fragment, options, a VLAN tag, extension headers, a header that is not right.
    pub odd: u64,
    /// The beginning or the end of a connection, or behind its end.
    pub end: u64,
    /// The decision had become stale.
    pub stale: u64,
    /// The TTL was used up.
    pub ttl: u64,
    /// Larger than its way's MTU.
    pub too_big: u64,
    /// The checksum had to be computed as a whole.
    pub checksum: u64,
}

impl Tally {
    /// Of the server at a place of `lvsd_tally`.
    pub(super) fn read(map: &MapHandle, place: u16) -> Result<Self, ProgramError> {
        let [in_packets, in_bytes, out_packets, out_bytes] = sums(map, u32::from(place))?;
        Ok(Self { in_packets, in_bytes, out_packets, out_bytes })
    }
}

impl Outcomes {
    /// Those that user space was left to see, by reason.
    pub const fn missed(&self) -> [(&'static str, u64); 8] {
        [
            ("off", self.off),
            ("unknown", self.unknown),
            ("odd", self.odd),
            ("end", self.end),
            ("stale", self.stale),
            ("ttl", self.ttl),
            ("too-big", self.too_big),
            ("checksum", self.checksum),
        ]
    }

    /// As `lvsd_cached` has them.
    pub(super) fn read(map: &MapHandle) -> Result<Self, ProgramError> {
        let mut counts = [0; OUTCOMES];
        for (count, index) in counts.iter_mut().zip(0_u32..) {
            [*count] = sums(map, index)?;
        }
        let [forwarded, off, unknown, odd, end, stale, ttl, too_big, checksum] = counts;
        Ok(Self { forwarded, off, unknown, odd, end, stale, ttl, too_big, checksum })
    }
}

/// The counters at `index`, each summed over the processors.
fn sums<const N: usize>(map: &MapHandle, index: u32) -> Result<[u64; N], ProgramError> {
    let found = map
        .lookup_percpu(&index.to_ne_bytes(), MapFlags::ANY)
        .map_err(|source| ProgramError::map(map, source))?;
    let mut sums = [0_u64; N];
    for value in found.unwrap_or_default() {
        let mut reader = Reader::new(&value);
        for sum in &mut sums {
            *sum = sum.wrapping_add(reader.u64());
        }
    }
    Ok(sums)
}
