//! Signing adverts and believing them: keys, time and what was here before (draft-cassen-vrrp-auth-hmac).
//!
//! An advert carries its sender's time, and each carries a later one. keepalived compares it with the host's clock, so
//! a clock that is stepped leaves two masters for as long as it is wrong. Here the time that is sent and compared with
//! is a [`Reference`]: the host's clock as it was at the start, carried on by one that never steps, until the others'
//! adverts say that the host's clock is right and not the reference. A sender that is known is measured from its last
//! advert on; one whose time was stepped is believed from its second advert after that, for a recording never has a
//! later time than all that was heard.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::declared::{AntiReplay, HmacMode, HmacSettings, Version};
use crate::wire::trailer::{HMAC, LENGTH};
use crate::wire::{Sealed, Trailer};
use crate::{Reject, Tick};

/// Senders that are remembered; the one longest silent makes room.
const SENDERS: usize = 64;

/// The time of day: since 1970, as the host's clock has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallClock(pub Duration);

impl WallClock {
    /// Seconds in 32 bits, 1/65536 s in 16, and room for a counter.
    fn sequence(self) -> u64 {
        let fraction = (u64::from(self.0.subsec_nanos()) << 16) / 1_000_000_000;
        (self.0.as_secs() & 0xffff_ffff) << 32 | fraction << 16
    }
}

/// The clocks differ by no more than this when they are the same.
const SAME: Duration = Duration::from_secs(1);

/// The time that is put on adverts and that theirs is compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference {
    wall: WallClock,
    at: Tick,
}

impl Reference {
    /// The host's clock as it is at the start.
    pub(crate) const fn new(now: Tick, wall: WallClock) -> Self {
        Self { wall, at: now }
    }

    /// The time now, where the host's clock says `wall`.
    pub(crate) fn time(&mut self, now: Tick, wall: WallClock) -> WallClock {
        let carried = WallClock(self.wall.0 + (now - self.at));
        // Clocks that are disciplined drift a little all the time.
        if carried.0.abs_diff(wall.0) <= SAME {
            self.correct(now, wall);
            return wall;
        }
        carried
    }

    /// Somebody was heard who goes by the host's clock.
    pub(crate) const fn correct(&mut self, now: Tick, wall: WallClock) {
        *self = Self::new(now, wall);
    }
}

/// What all HMACs of one virtual router are computed over besides the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) version: Version,
    pub(crate) router_id: u8,
    pub(crate) source: IpAddr,
}

impl Binding {
    /// Family, version, virtual router, 0, and the source's address, with zeros to 20 bytes.
    fn pseudo_header(self) -> [u8; 20] {
        let mut header = [0; 20];
        let version = match self.version {
            Version::V2 => 2,
            Version::V3 => 3,
        };
        let (family, octets) = match self.source {
            IpAddr::V4(address) => (4, address.octets().to_vec()),
            IpAddr::V6(address) => (6, address.octets().to_vec()),
        };
        let fields = [family, version, self.router_id, 0].into_iter().chain(octets);
        header.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
        header
    }
}

/// The HMAC of a packet up to the trailer's own HMAC; the checksum's field is read as zero.
fn mac(key: &[u8], binding: Binding, signed: &[u8]) -> [u8; HMAC] {
    // Every length of key is good for an HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; HMAC] };
    mac.update(&binding.pseudo_header());
    mac.update(signed.get(..6).unwrap_or_default());
    mac.update(&[0, 0]);
    mac.update(signed.get(8..).unwrap_or_default());
    mac.update(&[0; HMAC]);
    let whole = mac.finalize().into_bytes();
    whole.first_chunk().copied().unwrap_or([0; HMAC])
}

/// True when `a` comes after `b` (RFC 1982: also where the numbers begin anew).
const fn is_after(a: u64, b: u64) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 1 << 63
}

/// Keys by their numbers; they are wiped when they go.
type Keys = BTreeMap<u8, Zeroizing<Vec<u8>>>;

fn keys(settings: &HmacSettings) -> Keys {
    settings.keys.iter().map(|key| (key.id, Zeroizing::new(key.secret.clone()))).collect()
}

/// Signs one virtual router's adverts.
#[derive(Debug)]
pub struct Signer {
    keys: Keys,
    active: u8,
    window: Duration,
    last: u64,
}

impl Signer {
    /// A signer; `None` where the settings say that nothing is signed.
    pub fn new(settings: &HmacSettings, interval: Duration) -> Option<Self> {
        let window = window(settings, interval);
        (settings.mode != HmacMode::ReceiveOnly).then(|| Self {
            keys: keys(settings),
            active: settings.active_key,
            window,
            last: 0,
        })
    }

    /// The trailer of an advert. `message` is all before it, checksum zero.
    pub(crate) fn sign(&mut self, binding: Binding, message: &[u8], wall: WallClock) -> [u8; LENGTH] {
        let head = Trailer::head(self.active, self.next(wall));
        let signed = [message, &head].concat();
        let key = self.keys.get(&self.active).map_or(&[][..], |key| key);
        let mut trailer = [0; LENGTH];
        let fields = head.into_iter().chain(mac(key, binding, &signed));
        trailer.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
        trailer
    }

