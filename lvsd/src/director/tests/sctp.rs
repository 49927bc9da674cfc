//! SCTP: what begins an association, its states, and the checksum of what is translated.

use std::net::SocketAddr;
use std::time::Duration;

use lvs_conntrack::Proto;
use lvs_forward::Verdict;

use super::frames::ip;
use super::scene::{INSIDE, OUTSIDE, Scene, at, client};

const VIP: &str = "203.0.113.1:3868";
const RIP: &str = "10.0.0.11:3869";

const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;
const SHUTDOWN_ACK: u8 = 8;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;
const SHUTDOWN_COMPLETE: u8 = 14;

/// The checksum of SCTP, a bit at a time.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

fn sctp(from: SocketAddr, to: SocketAddr, chunk: u8) -> Vec<u8> {
    bundle(from, to, &[chunk])
}

/// A packet with these chunks.
fn bundle(from: SocketAddr, to: SocketAddr, chunks: &[u8]) -> Vec<u8> {
    let mut bytes = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    bytes.extend([0, 0, 0, 9, 0, 0, 0, 0]);
    for chunk in chunks {
        bytes.extend([*chunk, 0, 0, 7, 1, 2, 3, 4]);
    }
    let crc = crc32c(&bytes);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    ip(from.ip(), to.ip(), Proto::SCTP, &bytes)
}

/// True when the packet's checksum is right.
fn is_sound(frame: &[u8]) -> bool {
    let mut bytes = frame[34..].to_vec();
    let crc = u32::from_le_bytes(*bytes[8..].first_chunk().unwrap());
    bytes[8..12].fill(0);
    crc == crc32c(&bytes)
}

fn one() -> Scene {
    Scene::new(&[&format!("-A --sctp-service {VIP} -s rr"), &format!("-a --sctp-service {VIP} -r {RIP} -m")])
}

#[test]
fn an_association_goes_through_its_states_and_is_translated_both_ways() {
    let mut scene = one();
    let cip = client(7, 4000);
    let steps = [
        (true, INIT, "INIT1", 0),
        (false, INIT_ACK, "C-SENT", 0),
        (true, COOKIE_ECHO, "C-REPLIED", 0),
        (false, COOKIE_ACK, "ESTABLISHED", 1),
        (true, DATA, "ESTABLISHED", 1),
        (true, SHUTDOWN, "S-RECEIVED", 0),
        (false, SHUTDOWN_ACK, "S-ACK-SENT", 0),
        (true, SHUTDOWN_COMPLETE, "CLOSED", 0),
    ];
    for (number, (from_client, chunk, state, active)) in steps.into_iter().enumerate() {
        let outcome = if from_client {
            let outcome = scene.client_sends(&sctp(cip, at(VIP), chunk));
            assert_eq!(outcome.verdict, Verdict::Send(INSIDE), "{number}");
            assert_eq!((outcome.headers().dst, outcome.headers().ports()), (at(RIP).ip(), (4000, 3869)));
            outcome
        } else {
            let outcome = scene.server_sends(&sctp(at(RIP), cip, chunk));
            assert_eq!(outcome.verdict, Verdict::Send(OUTSIDE), "{number}");
            assert_eq!((outcome.headers().src, outcome.headers().ports()), (at(VIP).ip(), (3868, 4000)));
            outcome
        };
        assert!(is_sound(&outcome.frame), "{number}");
        assert_eq!(scene.connections()[0].state, state, "{number}");
        assert_eq!(scene.counts(11), (active, 1 - active, 0), "{number}");
    }
    scene.pass(Duration::from_secs(62));
    assert!(scene.connections().is_empty());
    assert_eq!(scene.counts(11), (0, 0, 0));
}

#[test]
fn an_abort_behind_a_cookie_ends_the_association() {
    for (chunks, state) in [([COOKIE_ECHO, DATA], "C-REPLIED"), ([COOKIE_ECHO, ABORT], "CLOSED")] {
        let mut scene = one();
        scene.client_sends(&sctp(client(7, 4000), at(VIP), INIT));
        scene.server_sends(&sctp(at(RIP), client(7, 4000), INIT_ACK));
        let outcome = scene.client_sends(&bundle(client(7, 4000), at(VIP), &chunks));
        assert_eq!(outcome.verdict, Verdict::Send(INSIDE));
        assert_eq!(scene.connections()[0].state, state);
    }
}

#[test]
fn only_an_init_begins_an_association_unless_it_may_be_sloppy() {
    let mut scene = one();
    for chunk in [DATA, COOKIE_ECHO, ABORT] {
        assert_eq!(scene.client_sends(&sctp(client(7, 1), at(VIP), chunk)).verdict, Verdict::ToHost);
    }
    assert!(scene.connections().is_empty());
    scene.set("sloppy_sctp", "1");
    assert_eq!(
        scene.client_sends(&sctp(client(7, 1), at(VIP), ABORT)).verdict,
        Verdict::ToHost,
        "an end is none"
    );
    assert_eq!(scene.client_sends(&sctp(client(7, 1), at(VIP), DATA)).verdict, Verdict::Send(INSIDE));
    assert_eq!(scene.counts(11).0 + scene.counts(11).1, 1);
}

#[test]
fn a_service_of_sctp_is_not_one_of_tcp() {
    let mut scene = one();
    let other = super::frames::tcp(client(7, 1), at(VIP), super::frames::SYN);
    assert_eq!(scene.client_sends(&other).verdict, Verdict::ToHost);
}
