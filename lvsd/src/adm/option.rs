//! The options of the command line: how each is spelled and whether it takes a value.

use super::legal::Topic;
use crate::message::{Transport, TunnelChecksum};

/// A command: what the first option must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Verb {
    AddService,
    EditService,
    DeleteService,
    Flush,
    List,
    AddServer,
    DeleteServer,
    EditServer,
    SetTimeouts,
    StartDaemon,
    StopDaemon,
    Restore,
    Save,
    Zero,
}

/// An option, apart from its spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opt {
    Command(Verb),
    Help,
    Version,
    Service(Transport),
    Mark,
    Ipv6,
    Scheduler,
    Persistent,
    Netmask,
    Server,
    Forward(Forward),
    Weight,
    UpperThreshold,
    LowerThreshold,
    Interface,
    Syncid,
    MaxLength,
    Group,
    GroupPort,
    GroupTtl,
    OnePacket,
    Engine,
    Flags,
    TunnelType,
    TunnelPort,
    TunnelChecksum(TunnelChecksum),
    /// Changes what a listing shows, and takes no value.
    Shows(Topic),
    /// Sorting is the default: accepted, without effect.
    Sort,
    /// Not ipvsadm's: the listing as JSON.
    Json,
    /// Not ipvsadm's: the daemon's socket.
    Socket,
}

/// The three ways to forward, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forward {
    Gatewaying,
    Ipip,
    Masquerading,
}

/// Whether an option takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    None,
    Needed,
    Optional,
}

/// How an option is spelled.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) long: &'static str,
    pub(super) short: Option<char>,
    pub(super) value: Value,
    pub(super) opt: Opt,
}

const fn spec(long: &'static str, short: Option<char>, value: Value, opt: Opt) -> Spec {
    Spec { long, short, value, opt }
}

/// Every option there is.
pub(super) static TABLE: [Spec; 60] = [
    spec("add-service", Some('A'), Value::None, Opt::Command(Verb::AddService)),
    spec("edit-service", Some('E'), Value::None, Opt::Command(Verb::EditService)),
    spec("delete-service", Some('D'), Value::None, Opt::Command(Verb::DeleteService)),
    spec("clear", Some('C'), Value::None, Opt::Command(Verb::Flush)),
    spec("list", Some('L'), Value::None, Opt::Command(Verb::List)),
    spec("list", Some('l'), Value::None, Opt::Command(Verb::List)),
    spec("zero", Some('Z'), Value::None, Opt::Command(Verb::Zero)),
    spec("add-server", Some('a'), Value::None, Opt::Command(Verb::AddServer)),
    spec("edit-server", Some('e'), Value::None, Opt::Command(Verb::EditServer)),
    spec("delete-server", Some('d'), Value::None, Opt::Command(Verb::DeleteServer)),
    spec("set", None, Value::None, Opt::Command(Verb::SetTimeouts)),
    spec("restore", Some('R'), Value::None, Opt::Command(Verb::Restore)),
    spec("save", Some('S'), Value::None, Opt::Command(Verb::Save)),
    spec("start-daemon", None, Value::Needed, Opt::Command(Verb::StartDaemon)),
    spec("stop-daemon", None, Value::Needed, Opt::Command(Verb::StopDaemon)),
    spec("help", Some('h'), Value::None, Opt::Help),
    spec("version", Some('v'), Value::None, Opt::Version),
    spec("tcp-service", Some('t'), Value::Needed, Opt::Service(Transport::Tcp)),
    spec("udp-service", Some('u'), Value::Needed, Opt::Service(Transport::Udp)),
    spec("sctp-service", None, Value::Needed, Opt::Service(Transport::Sctp)),
    spec("fwmark-service", Some('f'), Value::Needed, Opt::Mark),
    spec("ipv6", Some('6'), Value::None, Opt::Ipv6),
    spec("scheduler", Some('s'), Value::Needed, Opt::Scheduler),
    spec("persistent", Some('p'), Value::Optional, Opt::Persistent),
    spec("netmask", Some('M'), Value::Needed, Opt::Netmask),
    spec("real-server", Some('r'), Value::Needed, Opt::Server),
    spec("masquerading", Some('m'), Value::None, Opt::Forward(Forward::Masquerading)),
    spec("ipip", Some('i'), Value::None, Opt::Forward(Forward::Ipip)),
    spec("gatewaying", Some('g'), Value::None, Opt::Forward(Forward::Gatewaying)),
    spec("weight", Some('w'), Value::Needed, Opt::Weight),
    spec("u-threshold", Some('x'), Value::Needed, Opt::UpperThreshold),
    spec("l-threshold", Some('y'), Value::Needed, Opt::LowerThreshold),
    spec("numeric", Some('n'), Value::None, Opt::Shows(Topic::Numeric)),
    spec("connection", Some('c'), Value::None, Opt::Shows(Topic::Connection)),
    spec("mcast-interface", None, Value::Needed, Opt::Interface),
    spec("syncid", None, Value::Needed, Opt::Syncid),
    spec("timeout", None, Value::None, Opt::Shows(Topic::Timeout)),
    spec("daemon", None, Value::None, Opt::Shows(Topic::Daemon)),
    spec("stats", None, Value::None, Opt::Shows(Topic::Stats)),
    spec("rate", None, Value::None, Opt::Shows(Topic::Rate)),
    spec("thresholds", None, Value::None, Opt::Shows(Topic::Thresholds)),
    spec("persistent-conn", None, Value::None, Opt::Shows(Topic::PersistentConn)),
    spec("nosort", None, Value::None, Opt::Shows(Topic::NoSort)),
    spec("sort", None, Value::None, Opt::Sort),
    spec("exact", Some('X'), Value::None, Opt::Shows(Topic::Exact)),
    spec("ops", Some('o'), Value::None, Opt::OnePacket),
    spec("pe", None, Value::Needed, Opt::Engine),
    spec("sched-flags", Some('b'), Value::Needed, Opt::Flags),
    spec("sync-maxlen", None, Value::Needed, Opt::MaxLength),
    spec("mcast-group", None, Value::Needed, Opt::Group),
    spec("mcast-port", None, Value::Needed, Opt::GroupPort),
    spec("mcast-ttl", None, Value::Needed, Opt::GroupTtl),
    spec("tun-info", None, Value::None, Opt::Shows(Topic::TunnelInfo)),
    spec("tun-type", None, Value::Needed, Opt::TunnelType),
    spec("tun-port", None, Value::Needed, Opt::TunnelPort),
    spec("tun-nocsum", None, Value::None, Opt::TunnelChecksum(TunnelChecksum::None)),
    spec("tun-csum", None, Value::None, Opt::TunnelChecksum(TunnelChecksum::Full)),
    spec("tun-remcsum", None, Value::None, Opt::TunnelChecksum(TunnelChecksum::Remote)),
    spec("json", None, Value::None, Opt::Json),
    spec("socket", None, Value::Needed, Opt::Socket),
];
