//! Holds every statement against the table of keywords: what is refused, what has no effect, what lacks an argument.

use super::keyword::{Keyword, Standing};
use super::source::{Findings, Found};
use super::tree::Statement;

/// Keywords that may stand several times in a block, each for itself.
const REPEATED: [&str; 2] = ["key", "lvs_timeouts"];

/// Tells what is wrong with the statements, and what of them has no effect.
pub(super) fn check(statements: &[Statement], findings: &mut Findings) {
    for (at, statement) in statements.iter().enumerate() {
        let Some(keyword) = statement.keyword else { continue };
        if let Standing::Refused(why) = keyword.outcome() {
            let title = format!("`{}` cannot be had", keyword.name);
            findings.refuse(Found::new(statement.whole(), title, "lvsd does not do this").help(why));
            continue;
        }
        count(keyword, statement, findings);
        match keyword.meant().standing {
            Standing::Noted(why) => {
                let title = format!("`{}` has no effect here", keyword.name);
                findings.warn(Found::new(statement.whole(), title, why));
            }
            Standing::Honoured => twice(statement, statements.get(..at).unwrap_or_default(), findings),
            Standing::Opens(_) => check(statement.inside(), findings),
            Standing::Refused(_) | Standing::Means(_) => {}
        }
    }
}

fn count(keyword: &Keyword, statement: &Statement, findings: &mut Findings) {
    let (least, most) = keyword.count();
    let arguments = statement.arguments();
    let expected = || match keyword.arguments.trim() {
        "" => "expected nothing behind it".to_owned(),
        arguments => format!("expected `{} {arguments}`", keyword.name),
    };
    if arguments.len() < least {
        let title = format!("`{}` lacks what it is to be", keyword.name);
        findings.mistake(Found::new(statement.whole(), title, expected()));
    } else if let Some(extra) = arguments.get(most) {
        let mut found = Found::new(extra.place, format!("`{}` is one too many", extra.text), expected());
        if keyword.arguments.starts_with("SCRIPT") {
            found = found.help("put a program and its arguments into quotes");
        }
        findings.mistake(found);
    }
}

fn twice(statement: &Statement, before: &[Statement], findings: &mut Findings) {
    let name = statement.name();
    if REPEATED.contains(&name) {
        return;
    }
    if let Some(first) = before.iter().rev().find(|other| other.name() == name) {
        let title = format!("`{name}` stands here twice");
        let found = Found::new(statement.whole(), title, "the last one counts: this");
        findings.warn(found.also(first.whole(), "and not this"));
    }
}
