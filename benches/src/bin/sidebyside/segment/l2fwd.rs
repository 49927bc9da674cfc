//! A bare forwarder over AF_XDP: hardware addresses are replaced, nothing is looked at. It uses xsk-rs as it is,
//! not the director's own device.

#![allow(unsafe_code, reason = "xsk-rs leaves it to its caller that no descriptor is used twice")]

use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use libbpf_rs::{Link, MapCore, MapFlags};
use xsk_rs::config::{BindFlags, Interface, LibxdpFlags, QueueSize, SocketConfig, UmemConfig};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

use super::{BURST, Forward};
use crate::bpf::Loaded;
use crate::failure::Failure;
use crate::world::{Place, SERVICE, World};

/// The compiled program, as `benches/bpf/build.sh` makes it.
const OBJECT: &[u8] = include_bytes!("../../../../bpf/all.bpf.o");
const RING: u32 = 2048;
/// Frames that the kernel sends in one call when nothing else is said.
const PER_CALL: usize = 32;
/// `XDP_MAX_TX_SKB_BUDGET` of `linux/if_xdp.h`: a whole burst in one call, as the director's device has it.
const MAX_TX_SKB_BUDGET: libc::c_int = 9;
const SEND_BUFFER: libc::c_int = 8 << 20;

/// One queue's socket.
type Rings = (TxQueue, RxQueue, FillQueue, CompQueue);

/// The forwarder in a place of its own.
pub(crate) struct L2fwd {
    near: Rings,
    far: Rings,
    umem: Umem,
    per_call: usize,
    addresses: [u8; 12],
    burst: [FrameDesc; BURST],
    done: [FrameDesc; BURST],
    _link: Link,
    _program: Loaded,
    /// Where it is.
    pub(crate) place: Place,
}

impl L2fwd {
    /// Sets it up.
    pub(crate) fn start(world: &World, number: u8) -> Result<Self, Failure> {
        let mut place = world.place("l2fwd", number)?;
        world.sink(&mut place, *SERVICE.ip(), 32)?;
        let program = Loaded::load(OBJECT)?;
        let failed = || Failure::system("AF_XDP");
        let open = || -> Result<_, Failure> {
            let link = program.attach("eth0")?;
            let (umem, frames, near, far, per_call) = open().map_err(failed())?;
            let socket = near.1.fd().as_raw_fd();
            program
                .map("bench_socket")?
                .update(&0_u32.to_ne_bytes(), &socket.to_ne_bytes(), MapFlags::ANY)
                .map_err(Failure::bpf("cannot write into a map"))?;
            Ok((link, umem, frames, near, far, per_call))
        };
        let (link, umem, frames, mut near, far, per_call) = place.host().inside(open)??;
        // SAFETY: the frames are of the memory that the socket is over, and were given nowhere yet.
        unsafe { near.2.produce(frames.get(..RING as usize).unwrap_or_default()) };
        let mut addresses = [0; 12];
        addresses.split_at_mut(6).0.copy_from_slice(&place.mac(4));
        addresses.split_at_mut(6).1.copy_from_slice(&place.mac(3));
        let blank = [FrameDesc::default(); BURST];
        Ok(Self {
            near,
            far,
            umem,
            per_call,
            addresses,
            burst: blank,
            done: blank,
            _link: link,
            _program: program,
            place,
        })
    }
}

fn open() -> io::Result<(Umem, Vec<FrameDesc>, Rings, Rings, usize)> {
    let ring = QueueSize::new(RING).map_err(io::Error::other)?;
    let config = UmemConfig::builder()
        .fill_queue_size(ring)
        .comp_queue_size(ring)
        .build()
        .map_err(io::Error::other)?;
    let count = NonZeroU32::new(4 * RING).ok_or(io::ErrorKind::InvalidInput)?;
    let (umem, frames) = Umem::new(config, count, false).map_err(io::Error::other)?;
    let ((near, _), (far, per_call)) = (bind(&umem, "eth0")?, bind(&umem, "eth1")?);
    Ok((umem, frames, near, far, per_call))
}

/// The socket, and how many frames the kernel sends of it in one call.
fn bind(umem: &Umem, interface: &str) -> io::Result<(Rings, usize)> {
    let ring = QueueSize::new(RING).map_err(io::Error::other)?;
    let config = SocketConfig::builder()
        .rx_queue_size(ring)
        .tx_queue_size(ring)
        .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
        .bind_flags(BindFlags::XDP_USE_NEED_WAKEUP)
        .build();
    let interface: Interface = interface.parse().map_err(io::Error::other)?;
    // SAFETY: no other socket is on this queue.
    let socket = unsafe { Socket::new(config, umem, &interface, 0) };
    let (tx, rx, rings) = socket.map_err(io::Error::other)?;
    let (fill, completion) = rings.ok_or(io::ErrorKind::AddrInUse)?;
    let descriptor = rx.fd().as_raw_fd();
    tune(descriptor, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BUFFER);
    let per_call = if tune(descriptor, libc::SOL_XDP, MAX_TX_SKB_BUDGET, 64) { BURST } else { PER_CALL };
    Ok(((tx, rx, fill, completion), per_call))
}

/// False for a kernel that does not know the option: it sends less at a time.
fn tune(socket: RawFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> bool {
    let Ok(length) = libc::socklen_t::try_from(size_of::<libc::c_int>()) else { return false };
    // SAFETY: `value` lives through the call and is as long as is said.
    let result =
        unsafe { libc::setsockopt(socket, level, option, std::ptr::from_ref(&value).cast(), length) };
    result == 0
}

impl Forward for L2fwd {
    fn forward(&mut self) -> io::Result<(usize, Duration)> {
        let start = Instant::now();
        // SAFETY: what the rx ring gives was put into the fill ring of the same memory.
        let count = unsafe { self.near.1.consume(&mut self.burst) };
        let Some(burst) = self.burst.get_mut(..count) else { return Ok((0, Duration::ZERO)) };
        for frame in &mut *burst {
            // SAFETY: the frame is of this memory, and in hand.
            let mut data = unsafe { self.umem.data_mut(frame) };
            if let Some(addresses) = data.contents_mut().get_mut(..12) {
                addresses.copy_from_slice(&self.addresses);
            }
        }
        let user = start.elapsed();
        // SAFETY: the frames are of this memory, and go from the hand to the tx ring.
        unsafe { self.far.0.produce(burst) };
        for _ in 0..count.div_ceil(self.per_call) {
            self.far.0.wakeup()?;
        }
        // SAFETY: what the completion ring gives was put into the tx ring of the same memory.
        let done = unsafe { self.far.3.consume(&mut self.done) };
        // SAFETY: these frames were sent; they go from the hand to the fill ring.
        unsafe { self.near.2.produce(self.done.get(..done).unwrap_or_default()) };
        if self.near.2.needs_wakeup() {
            self.near.2.wakeup(self.near.1.fd_mut(), 0)?;
        }
        Ok((count, user))
    }
}
