//! `cargo +nightly fuzz run frame`: hostile frames through parsing and every rewrite.

#![no_main]

#[path = "../entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
