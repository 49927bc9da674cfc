//! What the options of a command line have said so far.

mod take;

use std::net::IpAddr;

use super::{
    failure::Failure,
    flags,
    legal::{Topic, Topics, TunnelType},
    names::Names,
    option::Forward,
};
use crate::message::{
    Family, ForwardMethod, RealServer, ServiceId, SyncDaemon, SyncRole, Transport, TunnelChecksum,
    TunnelKind, VirtualService,
};

/// The scheduler of a service that names none.
const DEFAULT_SCHEDULER: &str = "wlc";
/// The interface of a synchronisation daemon that names none.
const DEFAULT_INTERFACE: &str = "eth0";

/// A service as far as it is known: what stands left of an option.
#[derive(Debug, Clone, Copy, Default)]
struct Target {
    transport: Option<Transport>,
    vip: Option<IpAddr>,
    port: u16,
    mark: u32,
    is_ipv6: bool,
}

/// The persistence mask, as the family of the moment reads it.
#[derive(Debug, Clone, Copy)]
enum Netmask {
    Whole,
    V4(u32),
    V6(u8),
}

/// The options so far; what was not said has ipvsadm's default.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    names: Names,
    pub(super) topics: Topics,
    target: Target,
    scheduler: &'a str,
    flag_list: Option<&'a str>,
    flags: u8,
    persistent: Option<u32>,
    netmask: Netmask,
    engine: Option<&'a str>,
    server: Option<(IpAddr, u16)>,
    forward: Forward,
    weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
    tunnel: TunnelType,
    tunnel_port: u16,
    tunnel_checksum: TunnelChecksum,
    pub(super) sync: SyncDaemon,
}

impl Draft<'_> {
    pub(super) fn new(names: Names) -> Self {
        Self {
            names,
            topics: Topics::default(),
            target: Target::default(),
            scheduler: "",
            flag_list: None,
            flags: 0,
            persistent: None,
            netmask: Netmask::Whole,
            engine: None,
            server: None,
            forward: Forward::Gatewaying,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel: TunnelType::Ipip,
            tunnel_port: 0,
            tunnel_checksum: TunnelChecksum::None,
            sync: SyncDaemon {
                role: SyncRole::Master,
                interface: String::new(),
                syncid: 0,
                maxlen: 0,
                group: None,
                port: 0,
                ttl: 0,
            },
        }
    }

    /// Reads the list of `-b`, which needs the scheduler wherever it stood.
    pub(super) fn read_flags(&mut self) -> Result<(), Failure> {
        if let Some(list) = self.flag_list {
            self.flags = flags::parse(self.scheduler, list)?;
        }
        Ok(())
    }

    /// The service, when one was named.
    pub(super) fn optional_id(&self) -> Option<ServiceId> {
        let Target { transport, vip, port, mark, is_ipv6 } = self.target;
        match (mark, transport, vip) {
            (0, Some(transport), Some(vip)) => Some(ServiceId::Address { transport, vip, port }),
            (0, _, _) => None,
            (mark, _, _) => {
                Some(ServiceId::Mark { mark, family: if is_ipv6 { Family::Ipv6 } else { Family::Ipv4 } })
            }
        }
    }

    /// The service.
    pub(super) fn id(&self) -> Result<ServiceId, Failure> {
        // the command's row asks for it before
        self.optional_id().ok_or_else(|| Failure::usage("illegal virtual server address[:port] specified"))
    }

    /// The service, whole.
    pub(super) fn virtual_service(&self) -> Result<VirtualService, Failure> {
        let id = self.id()?;
        let one_packet = self.topics.has(Topic::OnePacket);
        if matches!(id, ServiceId::Address { port: 0, .. }) && self.persistent.is_none() {
            return Err(Failure::usage("Zero port specified for non-persistent service"));
        }
        if one_packet && matches!(id, ServiceId::Address { transport: Transport::Tcp | Transport::Sctp, .. })
        {
            return Err(Failure::usage("One-Packet Scheduling is only for UDP virtual services"));
        }
        let scheduler = if self.scheduler.is_empty() { DEFAULT_SCHEDULER } else { self.scheduler };
        Ok(VirtualService {
            id,
            scheduler: scheduler.to_owned(),
            flags: self.flags,
            persistent: self.persistent,
            netmask: self.mask_bits()?,
            persistence_engine: self.engine.map(str::to_owned),
            one_packet,
        })
    }

    fn mask_bits(&self) -> Result<u8, Failure> {
        let bits = match self.netmask {
            Netmask::V6(bits) => return Ok(bits),
            Netmask::Whole if self.target.is_ipv6 => return Ok(128),
            Netmask::Whole => u32::MAX,
            Netmask::V4(bits) => bits,
        };
        let ones = bits.leading_ones();
        if ones == bits.count_ones() {
            return u8::try_from(ones).map_err(|_| illegal_mask());
        }
        // the kernel takes a mask with holes; lvsd keeps a length, which matters to a persistent service only
        if self.persistent.is_some() { Err(illegal_mask()) } else { Ok(32) }
    }

    /// The real server's address and port.
    pub(super) fn server(&self) -> Result<(IpAddr, u16), Failure> {
        // the command's row asks for it before
        self.server.ok_or_else(|| Failure::usage("illegal real server address[:port] specified"))
    }

    /// The real server, whole.
    pub(super) fn real_server(&self) -> Result<RealServer, Failure> {
        let (rip, port) = self.server()?;
        let is_translated = self.forward == Forward::Masquerading;
        if rip.is_ipv6() != self.target.is_ipv6 && self.forward != Forward::Ipip {
            return Err(Failure::usage("Different address family is allowed only for tunneling servers"));
        }
        Ok(RealServer {
            rip,
            port: if is_translated || self.target.mark != 0 { port } else { self.target.port },
            method: self.method()?,
            weight: self.weight,
            upper_threshold: self.upper_threshold,
            lower_threshold: self.lower_threshold,
        })
    }

    fn method(&self) -> Result<ForwardMethod, Failure> {
        let tunnel = [
            Topic::TunnelType,
            Topic::TunnelPort,
            Topic::TunnelNoChecksum,
            Topic::TunnelChecksum,
            Topic::TunnelRemoteChecksum,
        ];
        if self.forward == Forward::Ipip {
            self.tunnel.check(self.topics)?;
        } else if self.topics.has_any(&tunnel) {
            return Err(Failure::usage("Tunnel options conflict with forward method"));
        }
        let checksum = self.tunnel_checksum;
        Ok(match (self.forward, self.tunnel) {
            (Forward::Gatewaying, _) => ForwardMethod::DirectRoute,
            (Forward::Masquerading, _) => ForwardMethod::Masquerade,
            (Forward::Ipip, TunnelType::Ipip) => ForwardMethod::Tunnel(TunnelKind::Ipip),
            (Forward::Ipip, TunnelType::Gre) => ForwardMethod::Tunnel(TunnelKind::Gre { checksum }),
            (Forward::Ipip, TunnelType::Gue) => {
                ForwardMethod::Tunnel(TunnelKind::Gue { port: self.tunnel_port, checksum })
            }
        })
    }

    /// The synchronisation daemon.
    pub(super) fn sync_daemon(self) -> SyncDaemon {
        let mut daemon = self.sync;
        if daemon.interface.is_empty() {
            DEFAULT_INTERFACE.clone_into(&mut daemon.interface);
        }
        daemon
    }
}

fn illegal_mask() -> Failure {
    Failure::usage("illegal virtual server persistent mask specified")
}
