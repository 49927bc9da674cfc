//! How adverts prove where they come from.

use std::fmt;
use std::time::Duration;

/// What an instance's adverts carry as proof.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Authentication {
    /// Nothing.
    #[default]
    None,
    /// The password of VRRPv2 in plain text (`auth_type PASS`): the first eight bytes count.
    Password(String),
    /// A trailer with an HMAC (`auth_hmac`), version 2 or 3.
    Hmac(HmacSettings),
}

/// The trailer's keys and how strictly it is asked for (draft-cassen-vrrp-auth-hmac).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HmacSettings {
    /// The keys that are accepted, each with an id of its own.
    pub keys: Vec<HmacKey>,
    /// The id of the key that adverts are sent with.
    pub active_key: u8,
    /// What is asked for and sent.
    pub mode: HmacMode,
    /// What a replayed advert is known by.
    pub anti_replay: AntiReplay,
    /// How far an advert's time may be from ours, 1 to 300 s; the larger of three intervals and 5 s when absent.
    pub window: Option<Duration>,
}

/// A key that adverts are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct HmacKey {
    /// Its number, 1 to 255.
    pub id: u8,
    /// The secret, 32 to 64 bytes.
    pub secret: Vec<u8>,
}

/// Secrets are not printed.
impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HmacKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What is asked of adverts, and put on our own: the three steps of a roll-out, from its end to its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HmacMode {
    /// Signs, and accepts nothing that is not signed.
    #[default]
    Enforce,
    /// Signs, and accepts also what has no trailer.
    Permissive,
    /// Does not sign; accepts also what has no trailer.
    ReceiveOnly,
}

/// What a replayed advert is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AntiReplay {
    /// Its time is outside the window or not after the last one's: clocks must agree.
    #[default]
    Time,
    /// Its sequence is not after the last one's: clocks need not agree.
    Monotonic,
}
