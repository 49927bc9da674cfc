//! A datagram that came in fragments: where each of them belongs, and the whole once none is missing.

use std::ops::Range;

use lvs_forward::checksum::Sum;
use lvs_forward::{Fragment, Headers};

/// Offsets within an IPv4 header.
const V4_TOTAL: usize = 2;
const V4_FLAGS: usize = 6;
const V4_CHECKSUM: usize = 10;
const DONT_FRAGMENT: u8 = 0x40;
const MORE_FRAGMENTS: u16 = 0x2000;
/// A fragment of fewer octets the kernel merges with the one before, about.
const SMALL: usize = 128;
/// Offsets within an IPv6 header, and the length of its fixed part and of the Fragment header.
const V6_LENGTH: usize = 4;
const V6_NEXT: usize = 6;
const V6_HEADER: usize = 40;
const V6_FRAGMENT: usize = 8;

#[derive(Debug)]
struct Part {
    offset: usize,
    frame: Vec<u8>,
    payload: Range<usize>,
    headers: Headers,
}

impl Part {
    fn end(&self) -> usize {
        self.offset + self.payload.len()
    }
}

/// The fragments of a datagram, in the order of their offsets.
#[derive(Debug, Default)]
pub(super) struct Datagram {
    parts: Vec<Part>,
    /// Octets of its payload, once the last fragment is there.
    total: Option<usize>,
}

impl Datagram {
    /// How many fragments there are.
    pub(super) fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Octets that its frames take.
    pub(super) fn octets(&self) -> usize {
        self.parts.iter().map(|part| part.frame.len()).sum()
    }

    /// The frames as they came.
    pub(super) fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().map(|part| part.frame.as_slice())
    }

    /// True for a fragment that is there already, octet for octet.
    pub(super) fn has(&self, frame: &[u8], headers: &Headers, fragment: Fragment) -> bool {
        let payload = frame.get(payload(headers, fragment)).unwrap_or_default();
        let same = |part: &&Part| part.offset == usize::from(fragment.offset);
        self.parts.iter().find(same).is_some_and(|part| part.frame.get(part.payload.clone()) == Some(payload))
    }

    /// Adds a fragment; false when it overlaps another or contradicts the datagram's end.
    pub(super) fn add(&mut self, frame: &[u8], headers: &Headers, fragment: Fragment) -> bool {
        let part = Part {
            offset: fragment.offset.into(),
            frame: frame.to_vec(),
            payload: payload(headers, fragment),
            headers: *headers,
        };
        let end = part.end();
        let beyond = self.total.is_some_and(|total| end > total || (!fragment.more && end != total));
        let cut_off = !fragment.more && self.parts.iter().any(|other| other.end() > end);
        let overlaps = |other: &Part| part.offset < other.end() && other.offset < end;
        if part.payload.is_empty() || beyond || cut_off || self.parts.iter().any(overlaps) {
            return false;
        }
        if !fragment.more {
            self.total = Some(end);
        }
        let at = self.parts.partition_point(|other| other.offset < part.offset);
        self.parts.insert(at, part);
        true
    }

    /// True when nothing is missing. Fragments do not overlap, so the sum of their lengths tells.
    pub(super) fn is_whole(&self) -> bool {
        self.total == Some(self.parts.iter().map(|part| part.payload.len()).sum())
    }

    /// Cuts the whole, rewritten IPv4 frame into fragments like those that came, each given to `put`; false, and
    /// nothing done, where they would not fit `mtu` or the payload is not what came. The kernel keeps the fragments as
    /// they are (`ip_do_fragment`), save small ones, which it has merged with those before them.
    pub(super) fn cut_as_it_came(
        &self,
        frame: &[u8],
        headers: &Headers,
        mtu: u16,
        mut put: impl FnMut(&[u8]),
    ) -> bool {
        let (head, payload) = frame.split_at(headers.l4.min(frame.len()));
        let longest = usize::from(mtu).saturating_sub(headers.l4 - headers.l3);
        let fits = |part: &Part| {
            let len = part.payload.len();
            len <= longest && (len >= SMALL || part.offset == 0)
        };
        if headers.is_ipv6() || self.total != Some(payload.len()) || !self.parts.iter().all(fits) {
            return false;
        }
        for part in &self.parts {
            let Some(bytes) = payload.get(part.offset..part.end()) else { return false };
            let mut piece = [head, bytes].concat();
            let more = if part.end() == payload.len() { 0 } else { MORE_FRAGMENTS };
            finish_piece(&mut piece, headers, part.offset, more);
            put(&piece);
        }
        true
    }

    /// Octets of the largest fragment as an IP packet: what the sender found its way to take.
    pub(super) fn largest(&self) -> u16 {
        let largest = self.parts.iter().map(|part| part.headers.len()).max();
        u16::try_from(largest.unwrap_or(0)).unwrap_or(u16::MAX)
    }

    /// Writes the whole datagram, from its Ethernet header on, behind `start` octets of `into`; returns the frame's
    /// length. `None` for a datagram longer than an IP packet may be.
    pub(super) fn write(&self, into: &mut Vec<u8>, start: usize) -> Option<usize> {
        let first = self.parts.first()?;
        let (l3, header_end) = (first.headers.l3, first.payload.start);
        into.clear();
        into.resize(start, 0);
        if first.headers.is_ipv6() {
            // What stands before the Fragment header.
            into.extend_from_slice(first.frame.get(..header_end - V6_FRAGMENT)?);
        } else {
            into.extend_from_slice(first.frame.get(..header_end)?);
        }
        for part in &self.parts {
            into.extend_from_slice(part.frame.get(part.payload.clone())?);
        }
        let frame = into.get_mut(start..)?;
        if first.headers.is_ipv6() {
            finish_v6(frame, l3, first)?;
        } else {
            let largest = self.parts.iter().max_by_key(|part| part.headers.len())?;
            finish_v4(frame, l3, header_end, largest.headers.dont_fragment)?;
        }
        Some(frame.len())
    }
}

