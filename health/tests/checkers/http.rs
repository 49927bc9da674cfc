//! `HTTP_GET` against servers that misbehave.

use super::*;
use crate::server;
use lvs_health::declared::{HttpCheck, HttpProtocol, HttpUrl, Pattern};

pub fn of(urls: Vec<HttpUrl>) -> CheckKind {
    CheckKind::Http(HttpCheck { tls: None, protocol: HttpProtocol::Http11, fast_recovery: false, urls })
}

fn page() -> CheckKind {
    of(vec![HttpUrl::default()])
}

fn matching(text: &str) -> Pattern {
    Pattern { text: text.to_owned(), ..Pattern::default() }
}

fn with(pattern: Pattern) -> CheckKind {
    of(vec![HttpUrl { pattern: Some(pattern), ..HttpUrl::default() }])
}

const HEAD: &str = "HTTP/1.1 200 OK\r\n\r\n";
const BODY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nstatus: all ok\n";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nstatus:\r\n8\r\n all ok\n\r\n0\r\n\r\n";
/// MD5 of `status: all ok` and a newline, by md5sum.
const DIGEST: &str = "438ba71ef32f90944f0a582cb19b58df";

#[test]
fn a_page_that_is_as_it_should_be_is_enough() {
    for text in [BODY, CHUNKED, "HTTP/1.0 204 No Content\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nuntil the end"] {
        assert_eq!(attempt(page(), server::saying(text)), Outcome::SUCCESS, "{text}");
    }
}

#[test]
fn a_status_that_is_not_wanted_fails_and_says_which() {
    let broken = server::saying("HTTP/1.1 503 Gone for lunch\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(attempt(page(), broken), failed(Failure::Status(503)));
    let wanted = HttpUrl { status: vec![200..=299, 503..=503], ..HttpUrl::default() };
    assert_eq!(attempt(of(vec![wanted]), broken), Outcome::SUCCESS);
}

#[test]
fn an_expression_is_looked_for_in_the_whole_body() {
    for text in [BODY, CHUNKED] {
        let server = server::saying(text);
        assert_eq!(attempt(with(matching("all ok$")), server), failed(Failure::Pattern(false)));
        assert_eq!(attempt(with(matching("status: all ok\n$")), server), Outcome::SUCCESS);
        let unwanted = Pattern { no_match: true, ..matching("all") };
        assert_eq!(attempt(with(unwanted), server), failed(Failure::Pattern(true)));
        let late = Pattern { min_offset: 9, ..matching("all") };
        assert_eq!(attempt(with(late), server), failed(Failure::Pattern(false)));
        let early = Pattern { max_offset: Some(7), ..matching("all") };
        assert_eq!(attempt(with(early), server), failed(Failure::Pattern(false)));
        let within = Pattern { min_offset: 8, max_offset: Some(8), ..matching("all") };
        assert_eq!(attempt(with(within), server), Outcome::SUCCESS);
    }
}

#[test]
fn another_page_has_another_digest() {
    let with = |digest| of(vec![HttpUrl { digest: Some(digest), ..HttpUrl::default() }]);
    let Outcome::Failure(Failure::Digest(found)) = attempt(with([7; 16]), server::saying(CHUNKED)) else {
        panic!("the digest was taken for right");
    };
    let bytes: Vec<u8> =
        (0..32).step_by(2).map(|at| u8::from_str_radix(&found[at..at + 2], 16).unwrap()).collect();
    assert_eq!(found, DIGEST);
    assert_eq!(attempt(with(bytes.try_into().unwrap()), server::saying(BODY)), Outcome::SUCCESS);
}

#[test]
fn a_server_that_refuses_hangs_or_resets_fails() {
    assert_eq!(attempt(page(), server::nobody()), failed(Failure::Refused));
    assert_eq!(attempt(page(), server::silent()), timed_out());
    assert_eq!(attempt(page(), server::resetting()), failed(Failure::Reset));
}

#[test]
fn an_answer_that_is_none_fails() {
    let outcome = attempt(page(), server::saying("220 mail.example.org ESMTP\r\n"));
    assert!(matches!(outcome, Outcome::Failure(Failure::Malformed(_))), "{outcome:?}");
    assert_eq!(attempt(page(), server::saying("")), failed(Failure::Closed));
    let cut = server::saying("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    let outcome = attempt(page(), cut);
    assert!(matches!(outcome, Outcome::Failure(Failure::Closed | Failure::Malformed(_))), "{outcome:?}");
}

#[test]
fn an_answer_that_comes_slowly_or_stops_is_waited_for_no_longer_than_asked() {
    assert_eq!(attempt(page(), server::slow(BODY)), timed_out());
    let stops = server::tcp(|mut stream| {
        use std::io::Write;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this").unwrap();
        std::thread::sleep(Duration::from_secs(3));
    });
    assert_eq!(attempt(page(), stops), timed_out());
}

#[test]
fn an_answer_without_end_is_read_only_so_far() {
    let endless = server::endless(true, HEAD, "and so on and on and on ");
    let outcome = attempt(page(), endless);
    assert!(matches!(outcome, Outcome::Success { .. }), "the status was all that was asked for: {outcome:?}");
    assert_eq!(attempt(with(matching("never")), endless), failed(Failure::TooLong(1 << 20)));
    let head = server::endless(true, "HTTP/1.1 200 OK\r\n", "X-And-So-On: and on\r\n");
    assert!(matches!(attempt(page(), head), Outcome::Failure(_)));
    let chunk =
        server::endless(true, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "ffffffffffffffff");
    assert!(matches!(attempt(page(), chunk), Outcome::Failure(_)));
}

#[test]
fn the_request_says_what_was_asked_for() {
    use std::io::{Read, Write};
    let (tell, told) = std::sync::mpsc::channel();
    let server = server::tcp(move |mut stream| {
        let mut text = [0; 2048];
        let length = stream.read(&mut text).unwrap();
        tell.send(String::from_utf8_lossy(&text[..length]).into_owned()).unwrap();
        stream.write_all(BODY.as_bytes()).unwrap();
    });
    let request = |protocol, virtualhost: Option<&str>| {
        let url = HttpUrl {
            path: "/alive?x=1".to_owned(),
            virtualhost: virtualhost.map(str::to_owned),
            ..HttpUrl::default()
        };
        let check = HttpCheck { tls: None, protocol, fast_recovery: false, urls: vec![url] };
        assert_eq!(attempt(CheckKind::Http(check), server), Outcome::SUCCESS);
        told.recv().unwrap().to_lowercase()
    };
    let plain = request(HttpProtocol::Http10, None);
    assert!(plain.starts_with("get /alive?x=1 http/1.0\r\n"), "{plain}");
    assert!(plain.contains(&format!("host: {server}\r\n")), "{plain}");
    assert!(!plain.contains("connection: close"), "{plain}");
    let closing = request(HttpProtocol::Http10Close, Some("www.example.org"));
    assert!(closing.contains("http/1.0\r\n") && closing.contains("connection: close\r\n"), "{closing}");
    assert!(closing.contains("host: www.example.org\r\n"), "{closing}");
    assert!(request(HttpProtocol::Http11, None).contains(" http/1.1\r\n"));
}
