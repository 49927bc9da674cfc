//! ICMP errors about connections: told to the end they are for, as that end knows the connection.

use lvs_conntrack::{Direction, Proto};
use lvs_forward::{
    Checksums, DropReason, Encapsulation, Mac, Nat, Path, PortId, Quoted, Refused, Rewrite, Transport,
    Verdict, icmp,
};

use super::binding::Method;
use super::lane::{Arrival, Lane};
use super::passage::{Passage, encapsulation};
use super::plane::Plane;
use super::schedule::Scheduled;
use super::state::Connection;
use crate::message::ForwardMethod;
use crate::resolve::NextHop;
use crate::snapshot::Snapshot;

/// The ICMP types that IPVS looks into: unreachable, source quench, time exceeded.
const V4_KINDS: [u8; 3] = [3, 4, 11];
const IPIP: Proto = Proto(4);
const GRE: Proto = Proto(47);
/// Octets of an IPv4 header without options, and the smallest MTU a client is told of.
const V4_HEADER: u16 = 20;
const V4_LEAST_MTU: u16 = 68;

/// The way to the host itself, which asks for no link-layer address.
const TO_HOST: Path = Path {
    port: PortId::HOST,
    src_mac: Mac([0; 6]),
    dst_mac: Mac([0; 6]),
    mtu: u16::MAX,
    checksums: Checksums::Computed,
};

/// For whom an error about a connection is.
enum About {
    /// The client: its packet did not get through (`ip_vs_out_icmp`).
    ToClient(Passage),
    /// The server: its answer did not get through (`ip_vs_in_icmp`).
    ToServer(Passage),
    /// Somebody whom the host's own forwarding reaches.
    AsItIs,
    /// Nobody.
    Dropped(DropReason),
}

impl Lane {
    /// What becomes of an ICMP error.
    pub(super) fn judge_error(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
    ) -> Verdict {
        if let Transport::Icmp { kind, .. } = arrival.headers.transport
            && !arrival.headers.is_ipv6()
            && !V4_KINDS.contains(&kind)
        {
            return Verdict::ToHost;
        }
        let Ok(quoted) = Quoted::parse(arrival.packet.bytes(), &arrival.headers) else {
            return Verdict::ToHost;
        };
        if let Some(verdict) = self.relay(plane, snapshot, arrival, &quoted) {
            return verdict;
        }
        if !quoted.has_ports() {
            return Verdict::ToHost;
        }
        let about =
            plane.table().with(&quoted.flow().reversed(), arrival.now, |conn, direction| match direction {
                Direction::ToClient => self.about_request(conn, snapshot, arrival),
                Direction::ToServer => self.about_reply(conn, snapshot, arrival),
            });
        let about = about.or_else(|| self.about_half(plane, snapshot, arrival, &quoted));
        let about = about.or_else(|| about_probe(plane, &quoted));
        match about {
            Some(About::ToClient(passage)) => self.translate(plane, snapshot, arrival, &quoted, &passage),
            Some(About::ToServer(passage)) => match passage.rewrite {
                Rewrite::Nat(_) => self.translate(plane, snapshot, arrival, &quoted, &passage),
                Rewrite::Direct | Rewrite::Tunnel(_) => self.carry(plane, snapshot, arrival, &passage),
            },
            Some(About::Dropped(reason)) => Verdict::Drop(reason),
            None if snapshot.is_local(arrival.headers.dst) => {
                self.begin_by_error(plane, snapshot, arrival, &quoted)
            }
            Some(About::AsItIs) | None => Verdict::ToHost,
        }
    }

    /// With `schedule_icmp`, an error about an answer whose connection is not known begins that connection, so that
    /// a server hears of it. Nobody answers an error.
    fn begin_by_error(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        quoted: &Quoted,
    ) -> Verdict {
        match self.schedule(plane, snapshot, arrival, &quoted.flow().reversed()) {
            Scheduled::To(passage) => match passage.rewrite {
                Rewrite::Nat(_) => self.translate(plane, snapshot, arrival, quoted, &passage),
                Rewrite::Direct | Rewrite::Tunnel(_) => self.carry(plane, snapshot, arrival, &passage),
            },
            Scheduled::NotOurs => Verdict::ToHost,
            Scheduled::Nobody => Verdict::Drop(DropReason::NoServer),
            Scheduled::Drop(reason) => Verdict::Drop(reason),
            Scheduled::Raced => Verdict::Drop(DropReason::IcmpUnmatched),
        }
    }

    fn about_request(&self, conn: &Connection, snapshot: &Snapshot, arrival: &Arrival<'_, '_>) -> About {
        let next = match snapshot.fib.lookup(arrival.headers.dst) {
            Ok(next) => next,
            Err(reason) => return About::Dropped(reason),
        };
        self.count_out(conn, snapshot, arrival.headers.len());
        About::ToClient(Passage::to_client(next, conn.key().dst, conn.key().dst_port))
    }

    /// An error about a client's packet whose connection is direct-routed or tunnelled: it was not rewritten, and so
    /// is the error not.
    fn about_half(
        &self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &Arrival<'_, '_>,
        quoted: &Quoted,
    ) -> Option<About> {
        let about = |conn: &mut Connection, direction| {
            let is_half = direction == Direction::ToServer && conn.binding().method() != Method::Masquerade;
            if is_half {
                self.count_out(conn, snapshot, arrival.headers.len());
            }
            is_half.then_some(About::AsItIs)
        };
        plane.table().with(&quoted.flow(), arrival.now, about).flatten()
    }

