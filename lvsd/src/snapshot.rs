//! The whole configuration as one immutable value: loaded once per burst, replaced by the one writer.

use std::collections::HashMap;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lvs_conntrack::{FlowKey, Proto, Timeouts};
use lvs_forward::{DropReason, PortId};

use crate::destination::{Destination, DestinationId, Stats};
use crate::mark::{Candidate, Marks};
use crate::message::{Family, ForwardMethod, ServiceId, Transport};
use crate::resolve::{Fib, NextHop};
use crate::services::{Service, Sysctls};

/// The port of FTP's control connections.
const FTP: u16 = 21;
/// The port of FTP's active data connections.
const FTP_DATA: u16 = 20;
/// The first port that needs no privilege.
const FIRST_USER_PORT: u16 = 1024;

/// What the packet path knows of a destination that belongs to a service now.
#[derive(Debug, Clone)]
pub struct Hop {
    /// How packets of new connections reach it, and a tunnel's parameters for all of them.
    pub method: ForwardMethod,
    /// True while its weight is 0.
    pub quiesced: bool,
    /// Its next hop, or why there is none.
    pub next: Result<NextHop, DropReason>,
    /// The outer source address of a tunnel to it.
    pub source: Option<IpAddr>,
    /// The counters of its service.
    pub service: Arc<Stats>,
}

/// A server whose own first packets begin connections, and the service they are from.
#[derive(Debug)]
pub struct Originator {
    /// The service.
    pub service: Arc<Service>,
    /// The server.
    pub destination: Arc<Destination>,
    /// The service's address and port, which its packets leave with.
    pub vip: SocketAddr,
}

type Fast = foldhash::fast::RandomState;

/// Everything a worker needs to know to forward a packet, beside the connections.
#[derive(Debug, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent facts about the services, asked for each packet"
)]
pub struct Snapshot {
    addresses: HashMap<(u8, IpAddr, u16), Arc<Service>, Fast>,
    marked: HashMap<(u32, Family), Arc<Service>, Fast>,
    /// Which families have a service: IPv4, IPv6.
    families: [bool; 2],
    ftp: bool,
    any_port: bool,
    hops: Vec<Option<Hop>>,
    claimed: HashSet<IpAddr, Fast>,
    /// Addresses of services, and of servers whose answers come back through here.
    vips: HashSet<IpAddr, Fast>,
    masqueraded: HashSet<IpAddr, Fast>,
    /// Masquerading servers with their ports; under protocol 0 those of marks, whose protocol is not known.
    real_services: HashSet<(u8, IpAddr, u16), Fast>,
    /// Masquerading servers of UDP by address and port, where their service has a persistence engine.
    originators: HashMap<(IpAddr, u16), Originator, Fast>,
    /// Values of `net.ipv4.vs`.
    pub sysctls: Sysctls,
    /// Timeouts of the connection states.
    pub timeouts: Timeouts,
    /// Which packets carry which mark.
    pub marks: Arc<Marks>,
    /// Routes and neighbours.
    pub fib: Arc<Fib>,
}

impl Snapshot {
    /// A snapshot of these services and destinations.
    pub(crate) fn new(services: impl IntoIterator<Item = Arc<Service>>, hops: Vec<Option<Hop>>) -> Self {
        let mut snapshot = Self { hops, ..Self::default() };
        for service in services {
            let [v4, v6] = &mut snapshot.families;
            *(if service.id.family() == Family::Ipv4 { v4 } else { v6 }) = true;
            for (_, member) in service.pool().iter() {
                let destination = &member.destination;
                if snapshot.hop(destination.id()).is_some_and(|hop| hop.method == ForwardMethod::Masquerade) {
                    snapshot.masqueraded.insert(destination.rip());
                    snapshot.note_originator(&service, destination);
                    let proto = match service.id {
                        ServiceId::Mark { .. } => Proto::IP,
                        ServiceId::Address { transport, .. } => number(transport),
                    };
                    snapshot.real_services.insert((proto.0, destination.rip(), destination.port()));
                }
            }
            match service.id {
                ServiceId::Mark { mark, family } => {
                    snapshot.marked.insert((mark, family), service);
                }
                ServiceId::Address { transport, vip, port } => {
                    snapshot.vips.insert(vip);
                    snapshot.ftp |= port == FTP;
                    snapshot.any_port |= port == 0;
                    snapshot.addresses.insert((number(transport).0, vip, port), service);
                }
            }
        }
        snapshot
    }

