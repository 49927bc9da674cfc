//! The state machine of one virtual router (RFC 9568, section 6), with keepalived's additions.
//!
//! ```text
//!                    usable            silence of the master
//!      +-----------+ ------> +--------+ -------------------> +--------+
//!      | Stopped,  |         | Backup |                      | Master |
//!      | Fault     | <------ +--------+ <------------------- +--------+
//!      +-----------+  fault,            a higher priority, or the
//!            ^        stop              same from a higher address |
//!            +-----------------------------------------------------+
//!                      fault, stop: an advert of priority 0
//! ```

mod action;
mod counters;
mod deadline;
mod hearing;
mod rules;
mod state;
mod timing;
mod transition;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

pub use action::Action;
pub use counters::{Counters, Priorities};
pub use rules::Rules;
pub(crate) use transition::Event;
pub use transition::{Cause, Role, Transition};

use crate::Tick;
use state::State;
use timing::Timing;

/// The owner of the addresses has this priority, always.
pub(crate) const OWNER: u8 = 255;

/// The state machine of one virtual router.
#[derive(Debug)]
pub struct Machine {
    rules: Rules,
    /// The address that adverts come from: it decides between equal priorities.
    address: IpAddr,
    effective: u8,
    /// An owner that gave way to another one is an owner no longer.
    has_yielded: bool,
    timing: Timing,
    state: State,
    last: Transition,
    actions: VecDeque<Action>,
    counters: Counters,
}

impl Machine {
    /// A machine that does nothing until [`start`](Self::start). `address` is where its adverts come from.
    pub fn new(rules: Rules, address: IpAddr, now: Tick) -> Self {
        Self {
            timing: Timing::new(rules.interval, rules.down_timer_adverts, rules.version),
            effective: rules.priority,
            has_yielded: false,
            address,
            state: State::Stopped,
            last: Transition { role: Role::Stopped, at: now, cause: Cause::Started },
            actions: VecDeque::new(),
            counters: Counters::default(),
            rules,
        }
    }

    /// Begins: as master if it owns the addresses, else as backup (RFC 9568, section 6.4.1).
    pub fn start(&mut self, now: Tick) {
        if self.role() == Role::Stopped {
            self.change(Event::Usable { is_owner: self.is_owner() }, Cause::Started, now);
        }
    }

    /// Cannot do its work any more, for example because its interface is down.
    pub fn fail(&mut self, now: Tick) {
        self.change(Event::Unusable, Cause::Fault, now);
    }

    /// Can do its work again.
    pub fn recover(&mut self, now: Tick) {
        if self.role() == Role::Fault {
            self.change(Event::Usable { is_owner: self.is_owner() }, Cause::Recovered, now);
        }
    }

    /// Ends: a master resigns.
    pub fn stop(&mut self, now: Tick) {
        self.change(Event::Shutdown, Cause::Stopped, now);
    }

    /// The rules were declared anew: what stayed keeps its state, and its master is not thought dead for it.
    pub fn reconfigure(&mut self, rules: Rules, address: IpAddr, now: Tick) {
        self.address = address;
        self.timing = Timing::new(rules.interval, rules.down_timer_adverts, rules.version);
        let base_changed = rules.priority != self.rules.priority;
        self.rules = rules;
        if base_changed {
            self.has_yielded = false;
            self.effective = self.rules.priority;
        }
        let down_at = now + self.down_interval();
        let next = now + self.rules.interval;
        match &mut self.state {
            State::Backup { down_at: deadline @ Some(_), .. } => *deadline = Some(down_at),
            State::Master { advertise_at, .. } => *advertise_at = next.min(*advertise_at),
            State::Backup { .. } | State::Stopped | State::Fault => {}
        }
    }

    /// The address that adverts come from has changed.
    pub fn set_address(&mut self, address: IpAddr) {
        self.address = address;
    }

