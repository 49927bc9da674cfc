//! Bursts of packets from a packet socket: the source for one thread that does all in turns.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, ControlMessage, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, bind, sendmmsg,
    socket,
};

use super::BURST;
use crate::failure::Failure;
use crate::generator::{Flows, Frames, Target};

/// Sends bursts out of an interface, each packet of the next flow.
#[derive(Debug)]
pub(crate) struct Bursts {
    socket: OwnedFd,
    frames: Frames,
    burst: Vec<Vec<u8>>,
}

impl Bursts {
    /// Bursts of these flows out of an interface of the calling thread's namespace.
    pub(crate) fn open(interface: &str, target: &Target, flows: Flows) -> Result<Self, Failure> {
        let failed = |errno: nix::errno::Errno| Failure::system(interface)(errno.into());
        let socket =
            socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
        let mut addresses = getifaddrs().map_err(failed)?;
        let link = addresses
            .find_map(|its| {
                (its.interface_name == interface).then_some(its.address?.as_link_addr().copied()?)
            })
            .ok_or_else(|| Failure::Wrong(format!("{interface} has no hardware address")))?;
        bind(socket.as_raw_fd(), &link).map_err(failed)?;
        let frames = Frames::new(target, flows);
        Ok(Self { socket, frames, burst: vec![Vec::new(); BURST] })
    }

    /// Writes the next burst.
    pub(crate) fn prepare(&mut self) {
        for frame in &mut self.burst {
            self.frames.next_into(frame);
        }
    }

    /// Sends it.
    ///
    /// # Errors
    /// The kernel's, or that it did not take all.
    pub(crate) fn send(&mut self) -> io::Result<()> {
        let slices: Vec<[IoSlice<'_>; 1]> = self.burst.iter().map(|frame| [IoSlice::new(frame)]).collect();
        let mut headers = MultiHeaders::<LinkAddr>::preallocate(BURST, None);
        let none: [ControlMessage<'_>; 0] = [];
        let nobody = [None; BURST];
        let sent = sendmmsg(self.socket.as_raw_fd(), &mut headers, &slices, nobody, none, MsgFlags::empty())?;
        let count = sent.count();
        if count == BURST {
            Ok(())
        } else {
            Err(io::Error::other(format!("{count} packets of a burst were sent")))
        }
    }
}
