//! `SMTP_CHECK` against a mail server, and against servers that are none.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::*;
use crate::server;

fn helo() -> CheckKind {
    CheckKind::Smtp { helo_name: "director.example.org".to_owned() }
}

/// A mail server that greets and answers HELO as it is told.
fn mail(greeting: &'static str, answer: &'static str) -> SocketAddr {
    server::tcp(move |stream: TcpStream| {
        let mut writer = stream.try_clone().unwrap();
        let _ = writer.write_all(greeting.as_bytes());
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let reply = match line.as_str() {
                "HELO director.example.org" => answer,
                "QUIT" => "221 bye\r\n",
                _ => "500 what?\r\n",
            };
            if writer.write_all(reply.as_bytes()).is_err() {
                break;
            }
        }
    })
}

#[test]
fn a_mail_server_greets_and_takes_a_helo() {
    assert_eq!(attempt(helo(), mail("220 mail\r\n", "250 mail\r\n")), Outcome::SUCCESS);
    let wordy =
        mail("220-mail\r\n220-has much to say\r\n220 at length\r\n", "250-mail\r\n250 PIPELINING\r\n");
    assert_eq!(attempt(helo(), wordy), Outcome::SUCCESS);
}

#[test]
fn a_mail_server_that_cannot_says_why() {
    let busy = attempt(helo(), mail("421 too busy\r\n", ""));
    assert_eq!(busy, failed(Failure::Answer("421 too busy".to_owned())));
    let rude = attempt(helo(), mail("220 mail\r\n", "550 not you\r\n"));
    assert_eq!(rude, failed(Failure::Answer("550 not you".to_owned())));
}

#[test]
fn what_is_no_mail_server_fails() {
    assert_eq!(attempt(helo(), server::nobody()), failed(Failure::Refused));
    assert_eq!(attempt(helo(), server::silent()), timed_out());
    assert_eq!(attempt(helo(), server::slow("220 mail server that takes its time\r\n")), timed_out());
    let hung = mail("220 mail\r\n", "");
    assert_eq!(attempt(helo(), hung), timed_out());
    assert!(matches!(
        attempt(helo(), mail("HTTP/1.1 400 Bad Request\r\n", "")),
        Outcome::Failure(Failure::Malformed(_))
    ));
    let closes = server::tcp(|mut stream| stream.write_all(b"220 ma").unwrap());
    assert_eq!(attempt(helo(), closes), failed(Failure::Closed));
    let resets = server::tcp(|stream| server::reset(&stream));
    assert_eq!(attempt(helo(), resets), failed(Failure::Reset));
    let resets_late = server::tcp(|mut stream| {
        stream.write_all(b"220 mail\r\n").unwrap();
        let _ = stream.read(&mut [0; 512]);
        server::reset(&stream);
    });
    assert_eq!(attempt(helo(), resets_late), failed(Failure::Reset));
}

#[test]
fn a_greeting_without_end_is_read_only_so_far() {
    let lines = attempt(helo(), server::endless(false, "", "220-and so on\r\n"));
    let line = attempt(helo(), server::endless(false, "220 ", "and so on "));
    assert_eq!((lines, line), (failed(Failure::TooLong(16 << 10)), failed(Failure::TooLong(16 << 10))));
}
