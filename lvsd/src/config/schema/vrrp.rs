//! The keys that speak of virtual routers.

use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;
use toml::Spanned;

use super::Text;
use super::brief::{Brief, Program, Short, Time};

/// `[vrrp]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Vrrp {
    pub(in crate::config) startup_delay: Option<Time>,
    pub(in crate::config) script_user: Option<String>,
    #[serde(default)]
    pub(in crate::config) script_security: bool,
    pub(in crate::config) realtime_priority: Option<u8>,
    #[serde(default)]
    pub(in crate::config) fifo: Vec<Brief<Fifo>>,
    #[serde(default)]
    pub(in crate::config) link_delay: Vec<LinkDelay>,
    #[serde(default)]
    pub(in crate::config) script: Vec<Script>,
    #[serde(default)]
    pub(in crate::config) file: Vec<File>,
    #[serde(default)]
    pub(in crate::config) process: Vec<Process>,
    #[serde(default)]
    pub(in crate::config) static_address: Vec<Spanned<Brief<Address>>>,
    /// In the words of `ip route add`.
    #[serde(default)]
    pub(in crate::config) static_route: Vec<Text>,
    /// In the words of `ip rule add`.
    #[serde(default)]
    pub(in crate::config) static_rule: Vec<Text>,
    #[serde(default)]
    pub(in crate::config) instance: Vec<Instance>,
    #[serde(default)]
    pub(in crate::config) group: Vec<Group>,
}

/// A named pipe: its path, or a table that names who reads it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Fifo {
    pub(in crate::config) path: String,
    pub(in crate::config) reader: Option<Brief<Program>>,
}

impl Short for Fifo {
    const EXPECTED: &'static str = "a path, or a table of `path` and `reader`";

    fn of_text(path: &str) -> Option<Self> {
        Some(Self { path: path.to_owned(), reader: None })
    }
}

/// `[[vrrp.link-delay]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct LinkDelay {
    pub(in crate::config) interface: Text,
    pub(in crate::config) down: Time,
    pub(in crate::config) up: Option<Time>,
}

/// `[[vrrp.script]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Script {
    pub(in crate::config) name: Text,
    pub(in crate::config) command: Vec<String>,
    pub(in crate::config) user: Option<String>,
    pub(in crate::config) interval: Option<Time>,
    pub(in crate::config) timeout: Option<Time>,
    #[serde(default)]
    pub(in crate::config) weight: i16,
    #[serde(default)]
    pub(in crate::config) reverse: bool,
    pub(in crate::config) rise: Option<u32>,
    pub(in crate::config) fall: Option<u32>,
    #[serde(default)]
    pub(in crate::config) starts_down: bool,
}

/// `[[vrrp.file]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct File {
    pub(in crate::config) name: Text,
    pub(in crate::config) path: String,
    pub(in crate::config) weight: Option<i16>,
    #[serde(default)]
    pub(in crate::config) reverse: bool,
    pub(in crate::config) initial: Option<i64>,
    #[serde(default)]
    pub(in crate::config) overwrite: bool,
}

/// `[[vrrp.process]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Process {
    pub(in crate::config) name: Text,
    #[serde(rename = "process")]
    pub(in crate::config) program: String,
    pub(in crate::config) arguments: Option<Vec<String>>,
    #[serde(default)]
    pub(in crate::config) weight: i16,
    #[serde(default)]
    pub(in crate::config) reverse: bool,
    pub(in crate::config) quorum: Option<u32>,
    pub(in crate::config) quorum_max: Option<u32>,
    pub(in crate::config) fork_delay: Option<Time>,
    pub(in crate::config) terminate_delay: Option<Time>,
}

/// `[[vrrp.group]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Group {
    pub(in crate::config) name: Text,
    pub(in crate::config) members: Vec<String>,
    #[serde(default)]
    pub(in crate::config) members_weigh: bool,
    #[serde(default)]
    pub(in crate::config) track: Tracked,
    #[serde(default)]
    pub(in crate::config) notify: Notify,
}

