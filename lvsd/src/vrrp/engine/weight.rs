//! What is watched does to the virtual routers: priorities, and what keeps them from working.

use lvs_netcfg::Interface;
use lvs_vrrp::declared::{Script, Track, Weight};
use lvs_vrrp::{Effect, Member, Reading, Tick, effect};

use super::super::watch::Watched;
use super::Engine;

impl Engine {
    /// Weighs what each virtual router watches, and says whether it can work.
    pub(super) fn weigh(&mut self, now: Tick) {
        for place in 0..self.seats.len() {
            let (effect, faults) = self.weight_of(place, now);
            let Some(seat) = self.seats.get_mut(place) else { continue };
            let priority = effect.on(seat.instance.priority);
            if seat.faults != faults && !faults.is_empty() {
                let (instance, why) = (&seat.instance.name, faults.join("; "));
                tracing::warn!(instance, why, "cannot work");
            }
            seat.faults = faults;
            let is_usable = seat.faults.is_empty();
            self.router.set_priority(Member(place), priority);
            self.router.set_usable(Member(place), is_usable, now);
        }
    }

    /// What is watched does to a virtual router, and what keeps it from working.
    fn weight_of(&mut self, place: usize, now: Tick) -> (Effect, Vec<String>) {
        let Some(seat) = self.seats.get(place) else { return (Effect::default(), Vec::new()) };
        let instance = &seat.instance;
        let mut faults = Vec::new();
        if now.since_zero() < self.declared.globals.startup_delay {
            faults.push("the delay after the start is not over".to_owned());
        }
        if !self.is_forwarding {
            faults.push("the forwarder stands still".to_owned());
        }
        let is_up = seat.base.as_ref().is_some_and(Interface::is_usable);
        let is_up = self.links.judge(&instance.interface, is_up, now);
        if seat.base.is_none() {
            faults.push(format!("interface {} is not there", instance.interface));
        } else if !is_up && !instance.ignores_interface {
            faults.push(format!("interface {} is down", instance.interface));
        }
        if seat.base.is_some() && seat.sender.is_none() {
            faults.push(format!("no address on {} to send from", instance.interface));
        }
        let wants_link = instance.virtual_mac.is_some() || instance.ipvlan.is_some();
        if wants_link && seat.own_link.is_none() {
            faults.push("its virtual interface could not be made".to_owned());
        }
        if instance.needs_peers && instance.peers.is_empty() {
            faults.push("it has no peers".to_owned());
        }
        let group = self.declared.groups.iter().find(|group| group.members.contains(&instance.name));
        let own = [
            &instance.track_interfaces,
            &instance.track_scripts,
            &instance.track_files,
            &instance.track_processes,
        ];
        let weighs = group.is_none_or(|group| group.members_weigh);
        let of_group = group.map(|group| {
            [&group.track_interfaces, &group.track_scripts, &group.track_files, &group.track_processes]
        });
        let mut all: Vec<(usize, Track)> = Vec::new();
        for (kind, tracks) in own.into_iter().enumerate() {
            // In a group a member's own weights count as nothing, and its faults do.
            all.extend(
                tracks
                    .iter()
                    .filter(|track| weighs || self.weight(kind, track).value == 0)
                    .map(|track| (kind, track.clone())),
            );
        }
        for (kind, tracks) in of_group.into_iter().flatten().enumerate() {
            all.extend(tracks.iter().map(|track| (kind, track.clone())));
        }
        let mut sum = Effect::default();
        for (kind, track) in all {
            let weight = self.weight(kind, &track);
            if weight.value != 0 && self.is_unknown(kind, &track.name) {
                continue;
            }
            let one = effect([(self.reading(kind, &track.name, now), weight)]);
            if one.is_fault {
                faults.push(format!(
                    "{} {}",
                    ["interface", "script", "file", "process"].get(kind).unwrap_or(&""),
                    track.name
                ));
            }
            sum = sum.and(one);
        }
        (sum, faults)
    }

    /// What a watched thing weighs: interfaces, scripts, files and processes are kinds 0 to 3.
    fn weight(&self, kind: usize, track: &Track) -> Weight {
        let declared = &self.declared;
        let own = || match kind {
            1 => declared.scripts.iter().find(|script| script.name == track.name).map(|found| found.weight),
            2 => declared.files.iter().find(|file| file.name == track.name).map(|found| found.weight),
            3 => declared.processes.iter().find(|found| found.name == track.name).map(|found| found.weight),
            _ => None,
        };
        track.weight.or_else(own).unwrap_or_default()
    }

    /// True for a script that has not run yet: until then the priority is the declared one, as keepalived has it.
    fn is_unknown(&self, kind: usize, name: &str) -> bool {
        let starts_down = |script: &Script| script.name == name && script.starts_down;
        kind == 1
            && !self.readings.contains_key(&Watched::Script(name.to_owned()))
            && !self.declared.scripts.iter().any(starts_down)
    }

    fn reading(&mut self, kind: usize, name: &str, now: Tick) -> Reading {
        let name = name.to_owned();
        let unread = |reading: Option<&Reading>, before| reading.copied().unwrap_or(before);
        match kind {
            1 => unread(self.readings.get(&Watched::Script(name)), Reading::Down),
            2 => unread(self.readings.get(&Watched::File(name)), Reading::Number(0)),
            3 => unread(self.readings.get(&Watched::Process(name)), Reading::Down),
            _ => {
                let is_up = self.watcher.view().interface_named(&name).is_some_and(Interface::is_usable);
                if self.links.judge(&name, is_up, now) { Reading::Up } else { Reading::Down }
            }
        }
    }
}
