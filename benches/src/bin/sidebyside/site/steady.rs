//! Connections that stay: on each a request and its answer every few milliseconds.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::connect;
use super::server::SIZE;
use super::{CLIENTS, Lane, Site};
use crate::core::Core;
use crate::failure::Failure;

/// Between a request and the next one.
const PAUSE: Duration = Duration::from_millis(20);
/// A connection is broken when an answer takes longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections that go on.
#[derive(Debug)]
pub(crate) struct Steady {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: JoinHandle<io::Result<()>>,
}

#[derive(Debug, Default)]
struct Counts {
    open: AtomicUsize,
    answers: AtomicU64,
    broken: AtomicU64,
}

impl Steady {
    /// Opens so many through a lane, and waits until all are open.
    pub(crate) fn start(site: &Site, lane: &Lane, count: usize) -> Result<Self, Failure> {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let addresses: Vec<Ipv4Addr> = (1..=CLIENTS).map(|number| lane.client(number)).collect();
        let to = lane.service().vip;
        let name = site.clients().name().to_owned();
        let (stopping, counting) = (Arc::clone(&stop), Arc::clone(&counts));
        let work = move || -> io::Result<()> {
            Core::Any.stay();
            let file = std::fs::File::open(std::path::Path::new("/run/netns").join(name))?;
            nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let tasks: Vec<_> = (0..count)
                    .zip(addresses.iter().copied().cycle())
                    .map(|(_, from)| {
                        let (stop, counts) = (Arc::clone(&stopping), Arc::clone(&counting));
                        tokio::spawn(async move {
                            if talk(from, to, &stop, &counts).await.is_err() {
                                counts.broken.fetch_add(1, Relaxed);
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.map_err(io::Error::other)?;
                }
                Ok(())
            })
        };
        let steady = Self { stop, counts, thread: thread::spawn(work) };
        let deadline = Instant::now() + 4 * PATIENCE;
        while steady.counts.open.load(Relaxed) < count {
            if Instant::now() > deadline {
                let open = steady.counts.open.load(Relaxed);
                return Err(Failure::Wrong(format!("of {count} connections {open} were opened")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(steady)
    }

    /// Opens another one through the lane, trying again at once as long as that takes.
    pub(crate) fn connect_anew(site: &Site, lane: &Lane) -> Result<(), Failure> {
        let to = lane.service().vip.into();
        let deadline = Instant::now() + PATIENCE;
        let attempt = Duration::from_millis(10);
        let connect = || loop {
            match std::net::TcpStream::connect_timeout(&to, attempt) {
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                other => return other.map(drop),
            }
        };
        site.clients().inside(connect)?.map_err(Failure::system("no new connection"))
    }

    /// Ends them; how many were broken, and how many requests were answered.
    pub(crate) fn stop(self) -> Result<(u64, u64), Failure> {
        self.stop.store(true, Relaxed);
        let ended = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ended.map_err(Failure::system("the clients"))?;
        Ok((self.counts.broken.load(Relaxed), self.counts.answers.load(Relaxed)))
    }
}

async fn talk(
    from: Ipv4Addr,
    to: std::net::SocketAddrV4,
    stop: &AtomicBool,
    counts: &Counts,
) -> io::Result<()> {
    let mut stream = connect(from, to).await?;
    let mut is_counted = false;
    while !stop.load(Relaxed) {
        stream.write_all(&[b'k'; SIZE]).await?;
        let mut answer = [0; SIZE];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await.map_err(io::Error::other)??;
        counts.answers.fetch_add(1, Relaxed);
        if !is_counted {
            is_counted = true;
            counts.open.fetch_add(1, Relaxed);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
