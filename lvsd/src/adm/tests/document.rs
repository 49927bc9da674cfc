//! `IPVSADM.md` tells of every option, and of nothing that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::adm::option::TABLE;

const DOCUMENT: &str = include_str!("../../../IPVSADM.md");

/// A row of one of its tables: what stands in backticks in the first column and in the last.
struct Row {
    options: BTreeSet<String>,
    held_by: Vec<String>,
}

fn rows() -> Vec<Row> {
    let tables = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = tables.map(|line| line.split(" | ").collect::<Vec<_>>());
    let rows = rows.filter(|columns| columns[0].starts_with('`'));
    rows.map(|columns| {
        assert_eq!(columns.len(), 3, "{columns:?}");
        assert!(!columns[1].trim().is_empty(), "{columns:?}");
        Row { options: quoted(columns[0]).into_iter().collect(), held_by: quoted(columns[2]) }
    })
    .collect()
}

fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(Into::into).collect()
}

fn files(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

/// The names of all tests in the source.
fn tests() -> BTreeSet<String> {
    let mut sources = Vec::new();
    let lvsd = Path::new(env!("CARGO_MANIFEST_DIR"));
    for part in ["src", "tests", "../sched/src", "../sched/tests"] {
        files(&lvsd.join(part), "rs", &mut sources);
    }
    let mut names = BTreeSet::new();
    for source in sources {
        let text = std::fs::read_to_string(source).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("fn ")
                && is_test
            {
                names.extend(rest.split('(').next().map(ToOwned::to_owned));
            }
            is_test = line == "#[test]" || (is_test && line.starts_with("#["));
        }
    }
    names
}

/// The words of all command lines of each recording; a word of several short options counts as each of them.
fn recordings() -> BTreeMap<String, BTreeSet<String>> {
    let mut paths = Vec::new();
    let lvsd = Path::new(env!("CARGO_MANIFEST_DIR"));
    for part in ["tests/timelines", "src/adm/tests"] {
        files(&lvsd.join(part), "jsonl", &mut paths);
    }
    let mut recordings = BTreeMap::<String, BTreeSet<String>>::new();
    for path in paths {
        let words = recordings.entry(path.file_stem().unwrap().to_string_lossy().into_owned()).or_default();
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            for word in line["args"].as_str().unwrap_or_default().split_whitespace() {
                match word.strip_prefix('-') {
                    Some(short) if !short.starts_with('-') => {
                        words.extend(short.chars().map(|letter| format!("-{letter}")));
                    }
                    _ => _ = words.insert(word.to_owned()),
                }
            }
        }
    }
    recordings
}

#[test]
fn every_option_is_in_the_document_and_no_other() {
    let known: BTreeSet<String> = TABLE
        .iter()
        .flat_map(|spec| [Some(format!("--{}", spec.long)), spec.short.map(|short| format!("-{short}"))])
        .flatten()
        .collect();
    let mut told = BTreeSet::new();
    for row in rows() {
        for option in row.options {
            assert!(told.insert(option.clone()), "{option} is told of twice");
        }
    }
    assert_eq!(known.difference(&told).collect::<Vec<_>>(), Vec::<&String>::new(), "not told of");
    assert_eq!(told.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "not there");
}

#[test]
fn what_the_document_says_holds_an_option_is_there_and_uses_it() {
    let (tests, recordings) = (tests(), recordings());
    assert!(tests.len() > 200 && recordings.len() > 90, "{} {}", tests.len(), recordings.len());
    let mut wrong = Vec::new();
    for Row { options, held_by } in rows() {
        if held_by.is_empty() {
            wrong.push(format!("{options:?}: nothing holds it"));
        }
        for name in held_by {
            if name.contains('_') {
                if !tests.contains(&name) {
                    wrong.push(format!("{options:?}: there is no test {name}"));
                }
            } else if recordings.get(&name).is_none_or(|words| words.is_disjoint(&options)) {
                wrong.push(format!("{options:?}: no recording {name} uses it"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_document_says_how_many_command_lines_ipvsadm_was_given() {
    let count = super::said().len();
    let told = format!("{},{:03} command lines", count / 1000, count % 1000);
    assert!(DOCUMENT.contains(&told), "{told}");
}
