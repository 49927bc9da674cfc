//! What one virtual router sends and takes: whose adverts, whence, and proven how.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use subtle::ConstantTimeEq;

use crate::declared::{Authentication, Checksum, Instance, Peer, Version};
use crate::hmac::{Binding, Reference, Signer, Verifier, WallClock};
use crate::wire::Sign;
use crate::wire::{Advert, ChecksumKind, Envelope, GROUP_V4, GROUP_V6, Packet, Proof, TTL};
use crate::{Reject, Tick};

/// An advert that may be listened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// What it says.
    pub advert: Advert,
    /// By which reading its checksum is right.
    pub checksum: ChecksumKind,
}

/// The gate of one virtual router: adverts pass it in both directions.
#[derive(Debug)]
pub struct Gate {
    version: Version,
    router_id: u8,
    interval: Duration,
    /// In the order declared, as they are sent.
    addresses: Vec<IpAddr>,
    /// In no order, as they are compared.
    address_set: BTreeSet<IpAddr>,
    proof: Proof,
    authentication: Authentication,
    signer: Option<Signer>,
    verifier: Option<Verifier>,
    reference: Reference,
    reading: Checksum,
    group: Option<IpAddr>,
    peers: Vec<Peer>,
    checks_peers: bool,
    is_strict: bool,
    skips_known_addresses: bool,
}

impl Gate {
    /// The gate of an instance as it is declared. `wall` is what the host's clock says; what it is set to afterwards
    /// is believed only when the others' adverts say the same.
    pub fn new(instance: &Instance, now: Tick, wall: WallClock) -> Self {
        let (proof, hmac) = match &instance.authentication {
            Authentication::None => (Proof::None, None),
            Authentication::Password(password) => (Proof::Password(padded(password)), None),
            Authentication::Hmac(settings) => (Proof::None, Some(settings)),
        };
        let addresses: Vec<IpAddr> = instance.addresses.iter().map(|address| address.address).collect();
        let default_group = if instance.is_ipv6() { GROUP_V6 } else { GROUP_V4 };
        let has_bounds = instance.peers.iter().any(|peer| peer.min_ttl.is_some() || peer.max_ttl.is_some());
        Self {
            version: instance.version(),
            router_id: instance.virtual_router_id,
            interval: instance.advert_interval,
            address_set: addresses.iter().copied().collect(),
            addresses,
            proof,
            authentication: instance.authentication.clone(),
            signer: hmac.and_then(|settings| Signer::new(settings, instance.advert_interval)),
            verifier: hmac.map(|settings| Verifier::new(settings, instance.advert_interval)),
            reference: Reference::new(now, wall),
            reading: instance.checksum,
            group: (!instance.is_unicast()).then(|| instance.group.unwrap_or(default_group)),
            peers: instance.peers.clone(),
            checks_peers: instance.checks_peers || has_bounds,
            is_strict: instance.is_strict,
            skips_known_addresses: instance.skips_known_addresses,
        }
    }

    /// Takes over what an earlier gate of the same instance remembers of adverts, where it still holds: a reload must
    /// not make recordings new.
    pub fn succeed(&mut self, earlier: Self) {
        if self.authentication == earlier.authentication && self.interval == earlier.interval {
            self.signer = earlier.signer;
            self.verifier = earlier.verifier;
        }
        self.reference = earlier.reference;
    }

    /// The virtual router's number.
    pub const fn router_id(&self) -> u8 {
        self.router_id
    }

    /// Where adverts go: the group, or each peer.
    pub fn destinations(&self) -> Vec<IpAddr> {
        match self.group {
            Some(group) => vec![group],
            None => self.peers.iter().map(|peer| peer.address).collect(),
        }
    }

