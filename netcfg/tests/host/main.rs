//! The host set-up in real network namespaces: applied, checked, interrupted, taken back, and held
//! against what the usual scripts produce.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod closed;
mod diversion;
mod follow;
mod lookup;
mod namespace;
mod revert;
mod scripts;
mod silence;
mod source_nat;
