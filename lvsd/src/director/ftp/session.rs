//! What a control connection and its data connections share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use parking_lot::{Mutex, MutexGuard};

use super::shift::Shift;

/// Which answer of the server's is looked for (the kernel's `app_data`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// None: the client waits for the server's connection, or nothing was said yet.
    Active,
    /// 227.
    Passive,
    /// 229.
    Extended,
}

/// The state of an FTP session. Made with the first command about a data connection; it lives as long as the control
/// connection or one of its data connections.
#[derive(Debug)]
pub(in crate::director) struct Session {
    talk: Mutex<Talk>,
    /// How many data connections there are (the kernel's `n_control`).
    data: AtomicU32,
    /// How many connections of all sessions wait for a client whose port is not known.
    unclaimed: Arc<AtomicU32>,
}

/// What was said.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) mode: Mode,
    pub(super) shift: Shift,
    /// The last changed answer, should it come again: its sequence number, and what it was.
    last: Option<(u32, Mode)>,
}

impl Talk {
    /// What a segment of the server's is looked through for.
    pub(super) fn awaited(&self, sequence: u32) -> Option<Mode> {
        let again = self.last.filter(|(last, _)| *last == sequence).map(|(_, mode)| mode);
        again.or_else(|| (self.mode != Mode::Active).then_some(self.mode))
    }

    /// The answer was found in the segment with this number, which will be `by` octets longer.
    pub(super) fn answered(&mut self, sequence: u32, mode: Mode, by: i32) {
        self.shift.lengthen(sequence, by);
        self.last = Some((sequence, mode));
        self.mode = Mode::Active;
    }
}

impl Session {
    /// A session without data connections.
    pub(super) fn new(unclaimed: Arc<AtomicU32>) -> Arc<Self> {
        let talk = Talk { mode: Mode::Active, shift: Shift::default(), last: None };
        Arc::new(Self { talk: Mutex::new(talk), data: AtomicU32::new(0), unclaimed })
    }

    pub(super) fn talk(&self) -> MutexGuard<'_, Talk> {
        self.talk.lock()
    }

    /// True while there are data connections.
    pub(in crate::director) fn has_data(&self) -> bool {
        self.data.load(Relaxed) > 0
    }

    /// A data connection begins.
    pub(in crate::director) fn begin(&self, is_unclaimed: bool) {
        self.data.fetch_add(1, Relaxed);
        if is_unclaimed {
            self.unclaimed.fetch_add(1, Relaxed);
        }
    }

    /// A data connection has its client.
    pub(in crate::director) fn claimed(&self) {
        self.unclaimed.fetch_sub(1, Relaxed);
    }

    /// A data connection ends.
    pub(in crate::director) fn end(&self, is_unclaimed: bool) {
        self.data.fetch_sub(1, Relaxed);
        if is_unclaimed {
            self.claimed();
        }
    }
}
