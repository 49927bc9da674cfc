//! From what attempts say to who serves: retries, quorum, sorry server, notifications.
//!
//! ```text
//!            next_due, take_due          on_outcome                next_action
//! agenda ------------------------> (an attempt is made) --> judge ------------> add, weigh, remove, tell
//! ```
//!
//! The judge holds no socket and reads no clock: whoever runs it says what time it is. The rules are keepalived's:
//!
//! * A server is up while all its checks are content. A check is so from the start unless it is an `alpha` one.
//! * The very first failure of a check counts; later ones only after `retry` more, `delay_before_retry` apart. A check
//!   that has failed tries each `delay_loop`, and one success is enough.
//! * The quorum is gained with quorum + hysteresis of weight, and lost with less than quorum - hysteresis or with none.
//! * What dynamic checks say of the weight is added up; it counts while the server is in the virtual server.

mod action;
mod agenda;
mod declare;
mod moment;
mod outcome;
mod pool;
mod probe;
mod random;
mod report;

use std::collections::VecDeque;
use std::sync::Arc;

pub use action::{Action, Member, Notice, Subject};
pub use moment::Moment;
pub use outcome::{Failure, Outcome};
pub use probe::ProbeId;
pub use report::{CheckReport, PoolReport, ServerReport};

use crate::declared::Check;
use agenda::Agenda;
use declare::share;
use pool::Pool;
use probe::Probe;
use random::Random;

/// Keys are the administrator's, of whom there is no need to be afraid.
type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// An attempt to be made.
#[derive(Debug, Clone)]
pub struct Task {
    /// Of which check.
    pub probe: ProbeId,
    /// What to do.
    pub check: Arc<Check>,
    /// Which of its pages, where it has some.
    pub page: usize,
    /// When it was taken from the agenda.
    pub started: Moment,
}

/// Judges over all virtual servers.
#[derive(Debug)]
pub struct Judge {
    pools: HashMap<Arc<str>, Pool>,
    /// The pools' names as they were declared.
    order: Vec<Arc<str>>,
    probes: HashMap<ProbeId, Probe>,
    by_check: HashMap<Arc<Check>, ProbeId>,
    last_id: u64,
    agenda: Agenda,
    random: Random,
    actions: VecDeque<Action>,
}

impl Judge {
    /// A judge over nothing; `seed` scatters the first attempts.
    pub fn new(seed: u64) -> Self {
        Self {
            pools: HashMap::default(),
            order: Vec::new(),
            probes: HashMap::default(),
            by_check: HashMap::default(),
            last_id: 0,
            agenda: Agenda::default(),
            random: Random::seeded(seed),
            actions: VecDeque::new(),
        }
    }

    /// When the next attempt is to be made; it may be one that is not wanted any more.
    pub fn next_due(&self) -> Option<Moment> {
        self.agenda.first()
    }

    /// Takes an attempt that is to be made now. What comes of it is handed to [`on_outcome`](Self::on_outcome).
    pub fn take_due(&mut self, now: Moment) -> Option<Task> {
        while let Some((id, number)) = self.agenda.take(now) {
            let Some(probe) = self.probes.get_mut(&id) else { continue };
            if probe.due.is_none_or(|(_, entered)| entered != number) {
                continue;
            }
            let pools = &self.pools;
            let is_wanted = |name: &Arc<str>| pools.get(name).is_some_and(|pool| !pool.is_suspended);
            if !probe.users.iter().any(|(name, _)| is_wanted(name)) {
                probe.due = Some(self.agenda.enter(id, now + probe.check.timing.delay_loop));
                continue;
            }
            probe.due = None;
            return Some(Task { probe: id, check: Arc::clone(&probe.check), page: probe.page, started: now });
        }
        None
    }

    /// Takes what came of an attempt. One that nobody waits for any more changes nothing. True when it is a failure that
    /// is to be logged whatever follows from it (`log_all_failures`): one of a check that was content.
    pub fn on_outcome(&mut self, task: &Task, outcome: Outcome, now: Moment) -> bool {
        let Some(probe) = self.probes.get_mut(&task.probe) else { return false };
        if probe.due.is_some() {
            return false;
        }
        let was_first = !probe.has_run;
        let is_failure = matches!(outcome, Outcome::Failure(_));
        let is_to_log = is_failure && probe.is_up && probe.check.timing.log_all_failures;
        let change = probe.take(outcome, task.started, now);
        probe.due = Some(self.agenda.enter(task.probe, now + change.pause));
        if change.verdict.is_none() && !change.is_weight {
            return is_to_log;
        }
        let probe = probe.clone();
        for (name, index) in &probe.users {
            let Some(pool) = self.pools.get_mut(name) else { continue };
            tell_pool(pool, *index, task.probe, &probe, was_first, &mut self.actions);
        }
        is_to_log
    }

