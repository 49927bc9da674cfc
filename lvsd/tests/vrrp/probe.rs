//! What a client notices: datagrams to the virtual address all the time, and the longest time without an answer.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lvsd::lab::namespace::Namespace;

/// How often something is asked.
const PAUSE: Duration = Duration::from_millis(1);

/// Asks until it is dropped.
#[derive(Debug)]
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    answered: Arc<Mutex<Vec<Instant>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Probe {
    /// Asks `address` from `client`; each of `servers` answers where the address is its own.
    pub(crate) fn start(client: &Namespace, servers: &[&Namespace], address: IpAddr) -> Self {
        let service = SocketAddr::new(address, 7);
        let mut probe = Self { stop: Arc::default(), answered: Arc::default(), threads: Vec::new() };
        for server in servers {
            let stop = Arc::clone(&probe.stop);
            probe.threads.push(server.inside(|| thread::spawn(move || answer(&stop))).unwrap());
        }
        let (stop, answered) = (Arc::clone(&probe.stop), Arc::clone(&probe.answered));
        let ask = move || {
            let socket = socket(0);
            while !stop.load(Ordering::Relaxed) {
                // While nobody has the address there is no way to it.
                let _ = socket.send_to(b"?", service);
                thread::sleep(PAUSE);
                while socket.recv_from(&mut [0; 16]).is_ok() {
                    answered.lock().unwrap().push(Instant::now());
                }
            }
        };
        probe.threads.push(client.inside(|| thread::spawn(ask)).unwrap());
        probe
    }

    /// The longest time from `event` to now in which nothing was answered.
    pub(crate) fn gap_since(&self, event: Instant) -> Duration {
        let answered = self.answered.lock().unwrap();
        let mut last = answered.iter().rev().find(|&&at| at <= event).copied().unwrap_or(event);
        let mut longest = Duration::ZERO;
        for &at in answered.iter().filter(|&&at| at > event).chain([&Instant::now()]) {
            longest = longest.max(at - last);
            last = at;
        }
        longest
    }

    /// True when something was answered lately.
    pub(crate) fn is_answered(&self) -> bool {
        let answered = self.answered.lock().unwrap();
        answered.last().is_some_and(|at| at.elapsed() < PAUSE * 20)
    }
}

fn socket(port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, port)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn answer(stop: &AtomicBool) {
    let socket = socket(7);
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    while !stop.load(Ordering::Relaxed) {
        if let Ok((_, from)) = socket.recv_from(&mut [0; 16]) {
            let _ = socket.send_to(b"!", from);
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
