//! Signatures against the vectors, and what becomes of recordings and of clocks that are stepped.

use super::*;
use crate::declared::{Checksum, HmacKey};
use crate::wire::tests::{SIGNED_V4, SIGNED_V6, bytes, v4, v6};
use crate::wire::{Advert, Envelope, Packet, Proof};

/// The time in the vectors.
const NOON: Duration = Duration::new(1_700_000_000, 500_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn settings() -> HmacSettings {
    HmacSettings {
        keys: vec![HmacKey { id: 1, secret: (0..32).collect() }],
        active_key: 1,
        mode: HmacMode::Enforce,
        anti_replay: AntiReplay::Time,
        window: None,
    }
}

fn binding(source: IpAddr, router_id: u8) -> Binding {
    Binding { version: Version::V3, router_id, source }
}

/// A sender with a wall clock of its own; each of its adverts as bytes.
struct Station {
    signer: Signer,
    wall: Duration,
}

impl Station {
    fn new(wall: Duration) -> Self {
        Self { signer: Signer::new(&settings(), SECOND).unwrap(), wall }
    }

    fn send(&mut self) -> Vec<u8> {
        let (signer, wall) = (&mut self.signer, WallClock(self.wall));
        let mut sign = |message: &[u8]| signer.sign(binding(v4().source, 52), message, wall);
        advert().write(Proof::None, Checksum::default(), &v4(), Some(&mut sign))
    }
}

fn advert() -> Advert {
    let signed = bytes(SIGNED_V4);
    Packet::parse(&signed, &v4()).unwrap().advert
}

fn believe(verifier: &mut Verifier, packet: &[u8], now: Duration, wall: Duration) -> Result<(), Reject> {
    believe_from(verifier, packet, &v4(), 52, now, wall)
}

fn believe_from(
    verifier: &mut Verifier,
    packet: &[u8],
    envelope: &Envelope,
    router_id: u8,
    now: Duration,
    wall: Duration,
) -> Result<(), Reject> {
    let sealed = Packet::parse(packet, envelope).unwrap().trailer.unwrap();
    verifier.verify(binding(envelope.source, router_id), &sealed, Tick::at(now), WallClock(wall))
}

#[test]
fn the_vectors_are_believed_and_made_again() {
    let mut verifier = Verifier::new(&settings(), SECOND);
    assert_eq!(believe(&mut verifier, &bytes(SIGNED_V4), SECOND, NOON), Ok(()));
    assert_eq!(believe_from(&mut verifier, &bytes(SIGNED_V6), &v6(), 51, SECOND, NOON), Ok(()), "also IPv6");
    assert_eq!(Station::new(NOON).send(), bytes(SIGNED_V4));
}

/// The images in the appendix of draft-cassen-vrrp-auth-hmac, which keepalived 2.4.2 is held to as well: router 51,
/// priority 200, sequence 0x6800000080000000, signed with the bytes 0 to 31 as key 1. Each HMAC is also what
/// `openssl dgst -sha256 -mac HMAC -macopt hexkey:00..1f` says of `pseudo-header | advert`, the fields of the checksum and
/// of the HMAC zero.
const APPENDIX_V4: &str = "3133c80100644402c0000264010100006800000080000000\
                           1b84bc4e8e43892dc6d98448f8ee2265";
const APPENDIX_V6: &str = "3133c8010064a2e9fe800000000000000000000000000100\
                           010100006800000080000000c8c56146ebfd66ee10ec4d8186461b78";

/// Believes an image of the appendix by its order alone: its time is long ago.
fn believe_image(image: &[u8], is_ipv6: bool) -> Result<(), Reject> {
    let [source, destination] =
        if is_ipv6 { ["fe80::10", "fe80::20"] } else { ["198.51.100.10", "224.0.0.18"] };
    let [source, destination] = [source, destination].map(|text| text.parse().unwrap());
    let envelope = Envelope { source, destination, ttl: 255 };
    let sealed = Packet::parse(image, &envelope)?.trailer.unwrap();
    let monotonic = HmacSettings { anti_replay: AntiReplay::Monotonic, ..settings() };
    Verifier::new(&monotonic, SECOND).verify(binding(source, 51), &sealed, Tick::ZERO, WallClock(NOON))
}

#[test]
fn the_drafts_own_images_are_believed() {
    assert_eq!(believe_image(&bytes(APPENDIX_V4), false), Ok(()));
    assert_eq!(believe_image(&bytes(APPENDIX_V6), true), Ok(()));
    // Each byte counts, but those of the checksum, which an IPv4 router may compute in another way.
    for place in (0..12).chain(24..40).filter(|place| !(6..8).contains(place)) {
        let mut image = bytes(APPENDIX_V4);
        image[place] ^= 1;
        assert!(believe_image(&image, false).is_err(), "{place}");
    }
}

#[test]
fn another_key_router_or_source_is_not_believed() {
    let mut verifier = Verifier::new(&settings(), SECOND);
    let packet = bytes(SIGNED_V4);
    let sealed = Packet::parse(&packet, &v4()).unwrap().trailer.unwrap();
    let mut verify =
        |binding, sealed: &Sealed<'_>| verifier.verify(binding, sealed, Tick::ZERO, WallClock(NOON));
    assert_eq!(verify(binding(v4().source, 53), &sealed), Err(Reject::Hmac));
    assert_eq!(verify(binding(v4().destination, 52), &sealed), Err(Reject::Hmac));
    let trailer = Trailer { key: 2, ..sealed.trailer };
    assert_eq!(verify(binding(v4().source, 52), &Sealed { trailer, ..sealed }), Err(Reject::HmacKey));
    assert_eq!(verify(binding(v4().source, 52), &sealed), Ok(()), "nothing was remembered of the others");
}

#[test]
fn a_recording_is_not_believed_neither_at_once_nor_later() {
    let mut verifier = Verifier::new(&settings(), SECOND);
    let mut sender = Station::new(NOON);
    let recorded: Vec<Vec<u8>> = (0..3).map(|_| sender.send()).collect();
    for packet in &recorded {
        assert_eq!(believe(&mut verifier, packet, SECOND, NOON), Ok(()));
    }
    for packet in &recorded {
        assert_eq!(believe(&mut verifier, packet, SECOND, NOON), Err(Reject::Replayed));
    }
    // One that was never heard here, played to a router that has just started.
    let mut fresh = Verifier::new(&settings(), SECOND);
    assert_eq!(believe(&mut fresh, &recorded[0], SECOND, NOON + SECOND * 7), Err(Reject::Stale));
}

#[test]
fn our_own_clock_may_be_stepped_any_way_without_losing_the_master() {
    for step in [3600, 86_400 * 365] {
        for is_forward in [true, false] {
            let mut verifier = Verifier::new(&settings(), SECOND);
            let mut sender = Station::new(NOON);
            for second in 0..20 {
                let (now, step) = (SECOND * second, if second < 5 { 0 } else { step });
                sender.wall = NOON + now;
                let step = Duration::from_secs(step);
                let wall = if is_forward { NOON + now + step } else { (NOON + now).saturating_sub(step) };
                assert_eq!(believe(&mut verifier, &sender.send(), now, wall), Ok(()), "{second} {step:?}");
            }
        }
    }
}

#[test]
fn a_master_whose_clock_is_stepped_is_lost_for_no_more_than_one_advert() {
    let mut verifier = Verifier::new(&settings(), SECOND);
    let mut sender = Station::new(NOON);
    let mut lost = Vec::new();
    for second in 0..30 {
        let now = SECOND * second;
        // Forward by an hour, and then set right again.
        let step = if (5..15).contains(&second) { Duration::from_hours(1) } else { Duration::ZERO };
        sender.wall = NOON + now + step;
        if believe(&mut verifier, &sender.send(), now, NOON + now).is_err() {
            lost.push(second);
        }
    }
    assert_eq!(lost, [5]);
}

#[test]
fn a_recording_played_at_its_own_pace_is_still_a_recording() {
    let mut verifier = Verifier::new(&settings(), SECOND);
    let mut sender = Station::new(NOON);
    let mut recorded = Vec::new();
    for second in 0..20 {
        sender.wall = NOON + SECOND * second;
        recorded.push(sender.send());
        assert_eq!(believe(&mut verifier, &recorded[second as usize], SECOND * second, sender.wall), Ok(()));
    }
    for second in 0..20 {
        let now = SECOND * (20 + second);
        let heard = believe(&mut verifier, &recorded[second as usize], now, NOON + now);
        assert_eq!(heard, Err(Reject::Replayed), "{second}");
    }
}

#[test]
fn without_clocks_only_the_order_counts() {
    let monotonic = HmacSettings { anti_replay: AntiReplay::Monotonic, ..settings() };
    let mut verifier = Verifier::new(&monotonic, SECOND);
    let mut sender = Station::new(NOON);
    let first = sender.send();
    assert_eq!(believe(&mut verifier, &first, SECOND, Duration::ZERO), Ok(()));
    assert_eq!(believe(&mut verifier, &first, SECOND, NOON), Err(Reject::Replayed));
    sender.wall += Duration::from_hours(1);
    assert_eq!(believe(&mut verifier, &sender.send(), SECOND, Duration::ZERO), Ok(()));
}

#[test]
fn sequences_grow_also_while_the_clock_stands_and_begin_anew_at_their_end() {
    let mut signer = Signer::new(&settings(), SECOND).unwrap();
    let mut last = signer.next(WallClock(NOON));
    for step in [0, 0, 1, 0] {
        let next = signer.next(WallClock(NOON.saturating_sub(Duration::from_millis(step))));
        assert!(is_after(next, last));
        last = next;
    }
    assert!(is_after(5, u64::MAX - 5));
    assert!(!is_after(u64::MAX - 5, 5));
    assert!(!is_after(5, 5));
}

#[test]
fn the_sender_longest_silent_makes_room() {
    let mut verifier = Verifier::new(&settings(), SECOND);
    for number in 0..200_u8 {
        let sender = Sender { last: 1, at: Tick::at(SECOND * u32::from(number)), suspect: None };
        verifier.remember(IpAddr::from([10, 0, 0, number]), sender);
    }
    assert_eq!(verifier.senders.len(), SENDERS);
    assert!(verifier.senders.contains_key(&IpAddr::from([10, 0, 0, 199])));
}

#[test]
fn keys_are_not_printed() {
    assert!(!format!("{:?}", settings().keys).contains("31"));
}
