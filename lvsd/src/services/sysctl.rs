//! The values of `net.ipv4.vs`, by the kernel's names and with its defaults.

use super::Registry;
use crate::message::{Refusal, Response, SysctlListing, SysctlSetting};

macro_rules! sysctls {
    ($($(#[doc = $doc:literal])+ $name:ident in $low:literal ..= $high:literal = $default:literal,)+) => {
        /// One value for each name; the two numbers of `sync_threshold` are two values.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Sysctls { $($(#[doc = $doc])+ pub $name: i32,)+ }

        impl Default for Sysctls {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Sysctls {
            const FIELDS: &'static [&'static str] = &[$(stringify!($name),)+];

            fn get(&self, name: &str) -> Option<i32> {
                match name {
                    $(stringify!($name) => Some(self.$name),)+
                    _ => None,
                }
            }

            fn set(&mut self, name: &str, value: i32) -> Result<(), Refusal> {
                match name {
                    $(stringify!($name) => store(&mut self.$name, value, $low, $high),)+
                    _ => Err(Refusal::NoEntry),
                }
            }
        }
    };
}

sysctls! {
    /// Memory, in pages, under which the automatic defences begin.
    amemthresh in -2_147_483_648 ..= 2_147_483_647 = 1024,
    /// One in how many packets `drop_packet` 3 drops.
    am_droprate in -2_147_483_648 ..= 2_147_483_647 = 10,
    /// Half-open connections are dropped at random: 0 never, 1 and 2 when memory is short, 3 always.
    drop_entry in 0 ..= 3 = 0,
    /// New connections are refused: 0 never, 1 and 2 when memory is short, 3 always.
    drop_packet in 0 ..= 3 = 0,
    /// Netfilter's connection tracking beside IPVS's; there is none here.
    conntrack in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// The stricter TCP states: 0 never, 1 and 2 when memory is short, 3 always.
    secure_tcp in 0 ..= 3 = 0,
    /// Replies are routed anew after their source was rewritten.
    snat_reroute in -2_147_483_648 ..= 2_147_483_647 = 1,
    /// Version of the synchronisation messages.
    sync_version in 0 ..= 1 = 1,
    /// Ports, and threads, of the synchronisation.
    sync_ports in 1 ..= 2_147_483_647 = 1,
    /// What the synchronisation does about persistence templates.
    sync_persist_mode in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// How many synchronisation messages may wait.
    sync_qlen_max in 0 ..= 2_147_483_647 = 65536,
    /// The synchronisation socket's buffer, in bytes.
    sync_sock_size in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// A marked packet without a server goes where it was going.
    cache_bypass in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// Connections of removed or quiesced servers end at their next packet.
    expire_nodest_conn in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// A TCP connection may be picked up in its middle.
    sloppy_tcp in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// An SCTP association may be picked up in its middle.
    sloppy_sctp in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// A template whose server has weight 0 is not followed.
    expire_quiescent_template in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// Packets after which a connection is synchronised first.
    sync_threshold in 0 ..= 2_147_483_647 = 3,
    /// Packets after which it is synchronised again: the second number of `sync_threshold`.
    sync_period in 0 ..= 2_147_483_647 = 50,
    /// Seconds between two synchronisations of one connection; in jiffies, 250 a second, they fit 32 bits.
    sync_refresh_period in -8_589_934 ..= 8_589_934 = 0,
    /// Repetitions of a synchronisation message.
    sync_retries in 0 ..= 3 = 0,
    /// A reply without a connection is answered with port unreachable.
    nat_icmp_send in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// The outer header of a tunnel takes the inner one's don't-fragment bit.
    pmtu_disc in -2_147_483_648 ..= 2_147_483_647 = 1,
    /// A backup forwards nothing.
    backup_only in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// Which connections a new SYN begins anew: bit 0 ending ones, bit 1 also after FIN without replies seen.
    conn_reuse_mode in -2_147_483_648 ..= 2_147_483_647 = 1,
    /// An ICMP error without a connection may begin one.
    schedule_icmp in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// What a tunnel of the host's own brings is not scheduled; here it never is.
    ignore_tunneled in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// Rates are estimated.
    run_estimation in -2_147_483_648 ..= 2_147_483_647 = 1,
    /// Seconds after which an entry of lblc goes.
    lblc_expiration in -8_589_934 ..= 8_589_934 = 86_400,
    /// Seconds after which a set of lblcr shrinks.
    lblcr_expiration in -8_589_934 ..= 8_589_934 = 86_400,
    /// How densely newer kernels fill their table of connections.
    conn_lfactor in -8 ..= 8 = -4,
    /// How densely newer kernels fill their table of services.
    svc_lfactor in -8 ..= 8 = -3,
}

/// The one name with two numbers.
const PAIR: &str = "sync_threshold";
/// The second of them, which is no name of its own.
const PAIR_SECOND: &str = "sync_period";
/// What comes before each name in full.
const PREFIX: &str = "net.ipv4.vs.";

impl Sysctls {
    /// Every name, without its `net.ipv4.vs.`.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::FIELDS.iter().copied().filter(|name| *name != PAIR_SECOND)
    }

    /// The name without `net.ipv4.vs.` in front (or its slashes), if it is one.
    pub fn name(written: &str) -> Option<&'static str> {
        let plain = written.strip_prefix(PREFIX).or_else(|| written.strip_prefix("net/ipv4/vs/"));
        let plain = plain.unwrap_or(written);
        Self::names().find(|name| *name == plain)
    }

    /// The value of a name as `sysctl` shows it: one number, or two with a tab between.
    pub fn text(&self, name: &str) -> Option<String> {
        let name = Self::name(name)?;
        let value = self.get(name)?;
        Some(if name == PAIR { format!("{value}\t{}", self.sync_period) } else { value.to_string() })
    }

    /// Sets one value from text, as `sysctl -w` would: `name` with or without `net.ipv4.vs.` (or its slashes).
    ///
    /// # Errors
    /// [`Refusal::NoEntry`] for a name that is not there, [`Refusal::Invalid`] for a value it does not take.
    pub fn set_text(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let name = Self::name(name).ok_or(Refusal::NoEntry)?;
        let mut numbers = value.split_whitespace().map(|number| number.parse().map_err(|_| Refusal::Invalid));
        let first: i32 = numbers.next().ok_or(Refusal::Invalid)??;
        if name == PAIR {
            return self.set_threshold(first, numbers.next().transpose()?);
        }
        if name == "sync_ports" && first.count_ones() != 1 {
            return Err(Refusal::Invalid);
        }
        self.set(name, first)
    }

    /// `proc_do_sync_threshold`: the first number is below the second unless that is 0.
    fn set_threshold(&mut self, first: i32, second: Option<i32>) -> Result<(), Refusal> {
        let second = second.unwrap_or(self.sync_period);
        if first < 0 || second < 0 || (second != 0 && first >= second) {
            return Err(Refusal::Invalid);
        }
        (self.sync_threshold, self.sync_period) = (first, second);
        Ok(())
    }

    /// Why setting a name changes nothing here, where it does not.
    pub fn note(name: &str) -> Option<&'static str> {
        Some(match Self::name(name)? {
            "conntrack" => "no effect: packets do not pass netfilter's connection tracking",
            "snat_reroute" => "no effect: replies are always routed by their rewritten addresses",
            "sync_version"
            | "sync_ports"
            | "sync_persist_mode"
            | "sync_qlen_max"
            | "sync_sock_size"
            | "sync_threshold"
            | "sync_refresh_period"
            | "sync_retries" => "no effect yet: connections are not synchronised",
            "ignore_tunneled" => {
                "no effect: what a tunnel of the host's own brings does not come to the director"
            }
            "conn_lfactor" | "svc_lfactor" => "no effect: these tables grow by themselves",
            _ => return None,
        })
    }
}

