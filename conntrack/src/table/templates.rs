//! The templates' part of the table.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Place;
use parking_lot::Mutex;

use super::sweep::BATCH;
use super::thin::{lots, sample};
use super::{Expired, InsertError, SHARDS, Table, visit};
use crate::hash::{Keyed, Ready};
use crate::template::{Lease, NewTemplate, Template, TemplateKey};
use crate::tick::Tick;
use crate::wheel::{Timer, Wheel};

/// A template in the wheel; never `None` there.
type Waiting<T> = Option<Arc<Template<T>>>;

pub(super) struct Templates<T> {
    hash: Keyed,
    limit: usize,
    len: AtomicUsize,
    map: DashMap<u64, Arc<Template<T>>, Ready>,
    wheel: Mutex<Wheel<Waiting<T>>>,
    batch: Mutex<Vec<(Timer, Waiting<T>)>>,
}

impl<B, T> Table<B, T> {
    /// Finds the template for `key`, and for what a persistence engine found (empty without an engine), and hangs a
    /// new connection on it, if its server will do.
    ///
    /// Where `usable` says no, the template matches nobody any more, though it lives on until its time is over
    /// (the kernel's `ip_vs_check_template`). Otherwise its timer is armed anew. The lease goes into
    /// [`NewConn::template`](crate::NewConn::template).
    pub fn lease(
        &self,
        key: &TemplateKey,
        data: &[u8],
        now: Tick,
        usable: impl FnOnce(&T) -> bool,
    ) -> Option<Lease<T>> {
        visit::forbid();
        self.templates.lease(key, data, now, usable)
    }

    /// Makes a template and hangs a new connection on it.
    ///
    /// # Errors
    ///
    /// [`InsertError::Full`] at the limit, [`InsertError::Exists`] when there is one for the same key and data.
    pub fn insert_template(&self, new: NewTemplate<'_, T>, now: Tick) -> Result<Lease<T>, InsertError<T>> {
        visit::forbid();
        self.templates.insert(new, now, |old| self.fall(Expired::Template(old)))
    }

