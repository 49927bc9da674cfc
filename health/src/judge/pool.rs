//! A virtual server's members: which of its servers are in it, with which weight, and whether they are enough.
//!
//! ```text
//! lost:    real servers go, then the sorry server comes, then the notification
//! gained:  the sorry server goes, then real servers come, then the notification
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use super::action::{Action, Member, Notice, Subject};
use super::probe::ProbeId;
use crate::declared::{Policy, RealServer};

/// The largest weight a server can have.
const HEAVIEST: i64 = i32::MAX as i64;

/// A check a real server depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) probe: ProbeId,
    /// What it says of the server, or what is assumed until it says something.
    pub(super) is_up: bool,
    /// What it adds to the weight.
    pub(super) weight: i64,
}

/// A real server as it stands.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) declared: RealServer,
    pub(super) links: Vec<Link>,
    pub(super) is_alive: bool,
    /// Whether it was when it was declared before; none when it is new.
    pub(super) was_alive: Option<bool>,
    /// Somebody was told of its state, or need not be.
    pub(super) is_told: bool,
    /// Its weight in the virtual server; none while it is not in it.
    pub(super) set: Option<u32>,
}

impl Server {
    pub(super) fn weight(&self) -> u32 {
        let sum = i64::from(self.declared.weight) + self.links.iter().map(|link| link.weight).sum::<i64>();
        u32::try_from(sum.clamp(0, HEAVIEST)).unwrap_or_default()
    }

    pub(super) fn is_good(&self) -> bool {
        self.links.iter().all(|link| link.is_up)
    }
}

/// A virtual server as it stands.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) name: Arc<str>,
    pub(super) policy: Policy,
    pub(super) servers: Vec<Server>,
    pub(super) has_quorum: bool,
    pub(super) is_sorry: bool,
    /// The sorry server with its weight in the virtual server; none while it is not in it.
    pub(super) sorry_set: Option<(SocketAddr, u32)>,
    pub(super) is_suspended: bool,
}

