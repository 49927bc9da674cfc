//! Which processor does what: samples are taken on one that nothing else of ours runs on.

use std::thread;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Core {
    /// The last one: samples are taken here.
    Measured,
    /// All but that: daemons, and whoever waits. Where there is but one, that.
    Others,
    /// Every one.
    Any,
}

impl Core {
    /// Runs `work` on a thread that is kept on these processors; what it starts is kept there, too.
    pub(crate) fn run<R: Send>(self, work: impl FnOnce() -> R + Send) -> R {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.stay();
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Keeps the calling thread here. Where that is not allowed it runs anywhere, which shows in its run delay.
    pub(crate) fn stay(self) {
        let count = thread::available_parallelism().map_or(1, std::num::NonZero::get).max(count());
        let mut set = CpuSet::new();
        for core in 0..count {
            let is_measured = core + 1 == count;
            let is_wanted = match self {
                Self::Measured => is_measured,
                Self::Others => !is_measured || count == 1,
                Self::Any => true,
            };
            if is_wanted {
                let _ = set.set(core);
            }
        }
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// How many processors the host has, whichever of them the caller is kept on.
fn count() -> usize {
    nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN)
        .ok()
        .flatten()
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(1)
}
