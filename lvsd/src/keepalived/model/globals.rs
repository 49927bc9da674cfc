//! `global_defs` and `SSL`: what holds for all, and the defaults of what holds for each.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use lvs_health::declared::Fifo;
use lvs_vrrp::declared::{Announcing, Checksum, Version};

use super::super::source::Found;
use super::super::tree::Statement;
use super::super::value::Program;
use super::Model;
use crate::message::Timeouts;

const DAY: u32 = 86_400;

/// The defaults that instances and checks take from `global_defs`.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a keyword of its own that may be there or not")]
pub(super) struct Globals {
    pub(super) announcing: Announced,
    pub(super) version: Option<Version>,
    pub(super) checksum: Checksum,
    pub(super) down_timer_adverts: Option<u8>,
    pub(super) group4: Option<IpAddr>,
    pub(super) group6: Option<IpAddr>,
    pub(super) is_strict: bool,
    pub(super) checks_peers: bool,
    pub(super) skips_known_addresses: bool,
    pub(super) lower_priority_no_advert: bool,
    pub(super) higher_priority_send_advert: bool,
    pub(super) tells_priority: bool,
    pub(super) mac_prefix: Option<String>,
    pub(super) default_interface: Option<String>,
    pub(super) logs_all_failures: Option<bool>,
    delay_after_boot: Duration,
    is_quiet: bool,
    fifos: [(Option<String>, Option<Program>); 3],
}

/// What is written of how addresses are announced, here or in an instance.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Announced {
    pub(super) delay: Option<Duration>,
    pub(super) repeat: Option<u32>,
    pub(super) refresh: Option<Duration>,
    pub(super) refresh_repeat: Option<u32>,
    pub(super) lower_delay: Option<Duration>,
    pub(super) lower_repeat: Option<u32>,
    pub(super) arp_interval: Option<Duration>,
    pub(super) neighbour_interval: Option<Duration>,
}

impl Announced {
    /// What is written here, and what `outer` says where nothing is.
    pub(super) fn over(self, outer: Self) -> Self {
        Self {
            delay: self.delay.or(outer.delay),
            repeat: self.repeat.or(outer.repeat),
            refresh: self.refresh.or(outer.refresh),
            refresh_repeat: self.refresh_repeat.or(outer.refresh_repeat),
            lower_delay: self.lower_delay.or(outer.lower_delay),
            lower_repeat: self.lower_repeat.or(outer.lower_repeat),
            arp_interval: self.arp_interval.or(outer.arp_interval),
            neighbour_interval: self.neighbour_interval.or(outer.neighbour_interval),
        }
    }

    /// What holds. A strict instance announces again for nobody.
    pub(super) fn resolve(self) -> Announcing {
        let default = Announcing::default();
        let delay = self.delay.unwrap_or(default.delay);
        let repeat = self.repeat.unwrap_or(default.repeat);
        Announcing {
            delay,
            repeat,
            refresh: self.refresh.unwrap_or(default.refresh),
            refresh_repeat: self.refresh_repeat.unwrap_or(default.refresh_repeat),
            lower_priority_delay: self.lower_delay.unwrap_or(delay),
            lower_priority_repeat: self.lower_repeat.unwrap_or(repeat),
            arp_interval: self.arp_interval.unwrap_or(default.arp_interval),
            neighbour_interval: self.neighbour_interval.unwrap_or(default.neighbour_interval),
        }
    }
}