    fn about_reply(&self, conn: &Connection, snapshot: &Snapshot, arrival: &Arrival<'_, '_>) -> About {
        let destination = conn.binding().destination();
        let Some(hop) = snapshot.hop(destination.id()) else {
            return match conn.binding().method() {
                Method::Bypass => Passage::onward(snapshot, arrival.headers.dst)
                    .map_or_else(About::Dropped, About::ToServer),
                Method::Masquerade | Method::DirectRoute | Method::Tunnel => {
                    About::Dropped(DropReason::ServerGone)
                }
            };
        };
        let bytes = u64::try_from(arrival.headers.len()).unwrap_or(0);
        destination.stats().packet_in(self.number(), bytes);
        hop.service.packet_in(self.number(), bytes);
        match Passage::to_server(snapshot, hop, conn.binding().method(), conn.server()) {
            Ok(Passage { rewrite: Rewrite::Direct, next: NextHop::Local }) => About::AsItIs,
            Ok(passage) => About::ToServer(passage),
            Err(reason) => About::Dropped(reason),
        }
    }

    fn translate(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        quoted: &Quoted,
        passage: &Passage,
    ) -> Verdict {
        let Rewrite::Nat(nat) = passage.rewrite else { return Verdict::ToHost };
        let nat: Nat = nat;
        let path = passage.next.path().unwrap_or(&TO_HOST);
        match icmp::translate(arrival.packet, &arrival.headers, quoted, &nat, path) {
            Ok(()) => self.depart(plane, arrival, &passage.next),
            Err(DropReason::TtlExceeded) => self.refuse(snapshot, arrival, Refused::TtlExceeded),
            Err(reason) => Verdict::Drop(reason),
        }
    }

    /// An error about a tunnel's outer packet is told to the client whose packet travelled in it.
    fn relay(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        quoted: &Quoted,
    ) -> Option<Verdict> {
        if !snapshot.is_local(arrival.headers.dst) || arrival.headers.is_ipv6() {
            return None;
        }
        let kind = match quoted.proto {
            IPIP => Encapsulation::Ipip,
            GRE => Encapsulation::Gre { checksum: false },
            Proto::UDP => Encapsulation::Gue { port: quoted.dst_port, checksum: false },
            _ => return None,
        };
        let inner = quoted.within(arrival.packet.bytes(), &arrival.headers, kind).ok()?;
        let tunnelled = |conn: &mut Connection, direction| {
            direction == Direction::ToServer
                && conn.binding().method() == Method::Tunnel
                && conn.server().ip() == quoted.dst
                && snapshot.hop(conn.binding().destination().id()).is_some_and(|hop| uses(hop.method, kind))
        };
        plane
            .table()
            .with(&inner.flow(), arrival.now, tunnelled)
            .filter(|tunnelled| *tunnelled)
            .map(|_| self.tell_client(plane, snapshot, arrival, quoted, &inner))
    }

    fn tell_client(
        &mut self,
        plane: &Plane,
        snapshot: &Snapshot,
        arrival: &mut Arrival<'_, '_>,
        quoted: &Quoted,
        inner: &Quoted,
    ) -> Verdict {
        if let Err(reason) = icmp::verify(arrival.packet.bytes(), &arrival.headers) {
            return Verdict::Drop(reason);
        }
        let reported = icmp::reported_mtu(arrival.packet.bytes(), &arrival.headers).map(|reported| {
            let way = snapshot.fib.lookup(quoted.dst).ok();
            let routed = way.and_then(|next| next.path().map(|path| path.mtu)).unwrap_or(u16::MAX);
            plane.path_mtus().report(quoted.dst, reported, routed, arrival.now)
        });
        if reported.is_some() && !quoted.dont_fragment {
            // The client does not look for the path's MTU; its packets are fragmented.
            return Verdict::Drop(DropReason::TooBig);
        }
        let overhead = u16::try_from(inner.l3 - quoted.l3).unwrap_or(u16::MAX);
        let mtu = reported
            .map(|mtu| if mtu > V4_LEAST_MTU + V4_HEADER { mtu.saturating_sub(overhead) } else { mtu });
        let Some(path) = self.way_back(snapshot, inner.src) else {
            return Verdict::Drop(DropReason::NoRoute);
        };
        let ident = self.next_ident();
        let headers = arrival.headers;
        match icmp::relay(arrival.packet, &headers, inner, mtu, inner.dst, &path, ident) {
            Ok(()) => Verdict::Send(path.port),
            Err(reason) => Verdict::Drop(reason),
        }
    }
}

/// An error about what the host itself said to a server behind NAT.
fn about_probe(plane: &Plane, quoted: &Quoted) -> Option<About> {
    let service = plane.probes().answer(&quoted.flow().reversed())?;
    Some(About::ToClient(Passage::to_client(NextHop::Local, service.ip(), service.port())))
}

/// True for a server whose tunnel is of this kind; its checksums do not matter.
fn uses(method: ForwardMethod, kind: Encapsulation) -> bool {
    match (encapsulation(method), kind) {
        (Encapsulation::Ipip, Encapsulation::Ipip)
        | (Encapsulation::Gre { .. }, Encapsulation::Gre { .. }) => true,
        (Encapsulation::Gue { port, .. }, Encapsulation::Gue { port: quoted, .. }) => port == quoted,
        (Encapsulation::Ipip | Encapsulation::Gue { .. } | Encapsulation::Gre { .. }, _) => false,
    }
}
