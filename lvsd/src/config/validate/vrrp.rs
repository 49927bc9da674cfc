//! Virtual routers, out of the file.

use std::net::IpAddr;

use lvs_vrrp::declared::{
    AntiReplay, Authentication, Checksum, Command, Declared, Fifo, Flag, Globals, HmacKey, HmacMode,
    HmacSettings, InitialNumber, InitialState, Instance, Ipvlan, IpvlanMode, LinkDelay, Notify, Peer,
    Preemption, RunAs, Scope, Script, Subject, SyncGroup, Track, TrackFile, TrackProcess, Version,
    VirtualAddress, VirtualMac, Weight,
};

use toml::Spanned;

use super::Check;
use crate::config::mistake::Mistake;
use crate::config::schema::Text;
use crate::config::schema::brief::{Brief, Program, Time};
use crate::config::schema::vrrp as written;

impl Check {
    /// The virtual routers with all they watch.
    pub(super) fn vrrp(&mut self, vrrp: &written::Vrrp) -> Declared {
        let declared = Declared {
            globals: Globals {
                startup_delay: vrrp.startup_delay.map_or_else(Default::default, |Time(delay)| delay),
                notify_fifos: vrrp.fifo.iter().map(fifo).collect(),
                script_user: vrrp.script_user.as_deref().map(runs_as),
                script_security: vrrp.script_security,
                realtime_priority: vrrp.realtime_priority,
            },
            instances: vrrp.instance.iter().map(|instance| self.instance(instance)).collect(),
            groups: vrrp.group.iter().map(group).collect(),
            scripts: vrrp.script.iter().map(script).collect(),
            files: vrrp.file.iter().map(file).collect(),
            processes: vrrp.process.iter().map(process).collect(),
            link_delays: vrrp.link_delay.iter().map(|delay| self.link_delay(delay)).collect(),
            lasting: self.lasting(vrrp),
        };
        if self.mistakes.is_empty() {
            self.vrrp_mistakes(vrrp, &declared);
        }
        declared
    }

    /// What the virtual routers cannot be, told where they are named.
    fn vrrp_mistakes(&mut self, vrrp: &written::Vrrp, declared: &Declared) {
        for mistake in crate::vrrp::check(declared) {
            let (names, name): (Vec<&Text>, _) = match &mistake.subject {
                Subject::Instance(name) => (vrrp.instance.iter().map(|it| &it.name).collect(), name),
                Subject::Group(name) => (vrrp.group.iter().map(|it| &it.name).collect(), name),
                Subject::Script(name) => (vrrp.script.iter().map(|it| &it.name).collect(), name),
            };
            // Of two with one name the last is the one too many.
            let Some(text) = names.into_iter().rev().find(|text| text.as_ref() == name) else { continue };
            let title = format!("{name}: {}", key(mistake.keyword));
            self.mistakes.push(Mistake::new(text.span(), title, mistake.message));
        }
    }

    fn link_delay(&mut self, delay: &written::LinkDelay) -> LinkDelay {
        let Time(down) = delay.down;
        let up = delay.up.map_or(down, |Time(up)| up);
        LinkDelay { interface: self.interface(&delay.interface), down, up }
    }

    fn instance(&mut self, from: &written::Instance) -> Instance {
        let interface = self.interface(&from.interface);
        let default = Instance::new(from.name.as_ref().clone(), interface, from.router_id);
        Instance {
            initial: match from.state {
                written::State::Master => InitialState::Master,
                written::State::Backup => InitialState::Backup,
            },
            version: self.version(from),
            priority: from.priority.unwrap_or(default.priority),
            advert_interval: from.advert_interval.map_or(default.advert_interval, |Time(time)| time),
            down_timer_adverts: from.down_timer_adverts.unwrap_or(default.down_timer_adverts),
            preemption: self.preemption(from),
            accepts: from.accept.unwrap_or(default.accepts),
            authentication: self.authentication(from),
            source: from.source,
            tracks_source: from.track_source,
            peers: from.peer.iter().map(peer).collect(),
            needs_peers: from.needs_peers,
            unicast_ttl: from.unicast_ttl.unwrap_or(default.unicast_ttl),
            checks_peers: from.check_peers,
            group: from.group,
            addresses: self.addresses(&from.address),
            excluded: self.addresses(&from.excluded),
            may_lack_addresses: from.may_lack_addresses,
            routes: self.routes(&from.route),
            rules: self.rules(&from.rule),
            promotes_secondaries: from.promote_secondaries,
            virtual_mac: from.virtual_mac.as_ref().map(|made| self.virtual_mac(made)),
            ipvlan: from.ipvlan.as_ref().map(ipvlan),
            announcing: announcing(&from.announce),
            ignores_interface: from.ignore_interface,
            track_interfaces: tracks(&from.track.interface),
            track_scripts: tracks(&from.track.script),
            track_files: tracks(&from.track.file),
            track_processes: tracks(&from.track.process),
            notify: notify(&from.notify),
            checksum: match from.checksum {
                Some(written::Checksum::Rfc9568) => Checksum::Rfc9568,
                Some(written::Checksum::Rfc5798) | None => Checksum::Rfc5798,
            },
            skips_known_addresses: from.skip_known_addresses,
            is_strict: from.strict,
            lower_priority_no_advert: from.lower_priority_no_advert,
            higher_priority_send_advert: from.higher_priority_send_advert,
            receive_buffer: from.receive_buffer,
            ..default
        }
    }