    /// The clock's time, or one more than the last; where the clock was set back further than anyone's window,
    /// the clock's time all the same: everyone would refuse to hear of a time so far ahead for as long as it lasts.
    fn next(&mut self, wall: WallClock) -> u64 {
        let clock = wall.sequence();
        let ahead = self.last.wrapping_sub(clock);
        let is_lost = is_after(self.last, clock) && ahead >> 32 > self.window.as_secs() / 2;
        self.last = if is_after(clock, self.last) || is_lost { clock } else { self.last.wrapping_add(1) };
        self.last
    }
}

/// How far times may be apart.
fn window(settings: &HmacSettings, interval: Duration) -> Duration {
    settings.window.unwrap_or_else(|| (interval * 3).max(Duration::from_secs(5)))
}

/// What is known of a sender.
#[derive(Debug, Clone, Copy)]
struct Sender {
    /// The latest sequence that was believed, and when.
    last: u64,
    at: Tick,
    /// A signed advert outside the window, and when: the next one decides.
    suspect: Option<(u64, Tick)>,
}

/// Decides which of one virtual router's adverts are believed.
#[derive(Debug)]
pub struct Verifier {
    keys: Keys,
    mode: HmacMode,
    anti_replay: AntiReplay,
    window: Duration,
    senders: BTreeMap<IpAddr, Sender>,
}

impl Verifier {
    /// Knows no sender yet.
    pub fn new(settings: &HmacSettings, interval: Duration) -> Self {
        Self {
            keys: keys(settings),
            mode: settings.mode,
            anti_replay: settings.anti_replay,
            window: window(settings, interval),
            senders: BTreeMap::new(),
        }
    }

    /// True when adverts without a trailer are taken too.
    pub(crate) fn takes_unsigned(&self) -> bool {
        self.mode != HmacMode::Enforce
    }

    /// True when an advert that was found stale is fresh by the host's clock and no recording that was heard before.
    pub(crate) fn is_fresh_by(&self, source: IpAddr, sealed: &Sealed<'_>, wall: WallClock) -> bool {
        let sequence = sealed.trailer.sequence;
        let grows = self.senders.get(&source).is_none_or(|sender| is_after(sequence, sender.last));
        grows && is_near(sequence, wall.sequence(), self.window)
    }

    /// Believes an advert, or says why not. Nothing is remembered of one that is not signed rightly.
    pub(crate) fn verify(
        &mut self,
        binding: Binding,
        sealed: &Sealed<'_>,
        now: Tick,
        wall: WallClock,
    ) -> Result<(), Reject> {
        let key = self.keys.get(&sealed.trailer.key).ok_or(Reject::HmacKey)?;
        let expected = mac(key, binding, sealed.signed);
        if !bool::from(expected.ct_eq(&sealed.trailer.hmac)) {
            return Err(Reject::Hmac);
        }
        let sequence = sealed.trailer.sequence;
        let verdict = match self.anti_replay {
            AntiReplay::Monotonic => self.grows(binding.source, sequence),
            AntiReplay::Time => self.is_fresh(binding.source, sequence, now, wall),
        };
        if verdict.is_ok() {
            self.remember(binding.source, Sender { last: sequence, at: now, suspect: None });
        }
        verdict
    }

    fn grows(&self, source: IpAddr, sequence: u64) -> Result<(), Reject> {
        match self.senders.get(&source) {
            Some(sender) if !is_after(sequence, sender.last) => Err(Reject::Replayed),
            Some(_) | None => Ok(()),
        }
    }

    fn is_fresh(&mut self, source: IpAddr, sequence: u64, now: Tick, wall: WallClock) -> Result<(), Reject> {
        let window = self.window;
        let is_near_clock = is_near(sequence, wall.sequence(), window);
        let Some(sender) = self.senders.get_mut(&source) else {
            return if is_near_clock { Ok(()) } else { Err(Reject::Stale) };
        };
        if !is_after(sequence, sender.last) {
            // Its clock was ahead of all others and was set right: what it said then is no measure for now.
            let was_ahead = is_near_clock && !is_near(sender.last, wall.sequence(), window);
            return if was_ahead { Ok(()) } else { Err(Reject::Replayed) };
        }
        let is_near_before = is_near(sequence, later(sender.last, now - sender.at), window);
        if is_near_clock || is_near_before {
            return Ok(());
        }
        // Later than all that was heard, so no recording: its clock was stepped, if the next one goes on from here.
        let goes_on = sender.suspect.is_some_and(|(last, at)| {
            is_after(sequence, last) && is_near(sequence, later(last, now - at), window)
        });
        sender.suspect = Some((sequence, now));
        if goes_on { Ok(()) } else { Err(Reject::Stale) }
    }

    fn remember(&mut self, source: IpAddr, sender: Sender) {
        if self.senders.len() >= SENDERS && !self.senders.contains_key(&source) {
            let silent = self.senders.iter().min_by_key(|(_, sender)| sender.at).map(|(&source, _)| source);
            silent.map(|source| self.senders.remove(&source));
        }
        self.senders.insert(source, sender);
    }
}

/// The sequence so much later.
fn later(sequence: u64, passed: Duration) -> u64 {
    sequence.wrapping_add(WallClock(passed).sequence())
}

/// True when two times are no further apart than the window, whichever is later.
fn is_near(a: u64, b: u64, window: Duration) -> bool {
    let apart = a.wrapping_sub(b).min(b.wrapping_sub(a));
    apart <= (window.as_secs() + 1) << 32
}

#[cfg(test)]
mod tests;