/// The IPv4 header of a fragment: its length, its place, its checksum.
fn finish_piece(piece: &mut [u8], headers: &Headers, offset: usize, more: u16) {
    let total = u16::try_from(piece.len() - headers.l3).unwrap_or(u16::MAX);
    let word = u16::try_from(offset / 8).unwrap_or(0) | more;
    let Some(header) = piece.get_mut(headers.l3..headers.l4) else { return };
    for (at, value) in [(V4_TOTAL, total), (V4_FLAGS, word), (V4_CHECKSUM, 0)] {
        if let Some(field) = header.get_mut(at..at + 2) {
            let kept =
                if at == V4_FLAGS { field.first().map_or(0, |first| first & DONT_FRAGMENT) } else { 0 };
            field.copy_from_slice(&value.to_be_bytes());
            if let Some(first) = field.first_mut() {
                *first |= kept;
            }
        }
    }
    let checksum = Sum::ZERO.bytes(header).checksum();
    if let Some(field) = header.get_mut(V4_CHECKSUM..V4_CHECKSUM + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// The IPv4 header of the whole: its length, no fragment, its checksum. It must not be fragmented where its largest
/// fragment must not (`ip_frag_reasm`).
fn finish_v4(frame: &mut [u8], l3: usize, header_end: usize, dont_fragment: bool) -> Option<()> {
    let total = u16::try_from(frame.len() - l3).ok()?;
    let header = frame.get_mut(l3..header_end)?;
    header.get_mut(V4_TOTAL..V4_TOTAL + 2)?.copy_from_slice(&total.to_be_bytes());
    let flags = if dont_fragment { DONT_FRAGMENT } else { 0 };
    header.get_mut(V4_FLAGS..V4_FLAGS + 2)?.copy_from_slice(&[flags, 0]);
    header.get_mut(V4_CHECKSUM..V4_CHECKSUM + 2)?.fill(0);
    let checksum = Sum::ZERO.bytes(header).checksum();
    header.get_mut(V4_CHECKSUM..V4_CHECKSUM + 2)?.copy_from_slice(&checksum.to_be_bytes());
    Some(())
}

/// The IPv6 header of the whole: its length, and the header before the Fragment header leads past it.
fn finish_v6(frame: &mut [u8], l3: usize, first: &Part) -> Option<()> {
    let length = u16::try_from(frame.len() - l3 - V6_HEADER).ok()?;
    frame.get_mut(l3 + V6_LENGTH..l3 + V6_LENGTH + 2)?.copy_from_slice(&length.to_be_bytes());
    let fragment_header = first.payload.start - V6_FRAGMENT;
    let (mut field, mut at) = (l3 + V6_NEXT, l3 + V6_HEADER);
    while at < fragment_header {
        field = at;
        at += (usize::from(*first.frame.get(at + 1)?) + 1) * 8;
    }
    *frame.get_mut(field)? = *first.frame.get(fragment_header)?;
    Some(())
}

/// Where the fragment's part of the datagram is in its frame.
const fn payload(headers: &Headers, fragment: Fragment) -> Range<usize> {
    if headers.is_ipv6() { fragment.at + V6_FRAGMENT..headers.end } else { headers.l4..headers.end }
}
