//! `DNS_CHECK` against a name server that answers as it is told.

use super::*;
use crate::server;
use lvs_health::declared::DnsType;

fn soa() -> CheckKind {
    CheckKind::Dns { kind: DnsType::Soa, name: "example.org".to_owned() }
}

/// The question turned into an answer without records, with this code.
fn answer(question: &[u8], code: u8) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2] |= 0x80;
    answer[3] = code;
    answer
}

#[test]
fn an_answer_without_an_error_is_enough() {
    let server = server::udp(|question| vec![answer(question, 0)]);
    assert_eq!(attempt(soa(), server), Outcome::SUCCESS);
}

#[test]
fn the_question_is_the_one_that_was_asked_for() {
    let server = server::udp(|question| {
        // One question: example.org, MX, IN; recursion desired.
        let is_right = question[2] == 1 && question[12..] == *b"\x07example\x03org\0\x00\x0f\x00\x01";
        vec![answer(question, u8::from(!is_right))]
    });
    let kind = CheckKind::Dns { kind: DnsType::Mx, name: "example.org".to_owned() };
    assert_eq!(attempt(kind, server), Outcome::SUCCESS);
    let root = server::udp(|question| vec![answer(question, u8::from(question[12..] != *b"\0\0\x06\0\x01"))]);
    assert_eq!(attempt(CheckKind::Dns { kind: DnsType::Soa, name: ".".to_owned() }, root), Outcome::SUCCESS);
}

#[test]
fn an_error_fails_and_says_which() {
    let server = server::udp(|question| vec![answer(question, 2)]);
    let outcome = attempt(soa(), server);
    assert!(
        matches!(&outcome, Outcome::Failure(Failure::Answer(why)) if why.contains("Server")),
        "{outcome:?}"
    );
}

#[test]
fn an_answer_to_somebody_elses_question_is_passed_over() {
    let other = |question: &[u8]| {
        let mut other = answer(question, 2);
        other[0] ^= 0xff;
        other
    };
    let both = server::udp(move |question| vec![other(question), answer(question, 0)]);
    assert_eq!(attempt(soa(), both), Outcome::SUCCESS);
    assert_eq!(attempt(soa(), server::udp(move |question| vec![other(question)])), timed_out());
}

#[test]
fn an_answer_that_comes_too_late_is_none() {
    let late = server::udp(|question| {
        std::thread::sleep(PATIENCE + Duration::from_millis(200));
        vec![answer(question, 0)]
    });
    assert_eq!(attempt(soa(), late), timed_out());
}

#[test]
fn answers_without_end_are_listened_to_no_longer_than_asked() {
    let other = |question: &[u8]| [&[!question[0]], &answer(question, 0)[1..]].concat();
    assert_eq!(attempt(soa(), server::babbling(move |question| other(question))), timed_out());
    let long = server::udp(|question| vec![[answer(question, 0), vec![0xff; 60_000]].concat()]);
    let outcome = attempt(soa(), long);
    assert!(
        matches!(outcome, Outcome::Success { .. } | Outcome::Failure(Failure::Malformed(_))),
        "{outcome:?}"
    );
}

#[test]
fn what_is_no_name_server_fails() {
    assert_eq!(attempt(soa(), server::nobody()), failed(Failure::Refused));
    assert_eq!(attempt(soa(), server::udp(|_| Vec::new())), timed_out());
    for wrong in [
        |question: &[u8]| question.to_vec(),
        |question: &[u8]| [&question[..2], &[0xff; 40]].concat(),
        |question: &[u8]| answer(question, 0)[..14].to_vec(),
        |question: &[u8]| {
            let mut other = answer(question, 0);
            other[13] ^= b'X';
            other
        },
    ] {
        let outcome = attempt(soa(), server::udp(move |question| vec![wrong(question)]));
        assert!(matches!(outcome, Outcome::Failure(Failure::Malformed(_))), "{outcome:?}");
    }
}
