//! What no file may say, whatever its syntax.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Authentication, Declared, Instance, Track, Version, VirtualAddress};

/// What a mistake is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The instance of this name.
    Instance(String),
    /// The sync group of this name.
    Group(String),
    /// The script of this name.
    Script(String),
}

/// A mistake: what it is about, and what is wrong in words that an operator can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What it is about.
    pub subject: Subject,
    /// The keyword of keepalived.conf it is nearest to.
    pub keyword: &'static str,
    /// What is wrong.
    pub message: String,
}

impl Declared {
    /// Everything that must not be; nothing of it may run while there is anything.
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut found = Vec::new();
        for instance in &self.instances {
            let wrong = |keyword, message: String| Mistake {
                subject: Subject::Instance(instance.name.clone()),
                keyword,
                message,
            };
            found.extend(instance.mistakes().into_iter().map(|(keyword, message)| wrong(keyword, message)));
            let lists = [
                ("track_script", &instance.track_scripts, self.names_of_scripts()),
                ("track_file", &instance.track_files, self.files.iter().map(|file| &*file.name).collect()),
                ("track_process", &instance.track_processes, self.names_of_processes()),
            ];
            for (keyword, tracks, known) in lists {
                found.extend(unknown(tracks, &known).map(|message| wrong(keyword, message)));
            }
        }
        found.extend(self.twins());
        found.extend(self.mistakes_of_groups());
        found.extend(self.mistakes_of_scripts());
        found
    }

    fn names_of_scripts(&self) -> BTreeSet<&str> {
        self.scripts.iter().map(|script| &*script.name).collect()
    }

    fn names_of_processes(&self) -> BTreeSet<&str> {
        self.processes.iter().map(|process| &*process.name).collect()
    }

    /// Instances that could not be told apart.
    fn twins(&self) -> Vec<Mistake> {
        let mut found = Vec::new();
        for (place, instance) in self.instances.iter().enumerate() {
            let before = self.instances.get(..place).unwrap_or_default();
            let wrong = |keyword, message| Mistake {
                subject: Subject::Instance(instance.name.clone()),
                keyword,
                message,
            };
            if before.iter().any(|other| other.name == instance.name) {
                found.push(wrong("vrrp_instance", format!("there are two instances {}", instance.name)));
            }
            let same = before.iter().find(|other| {
                other.virtual_router_id == instance.virtual_router_id
                    && other.interface == instance.interface
                    && other.is_ipv6() == instance.is_ipv6()
                    && !other.is_unicast()
                    && !instance.is_unicast()
                    && other.group == instance.group
            });
            if let Some(other) = same {
                let (id, interface) = (instance.virtual_router_id, &instance.interface);
                let message = format!("instance {} has number {id} on {interface} already", other.name);
                found.push(wrong("virtual_router_id", message));
            }
        }
        found
    }

    fn mistakes_of_groups(&self) -> Vec<Mistake> {
        let mut found = Vec::new();
        let mut taken = BTreeSet::new();
        for group in &self.groups {
            let wrong =
                |keyword, message| Mistake { subject: Subject::Group(group.name.clone()), keyword, message };
            for member in &group.members {
                if !self.instances.iter().any(|instance| instance.name == *member) {
                    found.push(wrong("group", format!("there is no instance {member}")));
                } else if !taken.insert(member) {
                    found.push(wrong("group", format!("instance {member} is in a group already")));
                }
            }
            let scripts = unknown(&group.track_scripts, &self.names_of_scripts()).collect::<Vec<_>>();
            found.extend(scripts.into_iter().map(|message| wrong("track_script", message)));
            if group.members.is_empty() {
                found.push(wrong("group", "it has no instances".to_owned()));
            }
        }
        found
    }

    fn mistakes_of_scripts(&self) -> Vec<Mistake> {
        let mut found = Vec::new();
        for script in &self.scripts {
            let wrong = |keyword, message: &str| Mistake {
                subject: Subject::Script(script.name.clone()),
                keyword,
                message: message.to_owned(),
            };
            if script.interval.is_zero() {
                found.push(wrong("interval", "must be more than 0"));
            }
            if script.command.argv.is_empty() {
                found.push(wrong("script", "names no program"));
            }
        }
        found
    }
}

fn unknown(tracks: &[Track], known: &BTreeSet<&str>) -> impl Iterator<Item = String> {
    tracks
        .iter()
        .filter(|track| !known.contains(&*track.name))
        .map(|track| format!("there is none of the name {}", track.name))
}

