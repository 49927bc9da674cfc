//! `cargo +nightly fuzz run keepalived`: texts of any kind through the parser of keepalived.conf.

#![no_main]

#[path = "../entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
