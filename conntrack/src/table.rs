//! The table of connections and templates, shared by all workers.
//!
//! ```text
//!  client -> service  --+                                +--> slot of a timing wheel
//!                       +--> hash --> entry { lock, Conn }
//!  server -> client   --+
//! ```
//!
//! One map leads from the hash of a flow, in either direction, to the entry; the entry's own key tells whether
//! it is the right one and which direction was asked for. Two flows whose 64 bits are the same cannot both be in
//! the table: the second is refused, which nobody who does not know the seed can provoke, and which happens
//! about once in ten million tables of a million connections.
//!
//! Locks are always taken in the order shard, entry, and a wheel's lock with neither held. No function of a
//! caller's runs under a wheel's lock. [`Table::with`] and the listings run theirs under a shard's read lock, so
//! such a function must not call the table; builds with debug assertions panic when it does.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Place;
use parking_lot::Mutex;
use thiserror::Error;

use crate::conn::Conn;
use crate::hash::{Keyed, Ready};
use crate::key::{Direction, FlowKey};
use crate::template::{Lease, Template, TemplateKey};
use crate::tick::Tick;
use crate::wheel::{Timed, Timer, Wheel};

mod templates;

/// Shards of the maps: enough that workers seldom meet in one, and that one shard's growth is short.
const SHARDS: usize = 128;
/// Wheels the connections are spread over, for the same reason. A power of two.
const WHEELS: usize = 8;
/// Entries taken from a wheel at a time.
const BATCH: usize = 64;

/// Connections and templates, and what each is bound to.
///
/// `B` is what a connection is bound to, `T` what a template is bound to. All methods take `&self` and may be
/// called from any thread.
pub struct Table<B, T = B> {
    hash: Keyed,
    limit: usize,
    conns: AtomicUsize,
    links: DashMap<u64, Arc<Entry<B, T>>, Ready>,
    wheels: Vec<EntryWheel<B, T>>,
    templates: templates::Templates<T>,
    /// What ended otherwise than by a sweep and is still to be handed out.
    fallen: Mutex<Vec<Expired<B, T>>>,
    fallen_len: AtomicUsize,
    /// One sweep at a time; the batch it works on.
    sweeper: Mutex<Vec<Arc<Entry<B, T>>>>,
    /// The millisecond after the last one whose entries were all handed out.
    swept: AtomicU64,
}

/// What stands in the table for one connection. The connection is gone from it once it has ended, though a
/// thread may still hold the entry.
struct Entry<B, T> {
    timer: Timer,
    conn: Mutex<Option<Conn<B, T>>>,
}

type EntryWheel<B, T> = Mutex<Wheel<Entry<B, T>>>;

impl<B, T> Timed for Entry<B, T> {
    fn timer(&self) -> &Timer {
        &self.timer
    }
}

/// What a sweep hands out.
#[derive(Debug)]
pub enum Expired<B, T = B> {
    /// A connection whose time was over.
    Conn(Conn<B, T>),
    /// A template whose time was over, or that went with its last connection.
    Template(Arc<Template<T>>),
}

/// Why an entry was not made; gives the binding back.
#[derive(Error)]
pub enum InsertError<B> {
    /// The table holds as many entries as it may.
    #[error("the table is full")]
    Full(B),
    /// The flow (or one of the same hash) is in the table already.
    #[error("the flow is in the table already")]
    Exists(B),
}

impl<B> InsertError<B> {
    /// What the entry would have been bound to.
    pub fn into_binding(self) -> B {
        match self {
            Self::Full(binding) | Self::Exists(binding) => binding,
        }
    }
}

impl<B> fmt::Debug for InsertError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Exists(_) => "Exists",
        })
    }
}

impl<B, T> Table<B, T> {
    /// A table for at most `limit` connections and as many templates. `seed` keys the hash: to be drawn at
    /// random at each start, and kept secret.
    pub fn new(limit: usize, seed: u64) -> Self {
        Self::with_hash(limit, Keyed::new(seed))
    }

