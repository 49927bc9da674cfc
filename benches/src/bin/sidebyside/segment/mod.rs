//! One thread that sends a burst, forwards it, and times each part: what of a packet's time is whose.
//!
//! ```text
//!  send a burst ---------------------------->|  forward it ------------------------------------------->|
//!  packet socket, veth, XDP, copy to AF_XDP  |  rings, director, rewriting | the kernel's transmit, veth
//!  (the kernel's own contenders: all of it)  |  = user                     |
//! ```

mod burst;
mod l2fwd;
mod plane;

use std::io;
use std::time::{Duration, Instant};

pub(crate) use burst::Bursts;
pub(crate) use l2fwd::L2fwd;
pub(crate) use plane::Inline;

use crate::core::Core;
use crate::failure::Failure;
use crate::interrupt;
use crate::sample::Watch;

/// Packets of a burst.
pub(crate) const BURST: usize = 64;

/// Forwards on the calling thread.
pub(crate) trait Forward: Send {
    /// Forwards what has come, at most a burst; how many packets, and how long they took in user space before the
    /// kernel was asked to send them.
    fn forward(&mut self) -> io::Result<(usize, Duration)>;
}

/// The kernel forwards by itself while the burst is sent.
#[derive(Debug)]
pub(crate) struct Kernel;

impl Forward for Kernel {
    fn forward(&mut self) -> io::Result<(usize, Duration)> {
        Ok((0, Duration::ZERO))
    }
}

/// Where a packet's time went, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Segments {
    /// Sending it, with all that the kernel does with it at once.
    pub(crate) send: f64,
    /// In user space, from the receive ring to the decision.
    pub(crate) user: f64,
    /// Having the kernel send it.
    pub(crate) transmit: f64,
    /// The share of the time in which the thread waited for a processor.
    pub(crate) delay: f64,
}

impl Segments {
    /// All of it.
    pub(crate) fn total(&self) -> f64 {
        self.send + self.user + self.transmit
    }
}

/// So many bursts, all of which must be forwarded.
pub(crate) fn measure(
    bursts: &mut Bursts,
    forward: &mut dyn Forward,
    count: u32,
    is_kernel: bool,
) -> Result<Segments, Failure> {
    interrupt::check()?;
    Core::Measured.run(|| {
        let failed = |source| Failure::System { what: "a burst".to_owned(), source };
        let (mut sent, mut user, mut whole) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        let watch = Watch::start();
        for _ in 0..count {
            bursts.prepare();
            let start = Instant::now();
            bursts.send().map_err(failed)?;
            let half = Instant::now();
            let mut left = if is_kernel { 0 } else { BURST };
            for _ in 0..4 {
                if left == 0 {
                    break;
                }
                let (forwarded, took) = forward.forward().map_err(failed)?;
                left = left.saturating_sub(forwarded);
                user += took;
            }
            whole += half.elapsed();
            sent += half - start;
            if left > 0 {
                return Err(Failure::Wrong(format!("{left} packets of a burst were not forwarded")));
            }
        }
        let delay = watch.delay();
        let packets = f64::from(count) * 64.0;
        let each = |duration: Duration| duration.as_secs_f64() * 1e9 / packets;
        Ok(Segments { send: each(sent), user: each(user), transmit: each(whole.saturating_sub(user)), delay })
    })
}
