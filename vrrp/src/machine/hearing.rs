//! What a machine does about an advert.

use std::net::IpAddr;

use super::state::State;
use super::transition::{Cause, Event};
use super::{Action, Machine, OWNER};
use crate::Tick;
use crate::declared::Preemption;
use crate::wire::Advert;

impl Machine {
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
}