    /// The packet that says `priority`, from and to these addresses, behind the IP header.
    pub fn write(
        &mut self,
        priority: u8,
        source: IpAddr,
        destination: IpAddr,
        now: Tick,
        wall: WallClock,
    ) -> Vec<u8> {
        let time = self.reference.time(now, wall);
        let advert = Advert {
            version: self.version,
            router_id: self.router_id,
            priority,
            interval: self.interval,
            addresses: self.addresses.clone(),
        };
        let binding = Binding { version: self.version, router_id: self.router_id, source };
        let mut sign =
            self.signer.as_mut().map(|signer| move |message: &[u8]| signer.sign(binding, message, time));
        let sign = sign.as_mut().map(|sign| sign as &mut Sign<'_>);
        let envelope = Envelope { source, destination, ttl: TTL };
        advert.write(self.proof, self.reading, &envelope, sign)
    }

    /// Lets an advert in, or says why not: RFC 9568, section 7.1, and what is declared. `master` is whom the
    /// instance takes for the master; `is_own` says that the source is an address of this host.
    ///
    /// # Errors
    /// The reason to reject it; nothing of it counts then.
    pub fn admit(
        &mut self,
        packet: Packet<'_>,
        envelope: &Envelope,
        master: Option<IpAddr>,
        is_own: bool,
        now: Tick,
        wall: WallClock,
    ) -> Result<Admitted, Reject> {
        if is_own {
            return Err(Reject::OwnAddress);
        }
        self.check_way(envelope)?;
        if packet.advert.version != self.version {
            return Err(Reject::OtherVersion);
        }
        self.check_proof(&packet, envelope, now, wall)?;
        self.check_content(&packet.advert, envelope.source, master)?;
        Ok(Admitted { advert: packet.advert, checksum: packet.checksum })
    }

    /// Destination, source and TTL. Peers may be several hops away, unless their bounds say otherwise.
    fn check_way(&self, envelope: &Envelope) -> Result<(), Reject> {
        if let Some(group) = self.group {
            return if envelope.ttl != TTL {
                Err(Reject::Ttl)
            } else if envelope.destination != group {
                Err(Reject::Destination)
            } else {
                Ok(())
            };
        }
        if envelope.destination.is_multicast() {
            return Err(Reject::Destination);
        }
        let peer = self.peers.iter().find(|peer| peer.address == envelope.source);
        let bounds = match peer {
            Some(peer) => peer.min_ttl.unwrap_or(0)..=peer.max_ttl.unwrap_or(u8::MAX),
            None if self.checks_peers => return Err(Reject::NotAPeer),
            None => 0..=u8::MAX,
        };
        let is_near = !self.is_strict || envelope.ttl == TTL;
        if bounds.contains(&envelope.ttl) && is_near { Ok(()) } else { Err(Reject::Ttl) }
    }

    fn check_proof(
        &mut self,
        packet: &Packet<'_>,
        envelope: &Envelope,
        now: Tick,
        wall: WallClock,
    ) -> Result<(), Reject> {
        match (self.proof, packet.proof) {
            (_, Proof::Other(2)) => return Err(Reject::AuthenticationHeader),
            (Proof::Password(ours), Proof::Password(theirs)) => {
                if !bool::from(ours.ct_eq(&theirs)) {
                    return Err(Reject::Password);
                }
            }
            (Proof::None, Proof::None) => {}
            (Proof::None | Proof::Password(_) | Proof::Other(_), _) => {
                return Err(Reject::OtherAuthentication);
            }
        }
        match (&mut self.verifier, &packet.trailer) {
            (Some(verifier), Some(sealed)) => {
                let binding =
                    Binding { version: self.version, router_id: self.router_id, source: envelope.source };
                let time = self.reference.time(now, wall);
                let verdict = verifier.verify(binding, sealed, now, time);
                // The HMAC was looked at first: only who has the key says what time it is.
                if verdict == Err(Reject::Stale) && verifier.is_fresh_by(envelope.source, sealed, wall) {
                    self.reference.correct(now, wall);
                    return verifier.verify(binding, sealed, now, wall);
                }
                verdict
            }
            (Some(verifier), None) if verifier.takes_unsigned() => Ok(()),
            (Some(_), None) => Err(Reject::NoHmac),
            (None, Some(_)) => Err(Reject::OtherAuthentication),
            (None, None) => Ok(()),
        }
    }

    fn check_content(&self, advert: &Advert, source: IpAddr, master: Option<IpAddr>) -> Result<(), Reject> {
        // RFC 3768, section 7.1: in version 2 the intervals must be the same.
        if self.version == Version::V2 && advert.interval != self.interval {
            return Err(Reject::OtherInterval);
        }
        let is_known = self.skips_known_addresses && master == Some(source);
        let is_same = || {
            advert.addresses.len() == self.address_set.len()
                && advert.addresses.iter().all(|address| self.address_set.contains(address))
        };
        if advert.addresses.is_empty() && !self.addresses.is_empty() {
            return Err(Reject::NoAddress);
        }
        if is_known || is_same() { Ok(()) } else { Err(Reject::OtherAddresses) }
    }

    /// True when adverts must be signed, or at least are.
    pub const fn is_signed(&self) -> bool {
        self.verifier.is_some()
    }
}

/// The first eight bytes of a password, with zeros behind a shorter one.
fn padded(password: &str) -> [u8; 8] {
    let mut padded = [0; 8];
    padded.iter_mut().zip(password.bytes()).for_each(|(byte, letter)| *byte = letter);
    padded
}

#[cfg(test)]
mod tests;
