//! Opening a worker's sockets: sizes, binding with patience, and the options that make sending fast.

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use xsk_rs::config::{BindFlags, Interface, LibxdpFlags, QueueSize, SocketConfig};

use super::attach::{self, Mode};
use super::device::{Port, Queue, XdpDevice};
use super::error::OpenError;
use super::port::{DeviceConfig, PortConfig};
use super::program::Program;
use super::umem::{BATCH, Frames, Rings};
use crate::io::sys;
use crate::io::tun::Tun;
use crate::verdict::{Drops, PortId};

/// What the kernel keeps of a frame's memory in front of the packet (`XDP_PACKET_HEADROOM`).
const HEADROOM: u32 = 256;
/// Ethernet header, two VLAN tags and the largest outer headers (IPv6, UDP, GUE with its options).
const HEADERS: u32 = 14 + 8 + 80;
/// Ask this many times for a queue that is taken: a socket that was closed a moment ago, by a predecessor that
/// crashed, say, is torn down after its close has returned.
const BIND_ATTEMPTS: u32 = 500;
/// How long to wait until it is asked for again. The clients of the services wait as long.
const BIND_PAUSE: Duration = Duration::from_millis(4);
/// `XDP_MAX_TX_SKB_BUDGET` of `linux/if_xdp.h`, since Linux 6.17.
const MAX_TX_SKB_BUDGET: libc::c_int = 9;
/// Packets of ours that wait elsewhere in the kernel count against the socket's send buffer; its default of 208 KiB
/// is two or three bursts.
const SEND_BUFFER: libc::c_int = 8 << 20;

impl XdpDevice {
    /// Opens the sockets of one worker and has `program` send them the packets of their queues. The sockets belong
    /// to the calling thread's network namespace. `tun` takes what is the host's; without one such packets are
    /// dropped. `drops` counts what the device itself has to drop, by reason.
    ///
    /// A queue that is taken is asked for again for about two seconds.
    ///
    /// # Errors
    /// [`OpenError`]; the program has to be attached to every interface before.
    pub fn open(
        program: &Program,
        config: &DeviceConfig,
        tun: Option<Tun>,
        drops: Arc<Drops>,
    ) -> Result<Self, OpenError> {
        check(config)?;
        attach::raise_locked_memory();
        let size = frame_size(config)?;
        let queues: usize = config.ports.iter().map(|port| port.queues.len()).sum();
        // A full fill ring and a full tx ring for each queue, a burst in hand and one to inject.
        let count = u32::try_from(queues)
            .ok()
            .and_then(|queues| queues.checked_mul(2 * config.ring_size))
            .and_then(|count| count.checked_add(128))
            .and_then(NonZeroU32::new)
            .ok_or_else(|| OpenError::Config("too many queues for one worker".to_owned()))?;
        let mut frames = Frames::new(count, size, config.ring_size).map_err(|source| OpenError::Memory {
            bytes: u64::from(count.get()) * u64::from(size),
            source,
        })?;
        let mut ports = Vec::new();
        let mut rings = Vec::new();
        for (number, port) in config.ports.iter().enumerate() {
            let id = u16::try_from(number).map(PortId).map_err(|_| too_many_ports())?;
            ports.push(Port { interface: port.interface.clone(), queues: Vec::new() });
            for &queue in &port.queues {
                let mut bound = bind(program, &frames, port, queue, config.ring_size)?;
                bound.refill(&mut frames).map_err(|source| socket_error(port, queue, source))?;
                program.insert_socket(&port.interface, queue, bound.fd())?;
                if let Some(port) = ports.last_mut() {
                    port.queues.push(rings.len());
                }
                rings.push(Queue::new(id, queue, bound));
            }
        }
        Ok(Self::new(frames, rings, ports, config.spin, tun, drops))
    }
}

fn too_many_ports() -> OpenError {
    OpenError::Config("more than 65536 interfaces".to_owned())
}

