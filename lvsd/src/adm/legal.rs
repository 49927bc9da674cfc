//! Which options go with which command, and with which type of tunnel.
//!
//! One character a topic, in the order of [`Topic`]: `+` needed, a blank allowed, `x` illegal, and of all that are
//! marked `1` at most one.

use super::failure::Failure;
use super::option::Verb;

/// What an option is about: options of one topic exclude each other, and mistakes name the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Numeric,
    Connection,
    Service,
    Scheduler,
    Persistent,
    Netmask,
    Server,
    Forward,
    Weight,
    UpperThreshold,
    LowerThreshold,
    Interface,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    NoSort,
    Syncid,
    Exact,
    OnePacket,
    Engine,
    Flags,
    Group,
    GroupPort,
    GroupTtl,
    MaxLength,
    TunnelInfo,
    TunnelType,
    TunnelPort,
    TunnelNoChecksum,
    TunnelChecksum,
    TunnelRemoteChecksum,
    Json,
}

impl Topic {
    pub(super) const ALL: [(Self, &'static str); 35] = [
        (Self::Numeric, "numeric"),
        (Self::Connection, "connection"),
        (Self::Service, "service-address"),
        (Self::Scheduler, "scheduler"),
        (Self::Persistent, "persistent"),
        (Self::Netmask, "netmask"),
        (Self::Server, "real-server"),
        (Self::Forward, "forwarding-method"),
        (Self::Weight, "weight"),
        (Self::UpperThreshold, "u-threshold"),
        (Self::LowerThreshold, "l-threshold"),
        (Self::Interface, "mcast-interface"),
        (Self::Timeout, "timeout"),
        (Self::Daemon, "daemon"),
        (Self::Stats, "stats"),
        (Self::Rate, "rate"),
        (Self::Thresholds, "thresholds"),
        (Self::PersistentConn, "persistent-conn"),
        (Self::NoSort, "nosort"),
        (Self::Syncid, "syncid"),
        (Self::Exact, "exact"),
        (Self::OnePacket, "ops"),
        (Self::Engine, "pe"),
        (Self::Flags, "sched-flags"),
        (Self::Group, "mcast-group"),
        (Self::GroupPort, "mcast-port"),
        (Self::GroupTtl, "mcast-ttl"),
        (Self::MaxLength, "sync-maxlen"),
        (Self::TunnelInfo, "tun-info"),
        (Self::TunnelType, "tun-type"),
        (Self::TunnelPort, "tun-port"),
        (Self::TunnelNoChecksum, "tun-nocsum"),
        (Self::TunnelChecksum, "tun-csum"),
        (Self::TunnelRemoteChecksum, "tun-remcsum"),
        (Self::Json, "json"),
    ];

    const fn bit(self) -> u64 {
        1 << (self as u32)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(topic, _)| *topic == self).map_or("", |(_, name)| name)
    }
}

/// The topics a command line has touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Topics(u64);

impl Topics {
    /// Notes a topic, once.
    pub(super) fn set(&mut self, topic: Topic) -> Result<(), Failure> {
        if self.has(topic) {
            return Err(Failure::usage(format_args!("multiple '{}' options specified", topic.name())));
        }
        self.0 |= topic.bit();
        Ok(())
    }

    pub(super) const fn has(self, topic: Topic) -> bool {
        self.0 & topic.bit() != 0
    }

    pub(super) fn has_any(self, topics: &[Topic]) -> bool {
        topics.iter().any(|topic| self.has(*topic))
    }
}

impl Verb {
    /// The command's name in messages, and its row.
    #[rustfmt::skip]
    const fn rules(self) -> (&'static str, &'static str) {
        match self {
            Self::AddService    => ("add-service",    "xx+   xxxxxxxxxxxxxxx   xxxxxxxxxxx"),
            Self::EditService   => ("edit-service",   "xx+   xxxxxxxxxxxxxxx   xxxxxxxxxxx"),
            Self::DeleteService => ("delete-service", "xx+xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            Self::Flush         => ("flush",          "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            Self::List          => ("list",           " 11xxxxxxxxx11       xxxxxxx xxxxx "),
            Self::AddServer     => ("add-server",     "xx+xxx+    xxxxxxxxxxxxxxxxxx     x"),
            Self::DeleteServer  => ("delete-server",  "xx+xxx+xxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            Self::EditServer    => ("edit-server",    "xx+xxx+    xxxxxxxxxxxxxxxxxx     x"),
            Self::SetTimeouts   => ("set",            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            Self::StartDaemon   => ("start-daemon",   "xxxxxxxxxxx xxxxxxx xxxx    xxxxxxx"),
            Self::StopDaemon    => ("stop-daemon",    "xxxxxxxxxxxxxxxxxxx xxxxxxxxxxxxxxx"),
            Self::Restore       => ("restore",        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            Self::Save          => ("save",           " xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx "),
            Self::Zero          => ("zero",           "xx xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        }
    }

    /// How many topics the command's row speaks of.
    #[cfg(test)]
    pub(super) const fn columns(self) -> usize {
        self.rules().1.len()
    }

    /// Holds the options that were given against the command's row.
    pub(super) fn check(self, given: Topics) -> Result<(), Failure> {
        let (name, row) = self.rules();
        check(given, &Topic::ALL, row, name, "command")
    }
}

/// The types of a tunnel, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TunnelType {
    Ipip,
    Gue,
    Gre,
}

impl TunnelType {
    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Ipip, Self::Gue, Self::Gre].into_iter().find(|kind| kind.rules().0 == text)
    }

    const fn rules(self) -> (&'static str, &'static str) {
        match self {
            Self::Ipip => ("ipip", "xxxx"),
            Self::Gue => ("gue", "+111"),
            Self::Gre => ("gre", "x11x"),
        }
    }

    /// Holds the tunnel options that were given against the type's row.
    pub(super) fn check(self, given: Topics) -> Result<(), Failure> {
        let (name, row) = self.rules();
        let first = Topic::TunnelPort as usize;
        check(given, &Topic::ALL[first..], row, name, "tunnel type")
    }
}

fn check(given: Topics, topics: &[(Topic, &str)], row: &str, name: &str, what: &str) -> Result<(), Failure> {
    let mut chosen = None;
    for ((topic, option), rule) in topics.iter().zip(row.chars()) {
        match (rule, given.has(*topic)) {
            ('+', false) => {
                let message = format!("You need to supply the '{option}' option for the '{name}' {what}");
                return Err(Failure::usage(message));
            }
            ('x', true) => {
                return Err(Failure::usage(format_args!(
                    "Illegal '{option}' option with the '{name}' {what}"
                )));
            }
            ('1', true) => {
                if let Some(first) = chosen {
                    let message = format!(
                        "The option '{option}' conflicts with the '{first}' option in the '{name}' {what}"
                    );
                    return Err(Failure::usage(message));
                }
                chosen = Some(option);
            }
            _ => {}
        }
    }
    Ok(())
}