impl Model<'_> {
    pub(super) fn global_defs(&mut self, statements: &[Statement]) {
        for statement in statements {
            self.announced_globally(statement);
            self.of_vrrp(statement);
            self.of_all(statement);
        }
    }

    fn announced_globally(&mut self, statement: &Statement) {
        let mut announced = self.globals.announcing;
        match statement.name() {
            "vrrp_garp_interval" => announced.arp_interval = self.seconds(statement, 0..=1),
            "vrrp_gna_interval" => announced.neighbour_interval = self.seconds(statement, 0..=1),
            "vrrp_min_garp" => self.globals.is_quiet = self.boolean(statement),
            name => {
                if let Some(keyword) = name.strip_prefix("vrrp_") {
                    self.announced(keyword, statement, &mut announced);
                }
            }
        }
        self.globals.announcing = announced;
    }

    /// The keywords that stand in `global_defs` with `vrrp_` in front and in instances without.
    pub(super) fn announced(&mut self, keyword: &str, statement: &Statement, announced: &mut Announced) {
        match keyword {
            "garp_master_delay" => announced.delay = self.seconds(statement, 0..=DAY),
            "garp_master_repeat" => announced.repeat = self.number(statement, "times", 1..=i64::from(DAY)),
            "garp_master_refresh" => announced.refresh = self.seconds(statement, 0..=DAY),
            "garp_master_refresh_repeat" => {
                announced.refresh_repeat = self.number(statement, "times", 1..=i64::from(DAY));
            }
            "garp_lower_prio_delay" => announced.lower_delay = self.seconds(statement, 0..=DAY),
            "garp_lower_prio_repeat" => {
                announced.lower_repeat = self.number(statement, "times", 0..=i64::from(DAY));
            }
            _ => {}
        }
    }

    fn of_vrrp(&mut self, statement: &Statement) {
        match statement.name() {
            "vrrp_mcast_group4" => self.globals.group4 = self.multicast(statement, false),
            "vrrp_mcast_group6" => self.globals.group6 = self.multicast(statement, true),
            "vrrp_version" => self.globals.version = self.version(statement),
            "v3_checksum_as_v2" => self.globals.checksum = self.checksum(statement),
            "vrrp_down_timer_adverts" => {
                self.globals.down_timer_adverts = self.number(statement, "adverts", 1..=100);
            }
            "vrrp_lower_prio_no_advert" => self.globals.lower_priority_no_advert = self.boolean(statement),
            "vrrp_higher_prio_send_advert" => {
                self.globals.higher_priority_send_advert = self.boolean(statement);
            }
            "vrrp_check_unicast_src" => self.globals.checks_peers = true,
            "vrrp_skip_check_adv_addr" => self.globals.skips_known_addresses = self.boolean(statement),
            "default_interface" => {
                let named = Self::name(statement).and_then(|word| self.findings.interface(word));
                self.globals.default_interface = named;
            }
            "vrrp_strict" => self.globals.is_strict = true,
            "vrrp_notify_priority_changes" => self.globals.tells_priority = self.boolean(statement),
            "vrrp_rt_priority" => {
                self.declared.vrrp.globals.realtime_priority = self.number(statement, "a priority", 1..=99);
            }
            "vrrp_startup_delay" => {
                self.declared.vrrp.globals.startup_delay =
                    self.seconds(statement, 0..=DAY).unwrap_or_default();
            }
            "vrrp_delay_after_boot" => {
                self.globals.delay_after_boot = self.seconds(statement, 0..=DAY).unwrap_or_default();
            }
            "vmac_prefix" => self.globals.mac_prefix = self.mac_prefix(statement),
            _ => {}
        }
    }

    fn of_all(&mut self, statement: &Statement) {
        match statement.name() {
            "checker_log_all_failures" => self.globals.logs_all_failures = Some(self.boolean(statement)),
            "rs_init_notifies" => self.declared.health.rs_init_notifies = true,
            "script_user" => {
                let user = self.findings.runs_as(statement.arguments());
                self.declared.health.script_user = user.clone().map(Into::into);
                self.declared.vrrp.globals.script_user = user.map(Into::into);
            }
            "enable_script_security" => {
                self.declared.health.script_security = true;
                self.declared.vrrp.globals.script_security = true;
            }
            "lvs_timeouts" => self.timeouts(statement),
            "notify_fifo" => self.fifo(0, statement),
            "vrrp_notify_fifo" => self.fifo(1, statement),
            "lvs_notify_fifo" => self.fifo(2, statement),
            "notify_fifo_script" => self.fifo_script(0, statement),
            "vrrp_notify_fifo_script" => self.fifo_script(1, statement),
            "lvs_notify_fifo_script" => self.fifo_script(2, statement),
            _ => {}
        }
    }

    fn mac_prefix(&mut self, statement: &Statement) -> Option<String> {
        let word = Self::name(statement)?;
        if word.text.len() > 11 {
            let title = format!("`{}` is too long", word.text);
            self.findings.mistake(Found::new(
                word.place,
                title,
                "expected up to 11 characters: a number follows",
            ));
            return None;
        }
        self.findings.interface(word)
    }

    fn fifo(&mut self, which: usize, statement: &Statement) {
        let Some(path) = Self::name(statement) else { return };
        if let Some(user) = statement.argument(1) {
            let found = Found::new(user.place, "a FIFO's owner cannot be set", "it belongs to who runs lvsd");
            self.findings.warn(found.help("make it before lvsd starts, and it stays as it is"));
        }
        if let Some(fifo) = self.globals.fifos.get_mut(which) {
            fifo.0 = Some(path.text.clone());
        }
    }

    fn fifo_script(&mut self, which: usize, statement: &Statement) {
        let program = self.findings.program(statement);
        if let Some(fifo) = self.globals.fifos.get_mut(which) {
            fifo.1 = program;
        }
    }

    fn timeouts(&mut self, statement: &Statement) {
        let mut timeouts = self.declared.timeouts.unwrap_or(Timeouts { tcp: 0, tcp_fin: 0, udp: 0 });
        for pair in statement.arguments().chunks(2) {
            let [name, value] = pair else {
                let found = Found::new(
                    statement.whole(),
                    "a timeout without its value",
                    "expected seconds behind it",
                );
                return self.findings.mistake(found);
            };
            let seconds = self.findings.number(value, "seconds", 1..=31 * 86_400);
            match (self.findings.choice(name, "timeout", &["tcp", "tcpfin", "udp"]), seconds) {
                (Some("tcp"), Some(seconds)) => timeouts.tcp = seconds,
                (Some("tcpfin"), Some(seconds)) => timeouts.tcp_fin = seconds,
                (Some("udp"), Some(seconds)) => timeouts.udp = seconds,
                _ => {}
            }
        }
        self.declared.timeouts = Some(timeouts);
    }

    pub(super) fn ssl(&mut self, statements: &[Statement]) {
        for statement in statements {
            let path = Self::name(statement).map(|word| word.text.clone().into());
            match statement.name() {
                "ca" => self.declared.health.tls.ca = path,
                "certificate" => self.declared.health.tls.certificate = path,
                "key" => self.declared.health.tls.key = path,
                _ => {}
            }
        }
        let of = |name: &str| statements.iter().find(|statement| statement.name() == name);
        if let (Some(alone), None) | (None, Some(alone)) = (of("certificate"), of("key")) {
            let title = "a certificate and its key belong together";
            self.findings.mistake(Found::new(alone.whole(), title, "one without the other"));
        }
    }

    /// What of the globals depends on several of them.
    pub(super) fn settle_globals(&mut self) {
        if self.globals.is_quiet {
            let quiet = Announced { delay: Some(Duration::ZERO), repeat: Some(1), ..Announced::default() };
            self.globals.announcing = self.globals.announcing.over(quiet);
        }
        let left = self.globals.delay_after_boot.saturating_sub(uptime());
        let delay = &mut self.declared.vrrp.globals.startup_delay;
        *delay = (*delay).max(left);
        for (which, (path, reader)) in std::mem::take(&mut self.globals.fifos).into_iter().enumerate() {
            let Some(path) = path else { continue };
            if which != 2 {
                let reader = reader.clone().map(Into::into);
                let fifo = lvs_vrrp::declared::Fifo { path: path.clone().into(), reader };
                self.declared.vrrp.globals.notify_fifos.push(fifo);
            }
            if which != 1 {
                // One reader is enough for a pipe that both write to.
                let script = reader.filter(|_| which == 2).map(Into::into);
                self.declared.health.fifos.push(Fifo { path: path.into(), script });
            }
        }
    }
}

