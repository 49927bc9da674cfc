//! Fragments that wait for the rest of their datagram. The kernel puts a datagram together before IPVS sees it, and
//! so does the director: only the first fragment has ports, and only the whole one has a checksum.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use lvs_conntrack::{Proto, Tick};
use lvs_forward::{DropReason, Fragment, Headers};

use super::datagram::Datagram;

/// How long the fragments of a datagram wait for the others (`ipfrag_time`).
const PATIENCE: Duration = Duration::from_secs(30);
/// Datagrams that may be incomplete at a time, and the octets they may hold together (`ipfrag_high_thresh`).
const DATAGRAMS: usize = 1024;
const OCTETS: usize = 4 << 20;
/// Fragments of one datagram: the longest one in pieces of an IPv4 network's smallest MTU would be more, but nobody
/// sends it so.
const PARTS: usize = 128;

/// What the fragments of a datagram have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    proto: Proto,
    ident: u32,
}

/// What became of a fragment.
pub(super) enum Taken {
    /// It waits.
    Held,
    /// It completes its datagram.
    Whole(Datagram),
    /// It is dropped, and with it so many others of its datagram.
    Dropped(DropReason, usize),
}

/// One worker's incomplete datagrams.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    incomplete: HashMap<Key, (Datagram, Tick)>,
    octets: usize,
    /// When the first of them may be given up.
    next_end: Tick,
}

impl Fragments {
    /// Takes a fragment in.
    pub(super) fn take(&mut self, frame: &[u8], headers: &Headers, fragment: Fragment, now: Tick) -> Taken {
        let key = Key { src: headers.src, dst: headers.dst, proto: headers.proto, ident: fragment.ident };
        let is_new = !self.incomplete.contains_key(&key);
        if (is_new && self.incomplete.len() >= DATAGRAMS) || self.octets + frame.len() > OCTETS {
            return Taken::Dropped(DropReason::FragmentsFull, 0);
        }
        if self.incomplete.is_empty() {
            self.next_end = now + PATIENCE;
        }
        let (datagram, _) =
            self.incomplete.entry(key).or_insert_with(|| (Datagram::default(), now + PATIENCE));
        if datagram.has(frame, headers, fragment) {
            return Taken::Dropped(DropReason::BadFragment, 0);
        }
        let fits = datagram.parts() < PARTS && datagram.add(frame, headers, fragment);
        let is_whole = fits && datagram.is_whole();
        self.octets += if fits { frame.len() } else { 0 };
        if fits && !is_whole {
            return Taken::Held;
        }
        let Some((datagram, _)) = self.incomplete.remove(&key) else { return Taken::Held };
        self.octets = self.octets.saturating_sub(datagram.octets());
        if is_whole {
            Taken::Whole(datagram)
        } else {
            Taken::Dropped(DropReason::BadFragment, datagram.parts())
        }
    }

    /// Gives up what waited too long; says how many fragments that were.
    #[inline]
    pub(super) fn give_up(&mut self, now: Tick) -> usize {
        if self.incomplete.is_empty() || now < self.next_end {
            return 0;
        }
        let mut given_up = 0;
        let mut next_end = now + PATIENCE;
        let octets = &mut self.octets;
        self.incomplete.retain(|_, (datagram, end)| {
            if *end > now {
                next_end = next_end.min(*end);
                return true;
            }
            given_up += datagram.parts();
            *octets = octets.saturating_sub(datagram.octets());
            false
        });
        self.next_end = next_end;
        given_up
    }
}