fn check(config: &DeviceConfig) -> Result<(), OpenError> {
    let refuse = |why: String| Err(OpenError::Config(why));
    if let Some(port) = config.ports.iter().find(|port| port.queues.is_empty()) {
        return refuse(format!("interface {}: no queue is given", port.interface));
    }
    if !config.ring_size.is_power_of_two() || !(64..=32768).contains(&config.ring_size) {
        return refuse(format!("ring size {}: a power of two from 64 to 32768 is needed", config.ring_size));
    }
    match config.frame_size {
        Some(2048 | 4096) | None => Ok(()),
        Some(size) => refuse(format!("frame size {size}: 2048 or 4096 is needed")),
    }
}

/// The frame size asked for, or the one the interfaces' MTU asks for.
fn frame_size(config: &DeviceConfig) -> Result<u32, OpenError> {
    let mut largest = 0;
    for PortConfig { interface, .. } in &config.ports {
        let mtu = sys::mtu(interface)
            .map_err(|source| OpenError::Interface { interface: interface.clone(), source })?;
        largest = mtu.max(largest);
        if mtu + HEADERS + HEADROOM > 4096 {
            tracing::warn!(
                interface,
                mtu,
                "frames longer than {} bytes will be lost at this interface (they are counted as rx_dropped): \
                 lower its MTU",
                4096 - HEADROOM
            );
        }
    }
    let fitting = if largest + HEADERS + HEADROOM > 2048 { 4096 } else { 2048 };
    Ok(config.frame_size.unwrap_or(fitting))
}

fn socket_error(port: &PortConfig, queue: u32, source: io::Error) -> OpenError {
    OpenError::Socket { interface: port.interface.clone(), queue, source }
}

fn bind(
    program: &Program,
    frames: &Frames,
    port: &PortConfig,
    queue: u32,
    ring_size: u32,
) -> Result<Rings, OpenError> {
    let failed = |source| socket_error(port, queue, source);
    let mut flags = BindFlags::XDP_USE_NEED_WAKEUP;
    if program.mode(&port.interface)? == Mode::Generic {
        // Left to itself the kernel would go for zero copy, which the driver offers to native programs only.
        flags |= BindFlags::XDP_COPY;
    }
    let ring = QueueSize::new(ring_size).map_err(|error| failed(io::Error::other(error)))?;
    let config = SocketConfig::builder()
        .rx_queue_size(ring)
        .tx_queue_size(ring)
        .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
        .bind_flags(flags)
        .build();
    let interface: Interface = port.interface.parse().map_err(|error| failed(io::Error::other(error)))?;
    for attempt in 1.. {
        match Rings::bind(frames, &interface, queue, ring_size, config) {
            Ok(mut rings) => {
                tune(&mut rings, ring_size);
                return Ok(rings);
            }
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && attempt < BIND_ATTEMPTS => {
                tracing::debug!(interface = port.interface, queue, attempt, "the queue is taken");
                thread::sleep(BIND_PAUSE);
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Err(failed(io::Error::from_raw_os_error(libc::EBUSY)))
}

/// Widens what the kernel sends in one call. A kernel that does not know an option sends less at a time.
fn tune(rings: &mut Rings, ring_size: u32) {
    let fd = rings.fd();
    if let Err(error) = sys::set_socket_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BUFFER) {
        tracing::debug!(%error, "SO_SNDBUFFORCE");
    }
    let budget = u32::try_from(BATCH).unwrap_or(64).min(ring_size);
    let Ok(value) = libc::c_int::try_from(budget) else { return };
    match sys::set_socket_option(fd, libc::SOL_XDP, MAX_TX_SKB_BUDGET, value) {
        Ok(()) => rings.set_per_call(BATCH),
        Err(error) => tracing::debug!(%error, "XDP_MAX_TX_SKB_BUDGET"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(queues: Vec<u32>) -> DeviceConfig {
        DeviceConfig::new(vec![PortConfig { interface: "eth0".to_owned(), queues }])
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused_in_words() {
        assert!(check(&config(vec![0])).is_ok());
        let refusal = check(&config(vec![])).unwrap_err().to_string();
        assert_eq!(refusal, "interface eth0: no queue is given");
        let refusal = check(&DeviceConfig { ring_size: 1000, ..config(vec![0]) }).unwrap_err().to_string();
        assert!(refusal.contains("power of two"), "{refusal}");
        let refusal = check(&DeviceConfig { frame_size: Some(9000), ..config(vec![0]) }).unwrap_err();
        assert!(refusal.to_string().contains("9000"), "{refusal}");
    }
}
