//! What the virtual routers tell of themselves: the listing, and causes in words.

use lvs_vrrp::{Cause, Member, Rejects, Router, Tick};

use super::seat::Seat;
use crate::message::{VrrpGroup, VrrpInstance, VrrpListing, VrrpReject};
use lvs_vrrp::declared::{SyncGroup, Version};

/// A cause in words.
pub(super) fn words(cause: Cause) -> String {
    match cause {
        Cause::Started => "started".to_owned(),
        Cause::NoMaster => "no master was heard".to_owned(),
        Cause::MasterSilent { master } => format!("{master} is silent, or of lower priority"),
        Cause::Outranked { by, priority } => format!("{by} has priority {priority}"),
        Cause::Fault => "it cannot work".to_owned(),
        Cause::Recovered => "it can work again".to_owned(),
        Cause::Group => "with its sync group".to_owned(),
        Cause::Stopped => "stopped".to_owned(),
    }
}

pub(super) fn rejects(rejects: &Rejects) -> Vec<VrrpReject> {
    let seen = rejects.iter().filter(|&(_, count)| count > 0);
    seen.map(|(reason, adverts)| VrrpReject {
        reason: reason.label().to_owned(),
        meaning: reason.meaning().to_owned(),
        adverts,
    })
    .collect()
}

pub(super) fn listing(
    seats: &[Seat],
    router: &Router,
    groups: &[SyncGroup],
    strangers: &Rejects,
    now: Tick,
) -> VrrpListing {
    let instances = seats.iter().zip(router.members());
    let groups = groups.iter().enumerate().map(|(place, group)| VrrpGroup {
        name: group.name.clone(),
        state: router.role_of_group(place).map_or("STOP", lvs_vrrp::Role::label).to_owned(),
        members: group.members.clone(),
    });
    VrrpListing {
        instances: instances.filter_map(|(seat, member)| instance(seat, router, member, now)).collect(),
        groups: groups.collect(),
        strangers: rejects(strangers),
    }
}

fn instance(seat: &Seat, router: &Router, member: Member, now: Tick) -> Option<VrrpInstance> {
    let machine = router.machine(member)?;
    let declared = &seat.instance;
    let (last, counters, priorities) = (machine.last_transition(), machine.counters(), machine.priorities());
    let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let [with, without] = seat.checksums;
    Some(VrrpInstance {
        name: declared.name.clone(),
        interface: declared.interface.clone(),
        virtual_router_id: declared.virtual_router_id,
        version: if declared.version() == Version::V2 { 2 } else { 3 },
        state: machine.role().label().to_owned(),
        priority: priorities.base,
        effective_priority: priorities.effective,
        since: millis(now - last.at),
        cause: words(last.cause),
        master: machine.master().map(|(address, _)| address),
        master_priority: machine.master().map(|(_, priority)| priority),
        source: seat.sender.as_ref().map(|sender| sender.source),
        advert_interval: millis(declared.advert_interval),
        down_interval: millis(machine.down_interval()),
        addresses: seat.addresses().map(|address| address.address).collect(),
        held: seat.held.len(),
        received: counters.received,
        sent: counters.sent,
        zero_received: counters.zero_received,
        zero_sent: counters.zero_sent,
        became_master: counters.became_master,
        released_master: counters.released_master,
        checksum_with_pseudo_header: with,
        checksum_without: without,
        rejects: rejects(&seat.rejects),
        faults: seat.faults.clone(),
    })
}