impl Pool {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            policy: Policy::default(),
            servers: Vec::new(),
            has_quorum: false,
            is_sorry: false,
            sorry_set: None,
            is_suspended: false,
        }
    }

    /// What its servers that are alive weigh together.
    pub(super) fn weight(&self) -> u64 {
        self.servers.iter().filter(|server| server.is_alive).map(|server| u64::from(server.weight())).sum()
    }

    /// The sorry server's address, when it is none of the real servers' too.
    pub(super) fn own_sorry(&self) -> Option<SocketAddr> {
        let sorry = self.policy.sorry?;
        let is_real = self.servers.iter().any(|server| server.declared.address == sorry.address);
        (!is_real).then_some(sorry.address)
    }

    /// The weight this server should have in the virtual server; none if it should not be in it.
    fn wanted(&self, server: &Server) -> Option<u32> {
        if self.is_sorry && self.policy.sorry.is_some_and(|sorry| sorry.address == server.declared.address) {
            return Some(1);
        }
        if server.is_alive && !self.is_sorry {
            return Some(server.weight());
        }
        server.declared.inhibit_on_failure.then_some(0)
    }

    /// Brings the members to what they should be; changes nothing of those that are.
    pub(super) fn settle(&mut self, out: &mut impl Extend<Action>) {
        let sorry = self.own_sorry();
        let sorry_wanted = match self.policy.sorry {
            Some(_) if self.is_sorry => Some(1),
            Some(sorry) if sorry.inhibit => Some(0),
            _ => None,
        };
        if !self.is_sorry {
            self.settle_sorry(sorry, sorry_wanted, out);
        }
        for index in 0..self.servers.len() {
            let Some(server) = self.servers.get(index) else { continue };
            let wanted = self.wanted(server);
            let member = self.member(server.declared.address, false);
            if let Some(server) = self.servers.get_mut(index) {
                out.extend(step(member, server.set, wanted));
                server.set = wanted;
            }
        }
        if self.is_sorry {
            self.settle_sorry(sorry, sorry_wanted, out);
        }
    }

    fn settle_sorry(
        &mut self,
        address: Option<SocketAddr>,
        wanted: Option<u32>,
        out: &mut impl Extend<Action>,
    ) {
        if let Some(address) = address {
            out.extend(step(self.member(address, true), self.sorry_set.map(|(_, weight)| weight), wanted));
            self.sorry_set = wanted.map(|weight| (address, weight));
        }
    }

    pub(super) fn member(&self, address: SocketAddr, is_sorry: bool) -> Member {
        Member { virtual_server: Arc::clone(&self.name), address, is_sorry }
    }

    /// Looks whether the servers are enough. `is_start` when it was declared just now, for the first time or anew.
    pub(super) fn weigh(&mut self, is_start: bool, out: &mut impl Extend<Action>) {
        let (sum, quorum) = (self.weight(), u64::from(self.policy.quorum));
        let hysteresis = u64::from(self.policy.hysteresis);
        let is_lost = sum == 0 || sum < quorum.saturating_sub(hysteresis);
        let has_sorry = self.policy.sorry.is_some();
        if !self.has_quorum && sum >= quorum + hysteresis {
            self.has_quorum = true;
            self.is_sorry = false;
            self.settle(out);
            out.extend([self.quorum_notice(format!("weight {sum}, quorum {quorum}+{hysteresis}"))]);
        } else if (self.has_quorum && is_lost)
            || (is_start && !self.has_quorum && has_sorry && !self.is_sorry)
        {
            self.has_quorum = false;
            self.is_sorry = has_sorry;
            self.settle(out);
            out.extend([self.quorum_notice(format!("weight {sum}, quorum {quorum}-{hysteresis}"))]);
        }
    }

    fn quorum_notice(&self, reason: String) -> Action {
        let script = if self.has_quorum { &self.policy.quorum_up } else { &self.policy.quorum_down };
        Action::Tell(Notice {
            subject: Subject::Quorum { virtual_server: Arc::clone(&self.name) },
            is_up: self.has_quorum,
            reason,
            script: script.clone(),
        })
    }

    /// What is told of a server's state.
    pub(super) fn notice(&self, server: &Server, reason: String) -> Action {
        let script = if server.is_alive { &server.declared.notify_up } else { &server.declared.notify_down };
        Action::Tell(Notice {
            subject: Subject::Server {
                virtual_server: Arc::clone(&self.name),
                address: server.declared.address,
            },
            is_up: server.is_alive,
            reason,
            script: script.clone(),
        })
    }

    /// Takes the state of the server at `index` from its checks; `is_first` when a check failed before it had said
    /// anything.
    pub(super) fn review(
        &mut self,
        index: usize,
        is_first: bool,
        reason: impl Fn() -> String,
        out: &mut impl Extend<Action>,
    ) {
        let Some(server) = self.servers.get_mut(index) else { return };
        let is_good = server.is_good();
        let is_change = server.is_alive != is_good;
        let is_to_tell = is_change || (is_first && !server.is_told);
        server.is_alive = is_good;
        server.is_told |= is_to_tell;
        if is_change {
            self.settle(out);
        }
        if is_to_tell && let Some(server) = self.servers.get(index) {
            out.extend([self.notice(server, reason())]);
        }
        if is_change {
            self.weigh(false, out);
        }
    }

    /// The last words about all servers and the quorum, when the virtual server ends.
    pub(super) fn end(&mut self, reason: &str, out: &mut impl Extend<Action>) {
        for index in 0..self.servers.len() {
            let Some(server) = self.servers.get_mut(index) else { continue };
            let (was_alive, set) = (std::mem::replace(&mut server.is_alive, false), server.set.take());
            let Some(server) = self.servers.get(index) else { continue };
            if set.is_some() {
                out.extend([Action::Remove(self.member(server.declared.address, false))]);
            }
            if was_alive {
                out.extend([self.notice(server, reason.to_owned())]);
            }
        }
        if let Some((address, _)) = self.sorry_set.take() {
            out.extend([Action::Remove(self.member(address, true))]);
        }
        if std::mem::replace(&mut self.has_quorum, false) {
            out.extend([self.quorum_notice(reason.to_owned())]);
        }
    }
}

/// What leads from one weight to another.
fn step(member: Member, set: Option<u32>, wanted: Option<u32>) -> Option<Action> {
    match (set, wanted) {
        (None, Some(weight)) => Some(Action::Add(member, weight)),
        (Some(_), None) => Some(Action::Remove(member)),
        (Some(old), Some(new)) if old != new => Some(Action::Weigh(member, new)),
        (Some(_), Some(_)) | (None, None) => None,
    }
}
