//! `cargo +nightly fuzz run advert`: packets of any kind at a virtual router.

#![no_main]

#[path = "../entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|input: &[u8]| entry::run(input));
