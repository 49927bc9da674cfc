//! Sockets as a check wants them: its source, its interface, its mark.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use crate::declared::Endpoint;
use crate::judge::Failure;

/// A connection to the endpoint.
pub(super) async fn connect(endpoint: &Endpoint) -> Result<TcpStream, Failure> {
    let socket = open(endpoint, Type::STREAM, Protocol::TCP).map_err(|error| on_host(&error))?;
    TcpSocket::from_std_stream(socket.into()).connect(endpoint.address).await.map_err(|error| failure(&error))
}

/// A datagram socket that speaks to the endpoint, and hears nobody else.
pub(super) async fn datagrams(endpoint: &Endpoint) -> Result<UdpSocket, Failure> {
    let socket = open(endpoint, Type::DGRAM, Protocol::UDP).map_err(|error| on_host(&error))?;
    let socket = UdpSocket::from_std(socket.into()).map_err(|error| on_host(&error))?;
    socket.connect(endpoint.address).await.map_err(|error| failure(&error))?;
    Ok(socket)
}

/// A socket with the endpoint's source, interface and mark.
pub(super) fn open(endpoint: &Endpoint, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(endpoint.address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if endpoint.fwmark != 0 {
        socket.set_mark(endpoint.fwmark)?;
    }
    let bind = &endpoint.bind;
    if let Some(interface) = &bind.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if bind.address.is_some() || bind.port != 0 {
        socket.set_reuse_address(true)?;
        let address = bind.address.unwrap_or_else(|| match endpoint.address.ip() {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        });
        socket.bind(&SocketAddr::new(address, bind.port).into())?;
    }
    Ok(socket)
}

/// What an error of a conversation means for the server.
pub(super) fn failure(error: &io::Error) -> Failure {
    let is = |kinds: &[io::ErrorKind]| kinds.contains(&error.kind());
    if is(&[io::ErrorKind::ConnectionRefused]) {
        Failure::Refused
    } else if is(&[io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe]) {
        Failure::Reset
    } else if is(&[io::ErrorKind::HostUnreachable, io::ErrorKind::NetworkUnreachable]) {
        Failure::Unreachable
    } else if is(&[io::ErrorKind::UnexpectedEof]) {
        Failure::Closed
    } else {
        on_host(error)
    }
}

/// An error that is none of the server's.
pub(super) fn on_host(error: &io::Error) -> Failure {
    Failure::Host(error.to_string())
}
