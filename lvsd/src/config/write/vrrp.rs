//! Virtual routers with all they watch.

use lvs_vrrp::declared::{
    Announcing, AntiReplay, Authentication, Checksum, Command, Declared, Flag, Globals, HmacMode,
    HmacSettings, InitialState, Instance, Ipvlan, IpvlanMode, Lasting, Notify, Peer, Preemption, RunAs,
    Scope, Script, SyncGroup, Track, TrackFile, TrackProcess, Version, VirtualAddress, VirtualMac,
};

use super::Page;
use super::keys::{Either, Keys};
use crate::config::validate::plain_address;

pub(super) fn write(vrrp: &Declared, page: &mut Page) {
    page.table("[vrrp]", &lasting(globals(&vrrp.globals), &vrrp.lasting));
    for delay in &vrrp.link_delays {
        let keys = Keys::default()
            .set("interface", &delay.interface)
            .set("down", delay.down)
            .other("up", delay.up, delay.down);
        page.header("[[vrrp.link-delay]]", &keys);
    }
    vrrp.scripts.iter().for_each(|it| page.header("[[vrrp.script]]", &script(it)));
    vrrp.files.iter().for_each(|it| page.header("[[vrrp.file]]", &file(it)));
    vrrp.processes.iter().for_each(|it| page.header("[[vrrp.process]]", &process(it)));
    vrrp.instances.iter().for_each(|it| page.header("[[vrrp.instance]]", &instance(it)));
    vrrp.groups.iter().for_each(|it| page.header("[[vrrp.group]]", &group(it)));
}

fn globals(globals: &Globals) -> Keys {
    let fifos: Vec<Keys> = globals
        .notify_fifos
        .iter()
        .map(|fifo| {
            let reader = fifo.reader.as_ref().map(program);
            Keys::default().set("path", fifo.path.as_path()).some("reader", reader)
        })
        .collect();
    Keys::default()
        .other("startup-delay", globals.startup_delay, std::time::Duration::ZERO)
        .some("script-user", globals.script_user.as_ref().map(user))
        .flag("script-security", globals.script_security)
        .some("realtime-priority", globals.realtime_priority)
        .list("fifo", &fifos)
}

