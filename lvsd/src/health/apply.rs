//! From what the judge wants done to requests the registry knows.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use lvs_health::judge::{Action, Judge, Member, Notice};

use super::Apply;
use super::declared::{VirtualServer, address};
use crate::message::{RealServer, Refusal, Request, Response, ServiceId};

/// Knows which services a virtual server has, and how its servers are reached.
#[derive(Debug, Default)]
pub(super) struct Applier {
    pools: HashMap<String, Pool>,
    /// What was known before: servers that are declared no longer leave as they came.
    before: Before,
}

/// A virtual server's services and servers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Pool {
    services: Vec<ServiceId>,
    servers: HashMap<SocketAddr, RealServer>,
    /// How they are reached from services where it is another way than from the first.
    from_others: HashMap<ServiceId, HashMap<SocketAddr, RealServer>>,
    sorry: Option<RealServer>,
    is_suspendable: bool,
}

impl Pool {
    fn of(declared: &VirtualServer) -> Self {
        let named = |servers: &[RealServer]| {
            let names = declared.servers.iter().map(address);
            names.zip(servers.iter().copied()).collect::<HashMap<_, _>>()
        };
        let others = declared.services.iter().skip(1).zip(&declared.from_others);
        Self {
            services: declared.services.clone(),
            servers: named(&declared.servers),
            from_others: others.map(|(id, servers)| (*id, named(servers))).collect(),
            sorry: declared.sorry,
            is_suspendable: declared.checked.policy.ha_suspend,
        }
    }

    fn server(&self, member: &Member) -> Option<RealServer> {
        if member.is_sorry {
            return self.sorry.filter(|sorry| address(sorry) == member.address);
        }
        self.servers.get(&member.address).copied()
    }

    /// How a member is reached from one of the services.
    fn server_of(&self, id: &ServiceId, member: &Member) -> Option<RealServer> {
        let other = self.from_others.get(id).filter(|_| !member.is_sorry);
        match other {
            Some(servers) => servers.get(&member.address).copied(),
            None => self.server(member),
        }
    }
}

/// What was known before something else was declared.
type Before = HashMap<String, Pool>;

impl Applier {
    /// Takes over what is declared.
    pub(super) fn take_over(&mut self, declared: &[VirtualServer]) {
        let pools = declared.iter().map(|server| (server.checked.name.clone(), Pool::of(server))).collect();
        self.before = std::mem::replace(&mut self.pools, pools);
    }

    /// The virtual servers that are checked only while one of their addresses is here, with these.
    pub(super) fn suspendable(&self) -> impl Iterator<Item = (&str, Vec<IpAddr>)> {
        let vip = |id: &ServiceId| match id {
            ServiceId::Address { vip, .. } => Some(*vip),
            ServiceId::Mark { .. } => None,
        };
        let pools = self.pools.iter().filter(|(_, pool)| pool.is_suspendable);
        pools.map(move |(name, pool)| (name.as_str(), pool.services.iter().filter_map(vip).collect()))
    }

    pub(super) fn looks_after(&self, id: &ServiceId) -> bool {
        self.pools.values().any(|pool| pool.services.contains(id))
    }

    /// Carries actions out; hands back those that tell somebody something.
    pub(super) fn carry_out(&self, actions: Vec<Action>, apply: &mut Apply<'_>) -> Vec<Notice> {
        let mut notices = Vec::new();
        let mut requests = Vec::new();
        for action in actions {
            match action {
                Action::Add(member, weight) => self.each(&member, weight, &mut requests, add),
                Action::Weigh(member, weight) => self.each(&member, weight, &mut requests, edit),
                Action::Remove(member) => self.remove(&member, &mut requests),
                Action::Tell(notice) => notices.push(notice),
            }
        }
        send(requests, apply);
        notices
    }

    fn each(
        &self,
        member: &Member,
        weight: u32,
        requests: &mut Vec<Request>,
        request: fn(ServiceId, RealServer) -> Request,
    ) {
        let Some(pool) = self.pools.get(&*member.virtual_server) else { return };
        let servers = pool.services.iter().filter_map(|id| Some((*id, pool.server_of(id, member)?)));
        requests.extend(servers.map(|(id, server)| request(id, RealServer { weight, ..server })));
    }

    /// A server that is declared no longer leaves too; services that are gone have taken theirs along.
    fn remove(&self, member: &Member, requests: &mut Vec<Request>) {
        let Some(pool) = self.pools.get(&*member.virtual_server) else { return };
        let before = self.before.get(&*member.virtual_server);
        requests.extend(pool.services.iter().map(|id| {
            let known = || before.and_then(|before| before.server_of(id, member));
            let server = pool.server_of(id, member).or_else(known);
            let port = server.map_or_else(|| member.address.port(), |server| server.port);
            Request::DeleteServer { id: *id, rip: member.address.ip(), port }
        }));
    }

    /// Makes good what the judge knows nothing of: servers that are reached in another way than before, and services
    /// that joined a group.
    pub(super) fn make_good(&self, judge: &Judge, apply: &mut Apply<'_>) {
        let mut requests = Vec::new();
        for (name, pool) in &self.pools {
            let Some(old) = self.before.get(name) else { continue };
            if old == pool {
                continue;
            }
            for (member, weight) in judge.members(name) {
                for id in &pool.services {
                    let Some(server) = pool.server_of(id, &member) else { continue };
                    let server = RealServer { weight, ..server };
                    let was = old.server_of(id, &member).map(|was| RealServer { weight, ..was });
                    if !old.services.contains(id) {
                        requests.push(add(*id, server));
                    } else if let Some(was) = was.filter(|was| was.port != server.port) {
                        requests.push(Request::DeleteServer { id: *id, rip: was.rip, port: was.port });
                        requests.push(add(*id, server));
                    } else if was.is_some_and(|was| was != server) {
                        requests.push(edit(*id, server));
                    }
                }
            }
        }
        send(requests, apply);
    }
}

const fn add(id: ServiceId, server: RealServer) -> Request {
    Request::AddServer { id, server }
}

const fn edit(id: ServiceId, server: RealServer) -> Request {
    Request::EditServer { id, server }
}

/// Sends requests; where somebody else has added or removed a server meanwhile, ours is what holds.
fn send(requests: Vec<Request>, apply: &mut Apply<'_>) {
    if requests.is_empty() {
        return;
    }
    let answers = apply(requests.clone());
    let mut again = Vec::new();
    for (request, answer) in requests.into_iter().zip(answers) {
        let Response::Refused { error } = answer else { continue };
        match (request, error) {
            (Request::AddServer { id, server }, Refusal::Exists) => again.push(edit(id, server)),
            (Request::EditServer { id, server }, Refusal::NoEntry) => again.push(add(id, server)),
            (Request::DeleteServer { .. }, Refusal::NoEntry | Refusal::NoService) => {}
            (request, error) => tracing::error!(?request, %error, "a health check's verdict was refused"),
        }
    }
    if again.is_empty() {
        return;
    }
    for answer in apply(again) {
        if let Response::Refused { error } = answer {
            tracing::error!(%error, "a health check's verdict was refused");
        }
    }
}
