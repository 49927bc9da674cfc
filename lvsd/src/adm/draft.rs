//! What the options of a command line have said so far.

use std::net::{IpAddr, Ipv4Addr};

use super::{
    address::{self, number},
    args::timeout,
    failure::Failure,
    flags,
    legal::{Topic, Topics, TunnelType},
    names::Names,
    option::{Forward, Opt},
    scan::Found,
};
use crate::message::{
    Family, ForwardMethod, RealServer, ServiceId, SyncDaemon, SyncRole, Transport, TunnelChecksum,
    TunnelKind, VirtualService,
};

/// The persistence timeout of a bare `-p`, in seconds.
const DEFAULT_PERSISTENCE: u32 = 360;
/// The scheduler of a service that names none.
const DEFAULT_SCHEDULER: &str = "wlc";
/// The interface of a synchronisation daemon that names none.
const DEFAULT_INTERFACE: &str = "eth0";
/// The longest name the kernel takes of a scheduler, an engine or an interface.
const LONGEST_NAME: usize = 15;
/// The largest weight and threshold.
const LARGEST: i64 = i32::MAX as i64;
/// The longest synchronisation message: 65535 less an IPv4 and a UDP header.
const LONGEST_MESSAGE: i64 = 65_507;

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

impl<'a> Draft<'a> {
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

    /// Takes in an option; false when it is not one that may follow a command.
    pub(super) fn take(&mut self, found: Found<'a>) -> Result<bool, Failure> {
        let value = found.value.unwrap_or_default();
        match found.opt {
            Opt::Command(_) | Opt::Help | Opt::Version => return Ok(false),
            Opt::Sort | Opt::Socket => {}
            Opt::Json => self.topics.set(Topic::Json)?,
            Opt::Shows(topic) => self.topics.set(topic)?,
            Opt::Service(transport) => self.take_service(transport, value)?,
            Opt::Mark => self.take_mark(value)?,
            Opt::Ipv6 => self.take_ipv6()?,
            Opt::Scheduler | Opt::Engine | Opt::Flags | Opt::OnePacket => {
                self.take_scheduling(found.opt, value)?
            }
            Opt::Persistent => {
                self.topics.set(Topic::Persistent)?;
                let seconds = found.value.map_or(Ok(DEFAULT_PERSISTENCE), |value| timeout(value, 1))?;
                self.persistent = Some(seconds);
            }
            Opt::Netmask => self.take_netmask(value)?,
            Opt::Server => self.take_server(value)?,
            Opt::Forward(forward) => {
                self.topics.set(Topic::Forward)?;
                self.forward = forward;
            }
            Opt::Weight | Opt::UpperThreshold | Opt::LowerThreshold => self.take_limit(found.opt, value)?,
            Opt::TunnelType | Opt::TunnelPort => self.take_tunnel(found.opt, value)?,
            Opt::TunnelChecksum(checksum) => {
                self.topics.set(match checksum {
                    TunnelChecksum::None => Topic::TunnelNoChecksum,
                    TunnelChecksum::Full => Topic::TunnelChecksum,
                    TunnelChecksum::Remote => Topic::TunnelRemoteChecksum,
                })?;
                self.tunnel_checksum = checksum;
            }
            Opt::Interface | Opt::Syncid | Opt::MaxLength | Opt::Group | Opt::GroupPort | Opt::GroupTtl => {
                self.take_sync(found.opt, value)?;
            }
        }
        Ok(true)
    }

    fn take_service(&mut self, transport: Transport, value: &str) -> Result<(), Failure> {
        self.topics.set(Topic::Service)?;
        let (vip, port) = address::endpoint(value, Some(transport), self.names)
            .ok_or_else(|| Failure::usage("illegal virtual server address[:port] specified"))?;
        self.target.transport = Some(transport);
        self.target.vip = Some(vip);
        self.target.port = port.unwrap_or_default();
        self.target.is_ipv6 = vip.is_ipv6();
        if vip.is_ipv6() {
            self.netmask = Netmask::Whole;
        }
        Ok(())
    }

    fn take_mark(&mut self, value: &str) -> Result<(), Failure> {
        self.topics.set(Topic::Service)?;
        self.target.mark = number(value, 1, i64::from(u32::MAX))
            .ok_or_else(|| Failure::usage(format_args!("invalid fwmark value `{value}' specified")))?;
        Ok(())
    }

    fn take_ipv6(&mut self) -> Result<(), Failure> {
        if self.target.mark == 0 {
            // this text carries a line end of its own
            return Err(Failure::usage("-6 used before -f\n"));
        }
        self.target.is_ipv6 = true;
        self.netmask = Netmask::Whole;
        Ok(())
    }

