//! Servers that say anything at all: an attempt ends, in time, with one word or the other.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::server;
use lvs_health::declared::{HttpCheck, HttpProtocol, HttpUrl, Pattern, Reply, Sni, UdpCheck};

/// How many different things a server says.
const CASES: u32 = 200;

/// Runs attempts of a check against a server that says each time something else: one of these beginnings, and what chance
/// adds. How often it was asked.
fn say_anything(kind: &CheckKind, beginnings: &'static [&'static [u8]], is_udp: bool) -> usize {
    let next = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::new(AtomicUsize::new(0));
    let (said, counted) = (Arc::clone(&next), Arc::clone(&asked));
    let address = if is_udp {
        server::udp(move |question| {
            counted.fetch_add(1, Ordering::Relaxed);
            // A name server's answer begins with the question's number; without it nobody would look further.
            vec![[&question[..2], &said.lock()[..]].concat()]
        })
    } else {
        server::tcp(move |mut stream| {
            counted.fetch_add(1, Ordering::Relaxed);
            let bytes = said.lock().clone();
            let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&bytes);
        })
    };
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let chance = (0..beginnings.len(), vec(any::<u8>(), 0..600));
    let outcome = TestRunner::new(config).run(&chance, |(beginning, rest)| {
        *next.lock() = [beginnings[beginning], &rest].concat();
        attempt(kind.clone(), address);
        Ok(())
    });
    assert_eq!(outcome, Ok(()));
    asked.load(Ordering::Relaxed)
}

fn page(tls: Option<Sni>) -> CheckKind {
    let pattern = Some(Pattern { text: "x+y".to_owned(), ..Pattern::default() });
    let url = HttpUrl { pattern, digest: Some([0; 16]), ..HttpUrl::default() };
    CheckKind::Http(HttpCheck { tls, protocol: HttpProtocol::Http11, fast_recovery: false, urls: vec![url] })
}

fn assert_asked(kind: &CheckKind, beginnings: &'static [&'static [u8]], is_udp: bool) {
    let asked = say_anything(kind, beginnings, is_udp);
    assert!(asked >= CASES as usize, "{asked}");
}

#[test]
fn over_http() {
    let beginnings: &[&[u8]] = &[
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n80\r\n",
    ];
    assert_asked(&page(None), beginnings, false);
}

#[test]
fn over_tls() {
    // A handshake's record with a ServerHello, an alert, application data.
    let beginnings: &[&[u8]] = &[
        b"",
        b"\x16\x03\x03\x01\x00\x02\x00\x00\xfc\x03\x03",
        b"\x15\x03\x03\x00\x02",
        b"\x17\x03\x03\x01\x00",
    ];
    assert_asked(&page(Some(Sni::default())), beginnings, false);
}

#[test]
fn over_smtp() {
    let beginnings: &[&[u8]] = &[b"", b"220", b"220-", b"220 mail\r\n250", b"220 mail\r\n250 mail\r\n"];
    assert_asked(&CheckKind::Smtp { helo_name: "me".to_owned() }, beginnings, false);
}

#[test]
fn over_dns() {
    // Answers with one question, with a record too, with many of everything.
    let beginnings: &[&[u8]] = &[
        b"",
        b"\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00\x00",
        b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00\x06\x00\x01\xc0\x0c",
        b"\x81\x80\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    let kind = CheckKind::Dns { kind: lvs_health::declared::DnsType::Soa, name: ".".to_owned() };
    assert_asked(&kind, beginnings, true);
}

#[test]
fn over_udp() {
    assert_asked(&CheckKind::Udp(UdpCheck { payload: None, reply: Some(Reply::default()) }), &[b""], true);
}
