//! The way of a datagram that came in fragments: judged as a whole, sent in fragments again.

use std::cell::Cell;
use std::net::IpAddr;

use lvs_forward::{DropReason, Fit, Fragment, Headers, Packet, PortId, Refused, Rewrite, Verdict};

use super::Exit;
use super::datagram::Datagram;
use super::fragments::Taken;
use super::lane::{Arrival, Lane};
use super::own::deliver;
use super::passage::Passage;
use super::plane::Plane;
use crate::resolve::NextHop;
use crate::snapshot::Snapshot;

/// Room before a datagram for an outer header, and behind it.
const ROOM: usize = 256;

impl Lane {
    /// What becomes of a fragment: those of services and their servers wait until the datagram is whole.
    pub(super) fn judge_fragment(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        fragment: Fragment,
    ) -> Verdict {
        let headers = arrival.headers;
        if !snapshot.concerns(headers.src, headers.dst) {
            return Verdict::ToHost;
        }
        match self.fragments.take(arrival.packet.bytes(), &headers, fragment, arrival.now) {
            Taken::Held => Verdict::Hold,
            Taken::Dropped(reason, others) => {
                self.give_up(plane, others, reason);
                Verdict::Drop(reason)
            }
            Taken::Whole(datagram) => self.judge_datagram(plane, snapshot, arrival, &datagram),
        }
    }

    /// Counts fragments that waited as dropped.
    #[inline]
    pub(super) fn give_up(&self, plane: &Plane, fragments: usize, reason: DropReason) {
        if let Some(tally) = plane.tally(self.number()) {
            (0..fragments).for_each(|_| tally.given_up(reason, plane.drops()));
        }
    }

    fn judge_datagram(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &Arrival<'_, '_>,
        datagram: &Datagram,
    ) -> Verdict {
        let mut buffer = std::mem::take(&mut self.buffer);
        let before = self.pieces.len();
        let verdict = match datagram.write(&mut buffer, ROOM) {
            Some(len) => {
                buffer.resize(ROOM + len + ROOM, 0);
                let mut packet = Packet::new(&mut buffer, ROOM, len);
                let was_for = destination(&packet);
                let verdict = self.judge_as_whole(plane, snapshot, arrival, datagram, &mut packet);
                if let Verdict::Send(port) | Verdict::Answer(port, _) = verdict {
                    self.pieces.put_first(before, Exit::Port(port), packet.bytes());
                }
                if verdict == Verdict::ToHost && destination(&packet) != was_for {
                    // Rewritten for a server on this host: the host takes it as a whole.
                    self.pieces.put(Exit::Host, packet.bytes());
                    return self.settle_at_host(plane, datagram, buffer);
                }
                verdict
            }
            None => Verdict::Drop(DropReason::BadFragment),
        };
        self.buffer = buffer;
        self.settle(plane, datagram, verdict)
    }

    fn judge_as_whole(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &Arrival<'_, '_>,
        datagram: &Datagram,
        packet: &mut Packet<'_>,
    ) -> Verdict {
        let Ok(headers) = Headers::parse(packet.bytes()) else {
            return Verdict::Drop(DropReason::BadFragment);
        };
        let (ingress, now) = (arrival.ingress, arrival.now);
        let is_one_piece = Cell::new(false);
        let mut whole = Arrival { packet, headers, ingress, datagram: Some(datagram), is_one_piece, now };
        self.judge_whole(plane, snapshot, &mut whole)
    }

    /// Counts every fragment of the datagram where the datagram went; the verdict is for the last one.
    fn settle(&mut self, plane: &Plane, datagram: &Datagram, verdict: Verdict) -> Verdict {
        let Some(tally) = plane.tally(self.number()) else { return verdict };
        let waited = datagram.parts() - 1;
        match verdict {
            // All that leaves is among the pieces. The last fragment is held for as long as this line.
            Verdict::Send(_) => {
                (0..=waited).for_each(|_| tally.released());
                Verdict::Hold
            }
            Verdict::Hold => {
                (0..waited).for_each(|_| tally.released());
                Verdict::Hold
            }
            Verdict::Answer(_, reason) => {
                self.give_up(plane, waited, reason);
                tally.originated(1);
                Verdict::Drop(reason)
            }
            Verdict::Drop(reason) => {
                self.give_up(plane, waited, reason);
                verdict
            }
            Verdict::ToHost => {
                // The frame at hand is one of these; the host takes them in any order.
                (0..=waited).for_each(|_| tally.released_to_host());
                datagram.frames().for_each(|frame| self.pieces.put(Exit::Host, frame));
                Verdict::Hold
            }
        }
    }

