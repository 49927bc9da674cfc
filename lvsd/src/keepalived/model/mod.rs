//! From statements to what they declare: services, checks and virtual routers.

mod accept;
mod address;
mod authentication;
mod checker;
mod globals;
mod group;
mod http;
mod instance;
mod server;
mod service;
mod track;
mod watch;
mod way;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Declared;
use super::reader::Word;
use super::source::{Findings, Found};
use super::tree::Statement;
use globals::Globals;
use group::Group;
use way::Places;

/// Gathers what a configuration declares.
pub(super) struct Model<'a> {
    findings: &'a mut Findings,
    /// False when something could not even be read: what seems to be missing may be there.
    is_whole: bool,
    globals: Globals,
    groups: BTreeMap<String, Group>,
    files: BTreeMap<String, WatchedFile>,
    rule_places: Places,
    declared: Declared,
}

/// A `track_file`, as real servers look at it.
struct WatchedFile {
    path: PathBuf,
    weight: i32,
    reverse: bool,
}

/// What the statements declare, as far as they could be understood.
pub(super) fn declare(statements: &[Statement], findings: &mut Findings) -> Declared {
    let mut model = Model {
        is_whole: findings.mistakes.is_empty(),
        findings,
        globals: Globals::default(),
        groups: BTreeMap::new(),
        files: BTreeMap::new(),
        rule_places: Places::default(),
        declared: Declared::default(),
    };
    // What others refer to comes first, wherever it stands.
    for statement in statements {
        match statement.name() {
            "global_defs" => model.global_defs(statement.inside()),
            "SSL" => model.ssl(statement.inside()),
            "virtual_server_group" => model.group(statement),
            "track_file" => model.track_file(statement),
            "vrrp_track_process" => model.track_process(statement),
            "vrrp_script" => model.vrrp_script(statement),
            "interface_up_down_delays" => model.link_delays(statement.inside()),
            _ => {}
        }
    }
    model.settle_globals();
    let mut seen = service::Seen::default();
    for statement in statements {
        match statement.name() {
            "virtual_server" => model.virtual_server(statement, &mut seen),
            "vrrp_instance" => model.instance(statement),
            "static_ipaddress" => model.static_addresses(statement),
            "static_routes" => {
                let routes = model.routes(statement);
                model.declared.vrrp.lasting.routes.extend(routes);
            }
            "static_rules" => {
                let rules = model.rules(statement);
                model.declared.vrrp.lasting.rules.extend(rules);
            }
            _ => {}
        }
    }
    for statement in statements {
        match statement.name() {
            "vrrp_sync_group" => model.sync_group(statement),
            "garp_group" => model.garp_group(statement),
            _ => {}
        }
    }
    model.vrrp_mistakes(statements);
    model.declared
}

impl Model<'_> {
    /// The name behind a keyword; nothing when it is missing, which has been told.
    fn name(statement: &Statement) -> Option<&Word> {
        statement.argument(0)
    }

    /// A name that must be there.
    fn named(&mut self, statement: &Statement, keyword: &str) -> bool {
        let is_there = statement.inside().iter().any(|inner| inner.name() == keyword);
        if !is_there && self.is_whole {
            let name = statement.words.first().map_or("", |word| &word.text);
            let title = format!("`{name}` without `{keyword}`");
            self.findings.mistake(Found::new(
                statement.whole(),
                title,
                format!("expected `{keyword}` in its block"),
            ));
        }
        is_there
    }
}
