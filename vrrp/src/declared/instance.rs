//! One virtual router on one interface.

use std::net::IpAddr;
use std::time::Duration;

use super::{Authentication, Notify, Route, Rule, Track, VirtualAddress};

/// A virtual router, as one of the routers that share it declares it (`vrrp_instance`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a keyword of its own that may be there or not")]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// The interface that adverts go through.
    pub interface: String,
    /// What it starts as (`state`).
    pub initial: InitialState,
    /// The protocol's version; 3 when the virtual addresses are IPv6, else 2, when absent.
    pub version: Option<Version>,
    /// The virtual router's number, 1 to 255.
    pub virtual_router_id: u8,
    /// 1 to 254, or 255 for the addresses' owner.
    pub priority: u8,
    /// From one advert to the next: whole seconds to 255 in version 2, hundredths to 40.95 s in version 3.
    pub advert_interval: Duration,
    /// After so many intervals without an advert the master is thought dead (`down_timer_adverts`), 1 to 100.
    pub down_timer_adverts: u8,
    /// Whether it takes over from a master of lower priority.
    pub preemption: Preemption,
    /// Takes packets to the virtual addresses also when it is not their owner (`accept`, `no_accept`).
    pub accepts: bool,
    /// What adverts carry as proof.
    pub authentication: Authentication,
    /// The source address of adverts (`unicast_src_ip`, `mcast_src_ip`); the interface's first when absent.
    pub source: Option<IpAddr>,
    /// Faulty while the source address is not on the host (`track_src_ip`).
    pub tracks_source: bool,
    /// The routers that adverts are sent to one by one (`unicast_peer`); by multicast when there are none.
    pub peers: Vec<Peer>,
    /// Faulty without peers, rather than multicasting (`unicast_fault_no_peer`).
    pub needs_peers: bool,
    /// TTL or hop limit of adverts to peers (`unicast_ttl`).
    pub unicast_ttl: u8,
    /// Refuses adverts from others than the peers (`check_unicast_src`).
    pub checks_peers: bool,
    /// The group of multicast adverts (`mcast_dst_ip`); 224.0.0.18 or `ff02::12` when absent.
    pub group: Option<IpAddr>,
    /// The addresses that adverts name; the first of IPv6 ones should be link-local.
    pub addresses: Vec<VirtualAddress>,
    /// Addresses that go with them and that adverts do not name; of either family.
    pub excluded: Vec<VirtualAddress>,
    /// No addresses is no mistake (`no_virtual_ipaddress`).
    pub may_lack_addresses: bool,
    /// Routes that a master sets (`virtual_routes`).
    pub routes: Vec<Route>,
    /// Rules of policy routing that a master sets (`virtual_rules`).
    pub rules: Vec<Rule>,
    /// Where one of a network's addresses goes, the others stay (`promote_secondaries`): the interface's parameter of
    /// this name is set.
    pub promotes_secondaries: bool,
    /// Carries the addresses on an interface with the virtual router's own MAC address (`use_vmac`).
    pub virtual_mac: Option<VirtualMac>,
    /// Carries the addresses on an ipvlan (`use_ipvlan`).
    pub ipvlan: Option<Ipvlan>,
    /// How the addresses are announced.
    pub announcing: Announcing,
    /// Does not look whether the interface itself is up (`dont_track_primary`).
    pub ignores_interface: bool,
    /// Interfaces watched.
    pub track_interfaces: Vec<Track>,
    /// Scripts watched.
    pub track_scripts: Vec<Track>,
    /// Files watched.
    pub track_files: Vec<Track>,
    /// Processes watched.
    pub track_processes: Vec<Track>,
    /// What runs on its transitions.
    pub notify: Notify,
    /// How the IPv4 checksum of version 3 is sent.
    pub checksum: Checksum,
    /// Does not compare a further advert's addresses with ours when its sender is the master already
    /// (`skip_check_adv_addr`).
    pub skips_known_addresses: bool,
    /// Keeps to the letter of the RFC (`strict_mode`).
    pub is_strict: bool,
    /// As master, does not answer an advert of lower priority with one of its own (`lower_prio_no_advert`).
    pub lower_priority_no_advert: bool,
    /// As master, answers an advert of higher priority with one of its own before it yields
    /// (`higher_prio_send_advert`).
    pub higher_priority_send_advert: bool,
    /// The socket's receive buffer in bytes (`kernel_rx_buf_size`); the kernel's when absent.
    pub receive_buffer: Option<u32>,
}

impl Instance {
    /// An instance with keepalived's defaults: it still lacks its addresses.
    pub fn new(name: impl Into<String>, interface: impl Into<String>, virtual_router_id: u8) -> Self {
        Self {
            name: name.into(),
            interface: interface.into(),
            initial: InitialState::Backup,
            version: None,
            virtual_router_id,
            priority: 100,
            advert_interval: Duration::from_secs(1),
            down_timer_adverts: 3,
            preemption: Preemption::default(),
            accepts: true,
            authentication: Authentication::None,
            source: None,
            tracks_source: false,
            peers: Vec::new(),
            needs_peers: false,
            unicast_ttl: 255,
            checks_peers: false,
            group: None,
            addresses: Vec::new(),
            excluded: Vec::new(),
            may_lack_addresses: false,
            routes: Vec::new(),
            rules: Vec::new(),
            promotes_secondaries: false,
            virtual_mac: None,
            ipvlan: None,
            announcing: Announcing::default(),
            ignores_interface: false,
            track_interfaces: Vec::new(),
            track_scripts: Vec::new(),
            track_files: Vec::new(),
            track_processes: Vec::new(),
            notify: Notify::default(),
            checksum: Checksum::default(),
            skips_known_addresses: false,
            is_strict: false,
            lower_priority_no_advert: false,
            higher_priority_send_advert: false,
            receive_buffer: None,
        }
    }

