//! `lvsd reload` and SIGHUP: the files are read again, and what differs is changed; all of it or nothing.
//!
//! ```text
//! read and check everything -> refuse, or: services (taken back if one is refused) -> virtual routers -> losses -> checks
//! ```

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::Daemon;
use crate::config::Config;
use crate::health::Declared;
use crate::message::{Reloaded, Request, Response};
use crate::vrrp::VrrpError;

/// How often whoever waits for a reload looks whether the daemon stops.
const LOOK: Duration = Duration::from_millis(100);

/// Asks the main thread for a reload and waits for what comes of it.
#[derive(Debug)]
pub(super) struct Asker {
    asked: SyncSender<SyncSender<Response>>,
    waker: UnixStream,
}

/// Where the main thread finds what it is asked.
pub(super) type AskedReloads = Receiver<SyncSender<Response>>;

/// The two ends; `waker` ends the main thread's sleep.
pub(super) fn channel(waker: &UnixStream) -> io::Result<(Asker, AskedReloads)> {
    let (asked, receiver) = sync_channel(1);
    Ok((Asker { asked, waker: waker.try_clone()? }, receiver))
}

impl Asker {
    pub(super) fn ask(&self, stop: &AtomicBool) -> Response {
        let ended = || Response::Malformed { message: "the director is stopping".to_owned() };
        let (answer, answered) = sync_channel(1);
        if self.asked.send(answer).is_err() {
            return ended();
        }
        // A full pipe has wakened the other end already.
        let _ = (&self.waker).write(&[0]);
        loop {
            match answered.recv_timeout(LOOK) {
                Ok(response) => return response,
                Err(RecvTimeoutError::Timeout) if !stop.load(Ordering::Relaxed) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return ended(),
            }
        }
    }
}

impl Daemon {
    /// Reads the files again and changes what differs, or nothing at all.
    pub(super) fn reload(&mut self) -> Response {
        let began = Instant::now();
        match self.try_reload() {
            Ok(mut reloaded) => {
                reloaded.milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(
                    changes = reloaded.changes,
                    services = reloaded.services,
                    milliseconds = reloaded.milliseconds,
                    "reloaded"
                );
                if !reloaded.warnings.is_empty() {
                    tracing::warn!("the files were taken, with warnings:\n{}", reloaded.warnings);
                }
                Response::Reloaded(reloaded)
            }
            Err(message) => {
                tracing::error!("not reloaded, nothing was changed: {message}");
                Response::Malformed { message }
            }
        }
    }

    fn try_reload(&mut self) -> Result<Reloaded, String> {
        let (new, warnings) = self.files.read().map_err(|error| error.to_string())?;
        if let Some(what) = lasting(&self.config, &new) {
            return Err(format!("{what} cannot change while the director runs; restart it"));
        }
        self.control.lock().vet(&new).map_err(|(what, why)| format!("{what}: {why}"))?;
        // Last of what can fail on its own account; without anything to check it does nothing.
        self.begin_checks(&new)?;
        let gained = self.control.lock().gain(&self.config, &new);
        let gained = gained.map_err(|(what, refusal)| format!("{what}: {refusal}"))?;
        let mut changes = gained.changes;
        if let Err(error) = self.follow_routers(&new) {
            let mut control = self.control.lock();
            if let Ok(back) = control.gain(&new, &self.config) {
                control.lose(back.losses);
            }
            return Err(error.to_string());
        }
        let mut control = self.control.lock();
        control.settle(&self.config, &new);
        control.lose(gained.losses);
        drop(control);
        changes += self.follow_checks(&new);
        let reloaded = Reloaded {
            changes: u64::try_from(changes).unwrap_or(u64::MAX),
            services: u64::try_from(new.services.len()).unwrap_or(u64::MAX),
            routers: u64::try_from(new.vrrp.instances.len()).unwrap_or(u64::MAX),
            milliseconds: 0,
            warnings: warnings.to_string(),
        };
        self.config = new;
        Ok(reloaded)
    }

    fn follow_routers(&mut self, new: &Config) -> Result<(), VrrpError> {
        match &self.vrrp {
            Some(vrrp) if !new.vrrp.is_empty() => vrrp.reconfigure(new.vrrp.clone())?,
            // They resign, and their addresses go.
            Some(_) => self.vrrp = None,
            None => {
                self.vrrp = super::start::start_vrrp(new, self.pulses.clone())?;
                if let Some(vrrp) = &self.vrrp {
                    self.control.lock().show_vrrp(vrrp.published());
                }
            }
        }
        Ok(())
    }

    /// Has the thread of the checks run where there is something to check from now on.
    fn begin_checks(&mut self, new: &Config) -> Result<(), String> {
        if self.health.is_none() && !Declared::of(new).is_empty() {
            let health = super::start::begin_checks(Declared::default(), &self.control, self.watcher.view());
            self.health = Some(health.map_err(|error| format!("the checks cannot be started: {error}"))?);
        }
        Ok(())
    }

    /// Has the checks follow; how many changes of servers came of it at once.
    fn follow_checks(&mut self, new: &Config) -> usize {
        let mut changes = 0;
        let Some(health) = &self.health else { return changes };
        let declared = Declared::of(new);
        if Declared::of(&self.config) != declared {
            let handle = health.handle();
            let mut declared = Some(declared);
            crate::health::Services::with(&*self.control, &mut |apply| {
                let mut counted = |requests: Vec<Request>| {
                    changes += requests.len();
                    apply(requests)
                };
                if let Some(declared) = declared.take() {
                    handle.reconfigure(declared, &mut counted);
                }
            });
            // Who answers checks may be others than before.
            self.control.lock().lose(Vec::new());
        }
        changes
    }
}

/// What differs of that which stays as long as the daemon runs.
fn lasting(old: &Config, new: &Config) -> Option<&'static str> {
    let differs = [
        (old.interfaces != new.interfaces, "the interfaces that are served"),
        (old.mode != new.mode, "`mode`"),
        (old.flow_cache != new.flow_cache, "`flow-cache`"),
        (old.queues != new.queues, "`queues`"),
        (old.socket != new.socket, "`socket`"),
        (old.log != new.log, "`log`"),
        (old.connection_limit != new.connection_limit, "`limits.connections`"),
        (old.host != new.host, "`host`"),
        (old.proc != new.proc, "`proc`"),
    ];
    differs.into_iter().find_map(|(differs, what)| differs.then_some(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_change_is_named() {
        let old = Config { interfaces: vec!["eth0".to_owned()], ..Config::default() };
        assert_eq!(lasting(&old, &old), None);
        let new = Config { interfaces: vec!["eth1".to_owned()], ..Config::default() };
        assert_eq!(lasting(&old, &new), Some("the interfaces that are served"));
    }

    #[test]
    fn who_asks_is_answered_also_when_the_daemon_stops() {
        let (waker, _wakened) = UnixStream::pair().unwrap();
        let (asker, asked) = channel(&waker).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(move || asked.recv().unwrap().send(Response::Done).unwrap());
            assert_eq!(asker.ask(&stop), Response::Done);
            stop.store(true, Ordering::Relaxed);
            assert!(matches!(asker.ask(&stop), Response::Malformed { .. }));
        });
    }
}
