//! Takes options in, one by one, each value read as ipvsadm reads it.

use std::net::{IpAddr, Ipv4Addr};

use super::{Draft, Netmask, illegal_mask};
use crate::adm::{
    address::{self, number},
    args::timeout,
    failure::Failure,
    legal::{Topic, TunnelType},
    option::Opt,
    scan::Found,
};
use crate::message::{Transport, TunnelChecksum};

/// The persistence timeout of a bare `-p`, in seconds.
const DEFAULT_PERSISTENCE: u32 = 360;
/// The longest name the kernel takes of a scheduler, an engine or an interface.
const LONGEST_NAME: usize = 15;
/// The largest weight and threshold.
const LARGEST: i64 = i32::MAX as i64;
/// The longest synchronisation message: 65535 less an IPv4 and a UDP header.
const LONGEST_MESSAGE: i64 = 65_507;

impl<'a> Draft<'a> {
    /// Takes in an option; false when it is not one that may follow a command.
    pub(in crate::adm) fn take(&mut self, found: Found<'a>) -> Result<bool, Failure> {
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
                self.take_scheduling(found.opt, value)?;
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

fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST_NAME)]
}