    /// Counts every fragment of the datagram as handed to the host, where the whole goes.
    fn settle_at_host(&mut self, plane: &Plane, datagram: &Datagram, buffer: Vec<u8>) -> Verdict {
        self.buffer = buffer;
        if let Some(tally) = plane.tally(self.number()) {
            (0..datagram.parts()).for_each(|_| tally.released_to_host());
        }
        Verdict::Hold
    }

    /// Sends a datagram on that came in fragments: in fragments no larger than those it came in
    /// (`frag_max_size`).
    pub(super) fn carry_datagram(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        passage: &Passage,
        datagram: &Datagram,
    ) -> Verdict {
        let largest = datagram.largest();
        let Some(path) = passage.next.path() else { return deliver(arrival, passage) };
        let inner = match passage.rewrite.inner_mtu(path) {
            Ok(inner) => inner,
            Err(reason) => return Verdict::Drop(reason),
        };
        let insists = arrival.headers.is_ipv6() || arrival.headers.dont_fragment;
        if insists && largest > inner && !fragments_anyway(&passage.rewrite) {
            return self.refuse(snapshot, arrival, Refused::TooBig(inner));
        }
        let ident = self.next_ident();
        let roomy = lvs_forward::Path { mtu: u16::MAX, ..*path };
        match passage.rewrite.apply(arrival.packet, &arrival.headers, &roomy, ident) {
            Ok(Fit::Whole | Fit::Oversized) => {}
            Err(refused) => return self.refuse(snapshot, arrival, refused),
        }
        let mtu = path.mtu.min(largest);
        if let (Rewrite::Nat(_) | Rewrite::Direct, NextHop::Ready(path)) = (passage.rewrite, passage.next)
            && !arrival.is_one_piece.get()
            && self.cut_as_it_came(arrival, datagram, path.port, mtu)
        {
            return Verdict::Send(path.port);
        }
        self.cut(plane, arrival, &passage.next, mtu, ident)
    }

    /// Leaves the packet as the datagram's first fragment, and the others among the pieces.
    fn cut_as_it_came(
        &mut self,
        arrival: &mut Arrival<'_, '_>,
        datagram: &Datagram,
        port: PortId,
        mtu: u16,
    ) -> bool {
        let mut first = None;
        let pieces = &mut self.pieces;
        let was_cut =
            datagram.cut_as_it_came(arrival.packet.bytes(), &arrival.headers, mtu, |piece| match first {
                None => first = Some(piece.to_vec()),
                Some(_) => pieces.put(Exit::Port(port), piece),
            });
        if let Some(first) = first {
            arrival.packet.truncate(first.len());
            arrival.packet.bytes_mut().copy_from_slice(&first);
        }
        was_cut
    }

    fn cut(
        &mut self,
        plane: &Plane,
        arrival: &mut Arrival<'_, '_>,
        next: &NextHop,
        mtu: u16,
        ident: u16,
    ) -> Verdict {
        let port: PortId = match next {
            NextHop::Ready(path) => path.port,
            NextHop::Awaiting(_, ask) => {
                plane.ask(*ask);
                return Verdict::Drop(DropReason::NeighbourUnresolved);
            }
            NextHop::Local => return Verdict::ToHost,
        };
        if arrival.packet.len() - arrival.headers.l3 <= usize::from(mtu) {
            return Verdict::Send(port);
        }
        self.pieces.cut(arrival.packet, port, mtu, ident, false)
    }
}

/// Whom a packet is for.
fn destination(packet: &Packet<'_>) -> Option<(IpAddr, u16)> {
    Headers::parse(packet.bytes()).ok().map(|headers| (headers.dst, headers.ports().1))
}

const fn fragments_anyway(rewrite: &Rewrite) -> bool {
    matches!(rewrite, Rewrite::Tunnel(tunnel) if !tunnel.pmtu_disc)
}
