//! Network namespaces with veth pairs, and raw sockets on them.
#![allow(unsafe_code, reason = "nix cannot bind a packet socket to an interface without it")]

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

/// Runs a command and returns what it prints.
pub(crate) fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A network namespace of the test's own; goes with it.
pub(crate) struct Space {
    name: String,
}

impl Space {
    pub(crate) fn new(role: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let space = Self { name: format!("lvst-{}-{number}-{role}", std::process::id()) };
        run(&format!("ip netns add {}", space.name));
        space.ip("link set lo up");
        space
    }

    /// Runs `ip` in the namespace.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        run(&format!("ip -n {} {arguments}", self.name))
    }

    /// Runs `work` on a thread in the namespace; sockets opened there stay there.
    pub(crate) fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let entered = || {
            let space = File::open(format!("/run/netns/{}", self.name)).unwrap();
            setns(space, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(entered).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Writes a file under /proc/sys/net of the namespace.
    pub(crate) fn sysctl(&self, path: &str, value: &str) {
        self.enter(|| std::fs::write(format!("/proc/sys/net/{path}"), value).unwrap());
    }

    /// Joins an interface here to one in another namespace.
    pub(crate) fn join(&self, here: &str, other: &Self, there: &str, queues: u32) {
        let many = format!("numrxqueues {queues} numtxqueues {queues}");
        self.ip(&format!("link add {here} {many} type veth peer name {there} {many} netns {}", other.name));
        self.ip(&format!("link set {here} up"));
        other.ip(&format!("link set {there} up"));
        for (space, interface) in [(self, here), (other, there)] {
            space.sysctl(&format!("ipv6/conf/{interface}/accept_dad"), "0");
        }
    }

    /// Gives an interface an address, and waits for no duplicate address detection.
    pub(crate) fn address(&self, interface: &str, address: &str) {
        let nodad = if address.contains(':') { "nodad" } else { "" };
        self.ip(&format!("address add {address} dev {interface} {nodad}"));
    }

    pub(crate) fn mac(&self, interface: &str) -> [u8; 6] {
        let shown = self.ip(&format!("-o link show dev {interface}"));
        let text = shown.split_whitespace().skip_while(|&word| word != "link/ether").nth(1).unwrap();
        let bytes: Vec<u8> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        bytes.try_into().unwrap()
    }

    pub(crate) fn raw(&self, interface: &str) -> Raw {
        self.enter(|| Raw::open(interface).unwrap())
    }

    pub(crate) fn udp(&self, address: &str) -> UdpSocket {
        let udp =
            self.enter(|| UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}")));
        udp.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        udp
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// Every frame of an interface.
pub(crate) struct Raw(File);

impl Raw {
    fn open(interface: &str) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd: OwnedFd = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
        // SAFETY: sockaddr_ll is plain data, for which zeroes will do.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
        address.sll_protocol = 3_u16.to_be();
        address.sll_ifindex = i32::try_from(nix::net::if_::if_nametoindex(interface)?).unwrap();
        let length = libc::socklen_t::try_from(size_of_val(&address)).unwrap();
        let address = std::ptr::from_ref(&address).cast();
        // SAFETY: the pointer and the length are those of one local variable.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), address, length) };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        let buffer: libc::c_int = 32 << 20;
        let value = std::ptr::from_ref(&buffer).cast();
        // SAFETY: the pointer and the length are those of a c_int.
        let set =
            unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, value, 4) };
        assert_eq!(set, 0);
        Ok(Self(File::from(fd)))
    }

    pub(crate) fn send(&self, frame: &[u8]) {
        let end = Instant::now() + Duration::from_secs(2);
        loop {
            match (&self.0).write(frame) {
                Ok(sent) => return assert_eq!(sent, frame.len()),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) && Instant::now() < end => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The frame received next, if one waits.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        let mut frame = vec![0; 65536];
        match (&self.0).read(&mut frame) {
            Ok(length) => {
                frame.truncate(length);
                Some(frame)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The first frame within a second that `is_it`.
    pub(crate) fn find(&self, is_it: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        let end = Instant::now() + Duration::from_secs(1);
        while Instant::now() < end {
            match self.take() {
                Some(frame) if is_it(&frame) => return Some(frame),
                Some(_) => {}
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
        None
    }
}

/// A client, a director with one leg toward it and one toward a server, and that server.
pub(crate) struct Lab {
    pub(crate) client: Space,
    pub(crate) director: Space,
    pub(crate) server: Space,
}

pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
pub(crate) const DIRECTOR: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 100);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 2);
pub(crate) const VIP6: &str = "fd01::100";

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with_queues(1)
    }

    pub(crate) fn with_queues(queues: u32) -> Self {
        let (client, director, server) = (Space::new("c"), Space::new("d"), Space::new("s"));
        client.join("c0", &director, "d0", queues);
        director.join("d1", &server, "s0", queues);
        for leg in ["d0", "d1"] {
            // Where the tests' frames go to.
            director.ip(&format!("link set {leg} address 02:00:00:00:00:02"));
        }
        client.address("c0", "10.1.0.2/24");
        client.address("c0", "fd01::2/64");
        director.address("d0", "10.1.0.1/24");
        director.address("d0", "10.1.0.100/32");
        director.address("d0", "fd01::1/64");
        director.address("d0", "fd01::100/128");
        director.address("d1", "10.2.0.1/24");
        server.address("s0", "10.2.0.2/24");
        server.ip("route add default via 10.2.0.1");
        Self { client, director, server }
    }

    /// True when the client reaches `address` with an echo request.
    pub(crate) fn ping(&self, address: impl Into<IpAddr>) -> bool {
        let name = &self.client.name;
        let command = format!("netns exec {name} ping -c 1 -W 1 -n {}", address.into());
        Command::new("ip").args(command.split_whitespace()).output().unwrap().status.success()
    }
}
