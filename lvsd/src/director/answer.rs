//! What the director itself says to the sender of a packet it does not forward.

use std::net::IpAddr;
use std::time::Duration;

use lvs_forward::icmp::{Error, may_answer};
use lvs_forward::{DropReason, Path, Refused, Verdict};

use super::lane::{Arrival, Lane};
use crate::resolve::NextHop;
use crate::snapshot::Snapshot;

/// One message to an address in this time (`icmp_ratelimit`, `icmpv6_time`).
const INTERVAL: Duration = Duration::from_secs(1);
/// The kernel's clock, in which it shifts the interval.
const JIFFY: Duration = Duration::from_millis(4);

impl Lane {
    /// Answers a packet that was not forwarded, where an answer is due.
    pub(super) fn refuse(
        &mut self,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        refused: Refused,
    ) -> Verdict {
        match refused {
            Refused::TtlExceeded => self.answer(snapshot, arrival, Error::TimeExceeded, refused.reason()),
            Refused::TooBig(mtu) => self.answer(snapshot, arrival, Error::TooBig(mtu), refused.reason()),
            Refused::Dropped(reason) => Verdict::Drop(reason),
        }
    }

    /// Tells a client that its service has no server (`ip_vs_leave`).
    pub(super) fn unreachable(&mut self, snapshot: &Snapshot, arrival: &mut Arrival<'_, '_>) -> Verdict {
        self.answer(snapshot, arrival, Error::PortUnreachable, DropReason::NoServer)
    }

    /// Sends `error` back, unless nobody is to be answered, too often was, or the way back is not known.
    pub(super) fn answer(
        &mut self,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        error: Error,
        reason: DropReason,
    ) -> Verdict {
        let headers = arrival.headers;
        let Some(path) = self.way_back(snapshot, headers.src) else { return Verdict::Drop(reason) };
        let from = match headers.dst {
            local if snapshot.is_local(local) => Some(local),
            // The host would speak as the address the packet was for, and is not let (`icmp_send`).
            IpAddr::V4(_) if snapshot.takes_in(&headers.flow(), arrival.ingress) => None,
            IpAddr::V4(_) | IpAddr::V6(_) => snapshot.fib.source_for(headers.src),
        };
        let Some(from) = from else { return Verdict::Drop(reason) };
        if !may_answer(arrival.packet.bytes(), &headers)
            || !self.may_speak(snapshot, headers.src, error, arrival)
        {
            return Verdict::Drop(reason);
        }
        let ident = self.next_ident();
        match error.answer(arrival.packet, &headers, from, &path, ident) {
            Ok(()) => Verdict::Answer(path.port, reason),
            Err(_) => Verdict::Drop(reason),
        }
    }

    /// The way to whom an error is sent. Behind direct routing and tunnels nothing else goes that way, so that its
    /// neighbour may not be known yet: the next error will find it.
    pub(super) fn way_back(&mut self, snapshot: &Snapshot, to: IpAddr) -> Option<Path> {
        match snapshot.fib.lookup(to) {
            Ok(NextHop::Ready(path)) => Some(path),
            Ok(NextHop::Awaiting(_, ask)) => {
                self.wanted = Some(ask);
                None
            }
            Ok(NextHop::Local) | Err(_) => None,
        }
    }

    /// The kernel's limits: path MTU discovery goes unlimited, and in IPv6 whole networks have more than one
    /// address (`icmpv6_xrlim_allow`).
    fn may_speak(
        &mut self,
        snapshot: &Snapshot,
        to: IpAddr,
        error: Error,
        arrival: &Arrival<'_, '_>,
    ) -> bool {
        if let Error::TooBig(_) = error {
            return true;
        }
        let interval = match to {
            IpAddr::V4(_) => INTERVAL,
            IpAddr::V6(_) => {
                let wider = (128 - u32::from(snapshot.fib.prefix_len(to))) >> 5;
                let jiffies = INTERVAL.as_millis() / JIFFY.as_millis();
                JIFFY * u32::try_from(jiffies >> wider).unwrap_or(1)
            }
        };
        self.limiter.allows(to, interval, arrival.now)
    }
}
