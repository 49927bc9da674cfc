//! The system calls that no crate of ours wraps safely: interface requests, socket options, one `poll`.
#![allow(unsafe_code, reason = "each call is one line over arguments built beside it")]

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use libc::{c_char, c_int, c_short, c_ulong, ifreq};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// `ETHTOOL_GCHANNELS` of linux/ethtool.h.
const GET_CHANNELS: u32 = 0x3c;

/// `struct ethtool_channels` of linux/ethtool.h.
#[repr(C)]
#[derive(Default)]
struct Channels {
    cmd: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// `ETHTOOL_GDRVINFO` of linux/ethtool.h.
const GET_DRIVER: u32 = 3;

/// `struct ethtool_drvinfo` of linux/ethtool.h.
#[repr(C)]
struct DriverInfo {
    cmd: u32,
    driver: [u8; 32],
    /// Versions, the bus, lengths of dumps.
    rest: [u8; 160],
}

/// `MEMBARRIER_CMD_GLOBAL` of linux/membarrier.h.
const GLOBAL: c_int = 1;
/// What stands in for the kernel's word where it gives none: no XDP program runs for as long.
const GRACE: Duration = Duration::from_millis(100);

/// Returns when every XDP program that runs now has ended: it takes some milliseconds.
pub(crate) fn grace_period() {
    // SAFETY: the call takes numbers only, and waits.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if result != 0 {
        // Kernels that leave some processors without a tick do not know the call.
        std::thread::sleep(GRACE);
    }
}

fn request_for(interface: &str) -> io::Result<ifreq> {
    // SAFETY: every field of ifreq, the union's members among them, may be all zeroes.
    let mut request: ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() || interface.contains('\0') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no interface name: {interface:?}")));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    Ok(request)
}

