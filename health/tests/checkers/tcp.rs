//! `TCP_CHECK`, and what all checks over TCP have in common; `PING_CHECK`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc;

use super::*;
use crate::server;
use lvs_health::declared::Bind;

#[test]
fn a_connection_is_enough() {
    assert_eq!(attempt(CheckKind::Tcp, server::silent()), Outcome::SUCCESS);
}

#[test]
fn a_closed_port_refuses() {
    assert_eq!(attempt(CheckKind::Tcp, server::nobody()), failed(Failure::Refused));
}

/// A listener whose queue is full drops what comes.
#[test]
fn a_server_that_does_not_answer_is_waited_for_no_longer_than_asked() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener: TcpListener = socket.into();
    let address = listener.local_addr().unwrap();
    let _fill: Vec<_> =
        (0..2).map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100))).collect();
    assert_eq!(attempt(CheckKind::Tcp, address), timed_out());
}

#[test]
fn a_check_comes_from_where_it_is_told() {
    let (tell, told) = mpsc::channel();
    let address = server::tcp(move |stream| tell.send(stream.peer_addr().unwrap()).unwrap());
    let mut check = check(CheckKind::Tcp, address);
    let own = IpAddr::from([127, 0, 0, 77]);
    check.endpoint.bind = Bind { address: Some(own), ..Bind::default() };
    assert_eq!(attempt_with(&Globals::default(), &check, 0), Outcome::SUCCESS);
    assert_eq!(told.recv().unwrap().ip(), own);
}

#[test]
fn an_address_that_is_not_ours_is_our_own_mistake() {
    let mut check = check(CheckKind::Tcp, server::silent());
    check.endpoint.bind = Bind { address: Some([203, 0, 113, 1].into()), ..Bind::default() };
    assert!(matches!(attempt_with(&Globals::default(), &check, 0), Outcome::Failure(Failure::Host(_))));
}

/// Without privilege the kernel must let this group ping; where it does not, nothing can be said.
#[test]
fn an_echo_is_answered() {
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let outcome = attempt(CheckKind::Ping, host.parse().unwrap());
        if let Outcome::Failure(Failure::Host(error)) = outcome {
            eprintln!("SKIPPED: no ping here: {error}");
        } else {
            assert_eq!(outcome, Outcome::SUCCESS, "{host}");
        }
    }
}