/// How long the machine has been running.
fn uptime() -> Duration {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split('.').next().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(u64::MAX / 2))
}

/// The first argument as what it means.
impl Model<'_> {
    pub(super) fn seconds(
        &mut self,
        statement: &Statement,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<Duration> {
        self.findings.seconds(Self::name(statement)?, range)
    }

    pub(super) fn number<T: TryFrom<i64>>(
        &mut self,
        statement: &Statement,
        noun: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<T> {
        self.findings.number(Self::name(statement)?, noun, range)
    }

    pub(super) fn boolean(&mut self, statement: &Statement) -> bool {
        self.findings.boolean(statement).unwrap_or(true)
    }

    pub(super) fn version(&mut self, statement: &Statement) -> Option<Version> {
        let number: u8 = self.number(statement, "a version", 2..=3)?;
        Some(if number == 2 { Version::V2 } else { Version::V3 })
    }

    pub(super) fn checksum(&mut self, statement: &Statement) -> Checksum {
        if self.boolean(statement) { Checksum::Rfc9568 } else { Checksum::Rfc5798 }
    }

    pub(super) fn multicast(&mut self, statement: &Statement, is_ipv6: bool) -> Option<IpAddr> {
        let word = Self::name(statement)?;
        let address = self.findings.address(word)?;
        if !address.is_multicast() || address.is_ipv6() != is_ipv6 {
            let title = format!("`{}` is no multicast address of this family", word.text);
            let example = if is_ipv6 { "ff02::12" } else { "224.0.0.18" };
            self.findings.mistake(Found::new(word.place, title, format!("expected one such as {example}")));
            return None;
        }
        Some(address)
    }
}
