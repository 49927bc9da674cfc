//! The table of connections and templates, shared by all workers.
//!
//! ```text
//!  client -> service  --+
//!                       +--> hash of the client's end --> place { Conn, number } --> slot of a timing wheel
//!  server -> client   --+
//! ```
//!
//! A connection stands in the map itself, under the hash of its client's address, port and protocol, which are
//! in its packets of both directions: so either leads to it in one step, and to no other memory than its own.
//! Where one client port has several connections, a crowd of them stands in the place.
//!
//! Locks are always taken in the order shard, wheel; never two shards, never two wheels. No function of a
//! caller's runs under a wheel's lock. [`Table::with`] and the listings run theirs under a shard's lock, so such
//! a function must not call the table; builds with debug assertions panic when it does.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use parking_lot::Mutex;

use crate::conn::Conn;
use crate::hash::{Keyed, Ready};
use crate::key::{Direction, FlowKey};
use crate::tick::Tick;
use crate::wheel::{Timer, Wheel};

mod crowd;
mod place;
mod refusal;
mod servers;
mod sweep;
mod templates;
mod thin;
mod visit;

use place::{Entry, Place};
pub use refusal::InsertError;
use servers::Servers;
use sweep::BATCH;
pub use sweep::Expired;

/// Shards of the maps: enough that workers seldom meet in one, and that one shard's growth is short.
const SHARDS: usize = 256;
/// Wheels the connections are spread over, for the same reason. A power of two.
const WHEELS: usize = 8;

/// Connections and templates, and what each is bound to.
///
/// `B` is what a connection is bound to, `T` what a template is bound to. All methods take `&self` and may be
/// called from any thread.
pub struct Table<B, T = B> {
    hash: Keyed,
    limit: usize,
    held: fn(&B) -> bool,
    conns: AtomicUsize,
    /// By the hash of the client's end.
    places: DashMap<u64, Place<B, T>, Ready>,
    servers: Servers,
    /// When to look into which place.
    wheels: Vec<Mutex<Wheel<u64>>>,
    templates: templates::Templates<T>,
    /// What ended otherwise than by a sweep and is still to be handed out.
    fallen: Mutex<Vec<Expired<B, T>>>,
    fallen_len: AtomicUsize,
    /// One sweep at a time; the batch it works on.
    sweeper: Mutex<Vec<(Timer, u64)>>,
    /// The millisecond after the last one whose entries were all handed out.
    swept: AtomicU64,
}

impl<B, T> Table<B, T> {
    /// A table for at most `limit` connections and as many templates. `seed` keys the hash: to be drawn at
    /// random at each start, and kept secret.
    pub fn new(limit: usize, seed: u64) -> Self {
        Self::with_hash(limit, Keyed::new(seed))
    }

    /// Connections whose binding is `held` outlive their time, a minute after the other, for as long as it is: others
    /// hang on them (the kernel's `n_control`). `held` must not call the table.
    #[must_use]
    pub fn holding(self, held: fn(&B) -> bool) -> Self {
        Self { held, ..self }
    }

