//! The raw sockets adverts come and go through, one to listen for each interface and family, one to send for each
//! instance.

use std::io::{self, IoSliceMut, Read as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use lvs_vrrp::Reject;
use lvs_vrrp::wire::{Envelope, PROTOCOL, TTL, ipv4};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt,
    sockopt::{Ipv6RecvHopLimit, Ipv6RecvPacketInfo},
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

/// Internetwork control, as routing protocols have it.
const TRAFFIC_CLASS: u32 = 0xc0;
/// More than any advert has: 255 IPv6 addresses and what is around them.
pub(super) const LARGEST: usize = 8192;

fn raw(is_ipv6: bool, interface: &str) -> io::Result<Socket> {
    let domain = if is_ipv6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// What came: an advert and what its IP header said, or why it can be none.
pub(super) type Received<'a> = Result<(Envelope, &'a [u8]), Reject>;

/// Listens on an interface.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Socket,
    is_ipv6: bool,
    ifindex: u32,
    groups: Vec<IpAddr>,
}

impl Listener {
    pub(super) fn open(interface: &str, ifindex: u32, is_ipv6: bool) -> io::Result<Self> {
        let socket = raw(is_ipv6, interface)?;
        if is_ipv6 {
            setsockopt(&socket, Ipv6RecvHopLimit, &true)?;
            setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
        }
        Ok(Self { socket, is_ipv6, ifindex, groups: Vec::new() })
    }

    /// Listens to a group as well.
    pub(super) fn join(&mut self, group: IpAddr) -> io::Result<()> {
        if self.groups.contains(&group) {
            return Ok(());
        }
        match group {
            IpAddr::V4(group) => {
                self.socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(self.ifindex))?;
            }
            IpAddr::V6(group) => self.socket.join_multicast_v6(&group, self.ifindex)?,
        }
        self.groups.push(group);
        Ok(())
    }

    /// Makes room for adverts that come while nobody reads.
    pub(super) fn set_room(&self, bytes: u32) -> io::Result<()> {
        self.socket.set_recv_buffer_size(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// Takes a packet that waits, without its IP header; `None` when there is none.
    pub(super) fn receive<'a>(&mut self, buffer: &'a mut [u8; LARGEST]) -> io::Result<Option<Received<'a>>> {
        let received = if self.is_ipv6 {
            receive_v6(&self.socket, buffer).map(Ok)
        } else {
            self.socket.read(buffer).map(|length| ipv4::open(buffer.get(..length).unwrap_or_default()))
        };
        match received {
            Ok(received) => Ok(Some(received)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn receive_v6<'a>(socket: &Socket, buffer: &'a mut [u8; LARGEST]) -> io::Result<(Envelope, &'a [u8])> {
    let mut control = nix::cmsg_space!(nix::libc::in6_pktinfo, i32);
    let mut parts = [IoSliceMut::new(buffer)];
    let message =
        recvmsg::<SockaddrIn6>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    let length = message.bytes;
    let source = message.address.map_or(Ipv6Addr::UNSPECIFIED, |address| address.ip());
    let (mut destination, mut ttl) = (Ipv6Addr::UNSPECIFIED, 0);
    for said in message.cmsgs()? {
        if let ControlMessageOwned::Ipv6PacketInfo(info) = said {
            destination = Ipv6Addr::from(info.ipi6_addr.s6_addr);
        } else if let ControlMessageOwned::Ipv6HopLimit(limit) = said {
            ttl = u8::try_from(limit).unwrap_or(0);
        }
    }
    let envelope = Envelope { source: IpAddr::V6(source), destination: IpAddr::V6(destination), ttl };
    Ok((envelope, buffer.get(..length).unwrap_or_default()))
}

/// Sends from one address through one interface.
#[derive(Debug)]
pub(super) struct Sender {
    socket: Socket,
    scope: u32,
    /// Where it sends from.
    pub(super) source: IpAddr,
}

impl Sender {
    /// `interface` (number `scope`) is where packets leave; `unicast_ttl` is for those to peers.
    pub(super) fn open(interface: &str, scope: u32, source: IpAddr, unicast_ttl: u8) -> io::Result<Self> {
        let is_ipv6 = source.is_ipv6();
        let socket = raw(is_ipv6, interface)?;
        if is_ipv6 {
            socket.set_multicast_hops_v6(TTL.into())?;
            socket.set_unicast_hops_v6(unicast_ttl.into())?;
            socket.set_multicast_loop_v6(false)?;
            socket.set_multicast_if_v6(scope)?;
            socket.set_tclass_v6(TRAFFIC_CLASS)?;
        } else {
            socket.set_multicast_ttl_v4(TTL.into())?;
            socket.set_ttl_v4(unicast_ttl.into())?;
            socket.set_multicast_loop_v4(false)?;
            socket.set_tos_v4(TRAFFIC_CLASS)?;
        }
        // It only sends: what comes in must not fill its buffer.
        let _ = socket.shutdown(std::net::Shutdown::Read);
        socket.bind(&at(source, scope).into())?;
        Ok(Self { socket, scope, source })
    }

    pub(super) fn send(&self, packet: &[u8], destination: IpAddr) -> io::Result<()> {
        self.socket.send_to(packet, &at(destination, self.scope).into()).map(drop)
    }
}

/// A raw socket's address: no port, but for link-local addresses the link.
fn at(address: IpAddr, scope: u32) -> SocketAddr {
    match address {
        IpAddr::V6(address) if address.is_unicast_link_local() || address.is_multicast() => {
            SocketAddr::V6(SocketAddrV6::new(address, 0, 0, scope))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => SocketAddr::new(address, 0),
    }
}
