//! Every reason to turn an advert away that is right in itself.

use super::*;
use crate::declared::{HmacKey, HmacMode, HmacSettings, VirtualAddress};

const NOON: WallClock = WallClock(Duration::from_secs(1_700_000_000));

fn instance(version: Version) -> Instance {
    let mut instance = Instance::new("v", "eth0", 51);
    instance.version = Some(version);
    instance.addresses.push(VirtualAddress::new("192.0.2.10".parse().unwrap()));
    instance
}

fn hmac(mode: HmacMode) -> Authentication {
    Authentication::Hmac(HmacSettings {
        keys: vec![HmacKey { id: 1, secret: vec![1; 32] }],
        active_key: 1,
        mode,
        anti_replay: crate::declared::AntiReplay::Time,
        window: None,
    })
}

fn envelope() -> Envelope {
    Envelope { source: "10.0.0.9".parse().unwrap(), destination: GROUP_V4, ttl: 255 }
}

/// What `ours` says to an advert of `theirs` in this envelope.
fn ask(ours: &Instance, theirs: &Instance, envelope: Envelope) -> Result<(), Reject> {
    let mut sender = Gate::new(theirs, Tick::ZERO, NOON);
    let bytes = sender.write(100, envelope.source, envelope.destination, Tick::ZERO, NOON);
    let packet = Packet::parse(&bytes, &envelope).unwrap();
    let mut gate = Gate::new(ours, Tick::ZERO, NOON);
    gate.admit(packet, &envelope, None, false, Tick::ZERO, NOON).map(drop)
}

#[test]
fn an_advert_of_the_same_declaration_is_let_in() {
    for version in [Version::V2, Version::V3] {
        let same = instance(version);
        assert_eq!(ask(&same, &same, envelope()), Ok(()));
        let signed = Instance { authentication: hmac(HmacMode::Enforce), ..instance(version) };
        assert_eq!(ask(&signed, &signed, envelope()), Ok(()));
    }
    let password = Authentication::Password("1111".to_owned());
    let same = Instance { authentication: password, ..instance(Version::V2) };
    assert_eq!(ask(&same, &same, envelope()), Ok(()));
}

#[test]
fn another_way_than_the_declared_one_is_not() {
    let same = instance(Version::V3);
    assert_eq!(ask(&same, &same, Envelope { ttl: 254, ..envelope() }), Err(Reject::Ttl));
    let direct = Envelope { destination: "10.0.0.5".parse().unwrap(), ..envelope() };
    assert_eq!(ask(&same, &same, direct), Err(Reject::Destination));
    let peer = Peer { address: envelope().source, min_ttl: Some(250), max_ttl: None };
    let unicast = Instance { peers: vec![peer], ..instance(Version::V3) };
    assert_eq!(ask(&unicast, &same, direct), Ok(()));
    assert_eq!(ask(&unicast, &same, Envelope { ttl: 249, ..direct }), Err(Reject::Ttl));
    assert_eq!(ask(&unicast, &same, envelope()), Err(Reject::Destination));
    let stranger = Envelope { source: "10.0.0.8".parse().unwrap(), ..direct };
    assert_eq!(ask(&unicast, &same, stranger), Err(Reject::NotAPeer), "bounds ask for peers");
    let strict =
        Instance { is_strict: true, peers: vec![Peer { min_ttl: None, ..peer }], ..instance(Version::V3) };
    assert_eq!(ask(&strict, &same, Envelope { ttl: 254, ..direct }), Err(Reject::Ttl));
}

#[test]
fn another_declaration_is_not() {
    let ours = instance(Version::V2);
    let slower = Instance { advert_interval: Duration::from_secs(2), ..instance(Version::V2) };
    assert_eq!(ask(&ours, &slower, envelope()), Err(Reject::OtherInterval));
    assert_eq!(ask(&ours, &instance(Version::V3), envelope()), Err(Reject::OtherVersion));
    let mut more = instance(Version::V2);
    more.addresses.push(VirtualAddress::new("192.0.2.11".parse().unwrap()));
    assert_eq!(ask(&ours, &more, envelope()), Err(Reject::OtherAddresses));
    let none = Instance { addresses: Vec::new(), ..instance(Version::V3) };
    assert_eq!(ask(&instance(Version::V3), &none, envelope()), Err(Reject::NoAddress), "erratum 8299");
    let slower = Instance { advert_interval: Duration::from_secs(2), ..instance(Version::V3) };
    assert_eq!(ask(&instance(Version::V3), &slower, envelope()), Ok(()), "version 3 takes it over");
}

#[test]
fn another_proof_is_not() {
    let none = instance(Version::V2);
    let with = |authentication| Instance { authentication, ..instance(Version::V2) };
    let password = |text: &str| with(Authentication::Password(text.to_owned()));
    assert_eq!(ask(&password("1111"), &password("2222"), envelope()), Err(Reject::Password));
    assert_eq!(ask(&password("1111"), &none, envelope()), Err(Reject::OtherAuthentication));
    assert_eq!(ask(&none, &password("1111"), envelope()), Err(Reject::OtherAuthentication));
    assert_eq!(ask(&with(hmac(HmacMode::Enforce)), &none, envelope()), Err(Reject::NoHmac));
    assert_eq!(ask(&with(hmac(HmacMode::Permissive)), &none, envelope()), Ok(()));
    assert_eq!(ask(&with(hmac(HmacMode::ReceiveOnly)), &none, envelope()), Ok(()));
    assert_eq!(ask(&none, &with(hmac(HmacMode::Permissive)), envelope()), Err(Reject::OtherAuthentication));
    assert_eq!(ask(&none, &with(hmac(HmacMode::ReceiveOnly)), envelope()), Ok(()), "it does not sign");
}

#[test]
fn our_own_adverts_are_not_listened_to() {
    let same = instance(Version::V3);
    let mut gate = Gate::new(&same, Tick::ZERO, NOON);
    let bytes = gate.write(100, envelope().source, GROUP_V4, Tick::ZERO, NOON);
    let packet = Packet::parse(&bytes, &envelope()).unwrap();
    let verdict = gate.admit(packet, &envelope(), None, true, Tick::ZERO, NOON);
    assert_eq!(verdict, Err(Reject::OwnAddress));
}

#[test]
fn a_reload_does_not_make_recordings_new() {
    let signed = Instance { authentication: hmac(HmacMode::Enforce), ..instance(Version::V3) };
    let mut sender = Gate::new(&signed, Tick::ZERO, NOON);
    let recorded = sender.write(100, envelope().source, GROUP_V4, Tick::ZERO, NOON);
    let mut gate = Gate::new(&signed, Tick::ZERO, NOON);
    let admit = |gate: &mut Gate| {
        let packet = Packet::parse(&recorded, &envelope()).unwrap();
        gate.admit(packet, &envelope(), None, false, Tick::ZERO, NOON).map(drop)
    };
    assert_eq!(admit(&mut gate), Ok(()));
    let louder = Instance { priority: 200, ..signed };
    let mut next = Gate::new(&louder, Tick::ZERO, NOON);
    next.succeed(gate);
    assert_eq!(admit(&mut next), Err(Reject::Replayed));
}
