//! One worker's own part of the director, and the order in which it asks about a packet.

use std::cell::Cell;

use lvs_conntrack::{FlowKey, Proto, Tick};
use lvs_forward::headers::Options;
use lvs_forward::{DropReason, Fit, Headers, Packet, ParseError, PortId, Transport, Verdict};

use super::Exit;
use super::datagram::Datagram;
use super::fragments::Fragments;
use super::known::Known;
use super::limit::Limiter;
use super::noted::Noted;
use super::own::deliver;
use super::passage::Passage;
use super::pieces::Pieces;
use super::plane::Plane;
use super::schedule::Scheduled;
use super::throttle::Countdown;
use super::waiting::Waiting;
use crate::resolve::{Ask, NextHop};
use crate::snapshot::Snapshot;

/// The port that keys are exchanged on.
const ISAKMP: u16 = 500;

/// A received packet with what its headers say.
#[derive(Debug)]
pub(super) struct Arrival<'a, 'b> {
    pub(super) packet: &'a mut Packet<'b>,
    pub(super) headers: Headers,
    /// Where it came in; of a datagram in fragments, where its last one did.
    pub(super) ingress: PortId,
    /// Of a datagram that came in fragments, these.
    pub(super) datagram: Option<&'a Datagram>,
    /// Whether an engine has looked into it: the kernel then makes one piece of its fragments (`skb_linearize`), and
    /// what leaves is cut anew instead of as it came.
    pub(super) is_one_piece: Cell<bool>,
    pub(super) now: Tick,
}

/// One worker's caches and waiting packets.
#[derive(Debug)]
pub(super) struct Lane {
    number: usize,
    ident: u16,
    pub(super) limiter: Limiter,
    waiting: Waiting,
    /// The neighbour that an error could not be sent to: it is asked for, so that the next one can.
    pub(super) wanted: Option<Ask>,
    /// Frames that leave behind the burst.
    pub(super) pieces: Pieces,
    pub(super) fragments: Fragments,
    /// Where datagrams are put together.
    pub(super) buffer: Vec<u8>,
    /// New packets until the next one is dropped by `drop_packet`.
    pub(super) countdown: Countdown,
    pub(super) noted: Noted,
}

impl Lane {
    pub(super) fn new(number: usize) -> Self {
        Self {
            number,
            ident: 0,
            limiter: Limiter::default(),
            waiting: Waiting::default(),
            wanted: None,
            pieces: Pieces::default(),
            fragments: Fragments::default(),
            buffer: Vec::new(),
            countdown: Countdown::default(),
            noted: Noted::default(),
        }
    }

    /// To be called before a burst.
    pub(super) fn refresh(&mut self, plane: &Plane) {
        self.noted.begin(plane.cache());
    }

    /// To be called after a burst.
    pub(super) fn hand_in(&mut self, plane: &Plane, now: Tick) {
        self.noted.hand_in(plane, self.number, now);
    }

    pub(super) const fn number(&self) -> usize {
        self.number
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty() || !self.pieces.is_empty() || self.wanted.is_some()
    }

    pub(super) fn release(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        now: Tick,
        send: &mut dyn FnMut(Exit, &[u8]),
    ) {
        if let Some(ask) = self.wanted.take() {
            plane.ask(ask);
        }
        if let Some(tally) = plane.tally(self.number) {
            tally.originated(self.pieces.release(send));
            self.waiting.release(&snapshot.fib, tally, plane.drops(), now, send);
        }
    }

    /// A number for an IPv4 header of the director's own, another one each time.
    pub(super) const fn next_ident(&mut self) -> u16 {
        self.ident = self.coming_ident();
        self.ident
    }

    /// The one that [`next_ident`](Self::next_ident) will give.
    pub(super) const fn coming_ident(&self) -> u16 {
        self.ident.wrapping_add(1)
    }

