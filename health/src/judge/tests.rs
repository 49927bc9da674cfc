//! The judge in steps: what came of an attempt goes in, what it wants done comes out.

mod model;
mod quorum;
mod reload;
mod retries;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::declared::{
    CheckKind, Endpoint, Globals, MiscCheck, Policy, RealServer, Script, Timing, VirtualServer,
};

/// A second.
const SECOND: Duration = Duration::from_secs(1);

/// A judge with its clock, and the members as its actions made them.
struct World {
    judge: Judge,
    globals: Globals,
    now: Moment,
    members: BTreeMap<(String, SocketAddr), u32>,
    declared: Vec<VirtualServer>,
}

fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 80))
}

fn timing() -> Timing {
    Timing { delay_loop: SECOND * 6, warmup: SECOND * 6, retry: 2, ..Timing::default() }
}

fn tcp(number: u8, timing: Timing) -> Check {
    Check { kind: CheckKind::Tcp, endpoint: Endpoint::new(address(number)), timing }
}

fn script(name: &str) -> Script {
    Script { command: vec![name.to_owned()], user: None }
}

fn real_server(number: u8, checks: Vec<Check>) -> RealServer {
    RealServer {
        address: address(number),
        weight: 1,
        inhibit_on_failure: false,
        notify_up: Some(script("up")),
        notify_down: Some(script("down")),
        checks,
    }
}

/// A virtual server of real servers with one check each.
fn virtual_server(name: &str, count: u8, timing: Timing) -> VirtualServer {
    VirtualServer {
        name: name.to_owned(),
        policy: Policy {
            quorum_up: Some(script("quorum up")),
            quorum_down: Some(script("quorum down")),
            ..Policy::default()
        },
        servers: (1..=count).map(|number| real_server(number, vec![tcp(number, timing)])).collect(),
    }
}

impl World {
    fn new(declared: Vec<VirtualServer>) -> Self {
        Self::with(Globals::default(), declared)
    }

    fn with(globals: Globals, declared: Vec<VirtualServer>) -> Self {
        let mut world = Self {
            judge: Judge::new(1),
            globals,
            now: Moment::default(),
            members: BTreeMap::new(),
            declared: Vec::new(),
        };
        world.declare(declared);
        world
    }

    fn declare(&mut self, declared: Vec<VirtualServer>) {
        self.declared.clone_from(&declared);
        self.judge.declare(&self.globals, declared, &|_| Outcome::SUCCESS, self.now);
    }

    /// What the judge wants done, each in a few words.
    fn actions(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(action) = self.judge.next_action() {
            let key = |member: &Member| (member.virtual_server.to_string(), member.address);
            let name = |member: &Member| {
                let kind = if member.is_sorry { "sorry " } else { "" };
                format!("{kind}{}", member.address.ip().to_string().rsplit('.').next().unwrap())
            };
            told.push(match action {
                Action::Add(member, weight) => {
                    assert!(self.members.insert(key(&member), weight).is_none(), "{member:?} is there");
                    format!("add {} {weight}", name(&member))
                }
                Action::Weigh(member, weight) => {
                    let old = self.members.insert(key(&member), weight);
                    assert!(old.is_some_and(|old| old != weight), "{member:?}");
                    format!("weigh {} {weight}", name(&member))
                }
                Action::Remove(member) => {
                    assert!(self.members.remove(&key(&member)).is_some(), "{member:?} is not there");
                    format!("remove {}", name(&member))
                }
                Action::Tell(notice) => {
                    let state = if notice.is_up { "up" } else { "down" };
                    let script = notice.script.map_or_else(String::new, |script| script.command.join(" "));
                    match notice.subject {
                        Subject::Quorum { .. } => {
                            assert_eq!(script, format!("quorum {state}"));
                            format!("tell quorum {state}")
                        }
                        Subject::Server { address, .. } => {
                            assert_eq!(script, state);
                            format!("tell {} {state}", address.ip().to_string().rsplit('.').next().unwrap())
                        }
                    }
                }
            });
        }
        told
    }

    /// Lets time pass until a check of this server is due, and says what came of it; others that are due meanwhile get
    /// `rest`. How long it took.
    fn attempt(&mut self, number: u8, outcome: &Outcome, rest: &Outcome) -> Duration {
        let from = self.now;
        loop {
            self.now = self.judge.next_due().expect("nothing is due").max(self.now);
            let Some(task) = self.judge.take_due(self.now) else { continue };
            let is_it = task.check.endpoint.address == address(number);
            self.judge.on_outcome(&task, if is_it { outcome.clone() } else { rest.clone() }, self.now);
            if is_it {
                return self.now.since(from);
            }
        }
    }

    /// Half a minute in which only these servers answer; time enough for every retry.
    fn only(&mut self, good: &[u8]) -> Vec<String> {
        let until = self.now + SECOND * 30;
        while let Some(due) = self.judge.next_due().filter(|due| *due <= until) {
            self.now = due;
            let Some(task) = self.judge.take_due(due) else { continue };
            let is_good = good.iter().any(|number| address(*number) == task.check.endpoint.address);
            let outcome = if is_good { Outcome::SUCCESS } else { Outcome::Failure(Failure::Refused) };
            self.judge.on_outcome(&task, outcome, due);
        }
        self.now = until;
        self.actions()
    }

    fn succeed(&mut self, number: u8) -> Duration {
        self.attempt(number, &Outcome::SUCCESS, &Outcome::SUCCESS)
    }

    fn fail(&mut self, number: u8) -> Duration {
        self.attempt(number, &Outcome::Failure(Failure::Refused), &Outcome::SUCCESS)
    }
}

fn misc(number: u8, dynamic: bool) -> Check {
    let script = Script { command: vec![format!("check {number} {dynamic}")], user: None };
    Check {
        kind: CheckKind::Misc(MiscCheck { script, timeout: SECOND, dynamic }),
        endpoint: Endpoint::new(address(number)),
        timing: timing(),
    }
}
