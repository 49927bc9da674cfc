//! Packets that nobody should send: nothing they say brings a virtual router down.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

#[path = "../fuzz/entry.rs"]
mod entry;

use std::fs;

use proptest::collection::vec;
use proptest::prelude::{any, prop, proptest};

#[test]
fn the_fuzzer_s_corpus_breaks_nothing() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/advert");
    let mut count = 0;
    for file in fs::read_dir(corpus).unwrap() {
        let input = fs::read(file.unwrap().path()).unwrap();
        entry::run(&input);
        // The same packets at every other virtual router, and with each octet changed.
        for choice in 0..128 {
            entry::run(&[&[choice][..], input.get(1..).unwrap_or_default()].concat());
        }
        for place in 0..input.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = input.clone();
                changed[place] ^= change;
                entry::run(&changed);
            }
        }
        count += 1;
    }
    assert!(count >= 20, "only {count} inputs");
}

proptest! {
    #[test]
    fn no_bytes_break_anything(input in vec(any::<u8>(), 0..600)) {
        entry::run(&input);
    }

    /// Nearly right: one packet after another, each with its checksum mended and a few octets changed.
    #[test]
    fn nearly_right_packets_break_nothing(
        choice in any::<u8>(),
        packets in vec((any::<u8>(), any::<u8>(), vec(prop::sample::select(vec![0, 0, 0, 1, 0xff]), 0..40)), 1..12),
    ) {
        let mut input = vec![choice];
        for (how, priority, changes) in packets {
            let length = u8::try_from(changes.len()).unwrap();
            // Those of the sender's own take the length for their priority.
            input.extend([how | 0x0c, length.max(priority % 40)]);
            input.extend(changes);
        }
        entry::run(&input);
    }
}
