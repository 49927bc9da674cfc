//! The table of RFC 9568's requirements says where each is kept and which test holds it: all of that is there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

use std::fs;
use std::path::{Path, PathBuf};

/// The requirements there are: a row that is lost is a requirement that nobody holds.
const ROWS: usize = 71;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Everything in a folder that is Rust.
fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// What stands between backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn is_name(word: &str) -> bool {
    word.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}

#[test]
fn every_row_names_code_and_a_test_that_are_there() {
    let page = fs::read_to_string(root().join("vrrp/RFC9568.md")).unwrap();
    let mut tests = String::new();
    for folder in ["vrrp/src", "vrrp/tests", "lvsd/src/vrrp", "lvsd/tests"] {
        sources(&root().join(folder), &mut tests);
    }
    let is_test = |name: &str| {
        let declared = [format!("fn {name}()"), format!("fn {name}(input")];
        declared.iter().any(|declared| tests.contains(declared.as_str()))
    };
    let mut wrong = Vec::new();
    let mut rows = 0;
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if cells[0] == "§" {
            continue;
        }
        rows += 1;
        let [_, _, kept, held] = cells[..] else { panic!("{line}") };
        let mut code = String::new();
        for word in quoted(kept) {
            if Path::new(word).extension().is_some_and(|end| end == "rs") {
                let path = word.strip_prefix("lvsd:").map_or_else(
                    || root().join("vrrp/src").join(word),
                    |inner| root().join("lvsd/src/vrrp").join(inner),
                );
                match fs::read_to_string(&path) {
                    Ok(text) => code.push_str(&text),
                    Err(error) => wrong.push(format!("{word}: {error}: {line}")),
                }
            } else if !(code.contains(&format!("fn {word}")) || code.contains(word)) {
                wrong.push(format!("{word} is in none of the files before it: {line}"));
            }
        }
        let named: Vec<&str> = quoted(held).filter(|word| is_name(word)).collect();
        wrong.extend(
            named
                .iter()
                .filter(|name| !is_test(name) && !tests.contains(&format!("fn {name}(")))
                .map(|name| format!("there is no test {name}: {line}")),
        );
        if named.is_empty() && !held.starts_with("none") {
            wrong.push(format!("no test is named: {line}"));
        }
        // Where there is no test, the row says why.
        let is_explained = held.contains(':') || kept.contains("kernel") || kept.contains("see *Deviations*");
        if held.starts_with("none") && !is_explained && !kept.contains("is, with its cause") {
            wrong.push(format!("a gap that is not explained: {line}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(rows, ROWS);
}