impl Instance {
    fn mistakes(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let mut wrong = |keyword, message: &str| found.push((keyword, message.to_owned()));
        if self.virtual_router_id == 0 {
            wrong("virtual_router_id", "must be 1 to 255");
        }
        if self.priority == 0 {
            wrong("priority", "must be 1 to 255");
        }
        if self.down_timer_adverts == 0 {
            wrong("down_timer_adverts", "must be 1 to 100");
        }
        if self.interface.is_empty() {
            wrong("interface", "an interface must be named");
        }
        if let Some(message) = self.wrong_interval() {
            wrong("advert_int", message);
        }
        if self.addresses.is_empty() && !self.may_lack_addresses {
            wrong("virtual_ipaddress", "an address must be named");
        }
        if self.addresses.len() > 255 {
            wrong("virtual_ipaddress", "an advert cannot name more than 255; use virtual_ipaddress_excluded");
        }
        if self.is_ipv6() && self.version == Some(Version::V2) {
            wrong("version", "version 2 has no IPv6; use version 3");
        }
        self.wrong_families(&mut wrong);
        self.wrong_authentication(&mut wrong);
        for address in self.addresses.iter().chain(&self.excluded) {
            if let Some(message) = address.mistake() {
                found.push(("virtual_ipaddress", message));
            }
        }
        found
    }

    fn wrong_interval(&self) -> Option<&'static str> {
        let interval = self.advert_interval;
        let hundredth = Duration::from_millis(10);
        match self.version() {
            Version::V2 if interval.subsec_nanos() != 0 || !(1..=255).contains(&interval.as_secs()) => {
                Some("must be 1 to 255 whole seconds in version 2")
            }
            Version::V3 if interval < hundredth || interval > hundredth * 4095 => {
                Some("must be 0.01 to 40.95 seconds in version 3")
            }
            Version::V3 if !interval.subsec_nanos().is_multiple_of(10_000_000) => {
                Some("must be whole hundredths of a second in version 3")
            }
            Version::V2 | Version::V3 => None,
        }
    }

    fn wrong_families(&self, wrong: &mut impl FnMut(&'static str, &str)) {
        let is_other = |address: std::net::IpAddr| address.is_ipv6() != self.is_ipv6();
        if self.addresses.iter().any(|address| is_other(address.address)) {
            wrong("virtual_ipaddress", "all addresses must be of one family; use virtual_ipaddress_excluded");
        }
        if self.peers.iter().any(|peer| is_other(peer.address)) {
            wrong("unicast_peer", "must be of the same family as the addresses");
        }
        if self.source.is_some_and(is_other) {
            wrong("unicast_src_ip", "must be of the same family as the addresses");
        }
        if self.group.is_some_and(|group| is_other(group) || !group.is_multicast()) {
            wrong("mcast_dst_ip", "must be a multicast address of the same family as the addresses");
        }
    }

    fn wrong_authentication(&self, wrong: &mut impl FnMut(&'static str, &str)) {
        match &self.authentication {
            Authentication::None => {}
            Authentication::Password(_) => {
                if self.version() == Version::V3 {
                    wrong("authentication", "version 3 has no passwords; use auth_hmac, or version 2");
                }
            }
            Authentication::Hmac(settings) => {
                if !settings.keys.iter().any(|key| key.id == settings.active_key) {
                    wrong("active_key", "there is no key of this number");
                }
                let ids: BTreeSet<u8> = settings.keys.iter().map(|key| key.id).collect();
                if ids.len() != settings.keys.len() || ids.contains(&0) {
                    wrong("key", "the keys' numbers must differ, and be 1 to 255");
                }
                if settings.keys.iter().any(|key| !(32..=64).contains(&key.secret.len())) {
                    wrong("key", "must be 32 to 64 bytes");
                }
            }
        }
    }
}

impl VirtualAddress {
    fn mistake(&self) -> Option<String> {
        let most = if self.address.is_ipv6() { 128 } else { 32 };
        let wrong = if self.prefix > most {
            "the prefix is too long"
        } else if self.address.is_multicast() || self.address.is_unspecified() {
            "no host can have this address"
        } else if self.label.is_some() && self.address.is_ipv6() {
            "an IPv6 address has no label"
        } else if self.label.as_ref().is_some_and(|label| label.len() > 15) {
            "the label is longer than 15 bytes"
        } else if self.broadcast.is_some() && self.address.is_ipv6() {
            "an IPv6 address has no broadcast address"
        } else {
            return None;
        };
        Some(format!("{}: {wrong}", self.address))
    }
}

#[cfg(test)]
mod tests;
