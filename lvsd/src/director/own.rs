//! Packets of the host's own: those it takes as a real server of its services, and those it sends as one. The kernel
//! has IPVS look at both (`NF_INET_LOCAL_OUT`); here what the host sends as a masquerading server is diverted to the
//! director, and nobody has forwarded it: its TTL stays as it is.

use lvs_conntrack::FlowKey;
use lvs_forward::{Nat, Rewrite, Transport, Verdict};

use super::known::Known;
use super::lane::{Arrival, Lane};
use super::passage::Passage;
use super::plane::Plane;
use crate::resolve::NextHop;
use crate::snapshot::Snapshot;

impl Lane {
    /// What becomes of a whole packet that the host sends.
    pub(super) fn judge_own(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
    ) -> Verdict {
        match arrival.headers.transport {
            Transport::Tcp { .. } | Transport::Udp { .. } | Transport::Sctp { .. } => {
                let key = arrival.headers.flow();
                let known = self.known(plane, snapshot, arrival, &key).or_else(|| {
                    let is_claimed = plane.claim(&key, arrival.now);
                    is_claimed.then(|| self.known(plane, snapshot, arrival, &key)).flatten()
                });
                match known {
                    Some(Known::Forward(passage)) => self.carry_own(plane, arrival, &passage),
                    Some(Known::Anew) | None => self.own_stray(plane, snapshot, arrival, &key),
                    Some(known) => self.follow(plane, snapshot, arrival, known).unwrap_or(Verdict::ToHost),
                }
            }
            Transport::Icmp { .. } if arrival.headers.is_icmp_error() => {
                let verdict = self.judge_error(plane, snapshot, arrival);
                if verdict == Verdict::ToHost { self.pass_on(plane, snapshot, arrival) } else { verdict }
            }
            Transport::Icmp { .. } | Transport::Other | Transport::Later => {
                self.pass_on(plane, snapshot, arrival)
            }
        }
    }

    /// A packet the host sends that belongs to no connection: a check's, a server's first, or none of a service's.
    pub(super) fn own_stray(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        key: &FlowKey,
    ) -> Verdict {
        let begun = self.request(plane, snapshot, arrival, key);
        match begun.or_else(|| self.originate(plane, snapshot, arrival, key)) {
            Some(verdict) => verdict,
            None => self.pass_on(plane, snapshot, arrival),
        }
    }

    /// Sends the packet where the host would have sent it; what leaves through an interface that is not served goes
    /// back to the host, which routes it as a packet that came in.
    fn pass_on(&mut self, plane: &Plane, snapshot: &Snapshot, arrival: &mut Arrival<'_, '_>) -> Verdict {
        match snapshot.fib.lookup(arrival.headers.dst) {
            Ok(next @ (NextHop::Ready(_) | NextHop::Awaiting(..))) if arrival.datagram.is_none() => {
                self.carry_own(plane, arrival, &Passage { rewrite: Rewrite::Direct, next })
            }
            Ok(_) | Err(_) => Verdict::ToHost,
        }
    }

    fn carry_own(&mut self, plane: &Plane, arrival: &mut Arrival<'_, '_>, passage: &Passage) -> Verdict {
        let path = passage.next.path();
        match passage.rewrite.apply_at_host(arrival.packet, &arrival.headers, path) {
            Ok(()) => self.depart(plane, arrival, &passage.next),
            Err(reason) => Verdict::Drop(reason),
        }
    }
}

/// Delivers to a server on the director's own host: as it is, unless the server has another address or port than the
/// service.
pub(super) fn deliver(arrival: &mut Arrival<'_, '_>, passage: &Passage) -> Verdict {
    let Rewrite::Nat(Nat { addr, port, .. }) = passage.rewrite else { return Verdict::ToHost };
    if addr == arrival.headers.dst && port == arrival.headers.ports().1 {
        return Verdict::ToHost;
    }
    match passage.rewrite.apply_at_host(arrival.packet, &arrival.headers, None) {
        Ok(()) => Verdict::ToHost,
        Err(reason) => Verdict::Drop(reason),
    }
}
