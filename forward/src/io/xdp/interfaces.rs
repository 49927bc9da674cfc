//! The interfaces as the program knows them, by their numbers: `lvsd_interface` and `lvsd_mac` of `interface.h`.

use std::collections::{BTreeMap, BTreeSet};

use libbpf_rs::{MapHandle, Object};

use super::claim_maps::{delete, update};
use super::error::ProgramError;
use super::program::map;
use super::record::Record;
use crate::wire::ethernet::Mac;

/// `INTERFACES` and `PROBES` of `interface.h`.
const SLOTS: u32 = 256;
const PROBES: u32 = 64;
/// Stands in a slot that was left: others may lie behind it.
const LEFT: u32 = u32::MAX;

/// The maps, and what is known to be in them.
#[derive(Debug)]
pub(super) struct Interfaces {
    slots: MapHandle,
    macs: MapHandle,
    /// The interfaces that are there, by slot.
    used: BTreeMap<u32, Interface>,
    /// Addresses beside an interface's own.
    others: BTreeSet<(u32, Mac)>,
}

/// `struct interface`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interface {
    /// Its number.
    pub(super) index: u32,
    /// Where its queues begin in `lvsd_xsk`.
    pub(super) base: u32,
    /// Its address.
    pub(super) mac: Mac,
}

impl Interfaces {
    /// The empty maps of an object.
    pub(super) fn of(object: &Object) -> Result<Self, ProgramError> {
        let (slots, macs) = (map(object, "lvsd_interface")?, map(object, "lvsd_mac")?);
        Ok(Self { slots, macs, used: BTreeMap::new(), others: BTreeSet::new() })
    }

    /// Says what is to be known of an interface. There is room for as many as are looked through.
    pub(super) fn put(&mut self, interface: Interface) -> Result<(), ProgramError> {
        let Some(slot) = place_of(&self.used, interface.index) else { return Ok(()) };
        if self.used.get(&slot) != Some(&interface) {
            self.write(slot, interface)?;
            self.used.insert(slot, interface);
        }
        Ok(())
    }

    /// Forgets an interface, but not which other addresses reach it.
    pub(super) fn remove(&mut self, index: u32) -> Result<(), ProgramError> {
        let Some(slot) = self.slot_of(index) else { return Ok(()) };
        self.write(slot, Interface { index: LEFT, base: 0, mac: Mac::default() })?;
        self.used.remove(&slot);
        Ok(())
    }

    /// Makes these the addresses by which frames reach an interface, which may be one that is not there yet.
    pub(super) fn address(
        &mut self,
        index: u32,
        own: Mac,
        others: &BTreeSet<Mac>,
    ) -> Result<(), ProgramError> {
        // What is new goes in before what is old comes out.
        for &mac in others {
            if !self.others.contains(&(index, mac)) {
                update(&self.macs, &mac_key(index, mac), &1_u32.to_ne_bytes())?;
                self.others.insert((index, mac));
            }
        }
        let known = self.slot_of(index).and_then(|slot| self.used.get(&slot).copied());
        if let Some(known) = known {
            self.put(Interface { mac: own, ..known })?;
        }
        let old = self.others.iter().filter(|(of, mac)| *of == index && !others.contains(mac));
        for (index, mac) in old.copied().collect::<Vec<_>>() {
            delete(&self.macs, &mac_key(index, mac))?;
            self.others.remove(&(index, mac));
        }
        Ok(())
    }

    fn slot_of(&self, index: u32) -> Option<u32> {
        self.used.iter().find(|(_, interface)| interface.index == index).map(|(&slot, _)| slot)
    }

    fn write(&self, slot: u32, Interface { index, base, mac }: Interface) -> Result<(), ProgramError> {
        let record = Record::<16>::new().u32(index).u32(base).put(&mac.0);
        update(&self.slots, &slot.to_ne_bytes(), record.octets())
    }
}

/// The slot where an interface is or is to be: `interface_of()` of `interface.h` comes to it.
fn place_of(used: &BTreeMap<u32, Interface>, index: u32) -> Option<u32> {
    let mut window = (0..PROBES).map(|behind| index.wrapping_add(behind) % SLOTS);
    let known = window.clone().find(|slot| used.get(slot).is_some_and(|interface| interface.index == index));
    known.or_else(|| window.find(|slot| !used.contains_key(slot)))
}

/// `struct mac`
fn mac_key(index: u32, mac: Mac) -> [u8; 12] {
    *Record::<12>::new().u32(index).put(&mac.0).octets()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_whose_numbers_collide_lie_behind_each_other() {
        let mut used = BTreeMap::new();
        let interface = |index| Interface { index, base: 0, mac: Mac::default() };
        for (index, right) in [(255, 255), (511, 0), (1, 1), (256, 2)] {
            assert_eq!(place_of(&used, index), Some(right));
            used.insert(right, interface(index));
        }
        used.remove(&0);
        assert_eq!(place_of(&used, 256), Some(2), "it is found before a slot that was left is used again");
        assert_eq!(place_of(&used, 511), Some(0));
        let full = (0..PROBES).map(|slot| (slot, interface(slot * SLOTS + SLOTS))).collect();
        assert_eq!(place_of(&full, 0), None);
    }
}