/// `[[vrrp.instance]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(clippy::struct_excessive_bools, reason = "each is a key of its own that may be there or not")]
pub(in crate::config) struct Instance {
    pub(in crate::config) name: Text,
    pub(in crate::config) interface: Text,
    pub(in crate::config) router_id: u8,
    #[serde(default)]
    pub(in crate::config) state: State,
    pub(in crate::config) version: Option<u8>,
    pub(in crate::config) priority: Option<u8>,
    pub(in crate::config) advert_interval: Option<Time>,
    pub(in crate::config) down_timer_adverts: Option<u8>,
    pub(in crate::config) preempt: Option<bool>,
    pub(in crate::config) preempt_delay: Option<Time>,
    pub(in crate::config) accept: Option<bool>,
    pub(in crate::config) password: Option<Text>,
    pub(in crate::config) hmac: Option<Hmac>,
    #[serde(default)]
    pub(in crate::config) address: Vec<Spanned<Brief<Address>>>,
    #[serde(default)]
    pub(in crate::config) excluded: Vec<Spanned<Brief<Address>>>,
    #[serde(default)]
    pub(in crate::config) may_lack_addresses: bool,
    /// In the words of `ip route add`.
    #[serde(default)]
    pub(in crate::config) route: Vec<Text>,
    /// In the words of `ip rule add`.
    #[serde(default)]
    pub(in crate::config) rule: Vec<Text>,
    #[serde(default)]
    pub(in crate::config) promote_secondaries: bool,
    pub(in crate::config) virtual_mac: Option<VirtualMac>,
    pub(in crate::config) ipvlan: Option<Ipvlan>,
    pub(in crate::config) source: Option<IpAddr>,
    #[serde(default)]
    pub(in crate::config) track_source: bool,
    #[serde(default)]
    pub(in crate::config) peer: Vec<Brief<Peer>>,
    #[serde(default)]
    pub(in crate::config) needs_peers: bool,
    pub(in crate::config) unicast_ttl: Option<u8>,
    #[serde(default)]
    pub(in crate::config) check_peers: bool,
    pub(in crate::config) group: Option<IpAddr>,
    #[serde(default)]
    pub(in crate::config) announce: Announce,
    #[serde(default)]
    pub(in crate::config) ignore_interface: bool,
    #[serde(default)]
    pub(in crate::config) track: Tracked,
    #[serde(default)]
    pub(in crate::config) notify: Notify,
    pub(in crate::config) checksum: Option<Checksum>,
    #[serde(default)]
    pub(in crate::config) skip_known_addresses: bool,
    #[serde(default)]
    pub(in crate::config) strict: bool,
    #[serde(default)]
    pub(in crate::config) lower_priority_no_advert: bool,
    #[serde(default)]
    pub(in crate::config) higher_priority_send_advert: bool,
    pub(in crate::config) receive_buffer: Option<u32>,
}

/// `state`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum State {
    Master,
    #[default]
    Backup,
}

/// `checksum`: the RFC it is computed by.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(in crate::config) enum Checksum {
    #[serde(rename = "5798")]
    Rfc5798,
    #[serde(rename = "9568")]
    Rfc9568,
}

/// `hmac`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Hmac {
    pub(in crate::config) key: Vec<HmacKey>,
    pub(in crate::config) active_key: u8,
    #[serde(default)]
    pub(in crate::config) mode: HmacMode,
    #[serde(default)]
    pub(in crate::config) anti_replay: AntiReplay,
    pub(in crate::config) window: Option<Time>,
}

/// A key: its characters, or `hex:` and its bytes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct HmacKey {
    pub(in crate::config) id: u8,
    pub(in crate::config) secret: Text,
}

/// `mode`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum HmacMode {
    #[default]
    Enforce,
    Permissive,
    ReceiveOnly,
}

/// `anti-replay`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum AntiReplay {
    #[default]
    Time,
    Monotonic,
}

/// A virtual address: itself with its prefix, or a table that says more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Address {
    #[serde(rename = "address")]
    pub(in crate::config) text: String,
    pub(in crate::config) interface: Option<String>,
    pub(in crate::config) label: Option<String>,
    pub(in crate::config) scope: Option<Brief<Scope>>,
    pub(in crate::config) broadcast: Option<Ipv4Addr>,
    pub(in crate::config) peer: Option<IpAddr>,
    /// In seconds; 4294967295 for ever.
    pub(in crate::config) preferred_lifetime: Option<u32>,
    #[serde(default)]
    pub(in crate::config) flags: Vec<AddressFlag>,
    pub(in crate::config) track: Option<bool>,
}

