//! The trailer of `auth_hmac` (draft-cassen-vrrp-auth-hmac, as keepalived sends it from 2.4.2 on).
//!
//! ```text
//! +---------------+---------------+-------------------------------+
//! |   kind (1)    |      key      |           reserved            |
//! +---------------+---------------+-------------------------------+
//! |                            seconds                            |
//! +-------------------------------+-------------------------------+
//! |          1/65536 s            |            counter            |
//! +-------------------------------+-------------------------------+
//! |     the first 16 bytes of the HMAC with SHA-256               |
//! +---------------------------------------------------------------+
//! ```

use crate::Reject;

/// The trailer's length.
pub(crate) const LENGTH: usize = 28;
/// The HMAC's length in it.
pub(crate) const HMAC: usize = 16;
/// HMAC with SHA-256, cut to 128 bits.
const SHA256: u8 = 1;

/// A trailer as it came: nothing of it is proven yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// The key's number.
    pub key: u8,
    /// Seconds, fraction and counter, in this order from the top: it grows with every advert.
    pub sequence: u64,
    /// The HMAC.
    pub hmac: [u8; HMAC],
}

impl Trailer {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Reject> {
        let (head, hmac) = bytes.split_first_chunk::<12>().ok_or(Reject::HmacForm)?;
        let (&[kind, key, reserved_high, reserved_low], sequence) =
            head.split_first_chunk::<4>().ok_or(Reject::HmacForm)?;
        if kind != SHA256 || reserved_high != 0 || reserved_low != 0 {
            return Err(Reject::HmacForm);
        }
        let sequence = u64::from_be_bytes(*sequence.first_chunk().ok_or(Reject::HmacForm)?);
        Ok(Self { key, sequence, hmac: *hmac.first_chunk().ok_or(Reject::HmacForm)? })
    }

    /// What stands before the HMAC.
    pub(crate) fn head(key: u8, sequence: u64) -> [u8; LENGTH - HMAC] {
        let mut head = [SHA256, key, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        if let Some(field) = head.last_chunk_mut() {
            *field = sequence.to_be_bytes();
        }
        head
    }
}