    fn with_hash(limit: usize, hash: Keyed) -> Self {
        Self {
            templates: templates::Templates::new(limit, hash.clone()),
            hash,
            limit,
            conns: AtomicUsize::new(0),
            links: DashMap::with_hasher_and_shard_amount(Ready::default(), SHARDS),
            wheels: (0..WHEELS).map(|_| Mutex::new(Wheel::new())).collect(),
            fallen: Mutex::new(Vec::new()),
            fallen_len: AtomicUsize::new(0),
            sweeper: Mutex::new(Vec::new()),
            swept: AtomicU64::new(0),
        }
    }

    /// The number of connections, those included whose time is over but that no sweep has come by yet.
    pub fn len(&self) -> usize {
        self.conns.load(Ordering::Relaxed)
    }

    /// True when there is no connection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of templates, counted like [`len`](Self::len).
    pub fn templates_len(&self) -> usize {
        self.templates.len()
    }

    /// How many connections there may be.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Runs `f` on the connection that `key` belongs to, in either direction.
    ///
    /// A connection whose time is over at `now` is not found, as if the kernel's timer had taken it away. `f`
    /// must not call the table.
    pub fn with<R>(
        &self,
        key: &FlowKey,
        now: Tick,
        f: impl FnOnce(&mut Conn<B, T>, Direction) -> R,
    ) -> Option<R> {
        let _visit = visit::enter();
        let link = self.links.get(&self.hash.flow(key))?;
        let mut slot = link.conn.lock();
        let conn = slot.as_mut()?;
        let direction = conn.direction_of(key)?;
        if conn.is_expired(now) {
            return None;
        }
        let answer = f(conn, direction);
        // Put off, the entry waits where it is; put forward, it has to move.
        let expires = conn.expires();
        if expires < link.timer.due() {
            let hash = self.hash.flow(conn.key());
            drop(slot);
            let entry = Arc::clone(&link);
            drop(link);
            self.schedule(hash, &entry, expires);
        }
        Some(answer)
    }

