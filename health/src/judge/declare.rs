//! Taking what is declared, for the first time or anew: what stayed keeps its state.

use std::sync::Arc;

use super::pool::{Link, Pool, Server};
use super::probe::{Probe, ProbeId};
use super::{Action, HashMap, Judge, Moment, Outcome};
use crate::declared::{Check, CheckKind, Endpoint, FileCheck, Globals, RealServer, VirtualServer};

/// Why a server leaves that nobody asks for any more.
const GONE: &str = "no longer declared";

/// What was there before, while something else is declared.
struct Before {
    pools: HashMap<Arc<str>, Pool>,
    probes: HashMap<ProbeId, Probe>,
    by_check: HashMap<Arc<Check>, ProbeId>,
    /// Made when a check is first looked for that is not there as it was.
    by_target: Option<HashMap<(CheckKind, Endpoint), ProbeId>>,
}

impl Before {
    /// The check that asks the same of the same, be it with other timers.
    fn like(&mut self, check: &Check) -> Option<&Probe> {
        let probes = &self.probes;
        let target =
            |(id, probe): (&ProbeId, &Probe)| ((probe.check.kind.clone(), probe.check.endpoint.clone()), *id);
        let by_target = self.by_target.get_or_insert_with(|| probes.iter().map(target).collect());
        let id = by_target.get(&(check.kind.clone(), check.endpoint.clone()))?;
        probes.get(id)
    }
}

impl Judge {
    /// Takes over what is declared; `read` looks at a file, for what it says counts from the beginning.
    ///
    /// Checks that are still asked for, be it with other timers, keep their state; servers that are new begin as at the
    /// start; those that are gone leave.
    pub fn declare(
        &mut self,
        globals: &Globals,
        declared: Vec<VirtualServer>,
        read: &dyn Fn(&FileCheck) -> Outcome,
        now: Moment,
    ) {
        let mut before = self.set_aside();
        let pools: Vec<Pool> = declared
            .into_iter()
            .map(|virtual_server| self.take_over(virtual_server, &mut before, read, now))
            .collect();
        let mut gone: Vec<Pool> = before.pools.into_values().collect();
        gone.sort_by(|a, b| a.name.cmp(&b.name));
        for mut pool in gone {
            pool.end(GONE, &mut self.actions);
        }
        for mut pool in pools {
            pool.settle(&mut self.actions);
            self.tell(&pool, globals.rs_init_notifies);
            pool.weigh(true, &mut self.actions);
            self.order.push(Arc::clone(&pool.name));
            self.pools.insert(Arc::clone(&pool.name), pool);
        }
    }

    fn set_aside(&mut self) -> Before {
        self.order.clear();
        let count = self.probes.len();
        let room = || foldhash::fast::RandomState::default();
        Before {
            pools: std::mem::take(&mut self.pools),
            by_check: std::mem::replace(&mut self.by_check, HashMap::with_capacity_and_hasher(count, room())),
            by_target: None,
            probes: std::mem::replace(&mut self.probes, HashMap::with_capacity_and_hasher(count, room())),
        }
    }

    fn take_over(
        &mut self,
        declared: VirtualServer,
        before: &mut Before,
        read: &dyn Fn(&FileCheck) -> Outcome,
        now: Moment,
    ) -> Pool {
        let name: Arc<str> = declared.name.into();
        let old = before.pools.remove(&name).unwrap_or_else(|| Pool::new(Arc::clone(&name)));
        let mut pool = Pool { policy: declared.policy, servers: Vec::new(), ..old };
        let mut kept: HashMap<_, _> =
            old.servers.into_iter().map(|server| (server.declared.address, server)).collect();
        for (index, server) in declared.servers.into_iter().enumerate() {
            let kept = kept.remove(&server.address);
            let server = self.server(server, kept.as_ref(), (&name, index), before, read, now);
            pool.servers.push(server);
        }
        let mut gone: Vec<Server> = kept.into_values().collect();
        gone.sort_by_key(|server| server.declared.address);
        self.dismiss(&pool, gone);
        self.change_sorry(&mut pool);
        pool
    }