fn lasting(keys: Keys, lasting: &Lasting) -> Keys {
    keys.list("static-address", &lasting.addresses.iter().map(address).collect::<Vec<_>>())
        .list("static-route", &lasting.routes.iter().map(ToString::to_string).collect::<Vec<_>>())
        .list("static-rule", &lasting.rules.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn script(script: &Script) -> Keys {
    let plain = Script::new("", Command { argv: Vec::new(), user: None });
    Keys::default()
        .set("name", &script.name)
        .set("command", &script.command.argv)
        .some("user", script.command.user.as_ref().map(user))
        .other("interval", script.interval, plain.interval)
        .some("timeout", script.timeout)
        .other("weight", script.weight.value, 0)
        .flag("reverse", script.weight.is_reversed)
        .other("rise", script.rise, 1)
        .other("fall", script.fall, 1)
        .flag("starts-down", script.starts_down)
}

fn file(file: &TrackFile) -> Keys {
    Keys::default()
        .set("name", &file.name)
        .set("path", file.path.as_path())
        .other("weight", file.weight.value, 1)
        .flag("reverse", file.weight.is_reversed)
        .some("initial", file.initial.map(|initial| initial.number))
        .flag("overwrite", file.initial.is_some_and(|initial| initial.overwrites))
}

fn process(process: &TrackProcess) -> Keys {
    Keys::default()
        .set("name", &process.name)
        .set("process", &process.process)
        .some("arguments", process.arguments.as_ref())
        .other("weight", process.weight.value, 0)
        .flag("reverse", process.weight.is_reversed)
        .other("quorum", process.quorum, 1)
        .some("quorum-max", process.quorum_max)
        .other("fork-delay", process.fork_delay, std::time::Duration::ZERO)
        .other("terminate-delay", process.terminate_delay, std::time::Duration::ZERO)
}

fn group(group: &SyncGroup) -> Keys {
    let lists = [&group.track_interfaces, &group.track_scripts, &group.track_files, &group.track_processes];
    Keys::default()
        .set("name", &group.name)
        .set("members", &group.members)
        .flag("members-weigh", group.members_weigh)
        .table("track", tracked(lists))
        .table("notify", notify(&group.notify))
}

fn instance(instance: &Instance) -> Keys {
    let keys = Keys::default().set("name", &instance.name).set("interface", &instance.interface);
    let keys = protocol(keys.set("router-id", instance.virtual_router_id), instance);
    let keys = addresses(keys, instance);
    let keys = adverts(keys, instance);
    let lists = [
        &instance.track_interfaces,
        &instance.track_scripts,
        &instance.track_files,
        &instance.track_processes,
    ];
    keys.table("announce", announce(&instance.announcing))
        .flag("ignore-interface", instance.ignores_interface)
        .table("track", tracked(lists))
        .table("notify", notify(&instance.notify))
}

fn protocol(keys: Keys, instance: &Instance) -> Keys {
    let plain = Instance::new("", "", 1);
    let state = (instance.initial == InitialState::Master).then_some("master");
    let version = instance.version.map(|version| match version {
        Version::V2 => 2_u8,
        Version::V3 => 3,
    });
    let keys = keys
        .some("state", state)
        .some("version", version)
        .other("priority", instance.priority, plain.priority)
        .other("advert-interval", instance.advert_interval, plain.advert_interval)
        .other("down-timer-adverts", instance.down_timer_adverts, plain.down_timer_adverts);
    let keys = match instance.preemption {
        Preemption::Never => keys.set("preempt", false),
        Preemption::After(delay) => keys.other("preempt-delay", delay, std::time::Duration::ZERO),
    };
    let keys = keys.other("accept", instance.accepts, plain.accepts);
    match &instance.authentication {
        Authentication::None => keys,
        Authentication::Password(password) => keys.set("password", password),
        Authentication::Hmac(settings) => keys.set("hmac", hmac(settings)),
    }
}

fn hmac(settings: &HmacSettings) -> Keys {
    let secret = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with("hex:") && !text.contains(char::is_control) => text.to_owned(),
        _ => bytes.iter().fold("hex:".to_owned(), |text, byte| format!("{text}{byte:02x}")),
    };
    let key = |key: &lvs_vrrp::declared::HmacKey| {
        Keys::default().set("id", key.id).set("secret", secret(&key.secret))
    };
    let mode = match settings.mode {
        HmacMode::Enforce => None,
        HmacMode::Permissive => Some("permissive"),
        HmacMode::ReceiveOnly => Some("receive-only"),
    };
    let anti_replay = match settings.anti_replay {
        AntiReplay::Time => None,
        AntiReplay::Monotonic => Some("monotonic"),
    };
    Keys::default()
        .set("key", settings.keys.iter().map(key).collect::<Vec<_>>())
        .set("active-key", settings.active_key)
        .some("mode", mode)
        .some("anti-replay", anti_replay)
        .some("window", settings.window)
}

fn addresses(keys: Keys, instance: &Instance) -> Keys {
    let all = |addresses: &[VirtualAddress]| addresses.iter().map(address).collect::<Vec<_>>();
    keys.list("address", &all(&instance.addresses))
        .list("excluded", &all(&instance.excluded))
        .flag("may-lack-addresses", instance.may_lack_addresses)
        .list("route", &instance.routes.iter().map(ToString::to_string).collect::<Vec<_>>())
        .list("rule", &instance.rules.iter().map(ToString::to_string).collect::<Vec<_>>())
        .flag("promote-secondaries", instance.promotes_secondaries)
        .some("virtual-mac", instance.virtual_mac.as_ref().map(virtual_mac))
        .some("ipvlan", instance.ipvlan.as_ref().map(ipvlan))
}

fn adverts(keys: Keys, instance: &Instance) -> Keys {
    let checksum = (instance.checksum == Checksum::Rfc9568).then_some("9568");
    keys.some("source", instance.source)
        .flag("track-source", instance.tracks_source)
        .list("peer", &instance.peers.iter().map(peer).collect::<Vec<_>>())
        .flag("needs-peers", instance.needs_peers)
        .other("unicast-ttl", instance.unicast_ttl, 255)
        .flag("check-peers", instance.checks_peers)
        .some("group", instance.group)
        .some("checksum", checksum)
        .flag("skip-known-addresses", instance.skips_known_addresses)
        .flag("strict", instance.is_strict)
        .flag("lower-priority-no-advert", instance.lower_priority_no_advert)
        .flag("higher-priority-send-advert", instance.higher_priority_send_advert)
        .some("receive-buffer", instance.receive_buffer)
}

fn address(address: &VirtualAddress) -> Either<String, Keys> {
    let whole = if address.address.is_ipv6() { 128 } else { 32 };
    let text = if address.prefix == whole {
        address.address.to_string()
    } else {
        format!("{}/{}", address.address, address.prefix)
    };
    let default = plain_address(&text).and_then(|plain| plain.preferred_lifetime);
    let lifetime =
        (address.preferred_lifetime != default).then(|| address.preferred_lifetime.unwrap_or(u32::MAX));
    let flags: Vec<&str> = address.flags.iter().map(|flag| name_of(*flag)).collect();
    let keys = Keys::default()
        .set("address", &text)
        .some("interface", address.interface.as_ref())
        .some("label", address.label.as_ref())
        .some("scope", scope(address.scope))
        .some("broadcast", address.broadcast)
        .some("peer", address.peer)
        .some("preferred-lifetime", lifetime)
        .list("flags", &flags);
    let keys = if address.is_untracked { keys.set("track", false) } else { keys };
    if keys.len() == 1 { Either::Short(text) } else { Either::Table(keys) }
}

fn scope(scope: Scope) -> Option<Either<&'static str, Keys>> {
    Some(match scope {
        Scope::Global => return None,
        Scope::Site => Either::Short("site"),
        Scope::Link => Either::Short("link"),
        Scope::Host => Either::Short("host"),
        Scope::Nowhere => Either::Short("nowhere"),
        Scope::Number(number) => Either::Table(Keys::default().set("number", number)),
    })
}