impl Registry {
    /// Puts other values in force. A changed mode of the defence is judged at once (`proc_do_defense_mode`), its
    /// other values count from the next second on.
    pub(super) fn change_sysctls(&mut self, changed: Sysctls) {
        if changed == self.sysctls {
            return;
        }
        let modes = |sysctls: &Sysctls| [sysctls.drop_entry, sysctls.drop_packet, sysctls.secure_tcp];
        let changes_mode = modes(&changed) != modes(&self.sysctls);
        self.sysctls = changed;
        if changes_mode {
            self.settle_modes();
        }
        self.publish();
    }

    /// Reads values and sets those that come with one, all or none; without settings all are read.
    pub(super) fn apply_sysctls(&mut self, settings: &[SysctlSetting]) -> Result<Response, Refusal> {
        let mut changed = self.sysctls;
        for setting in settings {
            let name = Sysctls::name(&setting.name).ok_or(Refusal::NoEntry)?;
            if let Some(value) = &setting.value {
                changed.set_text(name, value)?;
            }
        }
        self.change_sysctls(changed);
        let list = |name: &str, note: Option<&str>| SysctlListing {
            name: format!("{PREFIX}{name}"),
            value: self.sysctls.text(name).unwrap_or_default(),
            note: note.map(Into::into),
        };
        let sysctls = if settings.is_empty() {
            Sysctls::names().map(|name| list(name, Sysctls::note(name))).collect()
        } else {
            let known = |setting: &SysctlSetting| {
                let name = Sysctls::name(&setting.name)?;
                let note = setting.value.as_ref().and_then(|_| Sysctls::note(name));
                Some(list(name, note))
            };
            settings.iter().filter_map(known).collect()
        };
        Ok(Response::Sysctls { sysctls })
    }
}

