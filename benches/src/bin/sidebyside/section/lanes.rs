//! The kernel's ways and the director between clients and servers.

use crate::contender::{Cache, Method, Room, ruleset};
use crate::core::Core;
use crate::daemon::{Daemon, configuration};
use crate::failure::Failure;
use crate::site::{Lane, Site};
use lvsd::lab::namespace;

/// Plain forwarding: no balancer at all.
#[derive(Debug)]
pub(crate) struct Routed {
    /// Where it is.
    pub(crate) lane: Lane,
}

impl Routed {
    /// Sets it up.
    pub(crate) fn start(site: &Site, number: u8) -> Result<Self, Failure> {
        Ok(Self { lane: site.lane("routed", number)? })
    }
}

/// nft's DNAT.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// Where it is.
    pub(crate) lane: Lane,
    _room: Room,
}

impl Kernel {
    /// Sets it up.
    pub(crate) fn start(site: &Site, number: u8) -> Result<Self, Failure> {
        let lane = site.lane("nft", number)?;
        lane.take_vip()?;
        let command = ["netns", "exec", lane.host().name(), "nft", "-f", "-"];
        namespace::run("ip", &command, &ruleset(&lane.service()))?;
        let room = Room::make()?;
        lane.wait_for_service()?;
        Ok(Self { lane, _room: room })
    }
}

/// The director, NAT, with its cache.
#[derive(Debug)]
pub(crate) struct Director {
    /// The daemon.
    pub(crate) daemon: Daemon,
    /// Where it is.
    pub(crate) lane: Lane,
}

impl Director {
    /// Sets it up.
    pub(crate) fn start(site: &Site, number: u8) -> Result<Self, Failure> {
        let lane = site.lane("lvsd", number)?;
        let configuration = configuration(&lane.service(), Method::Nat, Cache(1 << 18), 1 << 20);
        let daemon = Daemon::start(lane.host(), &site.files().join("lvsd"), &configuration, Core::Any)?;
        lane.wait_for_service()?;
        Ok(Self { daemon, lane })
    }
}
