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

mod rules;
mod timing;
mod transition;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

pub use rules::Rules;
pub(crate) use transition::Event;
pub use transition::{Cause, Role, Transition};

use crate::Tick;
use crate::declared::Preemption;
use crate::wire::Advert;
use timing::Timing;

/// The owner of the addresses has this priority, always.
pub(crate) const OWNER: u8 = 255;

/// Something to be done, in the order it is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send an advert of this priority.
    Advertise {
        /// 0 to 255.
        priority: u8,
    },
    /// Put the virtual addresses on the host.
    TakeAddresses,
    /// Take them off.
    ReleaseAddresses,
    /// Announce them by gratuitous ARP or unsolicited neighbour advertisements.
    Announce {
        /// How often each.
        repeat: u32,
    },
    /// Tell whoever wants to know: the role has changed.
    Tell(Transition),
    /// Tell whoever wants to know: as master it heard an advert of lower priority.
    TellLowerPriority,
    /// Tell whoever wants to know: the priority has changed.
    TellPriority,
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Adverts received and listened to.
    pub received: u64,
    /// Adverts sent, each once whatever the number of peers.
    pub sent: u64,
    /// Times it became master.
    pub became_master: u64,
    /// Times it stopped being master.
    pub released_master: u64,
    /// Adverts of priority 0 received.
    pub zero_received: u64,
    /// Adverts of priority 0 sent.
    pub zero_sent: u64,
}

/// The priorities of a virtual router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priorities {
    /// As declared.
    pub base: u8,
    /// As what it watches has made it.
    pub effective: u8,
}