    /// Servers that are no longer declared leave.
    fn dismiss(&mut self, pool: &Pool, gone: Vec<Server>) {
        for mut server in gone {
            if server.set.is_some() {
                self.actions.push_back(Action::Remove(pool.member(server.declared.address, false)));
            }
            if std::mem::replace(&mut server.is_alive, false) {
                self.actions.push_back(pool.notice(&server, GONE.to_owned()));
            }
        }
    }

    /// Another sorry server, or none, than before: the old one leaves.
    fn change_sorry(&mut self, pool: &mut Pool) {
        if let Some((address, _)) = pool.sorry_set
            && pool.own_sorry() != Some(address)
        {
            self.actions.push_back(Action::Remove(pool.member(address, true)));
            pool.sorry_set = None;
        }
        pool.is_sorry &= pool.policy.sorry.is_some();
    }

    fn server(
        &mut self,
        declared: RealServer,
        kept: Option<&Server>,
        user: (&Arc<str>, usize),
        before: &mut Before,
        read: &dyn Fn(&FileCheck) -> Outcome,
        now: Moment,
    ) -> Server {
        let was_alive = kept.is_some_and(|server| server.is_alive);
        let mut links = Vec::with_capacity(declared.checks.len());
        for check in &declared.checks {
            let id = self.probe(check, before, read, now);
            let Some(probe) = self.probes.get_mut(&id) else { continue };
            probe.users.push((Arc::clone(user.0), user.1));
            // A pessimist's check that is new takes no server down that others have found to be well.
            let is_up = probe.is_up || (!probe.has_run && was_alive);
            links.push(Link { probe: id, is_up, weight: share(probe, &declared) });
        }
        let is_alive = links.iter().all(|link| link.is_up);
        Server {
            declared,
            links,
            is_alive,
            was_alive: kept.map(|server| server.is_alive),
            is_told: is_alive || kept.is_some_and(|server| server.is_told),
            set: kept.and_then(|server| server.set),
        }
    }

    /// The check that runs for this one.
    fn probe(
        &mut self,
        check: &Check,
        before: &mut Before,
        read: &dyn Fn(&FileCheck) -> Outcome,
        now: Moment,
    ) -> ProbeId {
        if let Some(id) = self.by_check.get(check) {
            return *id;
        }
        if let Some((check, id)) = before.by_check.remove_entry(check)
            && let Some(mut probe) = before.probes.remove(&id)
        {
            probe.users.clear();
            self.by_check.insert(check, id);
            self.probes.insert(id, probe);
            return id;
        }
        let check = Arc::new(check.clone());
        let mut probe = match before.like(&check) {
            Some(old) => Probe::succeed(old, Arc::clone(&check)),
            None => Probe::new(Arc::clone(&check)),
        };
        if let CheckKind::File(file) = &check.kind
            && !probe.has_run
        {
            probe.take(read(file), now, now);
        }
        self.last_id += 1;
        let id = ProbeId(self.last_id);
        let due = now + self.random.part_of(check.timing.warmup);
        probe.due = Some(self.agenda.enter(id, due));
        self.by_check.insert(check, id);
        self.probes.insert(id, probe);
        id
    }

    /// Tells of servers that are up for the first time, if that is wanted, and of those that changed with what is
    /// declared of them.
    fn tell(&mut self, pool: &Pool, init_notifies: bool) {
        for server in &pool.servers {
            let is_to_tell = match server.was_alive {
                None => init_notifies && server.is_alive,
                Some(was_alive) => was_alive != server.is_alive,
            };
            if is_to_tell {
                self.actions.push_back(pool.notice(server, "as declared".to_owned()));
            }
        }
    }
}

/// What a check adds to the weight of a server.
pub(super) fn share(probe: &Probe, server: &RealServer) -> i64 {
    match (&probe.check.kind, probe.weight) {
        // A program names the weight that the server would have, were there nothing else.
        (CheckKind::Misc(_), Some(weight)) => weight - i64::from(server.weight),
        (_, Some(weight)) => weight,
        (_, None) => 0,
    }
}
