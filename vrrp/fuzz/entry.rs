//! What the fuzzer and the tests do with one input: the first octet chooses the virtual router, the rest are packets,
//! each behind an octet that says how it comes and one with its length.

use std::net::IpAddr;
use std::time::Duration;

use lvs_vrrp::declared::{
    AntiReplay, Authentication, HmacKey, HmacMode, HmacSettings, Instance, Peer, Version, VirtualAddress,
};
use lvs_vrrp::wire::{Advert, Envelope, PROTOCOL, Packet, TTL, ipv4};
use lvs_vrrp::{Gate, Machine, Rules, Tick, WallClock};

/// More than one advert can ever ask for.
const ACTIONS: usize = 8;

/// Lets packets of any kind in on a virtual router. Panics where a law is broken: what is read is what an advert may
/// say, no packet asks for more than a few actions, and after each the machine is due later and not at once again.
pub(crate) fn run(input: &[u8]) {
    let Some((&choice, mut rest)) = input.split_first() else { return };
    let instance = instance(choice);
    let [own, other, third] = addresses(instance.is_ipv6());
    let start = WallClock(Duration::from_secs(1_700_000_000));
    let mut now = Tick::ZERO;
    let mut gate = Gate::new(&instance, now, start);
    let mut sender = Gate::new(&instance, now, start);
    let mut machine = Machine::new(Rules::new(&instance, false), own, now);
    machine.start(now);
    while let Some((&[how, length], behind)) = rest.split_first_chunk() {
        let (packet, later) = behind.split_at_checked(length.into()).unwrap_or((behind, &[]));
        rest = later;
        now = now + Duration::from_millis(100) * u32::from(how >> 5);
        let wall = WallClock(start.0 + now.since_zero());
        machine.on_deadline(now);
        drain(&mut machine);
        assert!(machine.next_deadline().is_none_or(|due| due > now), "due again at once");
        let source = if how & 1 == 0 { other } else { third };
        let destination = gate.destinations().first().copied().unwrap_or(own);
        let envelope = Envelope { source, destination, ttl: if how & 2 == 0 { TTL } else { how } };
        let mut bytes = packet.to_vec();
        if how & 4 != 0 {
            // A packet that would be right, changed by what is there.
            bytes = sender.write(length, source, destination, now, wall);
            bytes.iter_mut().zip(packet).for_each(|(byte, change)| *byte ^= change);
        }
        if how & 8 != 0 {
            mend(&mut bytes, &envelope);
        }
        if how & 16 != 0 {
            let _ = ipv4::open(&bytes).map(|(envelope, inside)| Packet::parse(inside, &envelope));
        }
        let Ok(parsed) = Packet::parse(&bytes, &envelope) else { continue };
        hold_to_laws(&parsed.advert, &bytes);
        if let Ok(admitted) = gate.admit(parsed, &envelope, None, false, now, wall) {
            machine.on_advert(&admitted.advert, source, now);
            drain(&mut machine);
        }
    }
}

fn hold_to_laws(advert: &Advert, bytes: &[u8]) {
    assert_eq!(Some(&advert.router_id), bytes.get(1));
    assert_ne!(advert.router_id, 0);
    assert_eq!(bytes.get(3).map(|&count| usize::from(count)), Some(advert.addresses.len()));
    assert!(advert.addresses.capacity() <= bytes.len(), "more room than the packet has");
    assert!(!advert.interval.is_zero() && advert.interval <= Duration::from_secs(255));
}

fn drain(machine: &mut Machine) {
    let mut count = 0;
    while machine.next_action().is_some() {
        count += 1;
        assert!(count <= ACTIONS, "one packet asks for too much");
    }
}

fn addresses(is_ipv6: bool) -> [IpAddr; 3] {
    let texts =
        if is_ipv6 { ["fe80::1", "fe80::2", "fe80::3"] } else { ["10.0.0.1", "10.0.0.2", "10.0.0.3"] };
    texts.map(|text| text.parse().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)))
}

fn instance(choice: u8) -> Instance {
    let is_ipv6 = choice & 1 != 0;
    let mut instance = Instance::new("fuzzed", "eth0", 51);
    instance.version = Some(if choice & 2 == 0 || is_ipv6 { Version::V3 } else { Version::V2 });
    instance.priority = if choice & 4 == 0 { 100 } else { 255 };
    let address = if is_ipv6 { "fe80::100" } else { "10.0.0.100" };
    instance.addresses.extend(address.parse().map(VirtualAddress::new));
    if choice & 8 != 0 {
        let address = addresses(is_ipv6)[1];
        instance.peers.push(Peer { address, min_ttl: Some(250), max_ttl: None });
    }
    if choice & 16 != 0 {
        instance.authentication = Authentication::Hmac(HmacSettings {
            keys: vec![HmacKey { id: 1, secret: (0..32).collect() }],
            active_key: 1,
            mode: if choice & 32 == 0 { HmacMode::Enforce } else { HmacMode::Permissive },
            anti_replay: if choice & 64 == 0 { AntiReplay::Time } else { AntiReplay::Monotonic },
            window: None,
        });
    } else if instance.version == Some(Version::V2) {
        instance.authentication = Authentication::Password("1111".to_owned());
    }
    instance
}

/// Gives a packet the checksum that it should have, so that not every change ends there.
fn mend(bytes: &mut [u8], envelope: &Envelope) {
    let is_plain = bytes.first().is_some_and(|first| first >> 4 == 2);
    let count = usize::from(bytes.get(3).copied().unwrap_or_default());
    let covered = match envelope.source {
        IpAddr::V6(_) => bytes.len(),
        IpAddr::V4(_) => (8 + count * 4 + if is_plain { 8 } else { 0 }).min(bytes.len()),
    };
    let Some(field) = bytes.get_mut(6..8) else { return };
    field.fill(0);
    let mut pseudo = Vec::new();
    if !is_plain {
        for address in [envelope.source, envelope.destination] {
            match address {
                IpAddr::V4(address) => pseudo.extend(address.octets()),
                IpAddr::V6(address) => pseudo.extend(address.octets()),
            }
        }
        let length = u16::try_from(covered).unwrap_or_default().to_be_bytes();
        pseudo.extend([0, PROTOCOL, length[0], length[1]]);
    }
    let words = pseudo.chunks(2).chain(bytes.get(..covered).unwrap_or_default().chunks(2));
    let sum: u32 =
        words.map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or_default())).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap_or_default();
    if let Some(field) = bytes.get_mut(6..8) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}