    /// Of several services that one server belongs to, the last one counts.
    fn note_originator(&mut self, service: &Arc<Service>, destination: &Arc<Destination>) {
        // A service on a mark has no address that its servers could speak with.
        let ServiceId::Address { transport: Transport::Udp, vip, port } = service.id else { return };
        let at = (destination.rip(), destination.port());
        if service.engine.is_some() {
            let (service, destination) = (Arc::clone(service), Arc::clone(destination));
            self.originators.insert(at, Originator { service, destination, vip: SocketAddr::new(vip, port) });
        } else {
            self.originators.remove(&at);
        }
    }

    /// Makes the addresses of the services local even where no interface carries them.
    pub(crate) fn claim_vips(&mut self) {
        self.claimed = self.vips.clone();
    }

    /// True for the address of a service.
    pub fn is_vip(&self, addr: IpAddr) -> bool {
        self.vips.contains(&addr)
    }

    /// True for an address whose packets are for the host or its services.
    pub fn is_local(&self, addr: IpAddr) -> bool {
        self.claimed.contains(&addr) || self.fib.is_local(addr)
    }

    /// True while there is a service of this family. Without any the kernel does not look at the family's packets
    /// at all, not even at those of connections that are left (`ip_vs_unregister_hooks`).
    #[inline]
    const fn serves(&self, ipv6: bool) -> bool {
        let [v4, v6] = self.families;
        if ipv6 { v6 } else { v4 }
    }

    /// True while packets of this family are looked at: not without a service, and not while only connections of
    /// another director's are to be taken in (`backup_only`).
    #[inline]
    pub const fn forwards(&self, ipv6: bool) -> bool {
        self.sysctls.backup_only == 0 && self.serves(ipv6)
    }

    /// The mark of a connection's first packet; 0 for none. Nobody asks where no service is on a mark.
    pub fn mark(&self, candidate: Candidate<'_>) -> u32 {
        if self.marked.is_empty() { 0 } else { self.marks.mark(candidate) }
    }

    /// True for a packet for elsewhere that the host takes in for its mark's sake, by a rule of its routing.
    pub fn takes_in(&self, key: &FlowKey, ingress: PortId) -> bool {
        self.fib.may_take_in() && self.fib.takes_in(self.mark(Candidate { key, ingress }), key.dst)
    }

    /// True when a packet between these addresses may be a service's, whatever its ports.
    pub fn concerns(&self, src: IpAddr, dst: IpAddr) -> bool {
        let inbound = self.vips.contains(&dst) || (!self.marked.is_empty() && self.is_local(dst));
        inbound || self.masqueraded.contains(&src)
    }

    /// True for the address and port of a masquerading server of this protocol (`ip_vs_has_real_service`).
    pub fn is_real_service(&self, proto: Proto, rip: IpAddr, port: u16) -> bool {
        [proto, Proto::IP].iter().any(|proto| self.real_services.contains(&(proto.0, rip, port)))
    }

    /// The server of this address and port, if what it says first begins a connection.
    pub fn originator(&self, rip: IpAddr, port: u16) -> Option<&Originator> {
        // Most directors have none.
        if self.originators.is_empty() { None } else { self.originators.get(&(rip, port)) }
    }

    /// The destination's way, while it belongs to a service.
    #[inline]
    pub fn hop(&self, id: DestinationId) -> Option<&Hop> {
        self.hops.get(id.index())?.as_ref()
    }

    /// The service of a packet (`ip_vs_service_find`): by its mark, its address and port, FTP's for the data
    /// connections of FTP, and the service of every port.
    pub fn service(&self, mark: u32, proto: Proto, vip: IpAddr, port: u16) -> Option<&Arc<Service>> {
        let exact = |port| self.addresses.get(&(proto.0, vip, port));
        let marked = (mark != 0).then(|| self.marked.get(&(mark, Family::of(vip)))).flatten();
        let data = || proto == Proto::TCP && self.ftp && (port == FTP_DATA || port >= FIRST_USER_PORT);
        marked
            .or_else(|| exact(port))
            .or_else(|| data().then(|| exact(FTP)).flatten())
            .or_else(|| self.any_port.then(|| exact(0)).flatten())
    }

    /// Every service, in no order.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.addresses.values().chain(self.marked.values())
    }
}

/// The protocol's number.
pub(crate) const fn number(transport: Transport) -> Proto {
    match transport {
        Transport::Tcp => Proto::TCP,
        Transport::Udp => Proto::UDP,
        Transport::Sctp => Proto::SCTP,
    }
}
