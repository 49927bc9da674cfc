//! Keeps a [`HostView`] up to date: listens to the kernel's announcements, and asks for neighbours.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "netlink's enums are open: what is not known is passed over"
)]

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netlink_packet_core::NLM_F_REPLACE;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};

use crate::Error;
use crate::address::Address;
use crate::interface::Interface;
use crate::neighbour::{self, Neighbour, Reachability};
use crate::netlink::{Heard, Netlink, each_message};
use crate::route::Route;
use crate::rule::MarkRule;
use crate::view::HostView;

/// The multicast groups of links, neighbours, addresses, routes and rules (`RTNLGRP_*`).
const GROUPS: [u32; 8] = [1, 3, 5, 7, 8, 9, 11, 19];
/// Those of links and addresses alone.
const GROUPS_OF_LINKS: [u32; 3] = [1, 5, 9];
/// Room for announcements that came while nobody read; beyond it everything is read anew.
const RECEIVE_ROOM: usize = 1 << 20;
const DATAGRAM: usize = 64 * 1024;

/// What changed between two looks at the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "four independent facts")]
pub struct Changes {
    /// An interface came, went, or changed its state, MTU or MAC.
    pub interfaces: bool,
    /// An address came, went or changed.
    pub addresses: bool,
    /// A route, or a rule by a mark, came, went or changed.
    pub routes: bool,
    /// The Ethernet address to use for some neighbour came, went or changed.
    pub neighbours: bool,
}

impl Changes {
    /// Everything may have changed.
    pub const ALL: Self = Self { interfaces: true, addresses: true, routes: true, neighbours: true };

    /// Whether anything changed.
    pub const fn any(self) -> bool {
        self.interfaces || self.addresses || self.routes || self.neighbours
    }
}

/// A [`HostView`] that follows the kernel.
///
/// Belongs to the network namespace of the thread that opened it. Nothing here runs by itself: put
/// [`as_fd`](AsFd::as_fd) into a poll set and call [`update`](Self::update) when it is readable, or
/// call [`wait`](Self::wait).
pub struct Watcher {
    events: Socket,
    requests: Netlink,
    view: HostView,
    buffer: Vec<u8>,
    /// Follows interfaces and addresses alone.
    only_links: bool,
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher").field("view", &self.view).finish_non_exhaustive()
    }
}

/// What one drain of the socket left to do.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
struct Drain {
    changes: Changes,
    /// The routes must be read anew: the kernel does not announce every loss of an IPv4 route.
    stale_routes: bool,
    /// The addresses must be read anew: their order decides which is a packet's source, and the
    /// announcement does not say where a new one stands.
    stale_addresses: bool,
    /// The rules must be read anew, which come in no order.
    stale_rules: bool,
    /// Announcements were lost.
    overrun: bool,
}

impl Watcher {
    /// Subscribes to the kernel's announcements and reads the host.
    pub fn open() -> Result<Self, Error> {
        Self::open_for(false)
    }

    /// As [`open`](Self::open), for interfaces and addresses alone: the view knows no routes and neighbours, and
    /// nothing is read when those change, however many there are.
    pub fn open_for_links() -> Result<Self, Error> {
        Self::open_for(true)
    }

    fn open_for(only_links: bool) -> Result<Self, Error> {
        let mut events = Socket::new(NETLINK_ROUTE).map_err(Error::Socket)?;
        events.bind(&SocketAddr::new(0, 0)).map_err(Error::Socket)?;
        events.set_non_blocking(true).map_err(Error::Socket)?;
        events.set_rx_buf_sz(RECEIVE_ROOM).map_err(Error::Socket)?;
        let groups = if only_links { &GROUPS_OF_LINKS[..] } else { &GROUPS };
        for &group in groups {
            events.add_membership(group).map_err(Error::Socket)?;
        }
        // Subscribed first: what changes while the dump runs is announced and applied on top of it.
        let mut requests = Netlink::open()?;
        let view = read(&mut requests, only_links)?;
        Ok(Self { events, requests, view, buffer: Vec::with_capacity(DATAGRAM), only_links })
    }

    /// The host as last heard of.
    pub const fn view(&self) -> &HostView {
        &self.view
    }

    /// Takes in all announcements that have come, without waiting.
    pub fn update(&mut self) -> Result<Changes, Error> {
        let mut drain = Drain::default();
        while self.receive(&mut drain)? {}
        if drain.overrun {
            tracing::debug!("announcements were lost; reading the host anew");
            self.view = read(&mut self.requests, self.only_links)?;
            return Ok(Changes::ALL);
        }
        if drain.stale_addresses {
            drain.changes.addresses |= self.view.set_addresses(Address::dump(&mut self.requests)?);
        }
        if drain.stale_routes && !self.only_links {
            drain.changes.routes |= self.view.set_routes(Route::dump(&mut self.requests)?);
        }
        if drain.stale_rules {
            drain.changes.routes |= self.view.set_rules(MarkRule::dump(&mut self.requests)?);
        }
        Ok(drain.changes)
    }

