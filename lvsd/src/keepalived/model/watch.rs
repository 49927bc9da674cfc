//! Sync groups, the pace of announcements by interface, what runs on a transition, and what VRRP itself refuses.

use lvs_vrrp::declared::{Notify, Subject, SyncGroup};

use super::super::source::{Found, Place};
use super::super::tree::Statement;
use super::Model;
use super::globals::Announced;

impl Model<'_> {
    pub(super) fn sync_group(&mut self, statement: &Statement) {
        let Some(name) = Self::name(statement) else { return };
        if let Some(first) = self.declared.vrrp.groups.iter().find(|other| other.name == name.text) {
            let title = format!("two groups of the name {}", first.name);
            self.findings.mistake(Found::new(name.place, title, "again here"));
        }
        let mut group = SyncGroup { name: name.text.clone(), ..SyncGroup::default() };
        group.notify.tells_priority = self.globals.tells_priority;
        for inner in statement.inside() {
            match inner.name() {
                "group" => {
                    for word in inner.inside().iter().flat_map(|item| &item.words) {
                        let names = self.declared.vrrp.instances.iter().map(|instance| instance.name.clone());
                        let names: Vec<String> = names.collect();
                        self.known(word, "vrrp_instance", &names);
                        group.members.push(word.text.clone());
                    }
                }
                "track_interface" => group.track_interfaces.extend(self.tracks(inner, 253)),
                "track_script" => group.track_scripts.extend(self.tracks(inner, 253)),
                "track_file" => group.track_files.extend(self.tracks(inner, 254)),
                "track_process" => group.track_processes.extend(self.tracks(inner, 254)),
                "sync_group_tracking_weight" => group.members_weigh = true,
                _ => self.notify(inner, &mut group.notify),
            }
        }
        self.declared.vrrp.groups.push(group);
    }

    /// The keywords of what runs on a transition.
    pub(super) fn notify(&mut self, inner: &Statement, notify: &mut Notify) {
        let slot = match inner.name() {
            "notify_master" => &mut notify.on_master,
            "notify_backup" => &mut notify.on_backup,
            "notify_fault" => &mut notify.on_fault,
            "notify_stop" => &mut notify.on_stop,
            "notify_deleted" => {
                notify.tells_deleted = true;
                if inner.arguments().is_empty() {
                    return;
                }
                &mut notify.on_deleted
            }
            "notify_master_rx_lower_pri" => &mut notify.on_lower_priority,
            "notify" => &mut notify.on_any,
            "notify_priority_changes" => {
                notify.tells_priority = self.boolean(inner);
                return;
            }
            _ => return,
        };
        *slot = self.findings.program(inner).map(Into::into);
    }

    /// `garp_group`: the pace of announcements on some interfaces.
    pub(super) fn garp_group(&mut self, statement: &Statement) {
        let mut announced = Announced::default();
        let mut interfaces = Vec::new();
        for inner in statement.inside() {
            match inner.name() {
                "garp_interval" => announced.arp_interval = self.seconds(inner, 0..=1),
                "gna_interval" => announced.neighbour_interval = self.seconds(inner, 0..=1),
                "interface" => {
                    interfaces.extend(Self::name(inner).and_then(|word| self.findings.interface(word)));
                }
                "interfaces" => {
                    for word in inner.inside().iter().flat_map(|item| &item.words) {
                        interfaces.extend(self.findings.interface(word));
                    }
                }
                _ => {}
            }
        }
        if interfaces.is_empty() {
            let found = Found::new(
                statement.place(),
                "a `garp_group` without interfaces",
                "expected `interface NAME`",
            );
            self.findings.mistake(found);
        }
        for instance in &mut self.declared.vrrp.instances {
            if interfaces.contains(&instance.interface) {
                let own = &mut instance.announcing;
                own.arp_interval = announced.arp_interval.unwrap_or(own.arp_interval);
                own.neighbour_interval = announced.neighbour_interval.unwrap_or(own.neighbour_interval);
            }
        }
    }

    /// What the virtual routers cannot be, told where it is written.
    pub(super) fn vrrp_mistakes(&mut self, statements: &[Statement]) {
        // What was found before has its own place; here it would be told again.
        if !self.findings.mistakes.is_empty() {
            return;
        }
        for mistake in crate::vrrp::check(&self.declared.vrrp) {
            let (keyword, name) = match &mistake.subject {
                Subject::Instance(name) => ("vrrp_instance", name),
                Subject::Group(name) => ("vrrp_sync_group", name),
                Subject::Script(name) => ("vrrp_script", name),
            };
            // Of two with one name the last is the one too many.
            let block = statements.iter().rev().find(|statement| {
                statement.name() == keyword && Self::name(statement).is_some_and(|word| word.text == *name)
            });
            let Some(block) = block else { continue };
            let place = place_within(block, mistake.keyword);
            let title = format!("{keyword} {name}: {}", mistake.keyword);
            let title = if mistake.keyword == keyword { format!("{keyword} {name}") } else { title };
            self.findings.mistake(Found::new(place, title, mistake.message));
        }
    }
}

/// The keyword's place in the block, or the block's own.
fn place_within(block: &Statement, keyword: &str) -> Place {
    let at = |statements: &[Statement]| {
        statements.iter().rev().find(|inner| inner.name() == keyword).map(Statement::whole)
    };
    let deeper = || block.inside().iter().find_map(|inner| at(inner.inside()));
    at(block.inside()).or_else(deeper).unwrap_or_else(|| block.whole())
}