    /// What becomes of a packet.
    pub(super) fn judge(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        packet: &mut Packet<'_>,
        ingress: PortId,
        now: Tick,
    ) -> Verdict {
        let overdue = self.fragments.give_up(now);
        self.give_up(plane, overdue, DropReason::FragmentUnmatched);
        if ingress != PortId::HOST
            && let Some(verdict) = self.shortcut(plane, snapshot, packet, now)
        {
            return verdict;
        }
        // They stay where they were put, for they are long.
        let parsed = Headers::parse(packet.bytes());
        let headers = match &parsed {
            Ok(headers) => headers,
            Err(ParseError::NotIp) => return Verdict::ToHost,
            Err(ParseError::Malformed(reason)) => return Verdict::Drop(*reason),
        };
        if !snapshot.forwards(headers.is_ipv6()) {
            return Verdict::ToHost;
        }
        self.judge_at_length(plane, snapshot, packet, *headers, ingress, now)
    }

    /// What becomes of a packet, whatever there is to it.
    pub(super) fn judge_at_length(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        packet: &mut Packet<'_>,
        headers: Headers,
        ingress: PortId,
        now: Tick,
    ) -> Verdict {
        let mut arrival =
            Arrival { packet, headers, ingress, datagram: None, is_one_piece: Cell::new(false), now };
        match headers.fragment {
            Some(fragment) => self.judge_fragment(plane, snapshot, &mut arrival, fragment),
            None if ingress == PortId::HOST => self.judge_own(plane, snapshot, &mut arrival),
            None => self.judge_whole(plane, snapshot, &mut arrival),
        }
    }

    /// What becomes of a packet that is no fragment, or not any more.
    pub(super) fn judge_whole(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
    ) -> Verdict {
        match arrival.headers.transport {
            Transport::Tcp { .. } | Transport::Udp { .. } | Transport::Sctp { .. } => {
                self.judge_flow(plane, snapshot, arrival)
            }
            Transport::Icmp { .. } if arrival.headers.is_icmp_error() => {
                self.judge_error(plane, snapshot, arrival)
            }
            Transport::Other if matches!(arrival.headers.proto, Proto::ESP | Proto::AH) => {
                let Headers { src, dst, .. } = arrival.headers;
                let key = FlowKey { proto: Proto::UDP, src, src_port: ISAKMP, dst, dst_port: ISAKMP };
                self.judge_follower(plane, snapshot, arrival, &key)
            }
            Transport::Icmp { .. } | Transport::Later | Transport::Other => Verdict::ToHost,
        }
    }

    /// A packet that goes where another flow's connection goes and begins none: AH and ESP after the exchange of
    /// their keys (`ah_esp_conn_in_get`).
    fn judge_follower(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        key: &FlowKey,
    ) -> Verdict {
        let Some(known) = self.known(plane, snapshot, arrival, key) else { return Verdict::ToHost };
        self.follow(plane, snapshot, arrival, known).unwrap_or_else(|| {
            self.end(plane, key);
            Verdict::ToHost
        })
    }

    /// Carries out what a known connection makes of a packet; `None` where it makes nothing of it and ends.
    pub(super) fn follow(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        known: Known,
    ) -> Option<Verdict> {
        Some(match known {
            Known::Forward(passage) => self.carry(plane, snapshot, arrival, &passage),
            Known::Talk(passage, turn) => self.carry_talk(plane, snapshot, arrival, &passage, *turn),
            Known::Refused(refused) => self.refuse(snapshot, arrival, refused),
            Known::Drop(reason) => Verdict::Drop(reason),
            Known::Anew => return None,
        })
    }

