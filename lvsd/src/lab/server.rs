//! A real server for trying things out: it says who it is, over HTTP and in the echo of datagrams.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The port of the web server.
pub const HTTP: u16 = 80;
/// The port of the echo of datagrams.
pub const ECHO: u16 = 7;

const PATIENCE: Duration = Duration::from_secs(10);
/// The most a request may be, in bytes.
const LONGEST_REQUEST: u64 = 16 * 1024;

/// Serves until the process is ended. Datagrams are answered on each of the addresses `echo`, from that address.
///
/// # Errors
/// A port cannot be had.
pub fn run(name: &str, echo: &[IpAddr]) -> io::Result<()> {
    let name: Arc<str> = name.into();
    for &address in echo {
        let socket = UdpSocket::bind(SocketAddr::new(address, ECHO))?;
        let name = Arc::clone(&name);
        thread::spawn(move || echo_datagrams(&socket, &name));
    }
    let listener = TcpListener::bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), HTTP))?;
    for stream in listener.incoming() {
        let name = Arc::clone(&name);
        // A client that goes away is its own affair.
        thread::spawn(move || stream.and_then(|stream| answer(stream, &name)));
    }
    Ok(())
}

fn echo_datagrams(socket: &UdpSocket, name: &str) {
    let mut datagram = vec![0; 65536];
    loop {
        let Ok((len, from)) = socket.recv_from(&mut datagram) else { continue };
        let mut reply = format!("{name}\n").into_bytes();
        reply.extend_from_slice(datagram.get(..len).unwrap_or_default());
        let _ = socket.send_to(&reply, from);
    }
}

fn answer(mut stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (client, called) = (stream.peer_addr()?, stream.local_addr()?);
    let mut request = BufReader::new((&stream).take(LONGEST_REQUEST));
    let mut line = String::new();
    while request.read_line(&mut line)? > 0 && !line.trim_end().is_empty() {
        line.clear();
    }
    let body = format!(
        "{name}: hello {}, you called {}\n",
        client.ip().to_canonical(),
        SocketAddr::new(called.ip().to_canonical(), called.port())
    );
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
