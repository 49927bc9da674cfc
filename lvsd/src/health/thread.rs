//! The thread that makes the attempts: one runtime, as many conversations at a time as are due.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lvs_health::judge::{Failure, Judge, Moment, Outcome, Task};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{sleep, timeout};

use super::notify::Messenger;
use super::{FAREWELL, Services, Shared};

/// How long nothing can happen before it is looked at the stop flag again.
const IDLE: Duration = Duration::from_secs(1);

type Done = (Task, Outcome);

pub(super) fn spawn(shared: Arc<Shared>, services: Arc<dyn Services>) -> io::Result<JoinHandle<()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new()
        .name("lvsd-health".to_owned())
        .spawn(move || runtime.block_on(run(&shared, services.as_ref())))
}

async fn run(shared: &Arc<Shared>, services: &dyn Services) {
    let (done, mut finished) = mpsc::unbounded_channel();
    let mut messenger = Messenger::default();
    loop {
        begin(shared, &done);
        if settle(shared, &mut finished) {
            services.with(&mut |apply| shared.state.lock().drain(apply));
        }
        tell(shared, &mut messenger);
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let due = shared.state.lock().judge.next_due();
        let pause = due.map_or(IDLE, |due| due.since(shared.now()).min(IDLE));
        // What is due in a millisecond is as good as due: the clock that wakes us counts in them.
        tokio::select! {
            () = sleep(pause) => {}
            () = shared.wake.notified() => {}
            Some((task, outcome)) = finished.recv() => {
                take(&mut shared.state.lock().judge, &task, outcome, shared.now());
            }
        }
    }
    shared.state.lock().judge.end();
    shared.state.lock().drain(&mut |_| Vec::new());
    tell(shared, &mut messenger);
    let _ = timeout(FAREWELL, messenger.all_told()).await;
}

/// Begins every attempt that is due.
fn begin(shared: &Arc<Shared>, done: &UnboundedSender<Done>) {
    let mut state = shared.state.lock();
    let checkers = Arc::clone(&state.checkers);
    while let Some(task) = state.judge.take_due(shared.now()) {
        let checkers = Arc::clone(&checkers);
        let attempt = Attempt { task: Some(task.clone()), done: done.clone() };
        tokio::spawn(async move {
            let outcome = checkers.attempt(&task.check, task.page).await;
            attempt.ended(outcome);
        });
    }
}

/// An attempt that is under way. However it ends, somebody hears of it: a check that is never heard of again would say
/// for ever what it said last.
struct Attempt {
    task: Option<Task>,
    done: UnboundedSender<Done>,
}

impl Attempt {
    fn ended(mut self, outcome: Outcome) {
        self.hand_in(outcome);
    }

    fn hand_in(&mut self, outcome: Outcome) {
        if let Some(task) = self.task.take() {
            // Nobody listens any more only at the end.
            let _ = self.done.send((task, outcome));
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let why = "the attempt broke off: a mistake of lvsd's".to_owned();
        self.hand_in(Outcome::Failure(Failure::Host(why)));
    }
}

/// Hands the judge what is finished; true when it may want something done.
fn settle(shared: &Arc<Shared>, finished: &mut UnboundedReceiver<Done>) -> bool {
    let mut state = shared.state.lock();
    while let Ok((task, outcome)) = finished.try_recv() {
        take(&mut state.judge, &task, outcome, shared.now());
    }
    state.judge.has_actions()
}

/// Hands the judge what came of an attempt; a failure is logged where that is wanted.
fn take(judge: &mut Judge, task: &Task, outcome: Outcome, now: Moment) {
    let failure = match &outcome {
        Outcome::Failure(failure) => Some(failure.clone()),
        Outcome::Success { .. } => None,
    };
    let is_to_log = judge.on_outcome(task, outcome, now);
    if let Some(failure) = failure {
        let (check, target) = (task.check.kind.keyword(), task.check.endpoint.address);
        if is_to_log {
            tracing::info!(%target, %failure, "{check} failed");
        } else {
            tracing::debug!(%target, %failure, "{check} failed");
        }
    }
}

/// Tells what is to be told.
fn tell(shared: &Arc<Shared>, messenger: &mut Messenger) {
    let (notices, fifos, checkers) = {
        let mut state = shared.state.lock();
        if state.notices.is_empty() && !messenger.is_other(&state.fifos) {
            return;
        }
        (std::mem::take(&mut state.notices), state.fifos.clone(), Arc::clone(&state.checkers))
    };
    messenger.tell(notices, &fifos, &checkers);
}

#[cfg(test)]
mod tests {
    use lvs_health::declared::{
        Check, CheckKind, Endpoint, Globals, Policy, RealServer, Timing, VirtualServer,
    };

    use super::*;

    #[test]
    fn an_attempt_that_panics_is_a_failure() {
        let address = "127.0.0.1:9".parse().unwrap();
        let timing = Timing { warmup: Duration::ZERO, ..Timing::default() };
        let check = Check { kind: CheckKind::Tcp, endpoint: Endpoint::new(address), timing };
        let server = RealServer {
            address,
            weight: 1,
            inhibit_on_failure: false,
            notify_up: None,
            notify_down: None,
            checks: vec![check],
        };
        let declared =
            VirtualServer { name: "one".to_owned(), policy: Policy::default(), servers: vec![server] };
        let mut judge = Judge::new(1);
        let now = Moment::after(Duration::ZERO);
        judge.declare(&Globals::default(), vec![declared], &|_| Outcome::SUCCESS, now);
        let task = judge.take_due(now);
        let (done, mut finished) = mpsc::unbounded_channel();
        let runtime = Builder::new_current_thread().build().unwrap();
        let attempt = Attempt { task, done };
        let broken = runtime.block_on(runtime.spawn(async move {
            let _attempt = attempt;
            panic!("as a test");
        }));
        assert!(broken.is_err());
        let (task, outcome) = finished.try_recv().unwrap();
        assert!(matches!(outcome, Outcome::Failure(Failure::Host(_))), "{outcome:?}");
        judge.on_outcome(&task, outcome, now);
        assert!(!judge.report()[0].servers[0].is_up);
    }
}