    /// What it watches has changed its priority to this; an owner's stays.
    pub fn set_priority(&mut self, effective: u8) {
        let effective = if self.is_owner() { OWNER } else { effective.clamp(1, OWNER - 1) };
        if self.effective != effective {
            self.effective = effective;
            self.actions.push_back(Action::TellPriority);
        }
    }

    /// What is to be done next; to be asked until there is nothing more.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What it is.
    pub const fn role(&self) -> Role {
        match self.state {
            State::Stopped => Role::Stopped,
            State::Fault => Role::Fault,
            State::Backup { .. } => Role::Backup,
            State::Master { .. } => Role::Master,
        }
    }

    /// How it came to be what it is.
    pub const fn last_transition(&self) -> Transition {
        self.last
    }

    /// Its priorities.
    pub const fn priorities(&self) -> Priorities {
        Priorities { base: self.rules.priority, effective: self.effective }
    }

    /// What was counted.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Whom it takes for the master, where that is another, and its priority.
    pub const fn master(&self) -> Option<(IpAddr, u8)> {
        match self.state {
            State::Backup { master, .. } => master,
            State::Stopped | State::Fault | State::Master { .. } => None,
        }
    }

    /// How long the master may be silent.
    pub fn down_interval(&self) -> Duration {
        self.timing.down_interval(self.effective)
    }

    /// True when the master is silent and only the group is waited for.
    pub(crate) const fn is_ready(&self) -> bool {
        matches!(self.state, State::Backup { down_at: None, .. } | State::Master { .. })
    }

    /// Becomes what the group has become.
    pub(crate) fn follow(&mut self, event: Event, now: Tick) {
        self.change(event, Cause::Group, now);
    }

    const fn is_owner(&self) -> bool {
        self.rules.priority == OWNER && !self.has_yielded
    }

    /// Does what the change of role asks for; nothing where there is none.
    fn change(&mut self, event: Event, cause: Cause, now: Tick) {
        let before = self.role();
        let after = before.after(event);
        if after == before {
            return;
        }
        if before == Role::Master {
            self.counters.released_master += 1;
            if after != Role::Backup {
                self.send(0);
            }
            self.actions.push_back(Action::ReleaseAddresses);
        }
        self.state = match after {
            Role::Stopped => State::Stopped,
            Role::Fault => State::Fault,
            Role::Backup => {
                if before != Role::Master {
                    self.timing.learn(self.rules.interval);
                }
                let down_at = Some(now + self.down_interval());
                State::Backup { down_at, master: None, preempt_at: None }
            }
            Role::Master => self.as_master(now),
        };
        self.last = Transition { role: after, at: now, cause };
        self.actions.push_back(Action::Tell(self.last));
    }

    /// RFC 9568, section 6.4.2, (380) to (405): the advert goes before all else, so that no other takes over.
    fn as_master(&mut self, now: Tick) -> State {
        let announcing = self.rules.announcing;
        self.counters.became_master += 1;
        self.send(self.effective);
        self.actions.push_back(Action::TakeAddresses);
        self.actions.push_back(Action::Announce { repeat: announcing.repeat });
        let after = |delay: Duration| (!delay.is_zero()).then(|| now + delay);
        State::Master {
            advertise_at: now + self.rules.interval,
            second_round: after(announcing.delay),
            refresh: after(announcing.refresh),
            lower_round: None,
            rival: None,
        }
    }

    fn advertise(&mut self, now: Tick) {
        self.advertise_from(now, now);
    }

    /// Sends an advert that was due at `due`; the next is due one interval later, so that lateness does not add up.
    fn advertise_from(&mut self, due: Tick, now: Tick) {
        self.send(self.effective);
        let on_time = due + self.rules.interval;
        let next = if on_time > now { on_time } else { now + self.rules.interval };
        if let State::Master { advertise_at, .. } = &mut self.state {
            *advertise_at = next;
        }
    }

    fn send(&mut self, priority: u8) {
        self.counters.sent += 1;
        self.counters.zero_sent += u64::from(priority == 0);
        self.actions.push_back(Action::Advertise { priority });
    }
}

#[cfg(test)]
mod tests;
