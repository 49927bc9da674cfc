//! The lab's client: one request, and the name of the server that answered it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the web server at `service` who it is.
///
/// # Errors
/// No connection, or an answer that is none.
pub fn ask_http(service: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&service, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one segment: a server may answer and close when it has seen the first of several.
    let request = format!("GET / HTTP/1.1\r\nHost: {service}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response.split_once("\r\n\r\n").ok_or_else(|| strange(&response))?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    if !head.starts_with("HTTP/1.1 200 ") || length.and_then(|length| length.parse().ok()) != Some(body.len())
    {
        return Err(strange(&response));
    }
    let name = body.split_once(": hello ").ok_or_else(|| strange(body))?.0;
    Ok(name.to_owned())
}

/// Sends a datagram to the echo server at `service`, again where it is lost, and returns who sent it back.
///
/// # Errors
/// No answer, or one that is not the datagram's echo.
pub fn ask_udp(service: SocketAddr, text: &str) -> io::Result<String> {
    let any: SocketAddr = if service.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(service)?;
    socket.set_read_timeout(Some(PATIENCE / 3))?;
    let mut last = io::ErrorKind::TimedOut.into();
    for _ in 0..3 {
        socket.send(text.as_bytes())?;
        let mut reply = vec![0; 2048];
        match socket.recv(&mut reply) {
            Ok(len) => {
                let reply = String::from_utf8_lossy(reply.get(..len).unwrap_or_default());
                return match reply.split_once('\n') {
                    Some((name, echoed)) if echoed == text => Ok(name.to_owned()),
                    _ => Err(strange(&reply)),
                };
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn strange(text: &str) -> io::Error {
    let start: String = text.chars().take(60).collect();
    io::Error::new(io::ErrorKind::InvalidData, format!("a strange answer: {start:?}"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn an_answer_that_was_cut_short_is_no_answer() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nrs1: hello").unwrap();
        });
        assert_eq!(ask_http(address).unwrap_err().kind(), io::ErrorKind::InvalidData);
        server.join().unwrap();
    }
}
