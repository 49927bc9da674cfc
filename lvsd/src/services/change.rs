//! Changes of services: add, edit, delete, flush, zero and the timeouts.

use std::sync::Arc;

use lvs_conntrack::Tick;

use super::Registry;
use super::engine::Engine;
use super::entry::Entry;
use crate::message::{Family, Refusal, ServiceId, Timeouts, VirtualService};

/// Timeouts the kernel takes: its jiffies, 250 a second, must fit a signed 32-bit number.
const LONGEST: u32 = 2_147_483_647 / 250;

impl Registry {
    /// `ip_vs_add_service`
    pub(super) fn add_service(&mut self, declared: VirtualService) -> Result<(), Refusal> {
        if self.entry(declared.id).is_ok() {
            return Err(Refusal::Exists);
        }
        check(&declared)?;
        let entry = Entry::new(declared, self.plane.counting(), self.seed)?;
        self.entries.push(entry);
        Ok(())
    }

    /// `ip_vs_edit_service`
    pub(super) fn edit_service(&mut self, declared: VirtualService) -> Result<(), Refusal> {
        let seed = self.seed;
        let entry = self.entry_mut(declared.id)?;
        check(&declared)?;
        entry.redeclare(declared, seed)
    }

    /// `ip_vs_del_service`: its servers go to the trash.
    pub(super) fn delete_service(&mut self, id: ServiceId, now: Tick) -> Result<(), Refusal> {
        let mut entry = self.entries.take(id).ok_or(Refusal::NoService)?;
        for server in entry.disband() {
            self.trash.take_in(id, server, now);
        }
        self.totals.take_in(Arc::clone(entry.stats()));
        Ok(())
    }

    /// `ip_vs_flush`
    pub(super) fn flush(&mut self, now: Tick) {
        for mut entry in self.entries.take_all() {
            let id = entry.id();
            for server in entry.disband() {
                self.trash.take_in(id, server, now);
            }
            self.totals.take_in(Arc::clone(entry.stats()));
        }
    }

    /// `ip_vs_zero_service`, `ip_vs_zero_all`
    pub(super) fn zero(&mut self, id: Option<ServiceId>) -> Result<(), Refusal> {
        if let Some(id) = id {
            zero(self.entry_mut(id)?);
        } else {
            self.entries.iter_mut().for_each(zero);
            self.totals.zero(&self.entries);
        }
        Ok(())
    }

    /// Says whether these timeouts would be taken.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for more than the kernel takes.
    pub fn check_timeouts(asked: Timeouts) -> Result<(), Refusal> {
        let is_wrong = [asked.tcp, asked.tcp_fin, asked.udp].iter().any(|&seconds| seconds > LONGEST);
        if is_wrong { Err(Refusal::Invalid) } else { Ok(()) }
    }

    /// `ip_vs_set_timeout`: 0 keeps a value.
    pub(super) fn set_timeouts(&mut self, asked: Timeouts) -> Result<(), Refusal> {
        Self::check_timeouts(asked)?;
        self.timeouts.set(asked.tcp, asked.tcp_fin, asked.udp);
        Ok(())
    }
}

fn zero(entry: &mut Entry) {
    let counted = entry.stats().sum();
    entry.meter.zero(counted);
    for server in entry.servers_mut() {
        let counted = server.destination.stats().sum();
        server.meter.zero(counted);
    }
}

/// What the kernel asks of a declaration, apart from its scheduler.
fn check(declared: &VirtualService) -> Result<(), Refusal> {
    Engine::of(declared)?;
    match declared.id.family() {
        Family::Ipv4 if declared.netmask > 32 => Err(Refusal::Invalid),
        Family::Ipv6 if declared.netmask < 1 || declared.netmask > 128 => Err(Refusal::Invalid),
        Family::Ipv4 | Family::Ipv6 => Ok(()),
    }
}
