//! `virtual_routes`, `virtual_rules`, and what is static: addresses, routes and rules in `ip`'s own words.

use lvs_vrrp::declared::{Route, Rule, Unread};

use super::super::reader::Word;
use super::super::source::Found;
use super::super::tree::Statement;
use super::Model;

/// Where keepalived puts the first rule that does not say where it belongs; the next one goes before it.
const FIRST_PLACE: u32 = 16_384;

/// Where keepalived puts a static address that names no interface.
const DEFAULT_INTERFACE: &str = "eth0";

/// Where the next rule goes that does not say so, for each family.
#[derive(Debug)]
pub(super) struct Places([u32; 2]);

impl Default for Places {
    fn default() -> Self {
        Self([FIRST_PLACE; 2])
    }
}

impl Model<'_> {
    /// The routes of a block, one a line.
    pub(super) fn routes(&mut self, block: &Statement) -> Vec<Route> {
        let is_static = block.name() == "static_routes";
        let mut done = Vec::new();
        for item in block.inside() {
            let Some(words) = self.without_group(&item.words, is_static) else { continue };
            match Route::parse(&texts(&words)) {
                Ok(route) => done.push(route),
                Err(unread) => self.unread(&words, unread),
            }
        }
        done
    }

    /// The rules of a block, one a line.
    pub(super) fn rules(&mut self, block: &Statement) -> Vec<Rule> {
        let is_static = block.name() == "static_rules";
        let mut done = Vec::new();
        for item in block.inside() {
            let Some(words) = self.without_group(&item.words, is_static) else { continue };
            match Rule::parse(&texts(&words), Some(FIRST_PLACE)) {
                Ok(rule) => done.push(self.placed(rule, item, &words)),
                Err(unread) => self.unread(&words, unread),
            }
        }
        done
    }

    /// The rule at the place that keepalived gives it, where it has none.
    fn placed(&mut self, mut rule: Rule, item: &Statement, words: &[&Word]) -> Rule {
        if Rule::parse(&texts(words), None).is_err() {
            let place = &mut self.rule_places.0[usize::from(rule.is_ipv6)];
            rule.priority = *place;
            *place -= 1;
            let title = format!("a rule without its place: {} is taken", rule.priority);
            let found = Found::new(item.whole(), title, "it may not be what you want");
            self.findings.warn(found.help("write `priority N`"));
        }
        rule
    }

    /// The addresses of `static_ipaddress`; each says its interface, or has the one that is said for all.
    pub(super) fn static_addresses(&mut self, block: &Statement) {
        for item in block.inside() {
            let Some(words) = self.without_group(&item.words, true) else { continue };
            let words: Vec<Word> = words.into_iter().cloned().collect();
            let Some(mut address) = self.virtual_address(&words) else { continue };
            let for_all = self.globals.default_interface.as_deref().unwrap_or(DEFAULT_INTERFACE);
            address.interface.get_or_insert_with(|| for_all.to_owned());
            self.declared.vrrp.lasting.addresses.push(address);
        }
    }

    /// The words without a track group: nothing here is faulty because something static is gone.
    fn without_group<'w>(&mut self, words: &'w [Word], is_static: bool) -> Option<Vec<&'w Word>> {
        let Some(at) = words.iter().position(|word| word.text == "track_group") else {
            return Some(words.iter().collect());
        };
        let group = words.get(at)?;
        if !is_static {
            let title = "`track_group` is for what is static";
            self.findings.mistake(Found::new(group.place, title, "expected nothing of it here"));
            return None;
        }
        self.no_effect(group, "what is static is put back, and no instance is faulty meanwhile");
        Some(
            words
                .iter()
                .enumerate()
                .filter(|(place, _)| *place != at && *place != at + 1)
                .map(|(_, word)| word)
                .collect(),
        )
    }

    fn unread(&mut self, words: &[&Word], unread: Unread) {
        let Some(word) = words.get(unread.at).or_else(|| words.last()) else { return };
        let found = Found::new(word.place, unread.title, unread.expected);
        if unread.is_refused { self.findings.refuse(found) } else { self.findings.mistake(found) }
    }
}

fn texts<'w>(words: &[&'w Word]) -> Vec<&'w str> {
    words.iter().map(|word| word.text.as_str()).collect()
}