    fn version(&mut self, from: &written::Instance) -> Option<Version> {
        match from.version? {
            2 => Some(Version::V2),
            3 => Some(Version::V3),
            other => {
                let title = format!("there is no version {other} of VRRP");
                self.mistakes.push(Mistake::new(from.name.span(), title, "expected 2 or 3"));
                None
            }
        }
    }

    fn preemption(&mut self, from: &written::Instance) -> Preemption {
        match (from.preempt, from.preempt_delay) {
            (Some(false), Some(_)) => {
                let title = "`preempt-delay` with `preempt = false`";
                self.mistakes.push(Mistake::new(from.name.span(), title, "there is nothing to delay"));
                Preemption::Never
            }
            (Some(false), None) => Preemption::Never,
            (_, Some(Time(delay))) => Preemption::After(delay),
            (_, None) => Preemption::default(),
        }
    }

    fn authentication(&mut self, from: &written::Instance) -> Authentication {
        match (&from.password, &from.hmac) {
            (None, None) => Authentication::None,
            (Some(password), None) => {
                if password.as_ref().len() > 8 {
                    let title = "a password longer than 8 bytes";
                    self.mistakes.push(Mistake::new(password.span(), title, "an advert carries 8"));
                }
                Authentication::Password(password.as_ref().clone())
            }
            (None, Some(hmac)) => Authentication::Hmac(self.hmac(hmac)),
            (Some(password), Some(_)) => {
                let title = "two ways of authentication";
                self.mistakes.push(Mistake::new(password.span(), title, "there is `hmac` too"));
                Authentication::None
            }
        }
    }

    fn hmac(&mut self, from: &written::Hmac) -> HmacSettings {
        let keys = from.key.iter().filter_map(|key| {
            let text = key.secret.as_ref();
            let secret = match text.strip_prefix("hex:") {
                Some(digits) => octets(digits),
                None => Some(text.clone().into_bytes()),
            };
            if secret.is_none() {
                let title = "a key that cannot be read";
                let expected = "expected two hexadecimal digits for each byte behind `hex:`";
                self.mistakes.push(Mistake::new(key.secret.span(), title, expected));
            }
            Some(HmacKey { id: key.id, secret: secret? })
        });
        HmacSettings {
            keys: keys.collect(),
            active_key: from.active_key,
            mode: match from.mode {
                written::HmacMode::Enforce => HmacMode::Enforce,
                written::HmacMode::Permissive => HmacMode::Permissive,
                written::HmacMode::ReceiveOnly => HmacMode::ReceiveOnly,
            },
            anti_replay: match from.anti_replay {
                written::AntiReplay::Time => AntiReplay::Time,
                written::AntiReplay::Monotonic => AntiReplay::Monotonic,
            },
            window: from.window.map(|Time(window)| window),
        }
    }

    pub(super) fn addresses(&mut self, from: &[Spanned<Brief<written::Address>>]) -> Vec<VirtualAddress> {
        from.iter().filter_map(|address| self.virtual_address(address)).collect()
    }

