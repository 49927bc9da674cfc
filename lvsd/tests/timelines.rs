//! Replays what was recorded from a kernel's IPVS, frame by frame and command by command, and holds the answers
//! against the recording.
//!
//! `timelines/NAME.jsonl` are the recordings (Linux 6.1.192, ipvsadm 1.31): frames put on a link one at a time, the
//! frames that the director put on either link, and what ipvsadm printed in between. `timelines/more` has those made
//! later, where the behaviour was in doubt. `timelines/compare.rs` says what may differ.

#![allow(clippy::unwrap_used, reason = "a test fails where a recording cannot be read")]

#[path = "timelines/compare.rs"]
mod compare;
#[path = "timelines/recordings.rs"]
mod recordings;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// Recordings that are not answered equally yet.
const KNOWN_GAPS: &[&str] = &[];

/// How many recordings there are, and how many more.
const RECORDINGS: usize = 70;
const MORE: usize = 58;

/// The differences between a recording and our answer to it. The accounts must balance in any case.
fn differences(path: &Path) -> Vec<String> {
    let recorded = std::fs::read_to_string(path).unwrap();
    let mut answer = Vec::new();
    let account = lvsd::replay::replay(recorded.as_bytes(), None, &mut answer).unwrap();
    assert!(account.balances(), "{}: {account:?}", path.display());
    compare::differences(&recorded, std::str::from_utf8(&answer).unwrap())
}

#[test]
fn every_recording_is_answered_as_the_kernel_did() {
    let mut different = BTreeSet::new();
    let mut told = String::new();
    for path in recordings::all() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let found = differences(&path);
        if !found.is_empty() {
            let shown: Vec<_> = found.iter().take(3).map(String::as_str).collect();
            let _ = writeln!(told, "{name}: {} differ\n  {}", found.len(), shown.join("\n  "));
            different.insert(name);
        }
    }
    let expected: BTreeSet<String> = KNOWN_GAPS.iter().map(ToString::to_string).collect();
    assert_eq!(different, expected, "\n{told}");
}

#[test]
fn no_recording_is_missing() {
    assert_eq!(recordings::all().len(), RECORDINGS + MORE);
}
