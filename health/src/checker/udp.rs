//! `UDP_CHECK`: a datagram is answered or, where no answer is wanted, not refused.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::timeout;

use super::{Failure, Target, socket};
use crate::declared::{Reply, UdpCheck};

/// The longest datagram there is.
const LONGEST: usize = 65_535;

/// Sends, and waits for `patience`: for the reply, or for ICMP to say that nobody is there.
pub(super) async fn check(target: &Target<'_>, check: &UdpCheck, patience: Duration) -> Result<(), Failure> {
    let socket = target.datagrams().await?;
    let payload = check.payload.clone().unwrap_or_else(random);
    socket.send(&payload).await.map_err(|error| socket::failure(&error))?;
    let mut reply = vec![0; LONGEST];
    match (timeout(patience, socket.recv(&mut reply)).await, &check.reply) {
        (Ok(Err(error)), _) => Err(socket::failure(&error)),
        (Err(_), Some(_)) => Err(Failure::Timeout(patience)),
        (Ok(Ok(length)), Some(wanted)) => judge(reply.get(..length).unwrap_or_default(), wanted),
        (Ok(Ok(_)) | Err(_), None) => Ok(()),
    }
}

fn judge(reply: &[u8], wanted: &Reply) -> Result<(), Failure> {
    let length = reply.len();
    if length < usize::from(wanted.min_length) || length > usize::from(wanted.max_length) {
        return Err(Failure::Malformed(format!("a reply of {length} bytes")));
    }
    match reply.iter().zip(&wanted.pattern).position(|(byte, wanted)| !wanted.matches(*byte)) {
        None => Ok(()),
        Some(place) => Err(Failure::Malformed(format!("the reply's byte {place} is another"))),
    }
}

/// Some bytes, where it does not matter which.
fn random() -> Vec<u8> {
    let seed = RandomState::new();
    (0..4).flat_map(|number: u8| seed.hash_one(number).to_be_bytes()).collect()
}
