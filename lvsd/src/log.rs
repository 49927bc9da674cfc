//! The daemon's log: nobody who writes to it waits for whoever reads it.
//!
//! Lines go to a thread that writes them out. A terminal that is held, or a pipe that nobody empties, stops that thread
//! and no other: no packet, no check and above all no advert of a virtual router comes later for it. Lines that find no
//! room are lost, and how many they were is said once there is room again.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait.
const ROOM: usize = 1024;
/// How long the end of the daemon waits for the last lines.
const LAST: Duration = Duration::from_secs(1);

enum Told {
    Line(Vec<u8>),
    /// Everything before it is to be written.
    Flush(SyncSender<()>),
}

/// The way into the log.
#[derive(Debug, Clone)]
pub struct Log {
    sender: SyncSender<Told>,
    lost: Arc<AtomicU64>,
}

impl Log {
    /// Writes lines to `out` on a thread of its own.
    ///
    /// # Errors
    /// There can be no such thread.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(ROOM);
        let log = Self { sender, lost: Arc::default() };
        let lost = Arc::clone(&log.lost);
        thread::Builder::new().name("lvsd-log".to_owned()).spawn(move || write_out(&receiver, &lost, out))?;
        Ok(log)
    }

    /// Waits, but not for long, until what was logged is written.
    pub fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        if self.sender.try_send(Told::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(LAST);
        }
    }
}

fn write_out(receiver: &Receiver<Told>, lost: &AtomicU64, mut out: impl Write) {
    while let Ok(told) = receiver.recv() {
        // Nobody may be reading any more: then there is nobody to tell.
        match told {
            Told::Line(line) => drop(out.write_all(&line)),
            Told::Flush(done) => {
                let _ = out.flush();
                let _ = done.send(());
            }
        }
        let count = lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            let _ = writeln!(out, "lvsd: {count} lines of the log were lost: it was not read fast enough");
        }
    }
}

/// One line while it is put together; it goes on its way when it is whole.
#[derive(Debug)]
pub struct Line<'a> {
    text: Vec<u8>,
    log: &'a Log,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() && self.log.sender.try_send(Told::Line(text)).is_err() {
            self.log.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { text: Vec::new(), log: self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::time::Instant;

    /// Writes once it is let.
    #[derive(Debug, Clone, Default)]
    struct Held(Arc<Mutex<Vec<u8>>>);

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_is_not_read_keeps_nobody_waiting_and_says_what_was_lost() {
        let held = Held::default();
        let log = Log::start(held.clone()).unwrap();
        let holding = held.0.lock();
        let began = Instant::now();
        for number in 0..ROOM * 2 {
            writeln!(log.make_writer(), "line {number}").unwrap();
        }
        log.flush();
        assert!(began.elapsed() < LAST * 2, "{:?}", began.elapsed());
        drop(holding);
        // It is said behind the next line that is written.
        while log.lost.load(Ordering::Relaxed) > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        log.flush();
        let text = String::from_utf8(held.0.lock().clone()).unwrap();
        assert!(text.starts_with("line 0\n"), "{text}");
        assert!(text.contains("lines of the log were lost"), "{text}");
        let written = text.lines().filter(|line| line.starts_with("line ")).count();
        assert!((ROOM..ROOM * 2).contains(&written), "{written}");
    }
}
