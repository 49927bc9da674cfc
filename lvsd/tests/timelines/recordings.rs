//! The recordings that are replayed: those of `timelines`, and those made later, where the behaviour was in doubt.

use std::path::{Path, PathBuf};

/// Their files, in the order of their names.
pub(crate) fn all() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/timelines");
    let both = [directory.join("more"), directory];
    let files = both.iter().flat_map(|directory| std::fs::read_dir(directory).unwrap());
    let files = files.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    files.sort();
    files
}
