//! The services in the order they were added, each found by what names it.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};

use super::entry::Entry;
use crate::message::ServiceId;

/// The services there are.
#[derive(Debug, Default)]
pub(super) struct Entries {
    list: Vec<Entry>,
    places: HashMap<ServiceId, usize>,
}

impl Entries {
    pub(super) fn find(&self, id: ServiceId) -> Option<&Entry> {
        self.list.get(*self.places.get(&id)?)
    }

    pub(super) fn find_mut(&mut self, id: ServiceId) -> Option<&mut Entry> {
        self.list.get_mut(*self.places.get(&id)?)
    }

    /// Adds one that is not there.
    pub(super) fn push(&mut self, entry: Entry) {
        self.places.insert(entry.id(), self.list.len());
        self.list.push(entry);
    }

    /// Takes one out; the others keep their order.
    pub(super) fn take(&mut self, id: ServiceId) -> Option<Entry> {
        let place = self.places.remove(&id)?;
        let entry = self.list.remove(place);
        for place_of_later in self.places.values_mut().filter(|later| **later > place) {
            *place_of_later -= 1;
        }
        Some(entry)
    }

    /// Takes all of them out.
    pub(super) fn take_all(&mut self) -> Vec<Entry> {
        self.places.clear();
        std::mem::take(&mut self.list)
    }
}

impl Deref for Entries {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        &self.list
    }
}

impl DerefMut for Entries {
    fn deref_mut(&mut self) -> &mut [Entry] {
        &mut self.list
    }
}
