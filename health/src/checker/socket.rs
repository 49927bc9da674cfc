//! Sockets as a check wants them: its source, its interface, its mark, and the way its packets take.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use super::data::{DataPath, Flow, Lead};
use crate::declared::{Endpoint, Path};
use crate::judge::Failure;

/// Whom a check speaks to, with what leads it there.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) data: Option<&'a dyn DataPath>,
}

impl Target<'_> {
    /// A connection.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let way = self.way(true)?;
        let socket = TcpSocket::from_std_stream(way.socket.into());
        let stream = socket.connect(way.address).await.map_err(|error| failure(&error))?;
        Ok(Connection { stream, _lead: way.lead })
    }

    /// A datagram socket that hears nobody else.
    pub(super) async fn datagrams(&self) -> Result<Datagrams, Failure> {
        let way = self.way(false)?;
        let socket = UdpSocket::from_std(way.socket.into()).map_err(|error| on_host(&error))?;
        socket.connect(way.address).await.map_err(|error| failure(&error))?;
        Ok(Datagrams { socket, _lead: way.lead })
    }

    /// A socket, and whom to connect it to.
    fn way(&self, is_tcp: bool) -> Result<Way, Failure> {
        let (kind, protocol) =
            if is_tcp { (Type::STREAM, Protocol::TCP) } else { (Type::DGRAM, Protocol::UDP) };
        let Path::Data(server) = self.endpoint.path else {
            let socket = open(self.endpoint, kind, protocol).map_err(|error| on_host(&error))?;
            return Ok(Way { socket, address: self.endpoint.address, lead: None });
        };
        let target = self.endpoint.address;
        let data = self.data.ok_or_else(|| Failure::Host("nothing is forwarded here".to_owned()))?;
        let Some(start) = data.start(is_tcp, target, server).map_err(Failure::Host)? else {
            let own = Endpoint { address: server, ..self.endpoint.clone() };
            let socket = open(&own, kind, protocol).map_err(|error| on_host(&error))?;
            return Ok(Way { socket, address: server, lead: None });
        };
        let mut bound = self.endpoint.clone();
        bound.bind.interface = Some(start.interface);
        bound.bind.address.get_or_insert(start.address);
        let socket = open(&bound, kind, protocol).and_then(|socket| {
            if is_tcp {
                // Its end is a reset: all our flows to one virtual server share their numbers of ports, and none can be
                // kept waiting for a minute after each.
                socket.set_linger(Some(Duration::ZERO))?;
            }
            let from = socket.local_addr()?.as_socket();
            Ok((socket, from.ok_or(io::ErrorKind::AddrNotAvailable)?))
        });
        let (socket, from) = socket.map_err(|error| on_host(&error))?;
        let lead = data.lead(Flow { is_tcp, from, to: target }, server);
        Ok(Way { socket, address: target, lead: Some(lead) })
    }
}

/// A socket that is not connected yet.
struct Way {
    socket: Socket,
    address: SocketAddr,
    lead: Option<Lead>,
}

/// A connection; it is led where it goes until after it is closed.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    _lead: Option<Lead>,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A datagram socket; its datagrams are led where they go as long as it lives.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
    _lead: Option<Lead>,
}

impl Deref for Datagrams {
    type Target = UdpSocket;

    fn deref(&self) -> &UdpSocket {
        &self.socket
    }
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