    fn judge_flow(&mut self, plane: &Plane, snapshot: &Snapshot, arrival: &mut Arrival<'_, '_>) -> Verdict {
        let key = arrival.headers.flow();
        if arrival.headers.options == Options::SourceRoute {
            return Verdict::Drop(DropReason::SourceRoute);
        }
        let known = self.known(plane, snapshot, arrival, &key).or_else(|| {
            let is_claimed = plane.claim(&key, arrival.now);
            is_claimed.then(|| self.known(plane, snapshot, arrival, &key)).flatten()
        });
        match known {
            Some(known) => self.follow(plane, snapshot, arrival, known).unwrap_or_else(|| {
                self.end(plane, &key);
                self.begin(plane, snapshot, arrival, &key)
            }),
            None if arrival.ingress == PortId::HOST => self.own_stray(plane, snapshot, arrival, &key),
            // The host's own address on the wire: the kernel's routing refuses it before IPVS sees it.
            None if snapshot.is_local(key.src) => Self::answer_to_probe(plane, arrival, &key)
                .unwrap_or(Verdict::Drop(DropReason::MartianSource)),
            None if snapshot.is_local(key.dst) || snapshot.takes_in(&key, arrival.ingress) => {
                self.begin(plane, snapshot, arrival, &key)
            }
            None => self.stray(plane, snapshot, arrival, &key),
        }
    }

    /// Ends a connection that a packet begins anew.
    fn end(&mut self, plane: &Plane, key: &FlowKey) {
        if let Some(conn) = plane.table().remove(key) {
            self.noted.gone(&conn);
        }
    }

    /// A packet without a connection, for a local address: perhaps a service's.
    fn begin(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        key: &FlowKey,
    ) -> Verdict {
        match self.schedule(plane, snapshot, arrival, key) {
            Scheduled::To(passage) => self.carry(plane, snapshot, arrival, &passage),
            Scheduled::Drop(reason) => Verdict::Drop(reason),
            Scheduled::NotOurs => Self::answer_to_probe(plane, arrival, key).unwrap_or(Verdict::ToHost),
            Scheduled::Nobody => self.unreachable(snapshot, arrival),
            Scheduled::Raced => {
                let known = self.known(plane, snapshot, arrival, key);
                let verdict = known.and_then(|known| self.follow(plane, snapshot, arrival, known));
                verdict.unwrap_or(Verdict::Drop(DropReason::ConnectionReuse))
            }
        }
    }

    /// Rewrites the packet and sends it on its way.
    pub(super) fn carry(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        passage: &Passage,
    ) -> Verdict {
        let Some(path) = passage.next.path() else { return deliver(arrival, passage) };
        if let Some(datagram) = arrival.datagram {
            return self.carry_datagram(plane, snapshot, arrival, passage, datagram);
        }
        let ident = self.next_ident();
        match passage.rewrite.apply(arrival.packet, &arrival.headers, path, ident) {
            Ok(Fit::Whole) => {}
            Ok(Fit::Oversized) => return self.split(plane, arrival, &passage.next, path.mtu, ident),
            Err(refused) => return self.refuse(snapshot, arrival, refused),
        }
        self.depart(plane, arrival, &passage.next)
    }

    /// The frame is finished and leaves, or waits for its neighbour.
    pub(super) fn depart(&mut self, plane: &Plane, arrival: &Arrival<'_, '_>, next: &NextHop) -> Verdict {
        match next {
            NextHop::Ready(path) => Verdict::Send(path.port),
            NextHop::Awaiting(path, ask) => {
                plane.ask(*ask);
                self.waiting.hold(arrival.packet.bytes(), path.port, *ask, arrival.now)
            }
            NextHop::Local => Verdict::ToHost,
        }
    }

    /// Sends the frame in pieces.
    fn split(
        &mut self,
        plane: &Plane,
        arrival: &mut Arrival<'_, '_>,
        next: &NextHop,
        mtu: u16,
        ident: u16,
    ) -> Verdict {
        match next {
            NextHop::Ready(path) => self.pieces.cut(arrival.packet, path.port, mtu, ident, true),
            NextHop::Awaiting(_, ask) => {
                plane.ask(*ask);
                Verdict::Drop(DropReason::NeighbourUnresolved)
            }
            NextHop::Local => Verdict::ToHost,
        }
    }
}