    /// Runs `f` on the template for `key` and `data`, leaving its timer alone. `f` must not call the table.
    pub fn with_template<R>(
        &self,
        key: &TemplateKey,
        data: &[u8],
        now: Tick,
        f: impl FnOnce(&Template<T>) -> R,
    ) -> Option<R> {
        let _visit = visit::enter();
        self.templates.with(key, data, now, f)
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
}

impl<T> Templates<T> {
    pub(super) fn new(limit: usize, hash: Keyed) -> Self {
        Self {
            hash,
            limit,
            len: AtomicUsize::new(0),
            map: DashMap::with_hasher_and_shard_amount(Ready::default(), SHARDS),
            wheel: Mutex::new(Wheel::new()),
            batch: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(super) fn with<R>(
        &self,
        key: &TemplateKey,
        data: &[u8],
        now: Tick,
        f: impl FnOnce(&Template<T>) -> R,
    ) -> Option<R> {
        let template = self.map.get(&self.hash.template(key, data))?;
        matches(&template, key, data, now).then(|| f(&template))
    }

    pub(super) fn lease(
        &self,
        key: &TemplateKey,
        data: &[u8],
        now: Tick,
        usable: impl FnOnce(&T) -> bool,
    ) -> Option<Lease<T>> {
        let hash = self.hash.template(key, data);
        let template = Arc::clone(&*self.map.get(&hash)?);
        if !matches(&template, key, data, now) {
            return None;
        }
        if !usable(template.binding()) {
            self.retire(hash, &template);
            return None;
        }
        let lease = Lease::take(&template)?;
        lease.touch(now);
        Some(lease)
    }

    pub(super) fn insert(
        &self,
        new: NewTemplate<'_, T>,
        now: Tick,
        fallen: impl FnOnce(Arc<Template<T>>),
    ) -> Result<Lease<T>, InsertError<T>> {
        if self.len.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.len.fetch_sub(1, Ordering::Relaxed);
            return Err(InsertError::Full(new.binding));
        }
        let hash = self.hash.template(&new.key, new.data);
        let entry = self.map.entry(hash);
        let mut old = None;
        if let Place::Occupied(place) = &entry {
            // One that has ended is in another thread's hands, which finds it gone from here.
            let ended = place.get().has_ended();
            let makes_room = ended || (place.get().settle(now) && place.get().end());
            if !makes_room {
                self.len.fetch_sub(1, Ordering::Relaxed);
                return Err(InsertError::Exists(new.binding));
            }
            old = Some((Arc::clone(place.get()), ended));
        }
        let lease = Lease::first(Template::new(new, now), hash);
        lease.set_timer(self.wheel.lock().add(Some(lease.share()), lease.expires()));
        // The guard that is given back holds the shard.
        drop(entry.insert(lease.share()));
        if let Some((old, ended)) = old {
            self.forget(&old);
            if !ended {
                fallen(old);
            }
        }
        Ok(lease)
    }

    /// Ends `template` unless connections hang on it, and takes it out.
    pub(super) fn end(&self, template: &Arc<Template<T>>) -> bool {
        if !template.end() {
            return false;
        }
        self.take_out(template);
        true
    }

    pub(super) fn sweep(&self, now: Tick, budget: usize, mut reap: impl FnMut(Arc<Template<T>>)) -> usize {
        let mut left = budget;
        let mut batch = self.batch.lock();
        while left > 0 {
            self.wheel.lock().take_due(now, left.min(BATCH), &mut batch);
            if batch.is_empty() {
                break;
            }
            left -= batch.len();
            for (timer, template) in batch.drain(..) {
                let Some(template) = template.filter(|template| !template.has_ended()) else { continue };
                if template.settle(now) && template.end() {
                    self.take_out(&template);
                    reap(template);
                } else {
                    self.wheel.lock().schedule(timer, template.expires());
                }
            }
        }
        left
    }

    pub(super) fn for_each(&self, now: Tick, mut f: impl FnMut(&Template<T>)) {
        for template in &self.map {
            if !template.has_ended() && !template.settle(now) {
                f(&template);
            }
        }
    }

    /// Ends the templates that are unwanted and on which nothing hangs.
    pub(super) fn evict(
        &self,
        mut unwanted: impl FnMut(&Template<T>) -> bool,
        mut fallen: impl FnMut(Arc<Template<T>>),
    ) {
        let found: Vec<_> =
            self.map.iter().filter(|found| unwanted(found)).map(|found| Arc::clone(&found)).collect();
        for template in found {
            if self.end(&template) {
                fallen(template);
            }
        }
    }

    /// Ends the unwanted among a share of the templates, drawn by lot; says how many.
    pub(super) fn thin(
        &self,
        now: Tick,
        draw: &mut impl FnMut() -> u64,
        unwanted: &mut impl FnMut(&Template<T>) -> bool,
        mut fallen: impl FnMut(Arc<Template<T>>),
    ) -> usize {
        let mut ended = 0;
        let mut drawn = Vec::with_capacity(BATCH);
        let mut left = lots(self.wheel.lock().numbers(), draw);
        while left > 0 {
            let count = left.min(BATCH);
            left -= count;
            sample(&self.wheel.lock(), count, draw, &mut drawn);
            for template in drawn.drain(..).filter_map(|(_, template)| template) {
                if template.has_ended() || template.settle(now) || !unwanted(&template) {
                    continue;
                }
                if self.end(&template) {
                    fallen(template);
                    ended += 1;
                }
            }
        }
        ended
    }

    pub(super) fn clear(&self) {
        self.map.retain(|_, template| {
            self.forget(template);
            false
        });
    }

    /// Moves a template to a place where no key leads, so that it is still listed.
    fn retire(&self, hash: u64, template: &Arc<Template<T>>) {
        if self.map.remove_if(&hash, |_, found| Arc::ptr_eq(found, template)).is_none() {
            return;
        }
        template.invalidate();
        let mut place = hash;
        loop {
            place = place.wrapping_add(0x9e37_79b9_7f4a_7c15);
            template.slot.store(place, Ordering::Relaxed);
            if let Place::Vacant(vacant) = self.map.entry(place) {
                vacant.insert(Arc::clone(template));
                break;
            }
        }
        if template.has_ended() {
            // Ended by another thread while it was in no place.
            self.take_out(template);
        }
    }

    fn take_out(&self, template: &Arc<Template<T>>) {
        let slot = template.slot.load(Ordering::Relaxed);
        if self.map.remove_if(&slot, |_, found| Arc::ptr_eq(found, template)).is_some() {
            self.forget(template);
        }
    }

    /// For whoever took `template` out of the map, and so once.
    fn forget(&self, template: &Template<T>) {
        if let Some(timer) = template.timer() {
            self.wheel.lock().remove(timer);
        }
        self.len.fetch_sub(1, Ordering::Relaxed);
    }
}

fn matches<T>(template: &Template<T>, key: &TemplateKey, data: &[u8], now: Tick) -> bool {
    let is_it = template.key() == key && template.data() == data;
    is_it && template.is_valid() && !template.has_ended() && !template.settle(now)
}

#[cfg(test)]
mod tests;