/// What the machine knows in each role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Stopped,
    Fault,
    Backup {
        /// When the master is thought dead; `None` once it is, and the group is waited for.
        down_at: Option<Tick>,
        master: Option<(IpAddr, u8)>,
        /// Before this a master of lower priority is let be (`preempt_delay`).
        preempt_at: Option<Tick>,
    },
    Master {
        advertise_at: Tick,
        /// The further announcements that are due.
        second_round: Option<Tick>,
        refresh: Option<Tick>,
        lower_round: Option<Tick>,
        /// Another owner: since when, and how many of its adverts.
        rival: Option<(Tick, u32)>,
    },
}

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

    /// Takes an advert that was let in by the [`Gate`](crate::Gate).
    pub fn on_advert(&mut self, advert: &Advert, from: IpAddr, now: Tick) {
        self.counters.received += 1;
        self.counters.zero_received += u64::from(advert.priority == 0);
        match self.state {
            State::Stopped | State::Fault => {}
            State::Backup { down_at, master, preempt_at } => {
                self.hear_as_backup(advert, from, (down_at, master, preempt_at), now);
            }
            State::Master { .. } => self.hear_as_master(advert, from, now),
        }
    }

    /// RFC 9568, section 6.4.2, (420) to (465).
    fn hear_as_backup(
        &mut self,
        advert: &Advert,
        from: IpAddr,
        (down_at, master, mut preempt_at): (Option<Tick>, Option<(IpAddr, u8)>, Option<Tick>),
        now: Tick,
    ) {
        if advert.priority == 0 {
            let down_at = down_at.map(|_| now + self.timing.skew(self.effective));
            self.state = State::Backup { down_at, master: None, preempt_at };
            return;
        }
        let is_lower = advert.priority < self.effective;
        let is_let_be = match self.rules.preemption {
            Preemption::Never => true,
            Preemption::After(delay) if is_lower && !delay.is_zero() => {
                now < *preempt_at.get_or_insert(now + delay)
            }
            Preemption::After(_) => !is_lower,
        };
        if !is_lower {
            preempt_at = None;
        }
        if is_let_be {
            self.timing.learn(advert.interval);
            let down_at = Some(now + self.down_interval());
            self.state = State::Backup { down_at, master: Some((from, advert.priority)), preempt_at };
        } else {
            self.state = State::Backup { down_at, master, preempt_at };
        }
    }

    /// RFC 9568, section 6.4.3, (700) to (760).
    fn hear_as_master(&mut self, advert: &Advert, from: IpAddr, now: Tick) {
        if advert.priority == 0 {
            self.advertise(now);
            return;
        }
        if self.is_outlasted_by(advert, from, now) {
            self.has_yielded = true;
            self.effective = OWNER - 1;
            self.actions.push_back(Action::TellPriority);
        }
        let is_higher = advert.priority > self.effective;
        if is_higher || (advert.priority == self.effective && from > self.address) {
            let cause = Cause::Outranked { by: from, priority: advert.priority };
            if self.rules.higher_priority_send_advert {
                self.advertise(now);
            }
            self.timing.learn(advert.interval);
            self.change(Event::Outranked, cause, now);
            if let State::Backup { master, .. } = &mut self.state {
                *master = Some((from, advert.priority));
            }
            return;
        }
        if !self.rules.lower_priority_no_advert {
            self.advertise(now);
        }
        self.announce_over_another(now);
        self.actions.push_back(Action::TellLowerPriority);
    }

    /// Two owners is a mistake of the operators'. The one of the lower address gives way as the RFC says; where it
    /// goes on for two adverts and 1.2 intervals, it does not hear us, and the other one must.
    fn is_outlasted_by(&mut self, advert: &Advert, from: IpAddr, now: Tick) -> bool {
        let patience = self.rules.interval * 6 / 5;
        let State::Master { rival, .. } = &mut self.state else { return false };
        if advert.priority != OWNER || self.effective != OWNER || from > self.address {
            return false;
        }
        let (since, count) = rival.get_or_insert((now, 0));
        *count += 1;
        *count > 2 && now - *since >= patience
    }

    /// Switches have learnt the other master's port: they must learn ours again.
    fn announce_over_another(&mut self, now: Tick) {
        let repeat = self.rules.announcing.lower_priority_repeat;
        let delay = self.rules.announcing.lower_priority_delay;
        let State::Master { lower_round, .. } = &mut self.state else { return };
        if repeat == 0 || lower_round.is_some() {
            return;
        }
        *lower_round = Some(now + delay);
        self.actions.push_back(Action::Announce { repeat });
    }

    /// Lets time pass: whatever is due by `now` happens.
    pub fn on_deadline(&mut self, now: Tick) {
        let is_due = |at: Option<Tick>| at.is_some_and(|at| at <= now);
        match self.state {
            State::Stopped | State::Fault => {}
            State::Backup { down_at, master, preempt_at } => {
                if is_due(down_at) && self.rules.awaits_group {
                    self.state = State::Backup { down_at: None, master, preempt_at };
                } else if is_due(down_at) {
                    self.change(Event::MasterSilent, Cause::of_silence(master), now);
                }
            }
            State::Master { advertise_at, second_round, refresh, lower_round, rival } => {
                let announcing = self.rules.announcing;
                let mut repeat = 0;
                if is_due(second_round) {
                    repeat = repeat.max(announcing.repeat);
                }
                if is_due(refresh) {
                    repeat = repeat.max(announcing.refresh_repeat);
                }
                if repeat > 0 {
                    self.actions.push_back(Action::Announce { repeat });
                }
                self.state = State::Master {
                    advertise_at,
                    second_round: second_round.filter(|&at| at > now),
                    refresh: refresh.map(|at| if at > now { at } else { now + announcing.refresh }),
                    lower_round: lower_round.filter(|&at| at > now),
                    rival,
                };
                if advertise_at <= now {
                    self.advertise_from(advertise_at, now);
                }
            }
        }
    }

    /// When [`on_deadline`](Self::on_deadline) is to be called next.
    pub fn next_deadline(&self) -> Option<Tick> {
        match self.state {
            State::Stopped | State::Fault => None,
            State::Backup { down_at, .. } => down_at,
            State::Master { advertise_at, second_round, refresh, lower_round, .. } => {
                [Some(advertise_at), second_round, refresh, lower_round].into_iter().flatten().min()
            }
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