    fn virtual_address(&mut self, spanned: &Spanned<Brief<written::Address>>) -> Option<VirtualAddress> {
        let Brief(from) = spanned.as_ref();
        let Some(plain) = plain_address(&from.text) else {
            let title = format!("`{}` cannot be read", from.text);
            let expected = "expected an address such as \"192.0.2.10\" or \"192.0.2.10/24\"";
            self.mistakes.push(Mistake::new(spanned.span(), title, expected));
            return None;
        };
        Some(VirtualAddress {
            interface: from.interface.clone(),
            label: from.label.clone(),
            scope: from.scope.as_ref().map_or(Scope::Global, |Brief(scope)| scope_of(scope.number)),
            broadcast: from.broadcast,
            peer: from.peer,
            preferred_lifetime: match from.preferred_lifetime {
                None => plain.preferred_lifetime,
                Some(u32::MAX) => None,
                Some(seconds) => Some(seconds),
            },
            flags: from.flags.iter().map(|flag| flag_of(*flag)).collect(),
            is_untracked: from.track == Some(false),
            ..plain
        })
    }

    fn virtual_mac(&mut self, from: &written::VirtualMac) -> VirtualMac {
        let mac = from.mac.as_ref().and_then(|text| {
            let octets: Option<Vec<u8>> =
                text.as_ref().split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
            let mac = octets.and_then(|octets| octets.try_into().ok());
            if mac.is_none() {
                let title = format!("`{}` is no MAC address", text.as_ref());
                self.mistakes.push(Mistake::new(
                    text.span(),
                    title,
                    "expected one such as 02:00:5e:00:01:33",
                ));
            }
            mac
        });
        VirtualMac {
            interface: from.interface.clone(),
            mac,
            sends_from_base: from.send_from_base,
            for_all_addresses: from.for_all_addresses,
        }
    }
}

/// The file's key for a keyword of keepalived's.
fn key(keyword: &'static str) -> &'static str {
    match keyword {
        "virtual_router_id" => "router-id",
        "down_timer_adverts" => "down-timer-adverts",
        "advert_int" => "advert-interval",
        "virtual_ipaddress" => "address",
        "unicast_peer" => "peer",
        "unicast_src_ip" => "source",
        "mcast_dst_ip" => "group",
        "authentication" => "password",
        "active_key" => "hmac.active-key",
        "key" => "hmac.key",
        "track_script" => "track.script",
        "track_file" => "track.file",
        "track_process" => "track.process",
        "vrrp_instance" => "name",
        "group" => "members",
        "script" => "command",
        "no_accept" => "accept",
        "use_vmac_addr" => "virtual-mac.for-all-addresses",
        "use_ipvlan" => "ipvlan",
        other => other,
    }
}

/// An address with its prefix or without, and what is meant where nothing more is said: as keepalived reads it.
pub(in crate::config) fn plain_address(text: &str) -> Option<VirtualAddress> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(text, prefix)| (text, Some(prefix)));
    let address: IpAddr = address.parse().ok()?;
    let mut plain = VirtualAddress::new(address);
    if let Some(prefix) = prefix {
        plain.prefix = prefix.parse().ok()?;
        if address.is_ipv6() && plain.prefix != 128 {
            plain.preferred_lifetime = None;
        }
    }
    Some(plain)
}

fn octets(digits: &str) -> Option<Vec<u8>> {
    let octet = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(octet).collect()
}

/// `USER` or `USER:GROUP`
fn runs_as(text: &str) -> RunAs {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    RunAs { user: user.to_owned(), group: group.map(str::to_owned) }
}

fn command(Brief(program): &Brief<Program>) -> Command {
    Command { argv: program.command.clone(), user: program.user.as_deref().map(runs_as) }
}

fn fifo(Brief(fifo): &Brief<written::Fifo>) -> Fifo {
    Fifo { path: fifo.path.clone().into(), reader: fifo.reader.as_ref().map(command) }
}

fn script(from: &written::Script) -> Script {
    let user = from.user.as_deref().map(runs_as);
    let plain = Script::new(from.name.as_ref().clone(), Command { argv: from.command.clone(), user });
    Script {
        interval: from.interval.map_or(plain.interval, |Time(time)| time),
        timeout: from.timeout.map(|Time(time)| time),
        weight: Weight { value: from.weight, is_reversed: from.reverse },
        rise: from.rise.unwrap_or(plain.rise),
        fall: from.fall.unwrap_or(plain.fall),
        starts_down: from.starts_down,
        ..plain
    }
}

fn file(from: &written::File) -> TrackFile {
    let initial = from.initial.or_else(|| from.overwrite.then_some(0));
    TrackFile {
        name: from.name.as_ref().clone(),
        path: from.path.clone().into(),
        weight: Weight { value: from.weight.unwrap_or(1), is_reversed: from.reverse },
        initial: initial.map(|number| InitialNumber { number, overwrites: from.overwrite }),
    }
}