    /// Takes a connection in.
    ///
    /// A connection of the same flow whose time is over at `now` makes room for it and is handed out by the next
    /// sweep. Where the server's answers belong to another live connection too (one client port, two services,
    /// one server), they go to the newer one from now on.
    ///
    /// # Errors
    ///
    /// [`InsertError::Full`] at the limit, [`InsertError::Exists`] when a live connection has the flow.
    pub fn insert(&self, conn: Conn<B, T>, now: Tick) -> Result<(), InsertError<B>> {
        visit::forbid();
        if self.conns.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.conns.fetch_sub(1, Ordering::Relaxed);
            return Err(InsertError::Full(conn.into_binding()));
        }
        let expires = conn.expires();
        let hash = self.hash.flow(conn.key());
        let reply = conn.reply_key().map(|key| self.hash.flow(&key));
        let entry = Arc::new(Entry { timer: Timer::new(), conn: Mutex::new(Some(conn)) });
        if !self.link(hash, &entry, now) {
            self.conns.fetch_sub(1, Ordering::Relaxed);
            return match entry.conn.lock().take() {
                Some(conn) => Err(InsertError::Exists(conn.into_binding())),
                None => Ok(()),
            };
        }
        if let Some(reply) = reply {
            self.link_reply(reply, &entry);
        }
        self.schedule(hash, &entry, expires);
        if entry.conn.lock().is_none() {
            // Removed by another thread before all was in place.
            self.unlink(hash, &entry);
            if let Some(reply) = reply {
                self.unlink(reply, &entry);
            }
            self.wheel(hash).lock().cancel(&entry);
        }
        Ok(())
    }

    /// Takes out the connection that `key` belongs to, in either direction, whether or not its time is over.
    pub fn remove(&self, key: &FlowKey) -> Option<Conn<B, T>> {
        visit::forbid();
        let entry = Arc::clone(&*self.links.get(&self.hash.flow(key))?);
        let conn = {
            let mut slot = entry.conn.lock();
            slot.as_ref()?.direction_of(key)?;
            slot.take()?
        };
        self.forget(&entry, &conn);
        Some(conn)
    }

    /// Takes a connection out by force, as the defence against attacks and the removal of servers do (the
    /// kernel's `ip_vs_conn_del`): a template that is not assured and on which nothing hangs any more goes with
    /// it, and is handed out by the next sweep.
    pub fn evict(&self, key: &FlowKey) -> Option<Conn<B, T>> {
        let mut conn = self.remove(key)?;
        if let Some(lease) = conn.take_template() {
            let template = lease.give_back();
            if !template.is_assured() && self.templates.end(&template) {
                self.fall(Expired::Template(template));
            }
        }
        Some(conn)
    }

    /// Hands out what has ended by `now`, looking at no more than `budget` entries, and says how many it looked
    /// at. The next call goes on where this one stopped.
    ///
    /// With budget enough, everything whose time is over at `now` is handed out, to the millisecond. Before
    /// connections are counted or listed, call it with [`usize::MAX`]: it costs what there is to do, not the
    /// size of the table. While another thread sweeps, it does nothing. `reap` may call the table.
    pub fn sweep(&self, now: Tick, budget: usize, mut reap: impl FnMut(Expired<B, T>)) -> usize {
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
                for entry in batch.drain(..) {
                    self.judge(&entry, now, &mut reap);
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

    /// Runs `f` on every connection that is alive at `now`, in no order. `f` must not call the table.
    pub fn for_each(&self, now: Tick, mut f: impl FnMut(&Conn<B, T>)) {
        let _visit = visit::enter();
        self.visit(|conn| {
            if !conn.is_expired(now) {
                f(conn);
            }
        });
    }

    /// Drops every connection and every template.
    pub fn clear(&self) {
        visit::forbid();
        let mut keys = Vec::with_capacity(self.len());
        self.visit(|conn| keys.push(*conn.key()));
        for key in keys {
            self.remove(&key);
        }
        self.templates.clear();
        self.fallen.lock().clear();
        self.fallen_len.store(0, Ordering::Relaxed);
    }

    /// Finds the template for `key` and hangs a new connection on it, if its server will do.
    ///
    /// Where `usable` says no, the template matches nobody any more, though it lives on until its time is over
    /// (the kernel's `ip_vs_check_template`). Otherwise its timer is armed anew. The lease goes into
    /// [`NewConn::template`](crate::NewConn::template).
    pub fn lease(&self, key: &TemplateKey, now: Tick, usable: impl FnOnce(&T) -> bool) -> Option<Lease<T>> {
        visit::forbid();
        self.templates.lease(key, now, usable)
    }

    /// Makes a template that leads to `server` and hangs a new connection on it. `timeout` is in seconds.
    ///
    /// # Errors
    ///
    /// [`InsertError::Full`] at the limit, [`InsertError::Exists`] when there is a template for `key`.
    pub fn insert_template(
        &self,
        key: TemplateKey,
        server: SocketAddr,
        binding: T,
        timeout: u32,
        now: Tick,
    ) -> Result<Lease<T>, InsertError<T>> {
        visit::forbid();
        self.templates.insert(key, server, binding, timeout, now, |old| self.fall(Expired::Template(old)))
    }

    /// Runs `f` on the template for `key`, leaving its timer alone. `f` must not call the table.
    pub fn with_template<R>(
        &self,
        key: &TemplateKey,
        now: Tick,
        f: impl FnOnce(&Template<T>) -> R,
    ) -> Option<R> {
        let _visit = visit::enter();
        self.templates.with(key, now, f)
    }

    /// Ends every template that `unwanted` says yes to and on which nothing hangs, as the removal of servers does;
    /// the next sweep hands them out. `unwanted` must not call the table.
    pub fn evict_templates(&self, unwanted: impl FnMut(&Template<T>) -> bool) {
        visit::forbid();
        self.templates.evict(unwanted, |ended| self.fall(Expired::Template(ended)));
    }

    /// Runs `f` on every template that is alive at `now`, those that match nobody any more included. `f` must
    /// not call the table.
    pub fn for_each_template(&self, now: Tick, f: impl FnMut(&Template<T>)) {
        let _visit = visit::enter();
        self.templates.for_each(now, f);
    }

    /// Runs `f` on every connection once, though two links may lead to it.
    fn visit(&self, mut f: impl FnMut(&Conn<B, T>)) {
        for link in &self.links {
            if let Some(conn) = &*link.conn.lock()
                && *link.key() == self.hash.flow(conn.key())
            {
                f(conn);
            }
        }
    }

    /// Leads from `hash` to `entry`; false when a live connection is in the way.
    fn link(&self, hash: u64, entry: &Arc<Entry<B, T>>, now: Tick) -> bool {
        let (old, conn) = match self.links.entry(hash) {
            Place::Vacant(place) => {
                place.insert(Arc::clone(entry));
                return true;
            }
            Place::Occupied(mut place) => {
                let conn = {
                    let mut slot = place.get().conn.lock();
                    if slot.as_ref().is_some_and(|conn| !conn.is_expired(now)) {
                        return false;
                    }
                    slot.take()
                };
                (place.insert(Arc::clone(entry)), conn)
            }
        };
        if let Some(conn) = conn {
            self.forget(&old, &conn);
            self.fall(Expired::Conn(conn));
        }
        true
    }

    /// Leads from the hash of the server's answers to `entry`, unless it is another connection's own flow.
    fn link_reply(&self, hash: u64, entry: &Arc<Entry<B, T>>) {
        match self.links.entry(hash) {
            Place::Vacant(place) => {
                place.insert(Arc::clone(entry));
            }
            Place::Occupied(mut place) => {
                let taken =
                    place.get().conn.lock().as_ref().is_some_and(|conn| self.hash.flow(conn.key()) == hash);
                if !taken {
                    place.insert(Arc::clone(entry));
                }
            }
        }
    }

    fn unlink(&self, hash: u64, entry: &Arc<Entry<B, T>>) {
        self.links.remove_if(&hash, |_, linked| Arc::ptr_eq(linked, entry));
    }

    /// Takes away all that leads to `entry`, out of which `conn` was taken.
    fn forget(&self, entry: &Arc<Entry<B, T>>, conn: &Conn<B, T>) {
        let hash = self.hash.flow(conn.key());
        self.unlink(hash, entry);
        if let Some(reply) = conn.reply_key() {
            self.unlink(self.hash.flow(&reply), entry);
        }
        self.wheel(hash).lock().cancel(entry);
        self.conns.fetch_sub(1, Ordering::Relaxed);
    }

    /// Ends the connection of an entry whose slot has come, or queues it again.
    fn judge(&self, entry: &Arc<Entry<B, T>>, now: Tick, reap: &mut impl FnMut(Expired<B, T>)) {
        let mut slot = entry.conn.lock();
        let Some(conn) = &*slot else { return };
        let expires = conn.expires();
        if !conn.is_expired(now) {
            let hash = self.hash.flow(conn.key());
            drop(slot);
            self.wheel(hash).lock().schedule(entry, expires);
            return;
        }
        let conn = slot.take();
        drop(slot);
        if let Some(conn) = conn {
            self.forget(entry, &conn);
            if let Some(template) = conn.template() {
                template.release(expires);
            }
            reap(Expired::Conn(conn));
        }
    }

    /// Queues `entry`, whose client's packets have `hash`, for `due` unless it comes up earlier anyway.
    fn schedule(&self, hash: u64, entry: &Arc<Entry<B, T>>, due: Tick) {
        self.wheel(hash).lock().schedule(entry, due);
        if due.as_millis() < self.swept.load(Ordering::Relaxed) {
            self.swept.store(0, Ordering::Relaxed);
        }
    }

    fn wheel(&self, hash: u64) -> &EntryWheel<B, T> {
        #[allow(clippy::cast_possible_truncation, reason = "only the low bits are wanted")]
        &self.wheels[hash as usize % WHEELS]
    }

    fn fall(&self, ended: Expired<B, T>) {
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

impl<B, T> fmt::Debug for Table<B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("limit", &self.limit)
            .field("len", &self.len())
            .field("templates_len", &self.templates_len())
            .finish_non_exhaustive()
    }
}

/// Catches functions that call the table while they run under its locks, in builds with debug assertions.
mod visit {
    use std::cell::Cell;

    thread_local!(static INSIDE: Cell<bool> = const { Cell::new(false) });

    pub(super) struct Visit;

    pub(super) fn enter() -> Visit {
        forbid();
        if cfg!(debug_assertions) {
            INSIDE.set(true);
        }
        Visit
    }

    pub(super) fn forbid() {
        debug_assert!(!INSIDE.get(), "a function that the table runs must not call the table");
    }

    impl Drop for Visit {
        fn drop(&mut self) {
            if cfg!(debug_assertions) {
                INSIDE.set(false);
            }
        }
    }
}

#[cfg(test)]
mod tests;
