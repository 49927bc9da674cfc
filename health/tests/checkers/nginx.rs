//! `HTTP_GET` and `SSL_GET` against nginx, with and without TLS, by name and by address.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::server;
use lvs_health::declared::{HttpCheck, HttpProtocol, HttpUrl, Pattern, Sni, Tls};

/// A running nginx; dropping it ends it.
struct Nginx {
    process: Child,
    place: PathBuf,
    plain: SocketAddr,
    tls: SocketAddr,
}

impl Nginx {
    fn start(name: &str) -> Self {
        let place = std::env::temp_dir().join(format!("lvs-health-nginx-{name}-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        for host in ["one", "two"] {
            certificate(&place, host);
        }
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let (plain, tls) = (free(), free());
        let own = place.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "scgi", "uwsgi"]
            .map(|kind| format!("{kind}_temp_path {own}/{kind};"))
            .concat();
        let failing = failing();
        let server = |host: &str, default: &str| {
            format!(
                "server {{ listen {plain} {default}; listen {tls} ssl {default}; server_name {host}.example.org;\n\
                 ssl_certificate {own}/{host}.pem; ssl_certificate_key {own}/{host}.key;\n\
                 location = /who {{ return 200 \"{host} $ssl_server_name\\n\"; }}\n\
                 location = /broken {{ return 500; }} {failing} }}"
            )
        };
        let config = format!(
            "daemon off; pid {own}/pid; error_log {own}/error.log; worker_processes 1;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; default_type text/plain; {temporary}\n{}\n{} }}",
            server("one", "default_server"),
            server("two", "")
        );
        fs::write(place.join("nginx.conf"), config).unwrap();
        let process = Command::new("nginx")
            .args(["-p", &own.to_string(), "-e", &format!("{own}/error.log"), "-c"])
            .arg(place.join("nginx.conf"))
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is a Debian package");
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(tls).is_err() {
            assert!(Instant::now() < deadline, "{}", fs::read_to_string(place.join("error.log")).unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { process, place, plain, tls }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master takes its workers along when it is asked, not when it is killed.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.place);
    }
}

/// Pages that fail, whatever carries them.
fn failing() -> String {
    let endless = server::endless(true, "HTTP/1.1 200 OK\r\n\r\n", "and so on and on and on ");
    let proxied = [("hangs", server::silent()), ("endless", endless), ("nobody", server::nobody())];
    let location = |(name, at): (&str, SocketAddr)| {
        format!("location = /{name} {{ proxy_pass http://{at}/; proxy_buffering off; }}\n")
    };
    let slow = "x".repeat(1000);
    proxied.map(location).concat()
        + &format!(
            "location = /slow {{ limit_rate 100; return 200 \"{slow}\"; }} location = /gone {{ return 444; }}"
        )
}

fn certificate(place: &std::path::Path, host: &str) {
    let out = |kind: &str| place.join(format!("{host}.{kind}")).display().to_string();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", &format!("/CN={host}.example.org")])
        .args(["-addext", &format!("subjectAltName=DNS:{host}.example.org")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &out("key"), "-out", &out("pem")])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
}

fn page(tls: Option<Sni>, path: &str, virtualhost: Option<&str>, text: &str) -> CheckKind {
    let url = HttpUrl {
        path: path.to_owned(),
        virtualhost: virtualhost.map(str::to_owned),
        pattern: Some(Pattern { text: text.to_owned(), ..Pattern::default() }),
        ..HttpUrl::default()
    };
    CheckKind::Http(HttpCheck { tls, protocol: HttpProtocol::Http11, fast_recovery: false, urls: vec![url] })
}

#[test]
fn nginx_is_asked_with_and_without_tls() {
    let nginx = Nginx::start("both");
    let quiet = Some(Sni::default());
    assert_eq!(attempt(page(None, "/who", None, "^one"), nginx.plain), Outcome::SUCCESS);
    assert_eq!(attempt(page(quiet.clone(), "/who", None, "^one \n"), nginx.tls), Outcome::SUCCESS);
    assert_eq!(attempt(page(None, "/who", Some("two.example.org"), "^two"), nginx.plain), Outcome::SUCCESS);
    assert_eq!(attempt(page(None, "/broken", None, ""), nginx.plain), failed(Failure::Status(500)));
    assert_eq!(attempt(page(quiet, "/missing", None, ""), nginx.tls), failed(Failure::Status(404)));
}

#[test]
fn nginx_is_told_the_name_within_tls_that_was_asked_for() {
    let nginx = Nginx::start("sni");
    let named = |name: Option<&str>| Some(Sni { enabled: true, name: name.map(str::to_owned) });
    let host = Some("two.example.org");
    let two = page(named(None), "/who", host, "^two two.example.org");
    assert_eq!(attempt(two, nginx.tls), Outcome::SUCCESS);
    let one = page(named(Some("one.example.org")), "/who", None, "^one one.example.org");
    assert_eq!(attempt(one, nginx.tls), Outcome::SUCCESS);
    let quiet = Some(Sni { enabled: false, name: Some("two.example.org".to_owned()) });
    assert_eq!(attempt(page(quiet, "/who", None, "^one \n"), nginx.tls), Outcome::SUCCESS);
}

#[test]
fn a_certificate_is_looked_at_only_where_an_authority_is_named() {
    let nginx = Nginx::start("ca");
    let kind = || page(Some(Sni::default()), "/who", None, "^one");
    let with = |ca: &str| {
        let tls = Tls { ca: Some(nginx.place.join(ca)), ..Tls::default() };
        attempt_with(&Globals { tls, ..Globals::default() }, &check(kind(), nginx.tls), 0)
    };
    assert_eq!(with("one.pem"), Outcome::SUCCESS);
    assert!(matches!(with("two.pem"), Outcome::Failure(Failure::Tls(_))), "{:?}", with("two.pem"));
    assert!(matches!(with("none.pem"), Outcome::Failure(Failure::Unusable(_))));
}

#[test]
fn what_speaks_no_tls_fails() {
    let kind = || page(Some(Sni::default()), "/", None, "");
    assert_eq!(attempt(kind(), server::nobody()), failed(Failure::Refused));
    assert_eq!(attempt(kind(), server::silent()), timed_out());
    assert_eq!(attempt(kind(), server::resetting()), failed(Failure::Reset));
    let outcome = attempt(kind(), server::saying("HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert!(matches!(outcome, Outcome::Failure(Failure::Tls(_))), "{outcome:?}");
    let outcome = attempt(kind(), server::endless(true, "", "no TLS at all "));
    assert!(matches!(outcome, Outcome::Failure(_)), "{outcome:?}");
}

#[test]
fn nginx_fails_within_tls_as_a_server_can() {
    let nginx = Nginx::start("failing");
    let ask = |path: &str| attempt(page(Some(Sni::default()), path, None, "never"), nginx.tls);
    assert_eq!(ask("/hangs"), timed_out());
    assert_eq!(ask("/slow"), timed_out());
    assert_eq!(ask("/endless"), failed(Failure::TooLong(1 << 20)));
    assert_eq!(ask("/nobody"), failed(Failure::Status(502)));
    assert_eq!(ask("/gone"), failed(Failure::Closed));
    assert_eq!(ask("/who"), failed(Failure::Pattern(false)));
}

#[test]
fn a_handshake_that_comes_slowly_is_waited_for_no_longer_than_asked() {
    let kind = page(Some(Sni::default()), "/", None, "");
    // The head of a handshake's record, and what could follow.
    assert_eq!(attempt(kind, server::slow("\x16\x03\x03\x01\x00\x02\x00\x00 and so on and on")), timed_out());
}

#[test]
fn a_stopped_nginx_refuses() {
    let nginx = Nginx::start("stopped");
    let plain = nginx.plain;
    drop(nginx);
    assert_eq!(attempt(page(None, "/who", None, ""), plain), failed(Failure::Refused));
}
