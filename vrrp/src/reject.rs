//! Why an advert is not listened to: each reason has a name and a counter.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why an advert was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reject {
    /// The packet ends before it is whole, or goes on behind its end.
    Length,
    /// Neither version 2 nor 3, or version 2 with IPv6.
    Version,
    /// Not an advertisement.
    Kind,
    /// The checksum is wrong.
    Checksum,
    /// No virtual router 0.
    RouterId,
    /// It names no address (RFC 9568 erratum 8299).
    NoAddress,
    /// Its interval is zero (RFC 9568 erratum 8301).
    NoInterval,
    /// TTL or hop limit is not 255, or not what the peer's may be.
    Ttl,
    /// Sent to another address than ours or the group's.
    Destination,
    /// From one of our own addresses.
    OwnAddress,
    /// From none of the peers.
    NotAPeer,
    /// For a virtual router that we have no part in.
    UnknownRouter,
    /// Of another version than ours.
    OtherVersion,
    /// In version 2, at another interval than ours.
    OtherInterval,
    /// It names other addresses than ours.
    OtherAddresses,
    /// Another kind of proof than ours.
    OtherAuthentication,
    /// An authentication header (AH), which RFC 3768 removed.
    AuthenticationHeader,
    /// The password is wrong.
    Password,
    /// There is no trailer where one is asked for.
    NoHmac,
    /// The trailer cannot be read.
    HmacForm,
    /// The trailer names a key that we do not have.
    HmacKey,
    /// The trailer's HMAC is wrong: forged, or changed on its way.
    Hmac,
    /// Its time is too far from ours.
    Stale,
    /// It, or a later one, was here before.
    Replayed,
}

impl Reject {
    /// Every reason, in the order of their counters.
    pub const ALL: [Self; 24] = [
        Self::Length,
        Self::Version,
        Self::Kind,
        Self::Checksum,
        Self::RouterId,
        Self::NoAddress,
        Self::NoInterval,
        Self::Ttl,
        Self::Destination,
        Self::OwnAddress,
        Self::NotAPeer,
        Self::UnknownRouter,
        Self::OtherVersion,
        Self::OtherInterval,
        Self::OtherAddresses,
        Self::OtherAuthentication,
        Self::AuthenticationHeader,
        Self::Password,
        Self::NoHmac,
        Self::HmacForm,
        Self::HmacKey,
        Self::Hmac,
        Self::Stale,
        Self::Replayed,
    ];

    /// Its name in listings and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Version => "version",
            Self::Kind => "kind",
            Self::Checksum => "checksum",
            Self::RouterId => "router-id",
            Self::NoAddress => "no-address",
            Self::NoInterval => "no-interval",
            Self::Ttl => "ttl",
            Self::Destination => "destination",
            Self::OwnAddress => "own-address",
            Self::NotAPeer => "not-a-peer",
            Self::UnknownRouter => "unknown-router",
            Self::OtherVersion => "other-version",
            Self::OtherInterval => "other-interval",
            Self::OtherAddresses => "other-addresses",
            Self::OtherAuthentication => "other-authentication",
            Self::AuthenticationHeader => "authentication-header",
            Self::Password => "password",
            Self::NoHmac => "no-hmac",
            Self::HmacForm => "hmac-form",
            Self::HmacKey => "hmac-key",
            Self::Hmac => "hmac",
            Self::Stale => "stale",
            Self::Replayed => "replayed",
        }
    }

    /// The reason in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Length => "The packet is shorter or longer than its own fields say.",
            Self::Version => "Neither version 2 nor 3, or version 2 with IPv6.",
            Self::Kind => "Not an advertisement.",
            Self::Checksum => "The checksum is wrong.",
            Self::RouterId => "The virtual router's number is 0.",
            Self::NoAddress => "It names no address.",
            Self::NoInterval => "Its interval is zero.",
            Self::Ttl => "TTL or hop limit is not 255, or not within the peer's bounds.",
            Self::Destination => "Sent to an address that this instance does not listen on.",
            Self::OwnAddress => "Its source is an address of this host.",
            Self::NotAPeer => "Its source is none of the peers.",
            Self::UnknownRouter => "No instance here has this virtual router's number.",
            Self::OtherVersion => "The instance speaks the other version.",
            Self::OtherInterval => "Version 2, and the intervals differ.",
            Self::OtherAddresses => "It names other addresses than the instance.",
            Self::OtherAuthentication => "The kinds of authentication differ.",
            Self::AuthenticationHeader => "It has an authentication header (AH), which is not spoken here.",
            Self::Password => "The password is wrong.",
            Self::NoHmac => "It is not signed, and must be.",
            Self::HmacForm => "The trailer cannot be read.",
            Self::HmacKey => "It is signed with a key that is not known here.",
            Self::Hmac => "The signature is wrong: forged, or changed on its way.",
            Self::Stale => "Its time is too far from ours: replayed, or the clocks differ.",
            Self::Replayed => "It, or a later one, was here before.",
        }
    }

    fn place(self) -> usize {
        Self::ALL.iter().position(|&reason| reason == self).unwrap_or_default()
    }
}

/// How many adverts were rejected, by reason.
#[derive(Debug, Default)]
pub struct Rejects([AtomicU64; Reject::ALL.len()]);

impl Rejects {
    /// Counts one more; says how many of this reason there have been.
    pub fn count(&self, reason: Reject) -> u64 {
        self.0.get(reason.place()).map_or(0, |count| count.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Each reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Reject, u64)> {
        Reject::ALL.into_iter().zip(&self.0).map(|(reason, count)| (reason, count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_has_a_name_and_a_counter_of_its_own() {
        let names: BTreeSet<&str> = Reject::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(names.len(), Reject::ALL.len());
        let rejects = Rejects::default();
        for (number, reason) in (1..).zip(Reject::ALL) {
            for _ in 0..number {
                rejects.count(reason);
            }
        }
        let counts: Vec<u64> = rejects.iter().map(|(_, count)| count).collect();
        assert_eq!(counts, (1..=24).collect::<Vec<u64>>());
    }
}
