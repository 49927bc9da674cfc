//! Servers that misbehave as they are told, each on a port of its own of the loopback interface.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

/// Longer than anybody here waits.
const HANG: Duration = Duration::from_secs(3);

/// Serves each connection by `serve`, for as long as the test runs.
pub fn tcp(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

/// A port where nobody listens.
pub fn nobody() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Takes connections and says nothing.
pub fn silent() -> SocketAddr {
    tcp(|_stream| thread::sleep(HANG))
}

/// Reads what comes first and ends the connection with a reset.
pub fn resetting() -> SocketAddr {
    tcp(|mut stream| {
        let _ = stream.read(&mut [0; 512]);
        reset(&stream);
    })
}

/// Makes the end of this connection a reset.
pub fn reset(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Reads what comes first and says the same to everybody, then closes.
pub fn saying(text: &'static str) -> SocketAddr {
    tcp(move |mut stream| {
        let _ = stream.read(&mut [0; 2048]);
        let _ = stream.write_all(text.as_bytes());
    })
}

/// Says something first, then the same again for as long as it is listened to; `is_asked` when it waits to be asked.
pub fn endless(is_asked: bool, first: &'static str, again: &'static str) -> SocketAddr {
    tcp(move |mut stream| {
        if is_asked {
            let _ = stream.read(&mut [0; 2048]);
        }
        let _ = stream.write_all(first.as_bytes());
        let again = again.repeat(1000);
        while stream.write_all(again.as_bytes()).is_ok() {}
    })
}

/// Says something a byte at a time.
pub fn slow(text: &'static str) -> SocketAddr {
    tcp(move |mut stream| {
        for byte in text.bytes() {
            thread::sleep(Duration::from_millis(50));
            if stream.write_all(&[byte]).is_err() {
                break;
            }
        }
    })
}

/// Answers the first datagram by `answer`, again and again.
pub fn babbling(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 2048];
        let (length, from) = socket.recv_from(&mut bytes).unwrap();
        let reply = answer(&bytes[..length]);
        let began = std::time::Instant::now();
        while began.elapsed() < HANG {
            let _ = socket.send_to(&reply, from);
            thread::sleep(Duration::from_micros(200));
        }
    });
    address
}

/// Answers each datagram by `answer`.
pub fn udp(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            for reply in answer(&bytes[..length]) {
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    address
}