fn store(field: &mut i32, value: i32, low: i32, high: i32) -> Result<(), Refusal> {
    if value < low || value > high {
        return Err(Refusal::Invalid);
    }
    *field = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_what_was_set() {
        for name in Sysctls::names() {
            let mut sysctls = Sysctls::default();
            let other = if name == "sync_ports" || sysctls.get(name) == Some(1) { 2 } else { 1 };
            let other = if name == "sync_version" { 0 } else { other };
            sysctls.set_text(&format!("net.ipv4.vs.{name}"), &other.to_string()).unwrap();
            assert_eq!(sysctls.get(name), Some(other), "{name}");
            assert_ne!(sysctls, Sysctls::default(), "{name}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let mut sysctls = Sysctls::default();
        assert_eq!(sysctls.set_text("net.ipv4.vs.nosuch", "1"), Err(Refusal::NoEntry));
        assert_eq!(sysctls.set_text("sync_period", "1"), Err(Refusal::NoEntry));
        for (name, value) in [
            ("drop_entry", "4"),
            ("drop_packet", "-1"),
            ("secure_tcp", "x"),
            ("drop_entry", ""),
            ("sync_ports", "3"),
            ("sync_qlen_max", "-1"),
            ("sync_version", "2"),
            ("sync_retries", "4"),
            ("sync_threshold", "5 4"),
            ("sync_threshold", "-1 4"),
            ("sync_threshold", "50"),
        ] {
            assert_eq!(sysctls.set_text(name, value), Err(Refusal::Invalid), "{name}={value}");
        }
        assert_eq!(sysctls, Sysctls::default());
    }

    #[test]
    fn a_pair_is_set_whole_or_by_its_first_number() {
        let mut sysctls = Sysctls::default();
        sysctls.set_text("sync_threshold", "4").unwrap();
        assert_eq!(sysctls.text("sync_threshold").unwrap(), "4\t50");
        sysctls.set_text("net/ipv4/vs/sync_threshold", "9 0").unwrap();
        assert_eq!(sysctls.text("sync_threshold").unwrap(), "9\t0");
    }

    fn registry() -> Registry {
        Registry::new(std::sync::Arc::new(crate::director::Plane::new(1, 10, 1)), 1)
    }

    fn setting(name: &str, value: Option<&str>) -> SysctlSetting {
        SysctlSetting { name: name.into(), value: value.map(Into::into) }
    }

    #[test]
    fn settings_are_taken_all_or_none() {
        let mut registry = registry();
        let wrong = [setting("sloppy_tcp", Some("1")), setting("drop_entry", Some("7"))];
        assert_eq!(registry.apply_sysctls(&wrong), Err(Refusal::Invalid));
        let unknown = [setting("sloppy_tcp", Some("1")), setting("nosuch", None)];
        assert_eq!(registry.apply_sysctls(&unknown), Err(Refusal::NoEntry));
        assert_eq!(*registry.sysctls(), Sysctls::default());
        assert_eq!(registry.plane().snapshot().sysctls, Sysctls::default());

        let right = [setting("net.ipv4.vs.sloppy_tcp", Some("1")), setting("am_droprate", None)];
        let Ok(Response::Sysctls { sysctls }) = registry.apply_sysctls(&right) else { panic!("refused") };
        let shown: Vec<_> = sysctls.iter().map(|s| (s.name.as_str(), s.value.as_str())).collect();
        assert_eq!(shown, [("net.ipv4.vs.sloppy_tcp", "1"), ("net.ipv4.vs.am_droprate", "10")]);
        assert_eq!(registry.plane().snapshot().sysctls.sloppy_tcp, 1);
    }

    #[test]
    fn what_changes_nothing_says_so_and_what_does_is_silent() {
        let mut registry = registry();
        let set = [
            setting("conntrack", Some("1")),
            setting("secure_tcp", Some("1")),
            setting("snat_reroute", None),
        ];
        let Ok(Response::Sysctls { sysctls }) = registry.apply_sysctls(&set) else { panic!("refused") };
        let noted: Vec<_> = sysctls.iter().map(|listing| listing.note.is_some()).collect();
        assert_eq!(noted, [true, false, false], "nor does what is only read");
        let Ok(Response::Sysctls { sysctls }) = registry.apply_sysctls(&[]) else { panic!("refused") };
        assert_eq!(sysctls.len(), Sysctls::names().count());
    }
}
