//! The program `lvsadm` itself, against a control socket.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

#[path = "net/place.rs"]
mod place;

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use place::Place;

use lvsd::{
    control::Server,
    message::{Request, Response, ServiceId, ServiceListing, Stats, Transport, VirtualService},
};

fn services(count: u32) -> Response {
    let services = (0..count).map(|n| ServiceListing {
        service: VirtualService {
            id: ServiceId::Address {
                transport: Transport::Tcp,
                vip: IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n)),
                port: 80,
            },
            scheduler: "wlc".to_owned(),
            flags: 0,
            persistent: None,
            netmask: 32,
            persistence_engine: None,
            one_packet: false,
        },
        stats: Stats::default(),
        servers: Vec::new(),
    });
    Response::Services { services: services.collect() }
}

/// Answers until the program ends; its output, and what it asked.
#[allow(clippy::wildcard_enum_match_arm, reason = "every change gets the same answer")]
fn finish(mut child: Child, server: &mut Server, count: u32) -> (Output, Vec<Request>) {
    let mut asked = Vec::new();
    let deadline = Instant::now() + Duration::from_mins(1);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "lvsadm did not end");
        server.serve_for(Duration::from_millis(10), &mut |request| {
            let answer = match &request {
                Request::List { .. } => services(count),
                _ => Response::Done,
            };
            asked.push(request);
            answer
        });
    }
    (child.wait_with_output().unwrap(), asked)
}

fn lvsadm(program: &Path, socket: &Path, args: &[&str]) -> Child {
    Command::new(program)
        .env("LVSD_SOCKET", socket)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_lvsadm");

#[test]
fn under_the_name_ipvsadm_it_does_and_says_the_same() {
    let place = Place::new();
    let mut server = Server::bind(&place.socket()).unwrap();
    let renamed = place.path().join("ipvsadm");
    std::os::unix::fs::symlink(PROGRAM, &renamed).unwrap();
    for args in [&["-Ln"][..], &["-X"], &["-A"], &["-C"], &[]] {
        let (one, asked) = finish(lvsadm(Path::new(PROGRAM), &place.socket(), args), &mut server, 1);
        let (other, asked_too) = finish(lvsadm(&renamed, &place.socket(), args), &mut server, 1);
        assert_eq!(one, other, "{args:?}");
        assert_eq!(asked, asked_too, "{args:?}");
    }
}

#[test]
fn rules_go_from_standard_input_to_the_daemon_in_their_order() {
    let place = Place::new();
    let mut server = Server::bind(&place.socket()).unwrap();
    let mut child = lvsadm(Path::new(PROGRAM), &place.socket(), &["-R"]);
    child.stdin.take().unwrap().write_all(b"-C\n-A -t 10.0.0.1:80 -s rr\n-Z\n").unwrap();
    let (output, asked) = finish(child, &mut server, 0);
    assert!(output.status.success());
    assert_eq!(asked.len(), 3);
    assert_eq!((&asked[0], &asked[2]), (&Request::Flush, &Request::Zero { id: None }));
}

#[test]
fn a_reader_that_goes_away_is_no_reason_to_complain() {
    let place = Place::new();
    let mut server = Server::bind(&place.socket()).unwrap();
    let mut child = lvsadm(Path::new(PROGRAM), &place.socket(), &["-Ln"]);
    drop(child.stdout.take());
    let (output, _) = finish(child, &mut server, 50_000);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn without_a_daemon_it_says_where_it_looked_and_what_to_start() {
    let place = Place::new();
    let named = place.path().join("named.sock");
    let option = format!("--socket={}", named.display());
    for args in [&["-Ln"][..], &["-Ln", option.as_str()]] {
        let child = lvsadm(Path::new(PROGRAM), &place.socket(), args);
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        let socket = if args.len() > 1 { named.clone() } else { place.socket() };
        assert_eq!(output.status.code(), Some(255));
        assert!(err.contains(&socket.display().to_string()) && err.contains("lvsd run"), "{err}");
    }
}

#[test]
#[ignore = "needs root"]
fn a_stranger_is_refused_by_the_sockets_mode_and_by_the_daemon_itself() {
    let place = Place::new();
    let mut server = Server::bind(&place.socket()).unwrap();
    let program = place.path().join("lvsadm");
    std::fs::copy(PROGRAM, &program).unwrap();
    for mode in [0o660, 0o666] {
        std::fs::set_permissions(place.socket(), std::fs::Permissions::from_mode(mode)).unwrap();
        let child = Command::new(&program)
            .env("LVSD_SOCKET", place.socket())
            .arg("-C")
            .uid(65534)
            .gid(65534)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (output, asked) = finish(child, &mut server, 0);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), &*err),
            (Some(255), "Permission denied (you must be root)\n"),
            "{mode:o}"
        );
        assert_eq!(asked, []);
    }
}
