//! The end of connections and templates whose time is over.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Table, visit};
use crate::conn::Conn;
use crate::template::Template;
use crate::tick::Tick;
use crate::wheel::Timer;

/// Entries taken from a wheel at a time.
pub(super) const BATCH: usize = 64;

/// What a connection that others hang on gets when its time is over, in seconds (the kernel's `ip_vs_conn_expire`).
const EXTENSION: u32 = 60;

/// What a sweep hands out.
#[derive(Debug)]
pub enum Expired<B, T = B> {
    /// A connection whose time was over.
    Conn(Conn<B, T>),
    /// A template whose time was over, or that went with its last connection.
    Template(Arc<Template<T>>),
}

impl<B, T> Table<B, T> {
    /// Hands out what has ended by `now`, looking at no more than `budget` entries, and says how many it looked
    /// at. The next call goes on where this one stopped.
    ///
    /// With budget enough, everything whose time is over at `now` is handed out, to the millisecond. Before
    /// connections are counted or listed, call it with [`usize::MAX`]: it costs what there is to do, not the
    /// size of the table. While another thread sweeps, it does nothing. `reap` may call the table.
    ///
    /// A held connection ends like any other: see [`sweep_asking`](Self::sweep_asking).
    pub fn sweep(&self, now: Tick, budget: usize, reap: impl FnMut(Expired<B, T>)) -> usize {
        self.sweep_asking(now, budget, |_| {}, reap)
    }

    /// As [`sweep`](Self::sweep), but a held connection that is to end is first given to `ask`, which may have it
    /// [`hear`](Conn::hear) of packets that went by elsewhere: it then lives on. `ask` must not call the table.
    pub fn sweep_asking(
        &self,
        now: Tick,
        budget: usize,
        mut ask: impl FnMut(&mut Conn<B, T>),
        mut reap: impl FnMut(Expired<B, T>),
    ) -> usize {
        visit::forbid();
        let Some(mut batch) = self.sweeper.try_lock() else { return 0 };
        let mut left = self.hand_out_fallen(budget, &mut reap);
        if now.as_millis() < self.swept.load(Ordering::Relaxed) {
            return budget - left;
        }
        // Set first: what is queued for this very moment meanwhile sets it back.
        self.swept.store(now.as_millis() + 1, Ordering::Relaxed);
        for wheel in &self.wheels {
            while left > 0 {
                wheel.lock().take_due(now, left.min(BATCH), &mut batch);
                if batch.is_empty() {
                    break;
                }
                left -= batch.len();
                for (timer, home) in batch.drain(..) {
                    if let Some(conn) = self.judge(timer, home, now, &mut ask) {
                        reap(Expired::Conn(conn));
                    }
                }
            }
        }
        if left > 0 {
            left = self.templates.sweep(now, left, |template| reap(Expired::Template(template)));
        }
        if left == 0 {
            self.swept.store(0, Ordering::Relaxed);
        }
        budget - left
    }

    /// Ends the connection whose slot has come, or queues it again. It may have ended otherwise meanwhile, and
    /// its number be another's: that one is then ended or queued as it should be anyway.
    fn judge(
        &self,
        timer: Timer,
        home: u64,
        now: Tick,
        ask: &mut impl FnMut(&mut Conn<B, T>),
    ) -> Option<Conn<B, T>> {
        let conn = self.take_out(home, |place| {
            let conn = &mut place.timed(timer)?.conn;
            if conn.is_held() && conn.is_due(now) {
                let _visit = visit::enter();
                ask(conn);
            }
            if conn.is_due(now) && !(self.held)(conn.binding()) {
                return Some(timer);
            }
            if conn.is_due(now) {
                conn.extend(EXTENSION, now);
            }
            self.wheel(home).lock().schedule(timer, conn.expires());
            None
        })?;
        if let Some(template) = conn.template() {
            template.release(conn.expires());
        }
        Some(conn)
    }

    /// Something is queued for `due`: a sweep has to look again that has come by that moment already.
    pub(super) fn unsweep(&self, due: Tick) {
        if due.as_millis() < self.swept.load(Ordering::Relaxed) {
            self.swept.store(0, Ordering::Relaxed);
        }
    }

    /// Puts aside for the next sweep what ended otherwise.
    pub(super) fn fall(&self, ended: Expired<B, T>) {
        self.fallen.lock().push(ended);
        self.fallen_len.fetch_add(1, Ordering::Relaxed);
    }

    /// Hands out what ended otherwise; says what is left of the budget.
    fn hand_out_fallen(&self, budget: usize, reap: &mut impl FnMut(Expired<B, T>)) -> usize {
        let mut left = budget;
        while left > 0 && self.fallen_len.load(Ordering::Relaxed) > 0 {
            let Some(ended) = self.fallen.lock().pop() else { break };
            self.fallen_len.fetch_sub(1, Ordering::Relaxed);
            reap(ended);
            left -= 1;
        }
        left
    }
}
