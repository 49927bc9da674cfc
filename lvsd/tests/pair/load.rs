//! Clients that ask all the time, each request on a connection of its own, and what became of every one.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lvsd::lab::namespace::Namespace;
use socket2::{Domain, Socket, Type};

use crate::net::client::ask_http_within;

/// A request begins this often, whatever became of those before it.
const PAUSE: Duration = Duration::from_millis(25);
/// A request that takes longer is lost.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// Where each comes from, one after another. A port that came again would meet its old connection, perhaps to a server
/// that is gone, and be dropped as the kernel's IPVS drops it.
const FIRST_PORT: u16 = 10_000;

/// One request.
#[derive(Debug, Clone)]
struct Asked {
    began: Instant,
    ended: Instant,
    /// Who answered, or what went wrong.
    answer: Result<String, String>,
}

/// Asks until it is dropped.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<Asked>>>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Begins to ask `service` from `host`.
    pub(crate) fn start(host: &Namespace, service: SocketAddr) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, heard) = (Arc::clone(&stop), Arc::clone(&asked));
        // A thread that is started on a host stays there, and so do those that it starts.
        let thread = host.inside(|| thread::spawn(move || ask_until(&stopped, service, &heard))).unwrap();
        Self { stop, asked, thread: Some(thread) }
    }

    /// What came of the requests that began in this time.
    pub(crate) fn between(&self, from: Instant, to: Instant) -> Outcome {
        // What has begun in time may not have ended yet.
        thread::sleep((to + PATIENCE * 2).saturating_duration_since(Instant::now()));
        let asked = self.asked.lock().unwrap();
        let mut mine: Vec<&Asked> = asked.iter().filter(|one| one.began >= from && one.began < to).collect();
        mine.sort_by_key(|one| one.ended);
        let mut outcome = Outcome { requests: mine.len(), ..Outcome::default() };
        let mut last = from;
        for one in mine {
            match &one.answer {
                Ok(server) => {
                    *outcome.answers.entry(server.clone()).or_default() += 1;
                    outcome.gap = outcome.gap.max(one.ended.saturating_duration_since(last));
                    last = one.ended;
                }
                Err(error) => *outcome.lost.entry(error.clone()).or_default() += 1,
            }
        }
        outcome.gap = outcome.gap.max(to.saturating_duration_since(last));
        outcome
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn ask_until(stop: &AtomicBool, service: SocketAddr, asked: &Mutex<Vec<Asked>>) {
    let mut next = Instant::now();
    let mut port = FIRST_PORT;
    thread::scope(|scope| {
        while !stop.load(Ordering::Relaxed) {
            let source = SocketAddr::from(([0; 4], port));
            port += 1;
            scope.spawn(move || {
                let began = Instant::now();
                let answer = connect(source, service)
                    .and_then(|stream| ask_http_within(stream, PATIENCE))
                    .map_err(|error| error.kind().to_string());
                asked.lock().unwrap().push(Asked { began, ended: Instant::now(), answer });
            });
            next += PAUSE;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    });
}

fn connect(source: SocketAddr, service: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&source.into())?;
    socket.connect_timeout(&service.into(), PATIENCE)?;
    Ok(socket.into())
}

/// What came of requests.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) requests: usize,
    /// How many each server answered.
    pub(crate) answers: BTreeMap<String, usize>,
    /// How many were lost, by what went wrong.
    pub(crate) lost: BTreeMap<String, usize>,
    /// The longest time in which nobody was answered.
    pub(crate) gap: Duration,
}

impl Outcome {
    pub(crate) fn lost(&self) -> usize {
        self.lost.values().sum()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:5} requests, {:3} lost {:?}, longest gap {:4} ms, answered {:?}",
            self.requests,
            self.lost(),
            self.lost,
            self.gap.as_millis(),
            self.answers
        )
    }
}
