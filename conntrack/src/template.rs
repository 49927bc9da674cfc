//! Persistence templates: which server a client's next connections are given, and for how long.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::key::Proto;
use crate::tick::Tick;
use crate::wheel::Timer;

/// What a template gets when its time is over while connections hang on it (the kernel's `ip_vs_conn_expire`).
const EXTENSION: u32 = 60;

/// The count of a template that has ended: nothing may hang on it any more.
const ENDED: u32 = u32::MAX;

/// Whom a template is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateKey {
    /// The service's protocol; [`Proto::IP`] for a service on a mark.
    pub proto: Proto,
    /// The client's address, masked with the service's netmask.
    pub client: IpAddr,
    /// The service.
    pub service: TemplateService,
}

/// The service a template belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TemplateService {
    /// By its address and port; port 0 for services of all ports and for FTP.
    Address(IpAddr, u16),
    /// By its firewall mark; the client's address tells the family.
    Mark(u32),
}

/// What makes a template.
#[derive(Debug)]
pub struct NewTemplate<'a, T> {
    /// Whom it is for.
    pub key: TemplateKey,
    /// What a persistence engine found in the client's packet, such as a Call-ID: it is part of what the template is
    /// looked up by. Empty without an engine.
    pub data: &'a [u8],
    /// The real server it leads to.
    pub server: SocketAddr,
    /// What the template is bound to; dropped with it.
    pub binding: T,
    /// How long it lives after a client's last new connection, in seconds.
    pub timeout: u32,
}

/// A template.
pub struct Template<T> {
    /// Where it stands in the table's wheel, once it does.
    timer: OnceLock<Timer>,
    /// Where the table's map has it.
    pub(crate) slot: AtomicU64,
    expires: AtomicU64,
    /// When the last connection that ended by its own time did so, in milliseconds.
    released: AtomicU64,
    binding: T,
    timeout: AtomicU32,
    conns: AtomicU32,
    packets: AtomicU32,
    key: TemplateKey,
    data: Box<[u8]>,
    server: (IpAddr, u16),
    assured: AtomicBool,
    valid: AtomicBool,
}

impl<T> Template<T> {
    pub(crate) fn new(new: NewTemplate<'_, T>, now: Tick) -> Self {
        let NewTemplate { key, data, server, binding, timeout } = new;
        let expires = now + Duration::from_secs(u64::from(timeout));
        Self {
            timer: OnceLock::new(),
            slot: AtomicU64::new(0),
            expires: AtomicU64::new(expires.as_millis()),
            released: AtomicU64::new(0),
            binding,
            timeout: AtomicU32::new(timeout),
            conns: AtomicU32::new(0),
            packets: AtomicU32::new(0),
            key,
            data: data.into(),
            server: (server.ip(), server.port()),
            assured: AtomicBool::new(false),
            valid: AtomicBool::new(true),
        }
    }

    /// Whom the template is for.
    pub const fn key(&self) -> &TemplateKey {
        &self.key
    }

    /// What a persistence engine found in the client's packet; empty without an engine.
    pub const fn data(&self) -> &[u8] {
        &self.data
    }

    /// The real server it leads to.
    pub const fn server(&self) -> SocketAddr {
        SocketAddr::new(self.server.0, self.server.1)
    }

    /// What the template is bound to.
    pub const fn binding(&self) -> &T {
        &self.binding
    }

    /// How many connections hang on it.
    pub fn conns(&self) -> u32 {
        match self.conns.load(Ordering::Relaxed) {
            ENDED => 0,
            conns => conns,
        }
    }

    /// Packets counted with [`count_packet`](Self::count_packet).
    pub fn packets(&self) -> u32 {
        self.packets.load(Ordering::Relaxed)
    }

    /// Counts a packet that was scheduled by itself: there is no connection to count it.
    pub fn count_packet(&self) {
        self.packets.fetch_add(1, Ordering::Relaxed);
    }

    /// The time since the last new connection under it.
    pub fn idle(&self, now: Tick) -> Duration {
        now.saturating_since(self.expires() - self.timeout())
    }

    /// True once a connection under it was established or answered.
    pub fn is_assured(&self) -> bool {
        self.assured.load(Ordering::Relaxed)
    }

