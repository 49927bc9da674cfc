//! The clients: one thread that keeps so many conversations going, and counts those that came to their end.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::server::{MEGABYTE, SIZE};
use super::{CLIENTS, Lane, Site};
use crate::core::Core;
use crate::failure::Failure;
use crate::interrupt;

/// What clients ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    /// One short answer; the server closes the connection.
    Once,
    /// Short answers, one after another on the same connection.
    Again,
    /// One answer of a megabyte; the server closes the connection.
    Megabyte,
}

impl Talk {
    /// As the first octet of a request says.
    pub(super) const fn of(octet: u8) -> Self {
        match octet {
            b'k' => Self::Again,
            b'm' => Self::Megabyte,
            _ => Self::Once,
        }
    }

    const fn octet(self) -> u8 {
        match self {
            Self::Once => b'1',
            Self::Again => b'k',
            Self::Megabyte => b'm',
        }
    }
}

/// Conversations that go on at the same time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// What each is about.
    pub(crate) talk: Talk,
    /// How many.
    pub(crate) clients: usize,
    /// For how long.
    pub(crate) time: Duration,
}

impl Load {
    /// How many answers came in a second, through a lane to `to`.
    ///
    /// # Errors
    /// One did not come.
    pub(crate) fn run(&self, site: &Site, lane: &Lane, to: SocketAddrV4) -> Result<f64, Failure> {
        interrupt::check()?;
        let load = *self;
        let addresses: Vec<Ipv4Addr> = (1..=CLIENTS).map(|number| lane.client(number)).collect();
        let work = || {
            Core::Any.stay();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(load.all(&addresses, to))
        };
        site.clients().inside(work)?.map_err(Failure::system(format!("through {}", lane.host().name())))
    }

    async fn all(self, addresses: &[Ipv4Addr], to: SocketAddrV4) -> io::Result<f64> {
        let answers = Arc::new(AtomicU64::new(0));
        let start = Instant::now();
        let end = start + self.time;
        let tasks: Vec<_> = (0..self.clients)
            .zip(addresses.iter().copied().cycle())
            .map(|(_, from)| tokio::spawn(converse(self.talk, from, to, end, Arc::clone(&answers))))
            .collect();
        for task in tasks {
            task.await.map_err(io::Error::other)??;
        }
        #[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52 answers")]
        Ok(answers.load(Relaxed) as f64 / start.elapsed().as_secs_f64())
    }
}

async fn converse(
    talk: Talk,
    from: Ipv4Addr,
    to: SocketAddrV4,
    end: Instant,
    answers: Arc<AtomicU64>,
) -> io::Result<()> {
    let request = [talk.octet(); SIZE];
    let mut answer = vec![0; if talk == Talk::Megabyte { MEGABYTE } else { SIZE }];
    let mut kept: Option<TcpStream> = None;
    while Instant::now() < end {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => connect(from, to).await?,
        };
        stream.write_all(&request).await?;
        stream.read_exact(&mut answer).await?;
        answers.fetch_add(1, Relaxed);
        if talk == Talk::Again {
            kept = Some(stream);
        } else if stream.read(&mut [0; 1]).await? != 0 {
            return Err(io::Error::other("more came than was asked for"));
        }
    }
    Ok(())
}

/// Connects from an address.
pub(super) async fn connect(from: Ipv4Addr, to: SocketAddrV4) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let connecting = socket.connect(to.into());
    let stream =
        tokio::time::timeout(Duration::from_secs(10), connecting).await.map_err(io::Error::other)??;
    stream.set_nodelay(true)?;
    Ok(stream)
}
