//! The defence while memory is short: what is refused, what is given up, and which TCP states hold.

use std::cell::Cell;
use std::collections::HashSet;
use std::time::Duration;

use lvs_conntrack::{Conn, SctpState, State, TcpState, Template, Tick};

use super::{Registry, Sysctls};
use crate::destination::{DestinationId, Lease};
use crate::director::Binding;

/// How often memory is looked at, and connections are thinned (`DEFENSE_TIMER_PERIOD`).
const PERIOD: Duration = Duration::from_secs(1);
/// A connection that was used so recently stays.
const IDLE: Duration = Duration::from_mins(1);

/// What the defence knows and remembers.
#[derive(Debug)]
pub(super) struct Defence {
    /// Free and buffered memory, in pages; plenty until somebody tells.
    available: i32,
    due: Tick,
    dice: Dice,
    turns: Turns,
}

impl Defence {
    pub(super) fn new(seed: u64) -> Self {
        Self { available: i32::MAX, due: Tick::ZERO, dice: Dice(seed), turns: Turns::default() }
    }
}

impl Registry {
    /// Takes how much of the host's memory is free or holds buffers, in pages (`si_meminfo`). It counts from the
    /// next [`tick`](Self::tick) or change of a mode on.
    pub const fn set_available_memory(&mut self, pages: i32) {
        self.defence.available = pages;
    }

    /// True while a mode is automatic, and memory matters.
    pub fn watches_memory(&self) -> bool {
        modes(&self.sysctls).iter().any(|mode| matches!(mode, 1 | 2))
    }

    /// Judges the shortage anew and thins the connections, once a second.
    pub(super) fn defend(&mut self, now: Tick) {
        if now < self.defence.due {
            return;
        }
        self.defence.due = now + PERIOD;
        if self.settle_modes() {
            self.publish();
        }
        if self.sysctls.drop_entry > 1 {
            self.thin(now);
        }
    }

    /// Lets the automatic modes follow the memory (`update_defense_level`): 1 becomes 2 while it is short, and 2
    /// becomes 1 again. True when one changed.
    pub(super) fn settle_modes(&mut self) -> bool {
        let before = modes(&self.sysctls);
        let Sysctls { amemthresh, am_droprate, .. } = self.sysctls;
        let available = self.defence.available;
        let is_short = available < amemthresh;
        for mode in
            [&mut self.sysctls.drop_entry, &mut self.sysctls.drop_packet, &mut self.sysctls.secure_tcp]
        {
            if matches!(mode, 1 | 2) {
                *mode = if is_short { 2 } else { 1 };
            }
        }
        let throttle = self.plane.throttle();
        match self.sysctls.drop_packet {
            2 => throttle.set(amemthresh / (amemthresh - available), true),
            3 => throttle.set(am_droprate, false),
            _ => throttle.set(0, false),
        }
        modes(&self.sysctls) != before
    }

    /// Gives up what an attack leaves behind, in one in 32 of the entries (`ip_vs_random_dropentry`).
    fn thin(&mut self, now: Tick) {
        self.plane.retire_flows(now, IDLE);
        let one_packet: HashSet<DestinationId> = self
            .entries
            .iter()
            .filter(|entry| entry.declared().one_packet)
            .flat_map(|entry| entry.servers().iter().map(|server| server.destination.id()))
            .collect();
        let Defence { dice, turns, .. } = &mut self.defence;
        let turns: &Turns = turns;
        self.plane.table().thin(
            now,
            || dice.roll(),
            |conn| is_unwanted(conn, now, turns),
            |template| {
                let is_of_packets = one_packet.contains(&template.binding().destination().id());
                is_unwanted_template(template, is_of_packets, now, turns)
            },
        );
    }
}

const fn modes(sysctls: &Sysctls) -> [i32; 3] {
    [sysctls.drop_entry, sysctls.drop_packet, sysctls.secure_tcp]
}

/// Half-open connections go at once; open ones, and those without states, only by [`is_idle`].
fn is_unwanted(conn: &Conn<Binding, Lease>, now: Tick, turns: &Turns) -> bool {
    match conn.state() {
        State::Tcp(TcpState::SynRecv | TcpState::SynAck)
        | State::Sctp(SctpState::Init1 | SctpState::Init) => true,
        State::Tcp(TcpState::Established)
        | State::Sctp(SctpState::Established)
        | State::Udp
        | State::Other => is_idle(conn.idle(now), conn.packets(), turns),
        State::Tcp(_) | State::Sctp(_) => false,
    }
}

/// Templates that no client made good use of go; those of one-packet scheduling, which nobody assures, by
/// [`is_idle`].
fn is_unwanted_template(template: &Template<Lease>, of_packets: bool, now: Tick, turns: &Turns) -> bool {
    if of_packets {
        return is_idle(template.idle(now), template.packets(), turns);
    }
    !template.is_assured()
}

/// True for an entry that was not used for a minute and saw few packets, when its turn comes (`todrop_entry`).
fn is_idle(idle: Duration, packets: u32, turns: &Turns) -> bool {
    idle >= IDLE && turns.comes(packets)
}

/// Of the entries with n packets, 1 to 8, every nth is given up.
#[derive(Debug, Default)]
struct Turns([Cell<u32>; 9]);

impl Turns {
    fn comes(&self, packets: u32) -> bool {
        let place = usize::try_from(packets).ok().filter(|&packets| packets > 0);
        let Some(turn) = place.and_then(|place| self.0.get(place)) else { return false };
        let left = turn.get().saturating_sub(1);
        turn.set(if left > 0 { left } else { packets });
        left == 0
    }
}

/// Draws lots; what it draws can be foreseen only by who knows the seed (`SplitMix64`).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_entries_with_few_packets_every_nth_has_its_turn() {
        let turns = Turns::default();
        let times = |packets| (0..24).filter(|_| turns.comes(packets)).count();
        assert_eq!([0, 1, 2, 3, 8, 9, 1000].map(times), [0, 24, 12, 8, 3, 0, 0]);
    }
}
