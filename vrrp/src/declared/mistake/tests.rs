//! Each mistake is found, and what is right is left alone.

use super::*;
use crate::declared::{Command, HmacKey, HmacMode, HmacSettings, Peer, Script, SyncGroup};

fn right() -> Declared {
    let mut instance = Instance::new("VI_1", "eth0", 51);
    instance.addresses.push(VirtualAddress::new("192.0.2.10".parse().unwrap()));
    Declared { instances: vec![instance], ..Declared::default() }
}

/// The keywords of the mistakes once `change` was made.
fn after(change: impl FnOnce(&mut Instance)) -> Vec<&'static str> {
    let mut declared = right();
    change(&mut declared.instances[0]);
    declared.mistakes().into_iter().map(|mistake| mistake.keyword).collect()
}

#[test]
fn what_is_right_is_left_alone() {
    assert_eq!(right().mistakes(), []);
    assert_eq!(after(|instance| instance.advert_interval = Duration::from_secs(255)), [""; 0]);
}

#[test]
fn each_mistake_of_an_instance_is_found_at_its_keyword() {
    let ipv6 = || VirtualAddress::new("2001:db8::1".parse().unwrap());
    assert_eq!(after(|instance| instance.virtual_router_id = 0), ["virtual_router_id"]);
    assert_eq!(after(|instance| instance.priority = 0), ["priority"]);
    assert_eq!(after(|instance| instance.interface.clear()), ["interface"]);
    assert_eq!(after(|instance| instance.addresses.clear()), ["virtual_ipaddress"]);
    assert_eq!(after(|instance| instance.addresses.push(ipv6())), ["virtual_ipaddress"]);
    assert_eq!(after(|instance| instance.addresses[0].prefix = 33), ["virtual_ipaddress"]);
    assert_eq!(after(|instance| instance.advert_interval = Duration::from_millis(100)), ["advert_int"]);
    let v3 = |interval| {
        move |instance: &mut Instance| {
            instance.version = Some(Version::V3);
            instance.advert_interval = interval;
        }
    };
    assert_eq!(after(v3(Duration::from_millis(10))), [""; 0]);
    assert_eq!(after(v3(Duration::from_millis(15))), ["advert_int"]);
    assert_eq!(after(v3(Duration::from_millis(5))), ["advert_int"]);
    assert_eq!(after(v3(Duration::from_secs(41))), ["advert_int"]);
    let peer = Peer { address: "::1".parse().unwrap(), min_ttl: None, max_ttl: None };
    assert_eq!(after(|instance| instance.peers.push(peer)), ["unicast_peer"]);
    let unicast = "192.0.2.1".parse().unwrap();
    assert_eq!(after(|instance| instance.group = Some(unicast)), ["mcast_dst_ip"]);
    assert_eq!(
        after(|instance| {
            instance.addresses = vec![ipv6()];
            instance.version = Some(Version::V2);
        }),
        ["version"]
    );
}

#[test]
fn passwords_are_for_version_2_and_keys_must_be_whole() {
    let password = Authentication::Password("1111".to_owned());
    let with = |authentication: Authentication, version| {
        after(move |instance| {
            instance.version = Some(version);
            instance.authentication = authentication;
        })
    };
    assert_eq!(with(password.clone(), Version::V2), [""; 0]);
    assert_eq!(with(password, Version::V3), ["authentication"]);
    let keys = |id, length, active_key| {
        Authentication::Hmac(HmacSettings {
            keys: vec![HmacKey { id, secret: vec![7; length] }],
            active_key,
            mode: HmacMode::Enforce,
            anti_replay: crate::declared::AntiReplay::Time,
            window: None,
        })
    };
    assert_eq!(with(keys(1, 32, 1), Version::V3), [""; 0]);
    assert_eq!(with(keys(1, 31, 1), Version::V3), ["key"]);
    assert_eq!(with(keys(1, 64, 2), Version::V2), ["active_key"]);
}

#[test]
fn names_must_be_known_and_differ() {
    let mut declared = right();
    declared.instances.push(declared.instances[0].clone());
    declared.instances[0].track_scripts.push(Track { name: "chk".to_owned(), weight: None });
    declared.groups.push(SyncGroup {
        name: "VG".to_owned(),
        members: vec!["VI_1".to_owned(), "VI_2".to_owned()],
        ..SyncGroup::default()
    });
    let command = Command { argv: vec!["/bin/true".to_owned()], user: None };
    declared.scripts.push(Script::new("other", command));
    let keywords: Vec<_> = declared.mistakes().into_iter().map(|mistake| mistake.keyword).collect();
    assert_eq!(keywords, ["track_script", "vrrp_instance", "virtual_router_id", "group"]);
}
