//! `vrrp_instance`: one virtual router.

use std::time::Duration;

use lvs_vrrp::declared::{
    Authentication, InitialState, Instance, Ipvlan, IpvlanMode, Preemption, VirtualMac,
};

use super::super::reader::Word;
use super::super::source::{Found, Place};
use super::super::tree::Statement;
use super::Model;
use super::globals::Announced;

/// What is written of an instance and must be looked at as a whole.
#[derive(Debug, Default)]
struct Draft {
    announced: Announced,
    is_preempting: Option<(bool, Place)>,
    preempt_delay: Option<(Duration, Place)>,
    is_strict: Option<bool>,
    accepts: Option<(bool, Place)>,
    sends_from_base: Option<Place>,
    no_advert: Option<bool>,
}

impl Model<'_> {
    pub(super) fn instance(&mut self, statement: &Statement) {
        let Some(name) = Self::name(statement) else { return };
        if !self.named(statement, "virtual_router_id") || !self.named(statement, "interface") {
            return;
        }
        let mut instance = Instance::new(name.text.clone(), "", 0);
        let mut draft = Draft::default();
        let globals = &self.globals;
        instance.version = globals.version;
        instance.checksum = globals.checksum;
        instance.down_timer_adverts = globals.down_timer_adverts.unwrap_or(3);
        instance.checks_peers = globals.checks_peers;
        instance.skips_known_addresses = globals.skips_known_addresses;
        instance.higher_priority_send_advert = globals.higher_priority_send_advert;
        instance.notify.tells_priority = globals.tells_priority;
        for inner in statement.inside() {
            self.identity(inner, &mut instance);
            self.adverts(inner, &mut instance, &mut draft);
            self.addresses_of(inner, &mut instance, &mut draft);
            self.election(inner, &mut instance, &mut draft);
            self.notify(inner, &mut instance.notify);
            self.announced(inner.name(), inner, &mut draft.announced);
        }
        self.settle_instance(instance, &draft);
    }

    fn identity(&mut self, inner: &Statement, instance: &mut Instance) {
        let Some(word) = Self::name(inner) else { return };
        match inner.name() {
            "state" => {
                let named = self.findings.choice(word, "state", &["MASTER", "BACKUP"]);
                instance.initial =
                    if named == Some("MASTER") { InitialState::Master } else { InitialState::Backup };
            }
            "interface" => instance.interface = self.findings.interface(word).unwrap_or_default(),
            "version" => instance.version = self.version(inner).or(instance.version),
            "virtual_router_id" => {
                instance.virtual_router_id = self.findings.number(word, "a number", 1..=255).unwrap_or(1);
            }
            "priority" => {
                instance.priority = self.findings.number(word, "a priority", 1..=255).unwrap_or(100);
            }
            "advert_int" => {
                instance.advert_interval = self.seconds(inner, 0..=255).unwrap_or(instance.advert_interval);
            }
            "kernel_rx_buf_size" => {
                instance.receive_buffer = self.findings.number(word, "bytes", 1..=2_147_483_647);
            }
            _ => {}
        }
    }

    fn adverts(&mut self, inner: &Statement, instance: &mut Instance, draft: &mut Draft) {
        match inner.name() {
            "mcast_src_ip" | "unicast_src_ip" => {
                instance.source = Self::name(inner).and_then(|word| self.findings.address(word));
            }
            "mcast_dst_ip" => instance.group = Self::name(inner).and_then(|word| self.findings.address(word)),
            "track_src_ip" => instance.tracks_source = true,
            "check_unicast_src" => instance.checks_peers = self.boolean(inner),
            "unicast_peer" => {
                for item in inner.inside() {
                    instance.peers.extend(self.peer(item));
                }
                instance.needs_peers |= instance.peers.is_empty();
            }
            "unicast_fault_no_peer" => instance.needs_peers = true,
            "unicast_ttl" => instance.unicast_ttl = self.number(inner, "a TTL", 0..=255).unwrap_or(255),
            "v3_checksum_as_v2" => instance.checksum = self.checksum(inner),
            "down_timer_adverts" => {
                instance.down_timer_adverts = self.number(inner, "adverts", 1..=100).unwrap_or(3);
            }
            "lower_prio_no_advert" => draft.no_advert = Some(self.boolean(inner)),
            "higher_prio_send_advert" => instance.higher_priority_send_advert = self.boolean(inner),
            "skip_check_adv_addr" => instance.skips_known_addresses = self.boolean(inner),
            "strict_mode" => draft.is_strict = Some(self.boolean(inner)),
            "authentication" => self.authenticate(inner, instance, Self::password),
            "auth_hmac" => self.authenticate(inner, instance, Self::hmac),
            _ => {}
        }
    }

    fn authenticate(
        &mut self,
        inner: &Statement,
        instance: &mut Instance,
        read: impl FnOnce(&mut Self, &Statement) -> Authentication,
    ) {
        if instance.authentication != Authentication::None {
            let title = "two ways of authentication";
            let found = Found::new(inner.place(), title, "the instance has one already");
            self.findings.mistake(found.help("remove `authentication` or `auth_hmac`"));
        }
        instance.authentication = read(self, inner);
    }

    fn addresses_of(&mut self, inner: &Statement, instance: &mut Instance, draft: &mut Draft) {
        match inner.name() {
            "virtual_ipaddress" => {
                let addresses = self.addresses(inner);
                instance.addresses.extend(addresses);
            }
            "virtual_ipaddress_excluded" => {
                let addresses = self.addresses(inner);
                instance.excluded.extend(addresses);
            }
            "virtual_routes" => {
                let routes = self.routes(inner);
                instance.routes.extend(routes);
            }
            "virtual_rules" => {
                let rules = self.rules(inner);
                instance.rules.extend(rules);
            }
            "no_virtual_ipaddress" => instance.may_lack_addresses = true,
            "promote_secondaries" => instance.promotes_secondaries = true,
            "use_vmac" => instance.virtual_mac = Some(self.virtual_mac(inner)),
            "vmac_xmit_base" => draft.sends_from_base = Some(inner.place()),
            "use_ipvlan" => instance.ipvlan = Some(self.ipvlan(inner)),
            _ => {}
        }
    }

    fn election(&mut self, inner: &Statement, instance: &mut Instance, draft: &mut Draft) {
        match inner.name() {
            "nopreempt" => draft.is_preempting = Some((false, inner.place())),
            "preempt" => draft.is_preempting = Some((true, inner.place())),
            "preempt_delay" => {
                draft.preempt_delay = self.seconds(inner, 0..=1000).map(|delay| (delay, inner.whole()));
            }
            "accept" => draft.accepts = Some((true, inner.place())),
            "no_accept" => draft.accepts = Some((false, inner.place())),
            "dont_track_primary" => instance.ignores_interface = true,
            "track_interface" => instance.track_interfaces.extend(self.tracks(inner, 253)),
            "track_script" => instance.track_scripts.extend(self.tracks(inner, 253)),
            "track_file" => instance.track_files.extend(self.tracks(inner, 254)),
            "track_process" => instance.track_processes.extend(self.tracks(inner, 254)),
            _ => {}
        }
    }

    /// `[[name] NAME] [MAC] [netlink_notify_msg] [group GROUP]`
    fn virtual_mac(&mut self, inner: &Statement) -> VirtualMac {
        let mut made = VirtualMac::default();
        let mut words = inner.arguments().iter();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "name" => made.interface = words.next().and_then(|word| self.findings.interface(word)),
                "netlink_notify_msg" => self.no_effect(word, "the kernel's own messages are enough"),
                "group" => {
                    words.next();
                    self.no_effect(word, "the interface is in its parent's group");
                }
                text if text.contains(':') => made.mac = self.mac(word),
                _ => made.interface = self.findings.interface(word),
            }
        }
        made
    }

    pub(super) fn no_effect(&mut self, word: &Word, why: &str) {
        self.findings.warn(Found::new(word.place, format!("`{}` has no effect here", word.text), why));
    }

    fn mac(&mut self, word: &Word) -> Option<[u8; 6]> {
        let octets: Option<Vec<u8>> =
            word.text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
        let mac = octets.and_then(|octets| <[u8; 6]>::try_from(octets).ok());
        if mac.is_none() {
            let title = format!("`{}` is no MAC address", word.text);
            self.findings.mistake(Found::new(
                word.place,
                title,
                "expected six octets such as 02:00:5e:00:01:33",
            ));
        }
        mac
    }

    /// `[[name] NAME] [ADDRESS] [bridge|private|vepa] [group GROUP]`
    fn ipvlan(&mut self, inner: &Statement) -> Ipvlan {
        let mut made = Ipvlan::default();
        let mut words = inner.arguments().iter();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "name" => made.interface = words.next().and_then(|word| self.findings.interface(word)),
                "bridge" => made.mode = IpvlanMode::Bridge,
                "private" => made.mode = IpvlanMode::Private,
                "vepa" => made.mode = IpvlanMode::Vepa,
                "group" => {
                    words.next();
                    self.no_effect(word, "the interface is in its parent's group");
                }
                text => match text.split('/').next().and_then(|text| text.parse().ok()) {
                    Some(address) => made.address = Some(address),
                    None => made.interface = self.findings.interface(word),
                },
            }
        }
        made
    }

    fn settle_instance(&mut self, mut instance: Instance, draft: &Draft) {
        instance.is_strict = draft.is_strict.unwrap_or(self.globals.is_strict);
        instance.announcing = draft.announced.over(self.globals.announcing).resolve();
        instance.lower_priority_no_advert =
            draft.no_advert.unwrap_or(self.globals.lower_priority_no_advert || instance.is_strict);
        if instance.peers.iter().any(|peer| peer.min_ttl.is_some() || peer.max_ttl.is_some()) {
            instance.checks_peers = true;
        }
        if instance.group.is_none() && instance.peers.is_empty() {
            instance.group = if instance.is_ipv6() { self.globals.group6 } else { self.globals.group4 };
        }
        instance.accepts = self.accepts(&instance, draft.accepts);
        self.settle_preemption(&mut instance, draft);
        self.settle_mac(&mut instance, draft);
        self.declared.vrrp.instances.push(instance);
    }

    fn settle_preemption(&mut self, instance: &mut Instance, draft: &Draft) {
        let is_master = instance.initial == InitialState::Master && instance.priority != 255;
        match (draft.is_preempting, draft.preempt_delay) {
            (Some((false, place)), delay) => {
                instance.preemption = Preemption::Never;
                if is_master {
                    let found = Found::new(place, "`nopreempt` with `state MASTER`", "has no effect then");
                    self.findings.warn(found.help("write `state BACKUP`"));
                    instance.preemption = Preemption::default();
                }
                if let Some((_, place)) = delay {
                    let found =
                        Found::new(place, "`preempt_delay` with `nopreempt`", "there is nothing to delay");
                    self.findings.warn(found);
                }
            }
            (_, Some((delay, place))) => {
                if is_master && !delay.is_zero() {
                    let found =
                        Found::new(place, "`preempt_delay` with `state MASTER`", "has no effect then");
                    self.findings.warn(found.help("write `state BACKUP`"));
                } else {
                    instance.preemption = Preemption::After(delay);
                }
            }
            (_, None) => {}
        }
    }

    fn settle_mac(&mut self, instance: &mut Instance, draft: &Draft) {
        if let (Some(place), None) = (draft.sends_from_base, &instance.virtual_mac) {
            let found = Found::new(place, "`vmac_xmit_base` without `use_vmac`", "has no effect then");
            self.findings.warn(found);
        }
        let is_ipv6 = instance.is_ipv6();
        if let Some(made) = &mut instance.virtual_mac {
            made.sends_from_base = draft.sends_from_base.is_some();
            if let (None, Some(prefix)) = (&made.interface, &self.globals.mac_prefix) {
                let family = if is_ipv6 { "6" } else { "" };
                made.interface = Some(format!("{prefix}{family}.{}", instance.virtual_router_id));
            }
        }
    }
}