fn process(from: &written::Process) -> TrackProcess {
    TrackProcess {
        name: from.name.as_ref().clone(),
        process: from.program.clone(),
        arguments: from.arguments.clone(),
        weight: Weight { value: from.weight, is_reversed: from.reverse },
        quorum: from.quorum.unwrap_or(1),
        quorum_max: from.quorum_max,
        fork_delay: from.fork_delay.map_or_else(Default::default, |Time(time)| time),
        terminate_delay: from.terminate_delay.map_or_else(Default::default, |Time(time)| time),
    }
}

fn group(from: &written::Group) -> SyncGroup {
    SyncGroup {
        name: from.name.as_ref().clone(),
        members: from.members.clone(),
        track_interfaces: tracks(&from.track.interface),
        track_scripts: tracks(&from.track.script),
        track_files: tracks(&from.track.file),
        track_processes: tracks(&from.track.process),
        notify: notify(&from.notify),
        members_weigh: from.members_weigh,
    }
}

fn tracks(from: &[Brief<written::Track>]) -> Vec<Track> {
    let track = |Brief(track): &Brief<written::Track>| Track {
        name: track.name.clone(),
        weight: (track.weight.is_some() || track.reverse.is_some()).then(|| Weight {
            value: track.weight.unwrap_or_default(),
            is_reversed: track.reverse.unwrap_or_default(),
        }),
    };
    from.iter().map(track).collect()
}

fn notify(from: &written::Notify) -> Notify {
    Notify {
        on_master: from.master.as_ref().map(command),
        on_backup: from.backup.as_ref().map(command),
        on_fault: from.fault.as_ref().map(command),
        on_stop: from.stop.as_ref().map(command),
        on_deleted: from.deleted.as_ref().map(command),
        on_lower_priority: from.lower_priority.as_ref().map(command),
        on_any: from.any.as_ref().map(command),
        tells_deleted: from.tell_deleted || from.deleted.is_some(),
        tells_priority: from.tell_priority,
    }
}

fn peer(Brief(from): &Brief<written::Peer>) -> Peer {
    Peer { address: from.address, min_ttl: from.min_ttl, max_ttl: from.max_ttl }
}

fn ipvlan(from: &written::Ipvlan) -> Ipvlan {
    Ipvlan {
        interface: from.interface.clone(),
        address: from.address,
        mode: match from.mode {
            written::IpvlanMode::Bridge => IpvlanMode::Bridge,
            written::IpvlanMode::Private => IpvlanMode::Private,
            written::IpvlanMode::Vepa => IpvlanMode::Vepa,
        },
    }
}

fn announcing(from: &written::Announce) -> lvs_vrrp::declared::Announcing {
    let default = lvs_vrrp::declared::Announcing::default();
    let time = |time: Option<Time>, default| time.map_or(default, |Time(time)| time);
    let delay = time(from.delay, default.delay);
    let repeat = from.repeat.unwrap_or(default.repeat);
    lvs_vrrp::declared::Announcing {
        delay,
        repeat,
        refresh: time(from.refresh, default.refresh),
        refresh_repeat: from.refresh_repeat.unwrap_or(default.refresh_repeat),
        lower_priority_delay: time(from.lower_priority_delay, delay),
        lower_priority_repeat: from.lower_priority_repeat.unwrap_or(repeat),
        arp_interval: time(from.arp_interval, default.arp_interval),
        neighbour_interval: time(from.neighbour_interval, default.neighbour_interval),
    }
}

fn scope_of(number: u8) -> Scope {
    let named = [Scope::Global, Scope::Site, Scope::Link, Scope::Host, Scope::Nowhere];
    named.into_iter().find(|scope| scope.number() == number).unwrap_or(Scope::Number(number))
}

const fn flag_of(flag: written::AddressFlag) -> Flag {
    match flag {
        written::AddressFlag::Home => Flag::Home,
        written::AddressFlag::DetectDuplicates => Flag::DetectDuplicates,
        written::AddressFlag::ManageTemporary => Flag::ManageTemporary,
        written::AddressFlag::NoPrefixRoute => Flag::NoPrefixRoute,
        written::AddressFlag::AutoJoin => Flag::AutoJoin,
    }
}