    /// Waits until something is announced or `timeout` passes, then takes it in.
    pub fn wait(&mut self, timeout: Duration) -> Result<Changes, Error> {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(self.events.as_fd(), PollFlags::POLLIN)];
        match nix::poll::poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => self.update(),
            Err(errno) => Err(Error::Socket(errno.into())),
        }
    }

    /// Makes the kernel resolve `ip` on the link of `ifindex`; the answer comes as an announcement.
    pub fn ask_neighbour(&mut self, ifindex: u32, ip: IpAddr) -> Result<(), Error> {
        neighbour::ask(&mut self.requests, ifindex, ip)
    }

    /// Keeps the entries in use from ageing away: call it every few seconds with all of them.
    ///
    /// Packets which leave by another way than the kernel's do not confirm a neighbour. Entries that
    /// are stale, failed or missing are asked for, those in order are left alone. Returns how many
    /// were asked for. An entry whose interface is gone or down is passed over.
    pub fn keep_neighbours(
        &mut self,
        in_use: impl IntoIterator<Item = (u32, IpAddr)>,
    ) -> Result<usize, Error> {
        let mut asked = 0;
        for (ifindex, ip) in in_use {
            if self.is_in_order(ifindex, ip) {
                continue;
            }
            match self.ask_neighbour(ifindex, ip) {
                Ok(()) => asked += 1,
                Err(error @ Error::Refused { .. }) => tracing::debug!(%error, "neighbour not asked for"),
                Err(error) => return Err(error),
            }
        }
        Ok(asked)
    }

    fn is_in_order(&self, ifindex: u32, ip: IpAddr) -> bool {
        let is_up = self.view.interface(ifindex).is_some_and(|interface| interface.is_up);
        let reachability = self.view.neighbour(ifindex, ip).map(|neighbour| neighbour.reachability);
        match reachability.unwrap_or(Reachability::None) {
            Reachability::Incomplete
            | Reachability::Reachable
            | Reachability::Delay
            | Reachability::Probe
            | Reachability::NoArp
            | Reachability::Permanent => true,
            Reachability::Stale | Reachability::Failed | Reachability::None => !is_up,
        }
    }

    /// Reads one datagram; false when none was waiting.
    fn receive(&mut self, drain: &mut Drain) -> Result<bool, Error> {
        self.buffer.clear();
        match self.events.recv(&mut self.buffer, 0) {
            Ok(_) => {}
            Err(error) => {
                return match error.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::EAGAIN) => Ok(false),
                    Some(Errno::EINTR) => Ok(true),
                    Some(Errno::ENOBUFS) => {
                        drain.overrun = true;
                        Ok(true)
                    }
                    _ => Err(Error::Socket(error)),
                };
            }
        }
        let view = &mut self.view;
        each_message(&self.buffer, |_, heard| match heard {
            Heard::Message(message, flags) => absorb(view, &message, flags, drain),
            Heard::End(_) => {}
            // Something was announced that could not be read: what it changed is unknown.
            Heard::Nothing => drain.overrun = true,
        });
        Ok(true)
    }
}

impl AsFd for Watcher {
    /// Readable when announcements wait for [`update`](Watcher::update).
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

fn read(requests: &mut Netlink, only_links: bool) -> Result<HostView, Error> {
    if only_links { HostView::dump_links(requests) } else { HostView::dump(requests) }
}

/// Applies one announcement.
fn absorb(view: &mut HostView, message: &RouteNetlinkMessage, flags: u16, drain: &mut Drain) {
    let changes = &mut drain.changes;
    match message {
        RouteNetlinkMessage::NewLink(link) => {
            // A bridge announces its ports once more with a family of its own; those say nothing new.
            if u8::from(link.header.interface_family) == 0
                && let Some(interface) = Interface::from_message(link)
                && view.put_interface(interface)
            {
                changes.interfaces = true;
                // fib_sync_down_dev: IPv4 routes go with their interface without a word.
                drain.stale_routes = true;
            }
        }
        RouteNetlinkMessage::DelLink(link) if u8::from(link.header.interface_family) == 0 => {
            changes.interfaces |= view.drop_interface(link.header.index);
            drain.stale_routes = true;
        }
        RouteNetlinkMessage::NewAddress(_) => drain.stale_addresses = true,
        RouteNetlinkMessage::DelAddress(_) => {
            drain.stale_addresses = true;
            // fib_sync_down_addr: routes which prefer this source go silently too.
            drain.stale_routes = true;
        }
        RouteNetlinkMessage::NewRule(_) | RouteNetlinkMessage::DelRule(_) => drain.stale_rules = true,
        RouteNetlinkMessage::NewRoute(route) => new_route(view, route, flags, drain),
        RouteNetlinkMessage::DelRoute(route) => {
            let gone = Route::from_message(route);
            if gone.is_some_and(|gone| gone.hops == 1 && view.drop_route(&gone)) {
                changes.routes = true;
            } else {
                drain.stale_routes = true;
            }
        }
        RouteNetlinkMessage::NewNeighbour(neighbour) => {
            let found = Neighbour::from_message(neighbour);
            changes.neighbours |= found.is_some_and(|found| view.put_neighbour(found));
        }
        RouteNetlinkMessage::DelNeighbour(neighbour) => {
            let gone = Neighbour::from_message(neighbour);
            changes.neighbours |= gone.is_some_and(|gone| view.drop_neighbour(&gone));
        }
        _ => {}
    }
}

/// Notes a new route where its place is certain; a replaced or multipath one needs a fresh look.
fn new_route(view: &mut HostView, message: &RouteMessage, flags: u16, drain: &mut Drain) {
    let Some(route) = Route::from_message(message) else { return };
    if flags & NLM_F_REPLACE != 0 || route.hops > 1 || route.tos != 0 {
        drain.stale_routes = true;
    } else {
        drain.changes.routes |= view.put_route(route);
    }
}