    fn with_hash(limit: usize, hash: Keyed) -> Self {
        Self {
            templates: templates::Templates::new(limit, hash.clone()),
            hash,
            limit,
            held: |_| false,
            conns: AtomicUsize::new(0),
            places: DashMap::with_hasher_and_shard_amount(Ready::default(), SHARDS),
            servers: Servers::new(),
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

    /// Runs `f` on the connection that `key` belongs to, in either direction. A server's answer comes first, as
    /// in the kernel, whose `ip_vs_out_hook` sees a packet before `ip_vs_in_hook`.
    ///
    /// A connection whose time is over at `now` is not found, as if the kernel's timer had taken it away. `f`
    /// must not call the table.
    #[inline]
    pub fn with<R>(
        &self,
        key: &FlowKey,
        now: Tick,
        f: impl FnOnce(&mut Conn<B, T>, Direction) -> R,
    ) -> Option<R> {
        let _visit = visit::enter();
        let mut direction = if self.may_answer(key) { Direction::ToClient } else { Direction::ToServer };
        // One place where `f` is called: so it becomes part of its caller.
        loop {
            let home = self.home(key, direction);
            if let Some(mut place) = self.places.get_mut(&home)
                && let Some(entry) = place.find(key, direction, now, self.held)
            {
                let before = entry.conn.expires();
                let result = f(&mut entry.conn, direction);
                // Put off, the entry waits where it is; put forward, it has to move.
                let expires = entry.conn.expires();
                if expires < before {
                    self.put_forward(home, entry.timer, expires);
                }
                return Some(result);
            }
            if direction == Direction::ToServer {
                return None;
            }
            direction = Direction::ToServer;
        }
    }

    /// Reads the connection that `key` may belong to, and makes nothing of it. Done for each packet of a burst before
    /// the first is looked at, this has the memory answer for all of them at one time: of a million connections, hardly
    /// one is in a cache.
    #[inline]
    pub fn fetch(&self, key: &FlowKey) {
        visit::forbid();
        let direction = if self.may_answer(key) { Direction::ToClient } else { Direction::ToServer };
        if let Some(place) = self.places.get(&self.home(key, direction)) {
            place.fetch();
        }
    }

    #[cold]
    fn put_forward(&self, home: u64, timer: Timer, expires: Tick) {
        self.wheel(home).lock().schedule(timer, expires);
        self.unsweep(expires);
    }

    /// Takes a connection in.
    ///
    /// A connection of the same flow whose time is over at `now` makes room for it and is handed out by the next
    /// sweep. Where the server's answers belong to other live connections too (one client port, several
    /// services, one server), they go to the newest of them that is there.
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
        if let Some(reply) = conn.reply_key() {
            self.servers.add(&self.hash, reply.src);
        }
        let (key, expires) = (*conn.key(), conn.expires());
        let home = self.home(&key, Direction::ToServer);
        let mut place = self.places.entry(home).or_insert(Place::Empty);
        if place.find(&key, Direction::ToServer, now, self.held).is_some() {
            self.conns.fetch_sub(1, Ordering::Relaxed);
            return Err(InsertError::Exists(conn.into_binding()));
        }
        let old = self.take(home, &mut place, |place| place.timer(&key, Direction::ToServer));
        let timer = self.wheel(home).lock().add(home, expires);
        place.add(Entry { conn, timer });
        drop(place);
        self.unsweep(expires);
        if let Some(old) = old {
            self.fall(Expired::Conn(old));
        }
        Ok(())
    }

    /// Takes out the connection that `key` belongs to, in either direction, whether or not its time is over. One
    /// whose own flow `key` is comes first.
    pub fn remove(&self, key: &FlowKey) -> Option<Conn<B, T>> {
        visit::forbid();
        let own = self.remove_as(key, Direction::ToServer);
        if own.is_some() || !self.may_answer(key) {
            return own;
        }
        self.remove_as(key, Direction::ToClient)
    }

    /// Takes a connection out by force, as the defence against attacks and the removal of servers do (the
    /// kernel's `ip_vs_conn_del`): a template that is not assured and on which nothing hangs any more goes with
    /// it, and is handed out by the next sweep.
    pub fn evict(&self, key: &FlowKey) -> Option<Conn<B, T>> {
        let mut conn = self.remove(key)?;
        self.forsake(&mut conn);
        Some(conn)
    }

    /// Ends the template of a connection that was ended by force, unless it is assured or others hang on it.
    fn forsake(&self, conn: &mut Conn<B, T>) {
        if let Some(lease) = conn.take_template() {
            let template = lease.give_back();
            if !template.is_assured() && self.templates.end(&template) {
                self.fall(Expired::Template(template));
            }
        }
    }

    /// Runs `f` on every connection that is alive at `now`, in no order. `f` must not call the table.
    pub fn for_each(&self, now: Tick, mut f: impl FnMut(&Conn<B, T>)) {
        let _visit = visit::enter();
        self.visit(|conn| {
            if is_alive(conn, now, self.held) {
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
            drop(self.remove_as(&key, Direction::ToServer));
        }
        self.templates.clear();
        self.fallen.lock().clear();
        self.fallen_len.store(0, Ordering::Relaxed);
    }

    /// Runs `f` on every connection. Found by way of the wheels and one at a time, so that no packet waits for a
    /// listing any longer than for another packet.
    fn visit(&self, mut f: impl FnMut(&Conn<B, T>)) {
        let mut batch = Vec::with_capacity(BATCH);
        for wheel in &self.wheels {
            let mut next = Some(0);
            while let Some(from) = next {
                next = wheel.lock().list(from, BATCH, &mut batch);
                for (timer, home) in batch.drain(..) {
                    if let Some(mut place) = self.places.get_mut(&home)
                        && let Some(entry) = place.timed(timer)
                    {
                        f(&entry.conn);
                    }
                }
            }
        }
    }

    /// False when `key` is certainly no answer of a server's to a connection in the table.
    #[inline]
    fn may_answer(&self, key: &FlowKey) -> bool {
        self.servers.may_have(&self.hash, key.src)
    }

    /// Where the connection stands that has `key` in that direction: the hash of its client's end.
    #[inline]
    fn home(&self, key: &FlowKey, direction: Direction) -> u64 {
        match direction {
            Direction::ToServer => self.hash.end(key.proto, key.src, key.src_port),
            Direction::ToClient => self.hash.end(key.proto, key.dst, key.dst_port),
        }
    }

    fn remove_as(&self, key: &FlowKey, direction: Direction) -> Option<Conn<B, T>> {
        let home = self.home(key, direction);
        self.take_out(home, |place| place.timer(key, direction))
    }

    /// Takes the connection out that `which` chooses among those at `home`, and the place with the last one.
    fn take_out(
        &self,
        home: u64,
        which: impl FnOnce(&mut Place<B, T>) -> Option<Timer>,
    ) -> Option<Conn<B, T>> {
        let mut taken = None;
        self.places.remove_if_mut(&home, |_, place| {
            taken = self.take(home, place, which);
            place.is_empty()
        });
        taken
    }

    /// Takes a connection out of its place, its wheel and the count.
    fn take(
        &self,
        home: u64,
        place: &mut Place<B, T>,
        which: impl FnOnce(&mut Place<B, T>) -> Option<Timer>,
    ) -> Option<Conn<B, T>> {
        let timer = which(place)?;
        let conn = place.take(timer)?;
        self.wheel(home).lock().remove(timer);
        self.conns.fetch_sub(1, Ordering::Relaxed);
        Some(conn)
    }

    fn wheel(&self, home: u64) -> &Mutex<Wheel<u64>> {
        #[allow(clippy::cast_possible_truncation, reason = "only the low bits are wanted")]
        &self.wheels[home as usize % WHEELS]
    }
}

/// True while the connection's time is not over, or something holds it.
#[inline]
fn is_alive<B, T>(conn: &Conn<B, T>, now: Tick, held: fn(&B) -> bool) -> bool {
    !conn.is_expired(now) || held(conn.binding())
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

#[cfg(test)]
mod tests;
