//! What a machine does when time has passed.

use super::state::State;
use super::transition::{Cause, Event};
use super::{Action, Machine};
use crate::Tick;

impl Machine {
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
}