impl Short for Address {
    const EXPECTED: &'static str = "an address such as \"192.0.2.10/24\", or a table with `address` in it";

    fn of_text(address: &str) -> Option<Self> {
        Some(Self {
            text: address.to_owned(),
            interface: None,
            label: None,
            scope: None,
            broadcast: None,
            peer: None,
            preferred_lifetime: None,
            flags: Vec::new(),
            track: None,
        })
    }
}

/// `scope`: a name, or `{ number = N }`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Scope {
    pub(in crate::config) number: u8,
}

impl Short for Scope {
    const EXPECTED: &'static str = "global, site, link, host, nowhere, or { number = N }";

    fn of_text(name: &str) -> Option<Self> {
        use lvs_vrrp::declared::Scope;
        let scope = match name {
            "global" => Scope::Global,
            "site" => Scope::Site,
            "link" => Scope::Link,
            "host" => Scope::Host,
            "nowhere" => Scope::Nowhere,
            _ => return None,
        };
        Some(Self { number: scope.number() })
    }
}

/// `flags` of an address
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum AddressFlag {
    Home,
    DetectDuplicates,
    ManageTemporary,
    NoPrefixRoute,
    AutoJoin,
}

/// A router that adverts are sent to: its address, or a table that says more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Peer {
    pub(in crate::config) address: IpAddr,
    pub(in crate::config) min_ttl: Option<u8>,
    pub(in crate::config) max_ttl: Option<u8>,
}

impl Short for Peer {
    const EXPECTED: &'static str = "an address, or a table of `address`, `min-ttl` and `max-ttl`";

    fn of_text(address: &str) -> Option<Self> {
        Some(Self { address: address.parse().ok()?, min_ttl: None, max_ttl: None })
    }
}

/// `virtual-mac`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct VirtualMac {
    pub(in crate::config) interface: Option<String>,
    pub(in crate::config) mac: Option<Text>,
    pub(in crate::config) send_from_base: bool,
    pub(in crate::config) for_all_addresses: bool,
}

/// `ipvlan`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Ipvlan {
    pub(in crate::config) interface: Option<String>,
    pub(in crate::config) address: Option<IpAddr>,
    pub(in crate::config) mode: IpvlanMode,
}

/// `mode` of `ipvlan`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum IpvlanMode {
    #[default]
    Bridge,
    Private,
    Vepa,
}

/// `announce`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Announce {
    pub(in crate::config) delay: Option<Time>,
    pub(in crate::config) repeat: Option<u32>,
    pub(in crate::config) refresh: Option<Time>,
    pub(in crate::config) refresh_repeat: Option<u32>,
    pub(in crate::config) lower_priority_delay: Option<Time>,
    pub(in crate::config) lower_priority_repeat: Option<u32>,
    pub(in crate::config) arp_interval: Option<Time>,
    pub(in crate::config) neighbour_interval: Option<Time>,
}

/// `track`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Tracked {
    pub(in crate::config) interface: Vec<Brief<Track>>,
    pub(in crate::config) script: Vec<Brief<Track>>,
    pub(in crate::config) file: Vec<Brief<Track>>,
    pub(in crate::config) process: Vec<Brief<Track>>,
}

/// Something watched: its name, or a table that says what it weighs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Track {
    pub(in crate::config) name: String,
    pub(in crate::config) weight: Option<i16>,
    pub(in crate::config) reverse: Option<bool>,
}

impl Short for Track {
    const EXPECTED: &'static str = "a name, or a table of `name`, `weight` and `reverse`";

    fn of_text(name: &str) -> Option<Self> {
        Some(Self { name: name.to_owned(), weight: None, reverse: None })
    }
}

/// `notify`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Notify {
    pub(in crate::config) master: Option<Brief<Program>>,
    pub(in crate::config) backup: Option<Brief<Program>>,
    pub(in crate::config) fault: Option<Brief<Program>>,
    pub(in crate::config) stop: Option<Brief<Program>>,
    pub(in crate::config) deleted: Option<Brief<Program>>,
    pub(in crate::config) lower_priority: Option<Brief<Program>>,
    pub(in crate::config) any: Option<Brief<Program>>,
    pub(in crate::config) tell_deleted: bool,
    pub(in crate::config) tell_priority: bool,
}
