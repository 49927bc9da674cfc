//! What clients do that curl does not: datagrams, and a thousand connections at once.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use lvsd::lab::namespace::Namespace;

const PATIENCE: Duration = Duration::from_secs(15);

/// Sends a datagram; who sent it back.
pub fn ask_udp(host: &Namespace, service: SocketAddr, text: &str) -> io::Result<String> {
    let any: SocketAddr = if service.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = host.inside(|| UdpSocket::bind(any)).map_err(io::Error::other)??;
    socket.connect(service)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.send(text.as_bytes())?;
    let mut reply = vec![0; 65536];
    let len = socket.recv(&mut reply)?;
    let reply = String::from_utf8_lossy(&reply[..len]).into_owned();
    match reply.split_once('\n') {
        Some((name, echoed)) if echoed == text => Ok(name.to_owned()),
        _ => Err(io::Error::other(format!("not an echo: {} bytes", reply.len()))),
    }
}

/// Opens so many connections, and only when all are open asks something on each; how many answers each server gave.
/// Names that begin with `failed` are no servers.
pub fn ask_all_at_once(host: &Namespace, service: SocketAddr, count: usize) -> BTreeMap<String, usize> {
    let opened = Barrier::new(count);
    let answers: Vec<String> = host
        .inside(|| {
            thread::scope(|scope| {
                let ask = || {
                    let stream = TcpStream::connect_timeout(&service, PATIENCE);
                    opened.wait();
                    stream.and_then(ask_http).unwrap_or_else(|error| format!("failed: {error}"))
                };
                let start =
                    |_| thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, ask).unwrap();
                let clients: Vec<_> = (0..count).map(start).collect();
                clients.into_iter().map(|client| client.join().unwrap()).collect()
            })
        })
        .unwrap();
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer).or_default() += 1;
    }
    counts
}

/// Asks the web server at the other end for its name.
pub fn ask_http(stream: TcpStream) -> io::Result<String> {
    ask_http_within(stream, PATIENCE)
}

/// The same, where it must not take longer than this to hear something.
pub fn ask_http_within(mut stream: TcpStream, patience: Duration) -> io::Result<String> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if head.starts_with("HTTP/1.1 200 ") { Ok(body.trim().to_owned()) } else { Err(io::Error::other(answer)) }
}