    /// The version it speaks: what is declared, else 3 for IPv6 and 2 for IPv4.
    pub fn version(&self) -> Version {
        let of_family = if self.is_ipv6() { Version::V3 } else { Version::V2 };
        self.version.unwrap_or(of_family)
    }

    /// True when it speaks IPv6: its first address decides, and without one its source or first peer.
    pub fn is_ipv6(&self) -> bool {
        let first = self.addresses.first().map(|address| address.address);
        let other = self.source.or_else(|| self.peers.first().map(|peer| peer.address)).or(self.group);
        first.or(other).is_some_and(|address| address.is_ipv6())
    }

    /// True when, as master, it takes no packets to the virtual addresses: `Accept_Mode` is off, and they are not its
    /// own.
    pub const fn is_closed(&self) -> bool {
        !self.accepts && self.priority != u8::MAX
    }

    /// True when its adverts go to each peer rather than to a group.
    pub fn is_unicast(&self) -> bool {
        !self.peers.is_empty() || self.needs_peers
    }
}

/// What an instance starts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InitialState {
    /// A master, if it is the owner; else it starts as a backup whatever this says, and only `nopreempt` and
    /// `preempt_delay` are ignored.
    Master,
    /// A backup.
    #[default]
    Backup,
}

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RFC 3768: IPv4, whole seconds.
    V2,
    /// RFC 9568: IPv4 and IPv6, hundredths of a second.
    V3,
}

/// Whether an instance takes over from a master of lower priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preemption {
    /// Yes, after a delay of 0 to 1000 s (`preempt_delay`).
    After(Duration),
    /// No (`nopreempt`).
    Never,
}

impl Default for Preemption {
    fn default() -> Self {
        Self::After(Duration::ZERO)
    }
}

/// A router that adverts are sent to by its own address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// The least TTL or hop limit its adverts may come with; any when absent.
    pub min_ttl: Option<u8>,
    /// The most its adverts may come with; any when absent.
    pub max_ttl: Option<u8>,
}

/// An interface with the virtual router's MAC address: a macvlan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VirtualMac {
    /// The interface's name; `vrrp.` and the virtual router's number when absent, `vrrp6.` for IPv6.
    pub interface: Option<String>,
    /// The MAC address; 00:00:5e:00:01:NN, for IPv6 00:00:5e:00:02:NN, when absent.
    pub mac: Option<[u8; 6]>,
    /// Sends adverts from the interface below (`vmac_xmit_base`).
    pub sends_from_base: bool,
    /// Also makes one for addresses on other interfaces (`use_vmac_addr`).
    pub for_all_addresses: bool,
}

/// An ipvlan that carries the addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ipvlan {
    /// The interface's name; made from the virtual router's number when absent.
    pub interface: Option<String>,
    /// The address adverts come from.
    pub address: Option<IpAddr>,
    /// Which of the ipvlans beside it are reached.
    pub mode: IpvlanMode,
}

/// Which of the ipvlans on the same interface reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IpvlanMode {
    /// All, within the host.
    #[default]
    Bridge,
    /// None.
    Private,
    /// All, by way of the switch.
    Vepa,
}

/// How the addresses are announced: gratuitous ARP for IPv4, unsolicited neighbour advertisements for IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcing {
    /// The second round follows the first, on becoming master, after this (`garp_master_delay`); none when zero.
    pub delay: Duration,
    /// Times each address is announced in a round (`garp_master_repeat`).
    pub repeat: u32,
    /// A master announces again each time this has passed (`garp_master_refresh`); never when zero.
    pub refresh: Duration,
    /// Times each address is announced then (`garp_master_refresh_repeat`).
    pub refresh_repeat: u32,
    /// A master that hears one of lower priority announces again at once, and after this
    /// (`garp_lower_prio_delay`).
    pub lower_priority_delay: Duration,
    /// Times each address is announced then (`garp_lower_prio_repeat`); 0 for not at all.
    pub lower_priority_repeat: u32,
    /// Between two gratuitous ARPs on an interface (`garp_interval`).
    pub arp_interval: Duration,
    /// Between two neighbour advertisements on an interface (`gna_interval`).
    pub neighbour_interval: Duration,
}

impl Default for Announcing {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(5),
            repeat: 5,
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_priority_delay: Duration::from_secs(5),
            lower_priority_repeat: 5,
            arp_interval: Duration::ZERO,
            neighbour_interval: Duration::ZERO,
        }
    }
}

/// How the IPv4 checksum of version 3 is computed on sending; on receipt either is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// With the pseudo-header, as RFC 5798 is mostly read and keepalived does by default.
    #[default]
    Rfc5798,
    /// Without, as RFC 9568, section 5.2.8 says (`v3_checksum_as_v2`).
    Rfc9568,
}
