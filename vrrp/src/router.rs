//! A router's part in all its virtual routers: their machines, and the sync groups that bind them together.

use std::net::IpAddr;

use crate::Tick;
use crate::machine::{Action, Event, Machine, Role, Rules};
use crate::wire::Advert;

/// One virtual router's place in a [`Router`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member(pub usize);

/// The machines of one router.
#[derive(Debug, Default)]
pub struct Router {
    machines: Vec<Machine>,
    /// Whether each can do its own work.
    usable: Vec<bool>,
    groups: Vec<Vec<Member>>,
    is_started: bool,
}

impl Router {
    /// No virtual routers yet.
    pub const fn new() -> Self {
        Self { machines: Vec::new(), usable: Vec::new(), groups: Vec::new(), is_started: false }
    }

    /// Adds a virtual router that is not usable yet. Its rules say whether a group is waited for.
    pub fn add(&mut self, rules: Rules, address: IpAddr, now: Tick) -> Member {
        self.machines.push(Machine::new(rules, address, now));
        self.usable.push(false);
        Member(self.machines.len() - 1)
    }

    /// Takes over a machine that ran before, with its state.
    pub fn adopt(&mut self, machine: Machine, is_usable: bool) -> Member {
        self.machines.push(machine);
        self.usable.push(is_usable);
        Member(self.machines.len() - 1)
    }

    /// Gives its machines to a successor, each with whether it is usable.
    pub fn into_machines(self) -> Vec<(Machine, bool)> {
        self.machines.into_iter().zip(self.usable).collect()
    }

    /// Binds virtual routers together.
    pub fn bind(&mut self, group: Vec<Member>) {
        self.groups.push(group);
    }

    /// A virtual router's machine.
    pub fn machine(&self, member: Member) -> Option<&Machine> {
        self.machines.get(member.0)
    }

    /// The virtual routers.
    pub fn members(&self) -> impl Iterator<Item = Member> + use<> {
        (0..self.machines.len()).map(Member)
    }

    /// The role of the group a virtual router is in: that of its members, who have all the same.
    pub fn role_of_group(&self, group: usize) -> Option<Role> {
        let members = self.groups.get(group)?;
        members.iter().filter_map(|&member| Some(self.machine(member)?.role())).min()
    }

    /// Begins with what is usable.
    pub fn start(&mut self, now: Tick) {
        self.is_started = true;
        self.settle(now);
    }

    /// A virtual router can do its work now, or cannot any more.
    pub fn set_usable(&mut self, member: Member, is_usable: bool, now: Tick) {
        if let Some(usable) = self.usable.get_mut(member.0) {
            *usable = is_usable;
        }
        self.settle(now);
    }

    /// What a virtual router watches has changed its priority.
    pub fn set_priority(&mut self, member: Member, priority: u8) {
        if let Some(machine) = self.machines.get_mut(member.0) {
            machine.set_priority(priority);
        }
    }

    /// The address a virtual router's adverts come from has changed.
    pub fn set_address(&mut self, member: Member, address: IpAddr) {
        if let Some(machine) = self.machines.get_mut(member.0) {
            machine.set_address(address);
        }
    }

    /// Takes an advert that was let in.
    pub fn on_advert(&mut self, member: Member, advert: &Advert, from: IpAddr, now: Tick) {
        let before = self.roles();
        if let Some(machine) = self.machines.get_mut(member.0) {
            machine.on_advert(advert, from, now);
        }
        self.follow(&before, now);
    }

    /// Lets time pass.
    pub fn on_deadline(&mut self, now: Tick) {
        let before = self.roles();
        for machine in &mut self.machines {
            if machine.next_deadline().is_some_and(|deadline| deadline <= now) {
                machine.on_deadline(now);
            }
        }
        self.follow(&before, now);
    }

    /// Ends one virtual router, or all: masters resign.
    pub fn stop(&mut self, member: Option<Member>, now: Tick) {
        for (place, machine) in self.machines.iter_mut().enumerate() {
            if member.is_none_or(|member| member.0 == place) {
                machine.stop(now);
            }
        }
        self.is_started &= member.is_some();
    }

    /// When [`on_deadline`](Self::on_deadline) is to be called next.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.machines.iter().filter_map(Machine::next_deadline).min()
    }

    /// What is to be done next, and for which virtual router.
    pub fn next_action(&mut self) -> Option<(Member, Action)> {
        self.machines
            .iter_mut()
            .enumerate()
            .find_map(|(place, machine)| Some((Member(place), machine.next_action()?)))
    }

    fn roles(&self) -> Vec<Role> {
        self.machines.iter().map(Machine::role).collect()
    }

    /// A virtual router runs when all of its group can.
    fn can_run(&self, member: Member) -> bool {
        let usable = |member: &Member| self.usable.get(member.0).copied().unwrap_or(false);
        let group = self.groups.iter().find(|group| group.contains(&member));
        usable(&member) && group.is_none_or(|group| group.iter().all(usable))
    }

    fn settle(&mut self, now: Tick) {
        if !self.is_started {
            return;
        }
        for place in 0..self.machines.len() {
            let can_run = self.can_run(Member(place));
            let Some(machine) = self.machines.get_mut(place) else { continue };
            match (can_run, machine.role()) {
                (true, Role::Stopped) => machine.start(now),
                (true, Role::Fault) => machine.recover(now),
                (false, Role::Stopped | Role::Backup | Role::Master) => machine.fail(now),
                (true, Role::Backup | Role::Master) | (false, Role::Fault) => {}
            }
        }
    }

    /// Members follow the one whose role has changed; who waits for the others goes on once all are ready.
    fn follow(&mut self, before: &[Role], now: Tick) {
        for group in &self.groups {
            let roles = |machines: &[Machine], wanted: Role| {
                let became = |member: &Member| {
                    let role = machines.get(member.0).map(Machine::role);
                    role == Some(wanted) && before.get(member.0) != Some(&wanted)
                };
                group.iter().any(became)
            };
            let event = if roles(&self.machines, Role::Backup) {
                Some(Event::GroupBackup)
            } else {
                let mut members = group.iter().filter_map(|member| self.machines.get(member.0));
                let all_ready = members.clone().all(Machine::is_ready);
                let any_waits = members.any(|machine| machine.role() == Role::Backup);
                (all_ready && any_waits).then_some(Event::GroupMaster)
            };
            let Some(event) = event else { continue };
            for member in group {
                if let Some(machine) = self.machines.get_mut(member.0) {
                    machine.follow(event, now);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