    /// Whether anything is checked for a virtual server (`ha_suspend`): its servers keep their state meanwhile.
    pub fn suspend(&mut self, virtual_server: &str, is_suspended: bool) {
        if let Some(pool) = self.pools.get_mut(virtual_server) {
            pool.is_suspended = is_suspended;
        }
    }

    /// Ends everything: those that asked for it (`omega`) are told that their servers and their quorum are gone. Nobody
    /// leaves a virtual server for it.
    pub fn end(&mut self) {
        self.agenda = Agenda::default();
        self.probes.clear();
        self.by_check.clear();
        for name in std::mem::take(&mut self.order) {
            let Some(mut pool) = self.pools.remove(&name) else { continue };
            if pool.policy.omega {
                let mut last = VecDeque::new();
                pool.end("shutting down", &mut last);
                self.actions.extend(last.into_iter().filter(|action| matches!(action, Action::Tell(_))));
            }
        }
    }

    /// The next thing to be done.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether there is something to be done.
    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// The servers that are in a virtual server, each with its weight, once every action has been carried out.
    pub fn members(&self, virtual_server: &str) -> Vec<(Member, u32)> {
        let Some(pool) = self.pools.get(virtual_server) else { return Vec::new() };
        let server = |server: &pool::Server| {
            server.set.map(|weight| (pool.member(server.declared.address, false), weight))
        };
        let sorry = pool.sorry_set.map(|(address, weight)| (pool.member(address, true), weight));
        pool.servers.iter().filter_map(server).chain(sorry).collect()
    }

    /// How everything stands.
    pub fn report(&self) -> Vec<PoolReport> {
        self.order.iter().filter_map(|name| self.pools.get(name)).map(|pool| self.pool_report(pool)).collect()
    }

    /// How many different checks run.
    pub fn probes(&self) -> usize {
        self.probes.len()
    }

    fn pool_report(&self, pool: &Pool) -> PoolReport {
        let server = |server: &pool::Server| ServerReport {
            address: server.declared.address,
            is_up: server.is_alive,
            weight: server.set,
            checks: server.links.iter().filter_map(|link| self.check_report(*link)).collect(),
        };
        PoolReport {
            name: pool.name.to_string(),
            has_quorum: pool.has_quorum,
            is_sorry: pool.is_sorry,
            is_suspended: pool.is_suspended,
            weight: pool.weight(),
            quorum: pool.policy.quorum,
            hysteresis: pool.policy.hysteresis,
            servers: pool.servers.iter().map(server).collect(),
        }
    }

    fn check_report(&self, link: pool::Link) -> Option<CheckReport> {
        let probe = self.probes.get(&link.probe)?;
        let last = probe.last.as_ref();
        Some(CheckReport {
            keyword: probe.check.kind.keyword().to_owned(),
            target: probe.check.endpoint.address,
            path: probe.check.endpoint.path,
            is_up: link.is_up,
            has_run: probe.has_run,
            since: probe.since,
            ended: last.map(|last| last.ended),
            took: last.map(|last| last.took),
            last: last.map(|last| last.outcome.clone()),
            users: probe.users.len(),
        })
    }
}

/// Tells the server at `index` what one of its checks says now.
fn tell_pool(
    pool: &mut Pool,
    index: usize,
    id: ProbeId,
    probe: &Probe,
    was_first: bool,
    out: &mut VecDeque<Action>,
) {
    let Some(server) = pool.servers.get_mut(index) else { return };
    let before = server.weight();
    let weight = share(probe, &server.declared);
    for link in server.links.iter_mut().filter(|link| link.probe == id) {
        link.weight = weight;
        if probe.has_run {
            link.is_up = probe.is_up;
        }
    }
    if server.weight() != before && server.is_alive && server.is_good() {
        pool.settle(out);
        pool.weigh(false, out);
    }
    let reason = || match probe.last.as_ref().map(|last| &last.outcome) {
        Some(Outcome::Failure(failure)) => format!("{}: {failure}", probe.check.kind.keyword()),
        Some(Outcome::Success { .. }) | None => probe.check.kind.keyword().to_owned(),
    };
    pool.review(index, was_first && probe.has_run && !probe.is_up, reason, out);
}

#[cfg(test)]
mod tests;
