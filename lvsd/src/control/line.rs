//! One line from a peer that may be slow, silent or hostile.

use std::{
    io::{self, Read},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// A stream cut into lines, each at most so long and so late.
#[derive(Debug)]
pub(super) struct Lines {
    stream: UnixStream,
    longest: usize,
    buffered: Vec<u8>,
}

impl Lines {
    pub(super) const fn new(stream: UnixStream, longest: usize) -> Self {
        Self { stream, longest, buffered: Vec::new() }
    }

    /// The next line without its end, or none at the end of the stream.
    ///
    /// # Errors
    ///
    /// `InvalidData` when the line is too long, `TimedOut` when it is not whole after `patience`, else what reading
    /// gave.
    pub(super) fn next_line(&mut self, patience: Duration) -> io::Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + patience;
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffered[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffered.split_off(searched + at + 1);
                let mut line = std::mem::replace(&mut self.buffered, rest);
                line.truncate(searched + at);
                return Ok(Some(line));
            }
            searched = self.buffered.len();
            if searched > self.longest {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long"));
            }
            if self.fill(deadline)? == 0 {
                return Ok(None);
            }
        }
    }

    fn fill(&mut self, deadline: Instant) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut chunk) {
                Ok(count) => {
                    self.buffered.extend_from_slice(&chunk[..count]);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        }
    }
}
