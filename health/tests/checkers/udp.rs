//! `UDP_CHECK`, with and without a reply.

use super::*;
use crate::server;
use lvs_health::declared::{MaskedByte, Reply, UdpCheck};

fn without_reply() -> CheckKind {
    CheckKind::Udp(UdpCheck { payload: Some(b"hello".to_vec()), reply: None })
}

fn with(reply: Reply) -> CheckKind {
    CheckKind::Udp(UdpCheck { payload: Some(b"hello".to_vec()), reply: Some(reply) })
}

fn pattern(bytes: &[(u8, u8)]) -> Vec<MaskedByte> {
    bytes.iter().map(|&(value, mask)| MaskedByte { value, mask }).collect()
}

#[test]
fn silence_is_consent_where_no_reply_is_asked_for() {
    assert_eq!(attempt(without_reply(), server::udp(|_| Vec::new())), Outcome::SUCCESS);
    assert_eq!(attempt(without_reply(), server::nobody()), failed(Failure::Refused));
}

#[test]
fn a_reply_that_is_asked_for_must_come() {
    let echo = server::udp(|bytes| vec![bytes.to_vec()]);
    assert_eq!(attempt(with(Reply::default()), echo), Outcome::SUCCESS);
    assert_eq!(attempt(with(Reply::default()), server::udp(|_| Vec::new())), timed_out());
    assert_eq!(attempt(with(Reply::default()), server::nobody()), failed(Failure::Refused));
}

#[test]
fn a_reply_is_looked_at_as_far_as_was_asked() {
    let echo = server::udp(|bytes| vec![bytes.to_vec()]);
    let is_fine = |reply: Reply| attempt(with(reply), echo) == Outcome::SUCCESS;
    let like = |bytes: &[(u8, u8)]| Reply { pattern: pattern(bytes), ..Reply::default() };
    assert!(is_fine(like(&[(b'h', 0xff), (b'E', 0x0f), (0, 0)])));
    assert!(!is_fine(like(&[(b'h', 0xff), (b'x', 0xff)])));
    assert!(is_fine(like(b"hello, and more".map(|byte| (byte, 0xff)).as_slice())));
    assert!(is_fine(Reply { min_length: 5, max_length: 5, pattern: Vec::new() }));
    assert!(!is_fine(Reply { min_length: 6, max_length: 255, pattern: Vec::new() }));
    assert!(!is_fine(Reply { min_length: 0, max_length: 4, pattern: Vec::new() }));
}

#[test]
fn a_reply_that_comes_too_late_is_none() {
    let late = server::udp(|bytes| {
        std::thread::sleep(PATIENCE + Duration::from_millis(200));
        vec![bytes.to_vec()]
    });
    assert_eq!(attempt(with(Reply::default()), late), timed_out());
    assert_eq!(attempt(without_reply(), late), Outcome::SUCCESS);
}

#[test]
fn a_reply_as_long_as_can_be_is_measured_to_its_end() {
    let long = server::udp(|_| vec![vec![b'x'; 65_507]]);
    let any = Reply { max_length: u16::MAX, ..Reply::default() };
    assert_eq!(attempt(with(any), long), Outcome::SUCCESS);
    let shorter = Reply { max_length: 65_506, ..Reply::default() };
    assert!(matches!(attempt(with(shorter), long), Outcome::Failure(Failure::Malformed(_))));
    assert_eq!(attempt(with(Reply::default()), server::babbling(<[u8]>::to_vec)), Outcome::SUCCESS);
}

#[test]
fn without_a_payload_something_is_sent_all_the_same() {
    let server = server::udp(|bytes| vec![vec![0; usize::from(bytes.len() == 32)]]);
    let reply = Some(Reply { min_length: 1, ..Reply::default() });
    assert_eq!(attempt(CheckKind::Udp(UdpCheck { payload: None, reply }), server), Outcome::SUCCESS);
}
