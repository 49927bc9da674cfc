//! The servers: one thread that answers requests of a fixed size, and another one that sends datagrams back.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lvsd::lab::namespace::Namespace;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::client::Talk;
use crate::core::Core;
use crate::failure::Failure;

/// Octets of a request, and of a short answer.
pub(crate) const SIZE: usize = 64;
/// Octets of a long answer.
pub(crate) const MEGABYTE: usize = 1 << 20;

/// Servers; dropping it ends them.
#[derive(Debug)]
pub(crate) struct Answers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Answers {
    /// Starts them, at every address of a namespace.
    pub(crate) fn start(host: &Namespace, port: u16) -> Result<Self, Failure> {
        let failed = || Failure::system("cannot start a server");
        let open = || -> std::io::Result<_> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let listener = runtime.block_on(async {
                let socket = TcpSocket::new_v4()?;
                socket.set_reuseaddr(true)?;
                socket.bind((Ipv4Addr::UNSPECIFIED, port).into())?;
                socket.listen(8192)
            })?;
            Ok((runtime, listener))
        };
        let (runtime, listener) = host.inside(open)?.map_err(failed())?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let streams = thread::spawn(move || {
            Core::Any.stay();
            runtime.block_on(serve(listener, stopping));
        });
        Ok(Self { stop, threads: vec![streams] })
    }

    /// Sends datagrams back that come to one address (an answer has to come from where it was asked), with the
    /// [nanoseconds] of their arrival in the first octets.
    pub(crate) fn echo(&mut self, host: &Namespace, at: SocketAddrV4) -> Result<(), Failure> {
        let failed = || Failure::system("cannot start a server");
        let socket = host.inside(|| UdpSocket::bind(at))?.map_err(failed())?;
        socket.set_read_timeout(Some(Duration::from_millis(100))).map_err(failed())?;
        let stopping = Arc::clone(&self.stop);
        self.threads.push(thread::spawn(move || {
            let mut datagram = [0; 2048];
            while !stopping.load(Ordering::Relaxed) {
                if let Ok((len, from)) = socket.recv_from(&mut datagram) {
                    if let Some(place) = datagram.first_chunk_mut() {
                        *place = nanoseconds().to_ne_bytes();
                    }
                    let _ = socket.send_to(datagram.get(..len).unwrap_or_default(), from);
                }
            }
        }));
        Ok(())
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What the clock says, for both ends of a way: they are in one process.
pub(crate) fn nanoseconds() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

async fn serve(listener: TcpListener, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let accepted = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
        if let Ok(Ok((stream, _))) = accepted {
            tokio::spawn(async move {
                // A client that goes away goes away.
                let _ = answer(stream).await;
            });
        }
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; SIZE];
    loop {
        stream.read_exact(&mut request).await?;
        match Talk::of(request[0]) {
            Talk::Once => return stream.write_all(&request).await,
            Talk::Again => stream.write_all(&request).await?,
            Talk::Megabyte => return stream.write_all(&vec![request[1]; MEGABYTE]).await,
        }
    }
}