/// One ioctl on `fd` that reads and writes `request`.
fn interface_ioctl(fd: RawFd, operation: c_ulong, request: &mut ifreq) -> io::Result<()> {
    // SAFETY: the callers pass operations whose argument is a struct ifreq, and this one lives through the call.
    let result = unsafe { libc::ioctl(fd, operation, std::ptr::from_mut(request)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// One ioctl about an interface on a socket made for it, in the calling thread's network namespace.
fn ask(operation: c_ulong, request: &mut ifreq) -> io::Result<()> {
    let any = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    interface_ioctl(any.as_raw_fd(), operation, request)
}

/// An interface's MTU in bytes.
pub(crate) fn mtu(interface: &str) -> io::Result<u32> {
    let mut request = request_for(interface)?;
    ask(libc::SIOCGIFMTU, &mut request)?;
    // SAFETY: SIOCGIFMTU filled this member of the union.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    u32::try_from(mtu).map_err(io::Error::other)
}

/// An interface's Ethernet address; zeroes for a loopback.
pub(crate) fn mac(interface: &str) -> io::Result<[u8; 6]> {
    let mut request = request_for(interface)?;
    ask(libc::SIOCGIFHWADDR, &mut request)?;
    // SAFETY: SIOCGIFHWADDR filled this member of the union.
    let address = unsafe { request.ifr_ifru.ifru_hwaddr };
    let mut mac = [0; 6];
    for (to, from) in mac.iter_mut().zip(address.sa_data) {
        *to = from.to_ne_bytes()[0];
    }
    Ok(mac)
}

/// Sets an interface up.
pub(crate) fn set_up(interface: &str) -> io::Result<()> {
    let mut request = request_for(interface)?;
    ask(libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: SIOCGIFFLAGS filled this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let up = c_short::try_from(libc::IFF_UP).map_err(io::Error::other)?;
    request.ifr_ifru.ifru_flags = flags | up;
    ask(libc::SIOCSIFFLAGS, &mut request)
}

/// Gives an interface an address of its own, alone in its network (/32).
pub(crate) fn set_address(interface: &str, address: Ipv4Addr) -> io::Result<()> {
    for (operation, value) in [(libc::SIOCSIFADDR, address), (libc::SIOCSIFNETMASK, Ipv4Addr::BROADCAST)] {
        let mut request = request_for(interface)?;
        request.ifr_ifru.ifru_addr = socket_address(value)?;
        ask(operation, &mut request)?;
    }
    Ok(())
}

/// A `struct sockaddr_in` as the `struct sockaddr` that requests hold: port and then address, from the start.
fn socket_address(address: Ipv4Addr) -> io::Result<libc::sockaddr> {
    let mut data = [0; 14];
    for (to, octet) in data.iter_mut().skip(2).zip(address.octets()) {
        *to = c_char::from_ne_bytes([octet]);
    }
    let family = libc::sa_family_t::try_from(libc::AF_INET).map_err(io::Error::other)?;
    Ok(libc::sockaddr { sa_family: family, sa_data: data })
}

/// How many receive queues an interface has in use; 1 where its driver does not tell.
pub(crate) fn queue_count(interface: &str) -> io::Result<u32> {
    let mut request = request_for(interface)?;
    let mut channels = Channels { cmd: GET_CHANNELS, ..Channels::default() };
    request.ifr_ifru.ifru_data = std::ptr::from_mut(&mut channels).cast();
    match ask(libc::SIOCETHTOOL, &mut request) {
        Ok(()) => Ok((channels.combined + channels.rx).max(1)),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(1),
        Err(error) => Err(error),
    }
}

/// The name of an interface's driver; empty where it does not tell.
pub(crate) fn driver(interface: &str) -> io::Result<String> {
    let mut request = request_for(interface)?;
    let mut info = DriverInfo { cmd: GET_DRIVER, driver: [0; 32], rest: [0; 160] };
    request.ifr_ifru.ifru_data = std::ptr::from_mut(&mut info).cast();
    match ask(libc::SIOCETHTOOL, &mut request) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(String::new()),
        Err(error) => return Err(error),
    }
    let DriverInfo { driver, rest: _, cmd: _ } = info;
    Ok(driver.iter().take_while(|&&byte| byte != 0).map(|&byte| char::from(byte)).collect())
}

/// Makes `control`, an open /dev/net/tun, the interface `name` without packet information; the name it got.
pub(crate) fn become_tun(control: &File, name: &str) -> io::Result<String> {
    let mut request = request_for(name)?;
    request.ifr_ifru.ifru_flags =
        c_short::try_from(libc::IFF_TUN | libc::IFF_NO_PI).map_err(io::Error::other)?;
    interface_ioctl(control.as_raw_fd(), libc::TUNSETIFF, &mut request)?;
    let name = request.ifr_name.iter().take_while(|&&byte| byte != 0);
    Ok(name.map(|&byte| char::from(byte.to_ne_bytes()[0])).collect())
}

/// Sets an integer option of a socket.
pub(crate) fn set_socket_option(fd: RawFd, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<c_int>()).map_err(io::Error::other)?;
    let value = std::ptr::from_ref(&value).cast();
    // SAFETY: `value` points at a c_int of this frame and `length` is its size.
    let result = unsafe { libc::setsockopt(fd, level, option, value, length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes the error that waits at a socket, such as `ENETDOWN` once its interface is gone.
pub(crate) fn take_socket_error(fd: RawFd) -> io::Result<Option<io::Error>> {
    let mut error: c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of::<c_int>()).map_err(io::Error::other)?;
    let value = std::ptr::from_mut(&mut error).cast();
    // SAFETY: `value` points at a c_int of this frame and `length` is its size; both live through the call.
    let result = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, value, &raw mut length) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((error != 0).then(|| io::Error::from_raw_os_error(error)))
}

/// A packet socket that receives nothing, to send frames by.
pub(crate) fn packet_socket() -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?)
}

/// Sends a frame out of the interface with this number.
pub(crate) fn send_frame(socket: &OwnedFd, interface: u32, frame: &[u8]) -> io::Result<()> {
    // SAFETY: every field of sockaddr_ll may be all zeroes.
    let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    to.sll_family = libc::sa_family_t::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    to.sll_ifindex = c_int::try_from(interface).map_err(io::Error::other)?;
    if let Some(&[high, low]) = frame.get(12..14).and_then(|bytes| bytes.first_chunk()) {
        to.sll_protocol = u16::from_ne_bytes([high, low]);
    }
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).map_err(io::Error::other)?;
    let address = std::ptr::from_ref(&to).cast();
    // SAFETY: frame and address are borrowed for the length of the call, with their own lengths beside them.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            libc::MSG_DONTWAIT,
            address,
            length,
        )
    };
    match usize::try_from(sent) {
        Ok(sent) if sent == frame.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Sleeps until one of `fds` is ready or `timeout` passes (rounded up to milliseconds); an interruption by a
/// signal is a return like any other. True when one is ready.
pub(crate) fn poll(fds: &mut [libc::pollfd], timeout: Duration) -> io::Result<bool> {
    let milliseconds = c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX);
    let count = libc::nfds_t::try_from(fds.len()).map_err(io::Error::other)?;
    // SAFETY: the pointer and the count are those of one slice, borrowed for the length of the call.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), count, milliseconds) };
    if ready >= 0 {
        return Ok(ready > 0);
    }
    let error = io::Error::last_os_error();
    for fd in fds {
        fd.revents = 0;
    }
    if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) }
}

/// Gives the calling thread a real-time priority (`SCHED_FIFO`), 1 to 99; what it starts has none.
pub fn be_realtime(priority: u8) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority.into() };
    // SAFETY: the parameters live through the call, and 0 is the calling thread.
    let result = unsafe {
        libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
