//! TCP connections through a director, and what they are asked to send back.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::Net;

/// Sends back what comes to a port of a host, on every connection and for as long as the test runs.
pub fn echo(net: &Net, host: &str, port: u16) {
    let any: IpAddr = [0, 0, 0, 0].into();
    let listener = net.host(host).inside(|| TcpListener::bind((any, port))).unwrap().unwrap();
    let builder = || std::thread::Builder::new().stack_size(64 << 10);
    let serve = move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let echo = move || {
                let mut bytes = [0; 64];
                while let Ok(len @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(&bytes[..len]).is_err() {
                        return;
                    }
                }
            };
            builder().spawn(echo).unwrap();
        }
    };
    builder().spawn(serve).unwrap();
}

/// Connects from the client.
pub fn connect(net: &Net, to: SocketAddr) -> io::Result<TcpStream> {
    let connecting = || {
        let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    net.host("client").inside(connecting).unwrap()
}

/// Sends a number on each connection, and has each send it back.
pub fn everybody_answers(streams: &mut [TcpStream], number: u64) -> Result<(), String> {
    for (place, stream) in streams.iter_mut().enumerate() {
        stream.write_all(&number.to_be_bytes()).map_err(|error| format!("{place} at {number}: {error}"))?;
    }
    for (place, stream) in streams.iter_mut().enumerate() {
        let mut back = [0; 8];
        stream.read_exact(&mut back).map_err(|error| format!("{place} at {number}: {error}"))?;
        if u64::from_be_bytes(back) != number {
            return Err(format!("{place} at {number}: {back:?}"));
        }
    }
    Ok(())
}