const fn name_of(flag: Flag) -> &'static str {
    match flag {
        Flag::Home => "home",
        Flag::DetectDuplicates => "detect-duplicates",
        Flag::ManageTemporary => "manage-temporary",
        Flag::NoPrefixRoute => "no-prefix-route",
        Flag::AutoJoin => "auto-join",
    }
}

fn peer(peer: &Peer) -> Either<std::net::IpAddr, Keys> {
    if peer.min_ttl.is_none() && peer.max_ttl.is_none() {
        return Either::Short(peer.address);
    }
    let keys = Keys::default().set("address", peer.address);
    Either::Table(keys.some("min-ttl", peer.min_ttl).some("max-ttl", peer.max_ttl))
}

fn virtual_mac(made: &VirtualMac) -> Keys {
    let mac = made.mac.map(|mac| mac.map(|octet| format!("{octet:02x}")).join(":"));
    Keys::default()
        .some("interface", made.interface.as_ref())
        .some("mac", mac)
        .flag("send-from-base", made.sends_from_base)
        .flag("for-all-addresses", made.for_all_addresses)
}

fn ipvlan(made: &Ipvlan) -> Keys {
    let mode = match made.mode {
        IpvlanMode::Bridge => None,
        IpvlanMode::Private => Some("private"),
        IpvlanMode::Vepa => Some("vepa"),
    };
    Keys::default()
        .some("interface", made.interface.as_ref())
        .some("address", made.address)
        .some("mode", mode)
}

fn announce(announcing: &Announcing) -> Keys {
    let default = Announcing::default();
    Keys::default()
        .other("delay", announcing.delay, default.delay)
        .other("repeat", announcing.repeat, default.repeat)
        .other("refresh", announcing.refresh, default.refresh)
        .other("refresh-repeat", announcing.refresh_repeat, default.refresh_repeat)
        .other("lower-priority-delay", announcing.lower_priority_delay, announcing.delay)
        .other("lower-priority-repeat", announcing.lower_priority_repeat, announcing.repeat)
        .other("arp-interval", announcing.arp_interval, default.arp_interval)
        .other("neighbour-interval", announcing.neighbour_interval, default.neighbour_interval)
}

/// Interfaces, scripts, files, processes.
fn tracked(lists: [&Vec<Track>; 4]) -> Keys {
    let names = ["interface", "script", "file", "process"];
    names.into_iter().zip(lists).fold(Keys::default(), |keys, (name, list)| {
        keys.list(name, &list.iter().map(track).collect::<Vec<_>>())
    })
}

fn track(track: &Track) -> Either<String, Keys> {
    let Some(weight) = track.weight else { return Either::Short(track.name.clone()) };
    let keys = Keys::default().set("name", &track.name).set("weight", weight.value);
    Either::Table(keys.flag("reverse", weight.is_reversed))
}

fn notify(notify: &Notify) -> Keys {
    let some = |command: &Option<Command>| command.as_ref().map(program);
    Keys::default()
        .some("master", some(&notify.on_master))
        .some("backup", some(&notify.on_backup))
        .some("fault", some(&notify.on_fault))
        .some("stop", some(&notify.on_stop))
        .some("deleted", some(&notify.on_deleted))
        .some("lower-priority", some(&notify.on_lower_priority))
        .some("any", some(&notify.on_any))
        .flag("tell-deleted", notify.tells_deleted && notify.on_deleted.is_none())
        .flag("tell-priority", notify.tells_priority)
}

fn program(command: &Command) -> Either<Vec<String>, Keys> {
    match &command.user {
        None => Either::Short(command.argv.clone()),
        Some(runs_as) => {
            Either::Table(Keys::default().set("command", &command.argv).set("user", user(runs_as)))
        }
    }
}

/// `USER` or `USER:GROUP`
fn user(user: &RunAs) -> String {
    user.group.as_ref().map_or_else(|| user.user.clone(), |group| format!("{}:{group}", user.user))
}