    fn take_scheduling(&mut self, opt: Opt, value: &'a str) -> Result<(), Failure> {
        if opt == Opt::Scheduler {
            self.topics.set(Topic::Scheduler)?;
            self.scheduler = shortened(value);
        } else if opt == Opt::Engine {
            self.topics.set(Topic::Engine)?;
            self.engine = Some(shortened(value)).filter(|name| !name.is_empty());
        } else if opt == Opt::Flags {
            self.topics.set(Topic::Flags)?;
            self.flag_list = Some(value);
        } else {
            self.topics.set(Topic::OnePacket)?;
        }
        Ok(())
    }

    fn take_netmask(&mut self, value: &str) -> Result<(), Failure> {
        self.topics.set(Topic::Netmask)?;
        self.netmask = if self.target.is_ipv6 {
            let bits =
                u8::try_from(address::leading_number(value)).ok().filter(|bits| (1..=128).contains(bits));
            Netmask::V6(bits.ok_or_else(|| Failure::usage("illegal ipv6 netmask specified"))?)
        } else {
            Netmask::V4(address::ipv4(value, self.names).ok_or_else(illegal_mask)?.to_bits())
        };
        Ok(())
    }

    fn take_server(&mut self, value: &str) -> Result<(), Failure> {
        self.topics.set(Topic::Server)?;
        let (rip, port) = address::endpoint(value, self.target.transport, self.names)
            .ok_or_else(|| Failure::usage("illegal real server address[:port] specified"))?;
        self.server = Some((rip, port.unwrap_or(self.target.port)));
        Ok(())
    }

    fn take_limit(&mut self, opt: Opt, value: &str) -> Result<(), Failure> {
        let (topic, limit, complaint) = if opt == Opt::Weight {
            (Topic::Weight, &mut self.weight, "illegal weight specified")
        } else if opt == Opt::UpperThreshold {
            (Topic::UpperThreshold, &mut self.upper_threshold, "illegal u_threshold specified")
        } else {
            (Topic::LowerThreshold, &mut self.lower_threshold, "illegal l_threshold specified")
        };
        self.topics.set(topic)?;
        *limit = number(value, 0, LARGEST).ok_or_else(|| Failure::usage(complaint))?;
        Ok(())
    }

    fn take_tunnel(&mut self, opt: Opt, value: &str) -> Result<(), Failure> {
        if opt == Opt::TunnelType {
            self.topics.set(Topic::TunnelType)?;
            self.tunnel =
                TunnelType::parse(value).ok_or_else(|| Failure::usage("illegal tunnel type specified"))?;
        } else {
            self.topics.set(Topic::TunnelPort)?;
            self.tunnel_port =
                number(value, 1, 65535).ok_or_else(|| Failure::usage("illegal tunnel port specified"))?;
        }
        Ok(())
    }

    fn take_sync(&mut self, opt: Opt, value: &str) -> Result<(), Failure> {
        if opt == Opt::Interface {
            self.topics.set(Topic::Interface)?;
            shortened(value).clone_into(&mut self.sync.interface);
        } else if opt == Opt::Syncid {
            self.topics.set(Topic::Syncid)?;
            self.sync.syncid =
                number(value, 0, 255).ok_or_else(|| Failure::usage("illegal syncid specified"))?;
        } else if opt == Opt::MaxLength {
            self.topics.set(Topic::MaxLength)?;
            let length = number(value, 1, LONGEST_MESSAGE);
            self.sync.maxlen = length.ok_or_else(|| Failure::usage("illegal sync-maxlen specified"))?;
        } else if opt == Opt::Group {
            self.topics.set(Topic::Group)?;
            self.sync.group = Some(group(value)?);
        } else if opt == Opt::GroupPort {
            self.topics.set(Topic::GroupPort)?;
            self.sync.port =
                number(value, 1, 65535).ok_or_else(|| Failure::usage("illegal mcast-port specified"))?;
        } else {
            self.topics.set(Topic::GroupTtl)?;
            self.sync.ttl =
                number(value, 1, 255).ok_or_else(|| Failure::usage("illegal mcast-ttl specified"))?;
        }
        Ok(())
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
        // the kernel would take a mask with holes; lvsd keeps a length
        if ones != bits.count_ones() {
            return Err(illegal_mask());
        }
        u8::try_from(ones).map_err(|_| illegal_mask())
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

fn group(text: &str) -> Result<IpAddr, Failure> {
    let family = if text.contains(':') { "IPv6" } else { "IPv4" };
    let group = if text.contains(':') {
        text.parse().map(IpAddr::V6).ok()
    } else {
        text.parse::<Ipv4Addr>().map(IpAddr::V4).ok()
    };
    group
        .filter(IpAddr::is_multicast)
        .ok_or_else(|| Failure::usage(format_args!("invalid {family} mcast-group `{text}'")))
}

fn illegal_mask() -> Failure {
    Failure::usage("illegal virtual server persistent mask specified")
}

fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST_NAME)]
}