    /// False once its server was gone when the client came back: it matches nobody any more and only waits for
    /// its end. The kernel lists such a template with 65535 for both ports (`ip_vs_check_template`).
    pub fn is_valid(&self) -> bool {
        self.valid.load(Ordering::Relaxed)
    }

    /// The name in the state column of a listing.
    pub fn state_name(&self) -> &'static str {
        if self.is_assured() { "ASSURED" } else { "NONE" }
    }

    /// How long it lives after a client's last new connection; 60 s once it outlived that with connections
    /// hanging on it, as the kernel stores it.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout.load(Ordering::Relaxed)))
    }

    /// When its time is over.
    pub fn expires(&self) -> Tick {
        Tick::from_millis(self.expires.load(Ordering::Relaxed))
    }

    /// The time left at `now`.
    pub fn remaining(&self, now: Tick) -> Duration {
        self.expires().saturating_since(now)
    }

    /// Goes on from what was known of it in another table: when its time is over, and whether it is assured.
    pub fn resume(&self, expires: Tick, is_assured: bool) {
        self.expires.store(expires.as_millis(), Ordering::Relaxed);
        self.assured.store(is_assured, Ordering::Relaxed);
    }

    pub(crate) fn timer(&self) -> Option<Timer> {
        self.timer.get().copied()
    }

    pub(crate) fn set_timer(&self, timer: Timer) {
        // Set once, before anybody else sees the template.
        let _ = self.timer.set(timer);
    }

    pub(crate) fn assure(&self) {
        self.assured.store(true, Ordering::Relaxed);
    }

    pub(crate) fn invalidate(&self) {
        self.valid.store(false, Ordering::Relaxed);
    }

    pub(crate) fn touch(&self, now: Tick) {
        self.expires.store((now + self.timeout()).as_millis(), Ordering::Relaxed);
    }

    /// Notes that a connection under it ended at `at`.
    pub(crate) fn release(&self, at: Tick) {
        self.released.fetch_max(at.as_millis(), Ordering::Relaxed);
    }

    /// Brings the timer up to `now`: at each end of its time the template was given another 60 s if connections
    /// hung on it then. True when its time is over for good.
    pub(crate) fn settle(&self, now: Tick) -> bool {
        loop {
            let expires = self.expires();
            if now < expires {
                return false;
            }
            let held = self.conns() > 0 || self.released.load(Ordering::Relaxed) > expires.as_millis();
            if !held {
                return true;
            }
            self.timeout.store(EXTENSION, Ordering::Relaxed);
            self.touch(expires);
        }
    }

    /// Ends the template unless something hangs on it.
    pub(crate) fn end(&self) -> bool {
        self.conns.compare_exchange(0, ENDED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.conns.load(Ordering::Relaxed) == ENDED
    }
}

impl<T: fmt::Debug> fmt::Debug for Template<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("key", &self.key)
            .field("data", &self.data)
            .field("server", &self.server())
            .field("binding", &self.binding)
            .field("expires", &self.expires())
            .field("conns", &self.conns())
            .field("assured", &self.is_assured())
            .field("valid", &self.is_valid())
            .finish_non_exhaustive()
    }
}

/// A connection's hold on a template: counted while it lives, given back when it is dropped.
pub struct Lease<T>(Arc<Template<T>>);

impl<T> Lease<T> {
    /// `None` when the template has ended.
    pub(crate) fn take(template: &Arc<Template<T>>) -> Option<Self> {
        let counted = template.conns.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |conns| {
            (conns < ENDED - 1).then(|| conns + 1)
        });
        counted.is_ok().then(|| Self(Arc::clone(template)))
    }

    /// A hold on a template that was just made and that the table's map is to have at `slot`.
    pub(crate) fn first(template: Template<T>, slot: u64) -> Self {
        template.slot.store(slot, Ordering::Relaxed);
        template.conns.store(1, Ordering::Relaxed);
        Self(Arc::new(template))
    }

    pub(crate) fn share(&self) -> Arc<Template<T>> {
        Arc::clone(&self.0)
    }

    /// Gives the hold back and says on what it was.
    pub(crate) fn give_back(self) -> Arc<Template<T>> {
        Arc::clone(&self.0)
    }
}

impl<T> Deref for Lease<T> {
    type Target = Template<T>;

    fn deref(&self) -> &Template<T> {
        &self.0
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        self.0.conns.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<T: fmt::Debug> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.0).finish()
    }
}
