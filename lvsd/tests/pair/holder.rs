//! Who holds an address, looked at all the time.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lvs_netcfg::HostView;
use lvsd::lab::namespace::Namespace;

/// How often a host is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// When a host took the address, and when it was gone again.
type Span = (Instant, Option<Instant>);

/// Looks at one host until it is dropped.
#[derive(Debug)]
pub(crate) struct Holder {
    stop: Arc<AtomicBool>,
    spans: Arc<Mutex<Vec<Span>>>,
    thread: Option<JoinHandle<()>>,
}

impl Holder {
    pub(crate) fn watch(host: &Namespace, address: IpAddr) -> Self {
        let (stop, spans) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, seen) = (Arc::clone(&stop), Arc::clone(&spans));
        let look = move || {
            while !stopped.load(Ordering::Relaxed) {
                let holds = HostView::read().unwrap().is_own(address);
                note(&mut seen.lock().unwrap(), holds, Instant::now());
                thread::sleep(LOOK);
            }
        };
        // A thread that is started on a host stays there.
        let thread = host.inside(|| thread::spawn(look)).unwrap();
        Self { stop, spans, thread: Some(thread) }
    }

    /// True while it holds the address.
    pub(crate) fn holds(&self) -> bool {
        self.spans.lock().unwrap().last().is_some_and(|(_, until)| until.is_none())
    }

    /// The longest time in which both held it without a pause.
    pub(crate) fn longest_with(&self, other: &Self) -> Duration {
        let now = Instant::now();
        let (ours, theirs) = (self.spans.lock().unwrap(), other.spans.lock().unwrap());
        let both = |&(from, until): &Span, &(since, to): &Span| {
            until.unwrap_or(now).min(to.unwrap_or(now)).saturating_duration_since(from.max(since))
        };
        ours.iter().flat_map(|one| theirs.iter().map(move |two| both(one, two))).max().unwrap_or_default()
    }
}

fn note(spans: &mut Vec<Span>, holds: bool, now: Instant) {
    let is_open = spans.last().is_some_and(|(_, until)| until.is_none());
    match (holds, is_open) {
        (true, false) => spans.push((now, None)),
        (false, true) => spans.last_mut().unwrap().1 = Some(now),
        (true, true) | (false, false) => {}
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
