//! The lvsd daemon and its commands: a thin front of the library.

fn main() {}
